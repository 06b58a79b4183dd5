//! From a filter to what the data path can tell at once.
//!
//! The data path compares words under masks, and looks whether what is one of a few is among those that are wanted. That is no language
//! for every filter: several alternatives become what all of them have in common, and what cannot be said is left out. Never is less let
//! through than the filter wants.

use ipnet::IpNet;
use lb_common::abi::{CAPTURE_WINDOW_SHIFT, CaptureFilter, DropReason, MAX_SNAP, SEEN_WORDS, Seen};

use super::{
    Field,
    field::{DIRECTIONS, FLOWS, PROTOCOLS, VERDICTS},
    names::{Known, Names, UnknownName},
};
use crate::{
    events::{Constraint, Filter, Test, Value},
    explain::Fate,
    model::Keyword,
    plan::{address_words, family_of},
};

/// What a capture is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which packets.
    pub filter: Filter<Field>,
    /// The data path's part, for one packet of so many, with so many bytes of each, and so many in a second at most.
    pub narrowed: CaptureFilter,
}

impl Wanted {
    /// Packets that `filter` wants: of them each `sample`-th, drawn by lot, with the first `snap` bytes of each frame, at most `rate` in a
    /// second. What is handed to the host is wanted only where the filter names a verdict.
    ///
    /// # Errors
    /// [`UnknownName`]: no packet could ever be wanted.
    pub fn of(
        filter: Filter<Field>,
        names: &Names,
        (sample, snap, rate): (u32, u32, u32),
    ) -> Result<Self, UnknownName> {
        let mut narrowed = NOTHING;
        for constraints in &filter.alternatives {
            let mut all = CaptureFilter::EVERYTHING;
            for constraint in constraints {
                all = meet(&all, &part(constraint, names)?);
            }
            narrowed = join(&narrowed, &all);
        }
        if !filter.mentions(Field::Verdict) {
            narrowed.kinds &= !Seen::verdict_bit(0);
        }
        narrowed.sample = u32::MAX / sample.max(1);
        narrowed.snap = snap.min(MAX_SNAP);
        narrowed.per_window = per_window(rate);
        Ok(Self { filter, narrowed })
    }
}

/// Packets of a window of time for so many in a second: at least one.
fn per_window(rate: u32) -> u32 {
    let in_window = (u64::from(rate) << CAPTURE_WINDOW_SHIFT) / 1_000_000_000;
    u32::try_from(in_window.max(1)).unwrap_or(u32::MAX)
}

/// What wants no packet.
const NOTHING: CaptureFilter = CaptureFilter { kinds: 0, reasons: 0, ..CaptureFilter::EVERYTHING };

fn is_nothing(filter: &CaptureFilter) -> bool {
    let lacks = |group| filter.kinds & group == 0;
    filter.reasons == 0 || lacks(Seen::VERDICTS) || lacks(Seen::DIRECTIONS) || lacks(Seen::FLOWS)
}

/// What both want.
fn meet(one: &CaptureFilter, other: &CaptureFilter) -> CaptureFilter {
    let mut both =
        CaptureFilter { kinds: one.kinds & other.kinds, reasons: one.reasons & other.reasons, ..*one };
    for word in 0..SEEN_WORDS {
        let (first, second) = ((one.value[word], one.mask[word]), (other.value[word], other.mask[word]));
        if (first.0 ^ second.0) & first.1 & second.1 != 0 {
            return NOTHING;
        }
        both.mask[word] = first.1 | second.1;
        both.value[word] = first.0 & first.1 | second.0 & second.1;
    }
    if is_nothing(&both) { NOTHING } else { both }
}

/// What one of them wants, and as little besides as can be said.
fn join(one: &CaptureFilter, other: &CaptureFilter) -> CaptureFilter {
    if is_nothing(one) {
        return *other;
    }
    if is_nothing(other) {
        return *one;
    }
    let mut any =
        CaptureFilter { kinds: one.kinds | other.kinds, reasons: one.reasons | other.reasons, ..*one };
    for word in 0..SEEN_WORDS {
        any.mask[word] = one.mask[word] & other.mask[word] & !(one.value[word] ^ other.value[word]);
        any.value[word] = one.value[word] & any.mask[word];
    }
    any
}

