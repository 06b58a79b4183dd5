//! SYN cookies: a service whose SYNs are too many for what it may have half-open answers them without storing anything. The client's ACK
//! brings back what was not stored, and becomes the SYN of the backend; from then on the two ends count differently.
//!
//! | packet | becomes |
//! |---|---|
//! | SYN without a flow | our SYN-ACK: window 0, so that the client sends nothing yet |
//! | ACK with a cookie, and whatever the client sends until the backend answers | SYN to the backend |
//! | the backend's SYN-ACK, also a repeated one | a probe: it opens the client's window and has its ACK sent, which the backend waits for |
//! | all others | themselves, with the other end's numbers |

mod numbers;
mod options;
mod quote;
mod segment;
mod value;

pub(super) use numbers::translate;
pub(super) use options::Options;
pub(super) use quote::translate as translate_quote;
pub(super) use segment::Segment;

use super::{Verdict, Work, admission, family::Family, parse::Headers, reply};
use crate::{
    Packet, Tables,
    abi::{Cookie, CookieCount, CookieFlags, DropReason, FlowState, Service, ServiceFlags, SynCookies},
    half_open::Measure,
    tables::AddressTables,
    verdict::Step,
    wire::{ACK, RST, SYN, TCP, Tcp},
};

/// Window scale that we announce in the place of a backend's, which is not known yet: windows up to 8 MiB.
const SCALE: u8 = 7;
/// Ticks after the last cookie in which ACKs are looked at: no cookie is valid for longer.
const ACCEPTED_TICKS: u32 = 2 * value::PERIOD_TICKS;

/// Whether a packet that would begin a flow of the service may have to do with cookies.
#[inline(always)]
pub(super) fn concerns<A>(headers: &Headers<A>, service: &Service) -> bool {
    let is_first = headers.flags & SYN != 0;
    headers.key.proto == TCP && (!is_first || service.flags & ServiceFlags::COOKIES != 0)
}

/// Answers a SYN by a cookie if its service does so, or fills in the cookie that an ACK brings. `ABSENT`: the packet goes on.
#[inline(never)]
pub(super) fn meet<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    if work.headers.flags & (SYN | ACK | RST) == SYN {
        if !is_on(tables, &work.service) {
            return Step::ABSENT;
        }
        let step = may_begin(packet, tables, work);
        if step == Step::DONE { answer(packet, tables, work) } else { step }
    } else {
        if work.headers.flags & ACK != 0 && is_valid(packet, tables, work) {
            accept(packet, tables, work);
        }
        Step::ABSENT
    }
}

/// Whether this SYN is to be answered by a cookie. It counts as half-open either way.
#[inline(never)]
fn is_on<T: Tables>(tables: &T, service: &Service) -> bool {
    let secret = tables.cookie_secret().unwrap_or_default();
    let Some(state) = tables.syn_cookies(service.id) else { return false };
    // Without a key every cookie could be guessed.
    if secret.key[0] | secret.key[1] == 0 {
        return false;
    }
    let mut next = state;
    let mut on = true;
    if service.flags & ServiceFlags::COOKIES_ALWAYS == 0 {
        next = state.begun(measure(tables, secret.limit));
        on = next.on != 0;
    }
    if on {
        next.cookie_at = tables.now();
    }
    if is_changed(&state, &next) {
        tables.set_syn_cookies(service.id, &next);
    }
    on
}

/// In a flood nothing changes within a tick.
#[inline(always)]
fn is_changed(one: &SynCookies, other: &SynCookies) -> bool {
    one.full_at != other.full_at || one.cookie_at != other.cookie_at || one.on != other.on
}

#[inline(always)]
fn measure<T: Tables>(tables: &T, limit: u32) -> Measure {
    Measure { now: tables.now(), lifetime: tables.timeout(FlowState::SynSent as u8), limit }
}

/// Notes that a handshake of a service is complete.
#[inline(never)]
pub(super) fn completed<T: Tables>(tables: &T, service: u16) -> u32 {
    let Some(state) = tables.syn_cookies(service) else { return 0 };
    if state.full_at != 0 {
        let secret = tables.cookie_secret().unwrap_or_default();
        tables.set_syn_cookies(service, &state.completed(measure(tables, secret.limit)));
    }
    0
}

