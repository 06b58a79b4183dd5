//! What somebody else did to the maps.

use std::collections::BTreeMap;
use std::fmt;

use super::changes::changes;
use crate::maps::Part;
use crate::plan::MapImage;

/// What is wrong with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// It is not there.
    Missing,
    /// It says something else.
    Changed,
    /// It is not to be there.
    Extra,
}

impl DriftKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Changed, Self::Extra];

    /// Its name in metrics, the API and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Extra => "extra",
        }
    }
}

/// Keys that are kept as examples for the log.
const EXAMPLES: usize = 3;

/// Elements of one map that are wrong in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which map.
    pub part: Part,
    /// What is wrong.
    pub kind: DriftKind,
    /// Number of elements.
    pub count: u64,
    /// The keys of the first ones.
    pub examples: Vec<String>,
}

/// The elements of a part that are not as they are `wanted`; without the generation of routes.
pub(super) fn drift(part: Part, wanted: &MapImage, found: &MapImage) -> Vec<Drift> {
    match part {
        Part::Settings => {
            let plain = |image: &MapImage| {
                BTreeMap::from([("all", lb_common::abi::Settings { fib_generation: 0, ..image.settings })])
            };
            compare(part, &plain(wanted), &plain(found))
        }
        Part::Interfaces => compare(part, &wanted.interfaces, &found.interfaces),
        Part::Services => compare(part, &wanted.services, &found.services),
        Part::Slots => compare(part, &wanted.slots, &found.slots),
        Part::Backends => compare(part, &wanted.backends, &found.backends),
        Part::Limits => compare(part, &wanted.limits, &found.limits),
        Part::Origins => compare(part, &wanted.origins, &found.origins),
        Part::Acls => compare(part, &wanted.acls, &found.acls),
        Part::Admissions => compare(part, &wanted.admissions, &found.admissions),
        Part::OwnAddresses => compare(part, &wanted.own_addresses, &found.own_addresses),
        Part::SnatAddresses => compare(part, &wanted.snat_addresses, &found.snat_addresses),
    }
}

fn compare<K: Ord + fmt::Display, V: PartialEq>(
    part: Part,
    wanted: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Vec<Drift> {
    let mut all = DriftKind::ALL.map(|kind| Drift { part, kind, count: 0, examples: Vec::new() });
    for change in changes(wanted, found) {
        let kind = match (change.wanted, change.found) {
            (Some(_), None) => DriftKind::Missing,
            (Some(_), Some(_)) => DriftKind::Changed,
            (None, _) => DriftKind::Extra,
        };
        let drift = &mut all[kind as usize];
        drift.count += 1;
        if drift.examples.len() < EXAMPLES {
            drift.examples.push(change.key.to_string());
        }
    }
    all.into_iter().filter(|drift| drift.count > 0).collect()
}

/// Elements that were wrong, by map and kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriftCounts([[u64; DriftKind::ALL.len()]; Part::ALL.len()]);

impl DriftCounts {
    /// Adds what was found.
    pub fn add(&mut self, drift: &Drift) {
        self.0[drift.part as usize][drift.kind as usize] += drift.count;
    }

    /// How many elements of a map were wrong in a way.
    #[must_use]
    pub fn of(&self, part: Part, kind: DriftKind) -> u64 {
        self.0[part as usize][kind as usize]
    }

    /// Every map and kind with its number, those without any as well.
    pub fn iter(&self) -> impl Iterator<Item = (Part, DriftKind, u64)> + '_ {
        Part::ALL.into_iter().flat_map(move |part| {
            DriftKind::ALL.into_iter().map(move |kind| (part, kind, self.of(part, kind)))
        })
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        for (counts, before) in since.0.iter_mut().zip(&before.0) {
            for (count, before) in counts.iter_mut().zip(before) {
                *count = count.saturating_sub(*before);
            }
        }
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_told_apart_by_map_and_kind() {
        let wanted =
            MapImage { snat_addresses: (0..9).map(|i| (i, [i; 4])).collect(), ..MapImage::default() };
        let mut found = wanted.clone();
        found.snat_addresses.retain(|index, _| *index < 5);
        found.snat_addresses.insert(0, [7; 4]);
        found.snat_addresses.insert(77, [7; 4]);
        found.settings.fib_generation = 3;
        let of = |kind, count, examples: &[&str]| Drift {
            part: Part::SnatAddresses,
            kind,
            count,
            examples: examples.iter().map(ToString::to_string).collect(),
        };
        let all = drift(Part::SnatAddresses, &wanted, &found);
        assert_eq!(
            all,
            [
                of(DriftKind::Missing, 4, &["5", "6", "7"]),
                of(DriftKind::Changed, 1, &["0"]),
                of(DriftKind::Extra, 1, &["77"])
            ]
        );
        let mut counts = DriftCounts::default();
        all.iter().for_each(|drift| counts.add(drift));
        assert_eq!((counts.total(), counts.of(Part::SnatAddresses, DriftKind::Missing)), (6, 4));
        let before = counts;
        counts.add(&all[1]);
        assert_eq!(counts.since(&before).total(), 1);
        for part in Part::ALL.into_iter().filter(|part| *part != Part::SnatAddresses) {
            assert_eq!(drift(part, &wanted, &found), [], "{part:?}");
        }
    }
}
