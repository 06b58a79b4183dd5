//! Places of limits: what the flow tables say of them, against what the data path counted.
//!
//! The data path takes a place when a flow begins and gives it back when a packet ends it. Flows that end without a packet, or began
//! before there was a limit, are found here. While the tables are read the data path goes on; how many flows began and ended
//! meanwhile it has counted, and only what they do not explain is put right.

use std::{collections::BTreeMap, sync::atomic::AtomicU64, sync::atomic::Ordering};

use lb_common::abi::{BackendFlags, Places};

use super::{Census, Counts, Rules};
use crate::{api::Occupancy, sys::bpf::Words};

/// Places as they lie in memory.
#[derive(Debug)]
pub(super) struct PlaceMaps {
    /// `BACKEND_PLACES`.
    pub(super) backends: Words,
    /// `SERVICE_PLACES`.
    pub(super) services: Words,
}

/// The places of everybody at one moment.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    backends: Vec<Places>,
    services: Vec<Places>,
}

impl PlaceMaps {
    pub(super) fn read(&self) -> Taken {
        Taken { backends: read(self.backends.as_slice()), services: read(self.services.as_slice()) }
    }

    /// Puts right what the census, taken since `before`, shows to be wrong.
    pub(super) fn settle(&self, before: &Taken, census: &Census, rules: &Rules) {
        let after = self.read();
        let mut of_services: BTreeMap<u16, (Counts, bool)> = BTreeMap::new();
        for (id, counts) in census.counts() {
            let Some(backend) = rules.backends.get(id as usize).filter(|backend| backend.family != 0) else {
                continue;
            };
            let limited = backend.flags & BackendFlags::LIMITED != 0;
            let (sum, any) = of_services.entry(backend.service).or_default();
            *sum += counts;
            *any |= limited;
            if limited {
                settle(self.backends.as_slice(), id as usize, (&before.backends, &after.backends), counts);
            }
        }
        for (id, (counts, _)) in of_services.into_iter().filter(|(_, (_, limited))| *limited) {
            settle(self.services.as_slice(), id.into(), (&before.services, &after.services), counts);
        }
    }

    /// Those in use.
    pub(super) fn occupancy(&self) -> Occupancy {
        let taken = self.read();
        let in_use = |places: &Places| u64::try_from(places.in_use()).unwrap_or_default();
        let used = |(_, number): &(_, u64)| *number > 0;
        Occupancy {
            services: (0..).zip(taken.services.iter().map(in_use)).filter(|pair| pair.1 > 0).collect(),
            backends: (0..).zip(taken.backends.iter().map(in_use)).filter(used).collect(),
            ..Occupancy::default()
        }
    }
}

/// What is wrong: places to be given back (positive), or to be taken (negative).
///
/// `counts` is of all flows that lived when their entry was read. Any of those that ended in between may be missing there, and
/// any that was answered in between may be there twice.
pub(super) fn leaked(before: Places, after: Places, counts: Counts) -> i64 {
    let begun = after.taken.wrapping_sub(before.taken).cast_signed().max(0);
    let ended = after.returned.wrapping_sub(before.returned).cast_signed().max(0);
    let most = counts.open().cast_signed();
    let least = counts.established.saturating_sub(counts.ended).cast_signed();
    let leaked = before.in_use().saturating_sub(ended).saturating_sub(most);
    let missing = least.saturating_sub(before.in_use()).saturating_sub(begun);
    if leaked > 0 { leaked } else { missing.max(0).saturating_neg() }
}

fn settle(words: &[AtomicU64], id: usize, (before, after): (&[Places], &[Places]), counts: Counts) {
    let (Some(before), Some(after)) = (before.get(id), after.get(id)) else { return };
    let leaked = leaked(*before, *after, counts);
    let (Some(taken), Some(returned)) = (words.get(2 * id), words.get(2 * id + 1)) else { return };
    if leaked > 0 {
        returned.fetch_add(leaked.unsigned_abs(), Ordering::Relaxed);
    } else if leaked < 0 {
        taken.fetch_add(leaked.unsigned_abs(), Ordering::Relaxed);
    }
}

fn read(words: &[AtomicU64]) -> Vec<Places> {
    let pairs = words.chunks_exact(2);
    pairs
        .map(|pair| Places {
            taken: pair[0].load(Ordering::Relaxed),
            returned: pair[1].load(Ordering::Relaxed),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(taken: u64, returned: u64) -> Places {
        Places { taken, returned }
    }

    fn flows(established: u64, embryonic: u64, ended: u64) -> Counts {
        Counts { established, embryonic, ended }
    }

    #[test]
    fn places_of_flows_that_are_gone_are_given_back() {
        assert_eq!(leaked(places(10, 2), places(10, 2), flows(5, 0, 0)), 3);
        assert_eq!(leaked(places(10, 2), places(10, 2), flows(6, 2, 2)), 2);
        assert_eq!(leaked(places(10, 2), places(10, 2), flows(8, 0, 0)), 0);
    }

    #[test]
    fn flows_that_ended_while_the_tables_were_read_are_not_given_back_twice() {
        // Two of eight ended; their entries were read after that.
        assert_eq!(leaked(places(10, 2), places(10, 4), flows(6, 0, 0)), 0);
        assert_eq!(leaked(places(10, 2), places(10, 4), flows(5, 0, 0)), 1);
    }

    #[test]
    fn flows_that_began_while_the_tables_were_read_take_no_second_place() {
        assert_eq!(leaked(places(10, 2), places(13, 2), flows(11, 0, 0)), 0);
        assert_eq!(leaked(places(10, 2), places(13, 2), flows(13, 0, 0)), -2);
    }

    #[test]
    fn flows_from_before_the_limit_take_their_places() {
        assert_eq!(leaked(places(0, 0), places(0, 0), flows(50, 3, 10)), -40);
        // Those without an answer may have got one meanwhile, and be counted twice.
        assert_eq!(leaked(places(0, 0), places(0, 0), flows(0, 3, 0)), 0);
        // The map was made anew, and flows that had a place before ended.
        assert_eq!(leaked(places(0, 7), places(0, 7), flows(2, 0, 0)), -9);
    }
}