/// Refuses SYNs that no cookie is owed to. Rates are no matter of theirs: the flow begins with the ACK.
#[inline(always)]
fn may_begin<A, P, T>(packet: &P, tables: &T, work: &Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    if !matches!(tables.slot_element(work.service.id, 0), Some([slots, _]) if slots != 0) {
        return Step::end(Verdict::drop(DropReason::NoBackend));
    }
    if reply::is_from_group(packet) {
        return Step::end(Verdict::drop(DropReason::AnswerLimited));
    }
    let step = admission::client_step(tables, &work.headers.key.src, work.service.id);
    match admission::packet(tables, &work.headers.key.src, work.service.id) {
        Err(verdict) if step == Step::DONE => Step::end(verdict),
        _ => step,
    }
}

/// Turns a SYN into our SYN-ACK.
#[inline(never)]
fn answer<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    options::read(packet, tables, &work.headers, &mut work.options);
    let interface = tables.interface(packet.ingress()).unwrap_or_default();
    let Some(tcp) = packet.read::<Tcp>(work.headers.transport) else {
        return Step::end(Verdict::drop(DropReason::Truncated));
    };
    let client_isn = u32::from_be(tcp.seq);
    let mac = value::mac(tables, &work.headers.key, client_isn, value::period(tables));
    let isn = (mac as u32).wrapping_add(value::mss_index::<A>(work.options.mss));
    let timestamp = value::timestamp(mac, &work.options);
    segment::syn_ack(&mut work.segment, &work.options, (isn, client_isn), timestamp);
    work.segment.set_mss((interface.mtu.min(ORDINARY_MTU) as u16).saturating_sub(A::HEADER as u16 + 20));
    if !segment::write(packet, tables, work) {
        return Step::end(Verdict::drop(DropReason::WriteFailed));
    }
    tables.count_cookie(work.service.id, CookieCount::Sent);
    Step::end(Verdict::TRANSMIT)
}

/// What clients are told that every way to a backend carries; of one that carries less they are told by ICMP.
const ORDINARY_MTU: u32 = 1500;

/// Whether an ACK acknowledges a cookie of ours; fills in its numbers.
#[inline(never)]
fn is_valid<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> bool
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let state = tables.syn_cookies(work.service.id).unwrap_or_default();
    if state.cookie_at == 0 || tables.now().saturating_sub(state.cookie_at) > ACCEPTED_TICKS {
        return false;
    }
    let Some(tcp) = packet.read::<Tcp>(work.headers.transport) else { return false };
    work.cookie.isn = u32::from_be(tcp.ack).wrapping_sub(1);
    work.cookie.client_isn = u32::from_be(tcp.seq).wrapping_sub(1);
    let index = value::check(tables, &work.headers.key, &work.cookie);
    if index == value::INVALID {
        tables.count_cookie(work.service.id, CookieCount::Invalid);
        return false;
    }
    work.cookie.mss = value::mss::<A>(index);
    true
}

/// Fills in the rest of a cookie that came back: what the timestamp holds that the client returns.
#[inline(never)]
fn accept<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>)
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    options::read(packet, tables, &work.headers, &mut work.options);
    let Work { options, cookie, .. } = &mut *work;
    *cookie = Cookie {
        isn: cookie.isn,
        client_isn: cookie.client_isn,
        mss: cookie.mss,
        flags: CookieFlags::VALID,
        ..Cookie::default()
    };
    if options.kinds & CookieFlags::TIMESTAMPS != 0 {
        cookie.timestamp = options.echo;
        cookie.flags |= CookieFlags::TIMESTAMPS | value::kinds(options.echo);
        if cookie.flags & CookieFlags::SCALES != 0 {
            cookie.scales = value::scale(options.echo);
        }
    }
    tables.count_cookie(work.service.id, CookieCount::Accepted);
    completed(tables, work.service.id);
}