/// The data path's part of one constraint.
fn part(constraint: &Constraint<Field>, names: &Names) -> Result<CaptureFilter, UnknownName> {
    let Constraint { attribute, test } = constraint;
    Ok(match attribute {
        Field::Service => {
            let word = |id: &u16| one_word(Seen::SERVICE, (*id).into(), u16::MAX.into());
            named("service", test, &names.services, word)?
        }
        Field::Backend => {
            named("backend", test, &names.backends, |id| one_word(Seen::BACKEND, *id, u32::MAX))?
        }
        Field::Ingress => named("interface", test, &names.interfaces, |ifindex| {
            one_word(Seen::INGRESS, *ifindex, u32::MAX)
        })?,
        Field::Egress => {
            named("interface", test, &names.interfaces, |ifindex| one_word(Seen::EGRESS, *ifindex, u32::MAX))?
        }
        Field::Client => network(Seen::CLIENT, test),
        Field::Vip => network(Seen::VIP, test),
        Field::ClientPort => ports(test, |value, mask| (Seen::pair(value, 0), Seen::pair(mask, 0))),
        Field::Port => ports(test, |value, mask| (Seen::pair(0, value), Seen::pair(0, mask))),
        Field::Protocol => {
            let wanted = PROTOCOLS.iter().filter(|(word, _)| says(test, word)).map(|(_, number)| {
                let word = |proto| Seen::service_word(0, proto, 0);
                one_word(Seen::SERVICE, word(*number), word(u8::MAX))
            });
            wanted.fold(NOTHING, |any, one| join(&any, &one))
        }
        Field::Verdict => {
            kinds(Seen::VERDICTS, VERDICTS.iter().map(|verdict| says(test, Fate::as_str(*verdict))), 0)
        }
        Field::Direction => {
            let wanted = DIRECTIONS.iter().map(|way| way.is_some_and(|way| says(test, way.as_str())));
            kinds(Seen::DIRECTIONS, wanted, 8)
        }
        Field::Flow => kinds(Seen::FLOWS, FLOWS.iter().map(|flow| says(test, flow.as_str())), 16),
        Field::Reason => {
            let wanted = (1..).zip(DropReason::ALL).filter(|(_, reason)| says(test, reason.as_str()));
            let reasons = wanted.fold(0, |bits, (number, _)| bits | 1_u64 << number);
            CaptureFilter { reasons, ..CaptureFilter::EVERYTHING }
        }
        Field::Length => CaptureFilter::EVERYTHING,
    })
}

/// Whether a text is what a constraint wants.
fn says(test: &Test, text: &str) -> bool {
    match test {
        Test::Equal(Value::Text(wanted)) => wanted == text,
        Test::Prefix(prefix) => text.starts_with(prefix.as_str()),
        _ => false,
    }
}

fn one_word(place: usize, value: u32, mask: u32) -> CaptureFilter {
    let mut filter = CaptureFilter::EVERYTHING;
    (filter.value[place], filter.mask[place]) = (value, mask);
    filter
}

/// What has a name is known by numbers; several may have the same.
fn named<N>(
    what: &'static str,
    test: &Test,
    known: &Known<N>,
    one: impl Fn(&N) -> CaptureFilter,
) -> Result<CaptureFilter, UnknownName> {
    let wanted = known.iter().filter(|(_, name)| says(test, name)).map(|(number, _)| one(number));
    let any = wanted.fold(NOTHING, |any, one| join(&any, &one));
    match test {
        Test::Equal(Value::Text(name)) if is_nothing(&any) => Err(UnknownName::new(what, name, known)),
        // Others with such a name may be added while it goes on.
        Test::Prefix(_) => Ok(CaptureFilter::EVERYTHING),
        _ => Ok(any),
    }
}

fn kinds(group: u32, wanted: impl Iterator<Item = bool>, shift: u32) -> CaptureFilter {
    let wanted = (shift..).zip(wanted).filter(|(_, wanted)| *wanted);
    let bits = wanted.fold(0, |bits, (bit, _)| bits | 1 << bit);
    CaptureFilter { kinds: !group | bits, ..CaptureFilter::EVERYTHING }
}

fn network(place: usize, test: &Test) -> CaptureFilter {
    let network = match test {
        Test::Within(network) => network.trunc(),
        Test::Equal(Value::Address(address)) => IpNet::from(*address),
        _ => return NOTHING,
    };
    let family = Seen::service_word(0, 0, family_of(network.addr()));
    let mut filter = one_word(Seen::SERVICE, family, Seen::service_word(0, 0, u8::MAX));
    let (value, mask) = (address_words(network.addr()), address_words(network.netmask()));
    filter.value[place..place + 4].copy_from_slice(&value);
    filter.mask[place..place + 4].copy_from_slice(&mask);
    filter
}

/// A port, or the bits that all ports of a range begin with.
fn ports(test: &Test, pair: impl Fn(u16, u16) -> (u32, u32)) -> CaptureFilter {
    let (least, most) = match test {
        Test::Equal(Value::Number(number)) => (*number, *number),
        Test::Range { least, most } => (*least, (*most).min(u16::MAX.into())),
        _ => return NOTHING,
    };
    let (Ok(least), Ok(most)) = (u16::try_from(least), u16::try_from(most)) else { return NOTHING };
    if least > most {
        return NOTHING;
    }
    let mask = u16::MAX.checked_shl(u16::BITS - (least ^ most).leading_zeros()).unwrap_or(0);
    let (value, mask) = pair((least & mask).to_be(), mask.to_be());
    one_word(Seen::PORTS, value, mask)
}
