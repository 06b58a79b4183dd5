//! Follows flows from one look at the tables to the next: which began, which ended. Only while somebody asks for it: a look reads all
//! tables, and eight bytes are remembered of each flow.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use lb_common::abi::{Abi, Address, Flow, FlowKey};

use super::{
    FlowMaps, Rules,
    census::has_ended,
    list::{record, rules},
    tables::{Table, Visit},
};
use crate::api::FlowRecord;

/// Flows that one look gives one by one, of those that began and of those that ended together.
pub const MOST_FOLLOWED: u64 = 20_000;
/// The bit of what is remembered that says that the flow has ended.
const ENDED: u64 = 1;

/// What is remembered of the last look.
#[derive(Debug, Default)]
pub struct Follower {
    /// A hash of each flow, sorted; the lowest bit is [`ENDED`].
    known: Option<Vec<u64>>,
}

/// What became of flows between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// They were not there before.
    pub begun: Vec<FlowRecord>,
    /// They were there, and have ended, or were not there and have ended already.
    pub ended: Vec<(FlowRecord, End)>,
    /// So many more of both.
    pub more: u64,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides closed it, or one reset it.
    Closed,
    /// Nothing was heard of it for its time-out, or its backend is gone.
    Expired,
}

impl End {
    /// As it is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Expired => "expired",
        }
    }
}

impl Follower {
    /// Forgets everything: the next look only remembers what is there.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// Looks at all tables at tick `now`, before dead flows are deleted. Blocks as long as a scan. The first look tells nothing.
    ///
    /// # Errors
    /// What the kernel says; then everything is forgotten.
    pub fn look(&mut self, maps: &FlowMaps, now: u32) -> io::Result<Followed> {
        let before = self.known.take();
        let (rules, room) = (rules(maps, now)?, AtomicU64::new(MOST_FOLLOWED));
        let mut all = Seen::default();
        for table in &maps.tables {
            let make =
                || Looker { rules: &rules, before: before.as_deref(), room: &room, seen: Seen::default() };
            for (looker, _) in table.visit_by(make)? {
                all.join(looker.seen);
            }
        }
        let Seen { mut known, begun, ended, more } = all;
        known.sort_unstable();
        // A flow that was answered meanwhile is seen in two tables; that it ended is what counts.
        known.dedup_by(|later, earlier| {
            let same = *later >> 1 == *earlier >> 1;
            *earlier |= if same { *later & ENDED } else { 0 };
            same
        });
        self.known = Some(known);
        Ok(Followed { begun: once(begun), ended: once(ended), more })
    }
}

/// What was seen, each flow with its hash.
#[derive(Debug, Default)]
struct Seen {
    known: Vec<u64>,
    begun: Vec<(u64, FlowRecord)>,
    ended: Vec<(u64, (FlowRecord, End))>,
    more: u64,
}

impl Seen {
    fn join(&mut self, other: Self) {
        self.known.extend(other.known);
        self.begun.extend(other.begun);
        self.ended.extend(other.ended);
        self.more += other.more;
    }
}

/// Those of different hashes, in an order that does not depend on the threads.
fn once<T>(mut found: Vec<(u64, T)>) -> Vec<T> {
    found.sort_by_key(|(hash, _)| *hash);
    found.dedup_by_key(|(hash, _)| *hash);
    found.into_iter().map(|(_, found)| found).collect()
}

struct Looker<'a> {
    rules: &'a Rules,
    before: Option<&'a [u64]>,
    /// How many more are given one by one.
    room: &'a AtomicU64,
    seen: Seen,
}

impl Looker<'_> {
    /// Takes in a flow with its hash; `end`: it has ended.
    fn take(&mut self, hash: u64, end: Option<End>, record: impl Fn() -> FlowRecord) {
        self.seen.known.push(hash | if end.is_some() { ENDED } else { 0 });
        let Some(before) = self.before else { return };
        let known = before.binary_search_by_key(&(hash >> 1), |known| known >> 1).ok().map(|at| before[at]);
        let begins = known.is_none();
        let end = end.filter(|_| known.is_none_or(|known| known & ENDED == 0));
        let news = u64::from(begins) + u64::from(end.is_some());
        if news == 0 {
            return;
        }
        let take = |room: u64| room.checked_sub(news);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            self.seen.more += news;
            return;
        }
        if begins {
            self.seen.begun.push((hash, record()));
        }
        self.seen.ended.extend(end.map(|end| (hash, (record(), end))));
    }
}

impl Visit for Looker<'_> {
    fn entry<A>(&mut self, _: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        if !flow.is_reverse() {
            let end = if has_ended(flow) {
                Some(End::Closed)
            } else {
                self.rules.is_dead(flow).then_some(End::Expired)
            };
            let rules = self.rules;
            self.take(hash(key), end, || record(rules, key, flow));
        }
        Ok(true)
    }
}

/// Of a key, with the lowest bit cleared.
fn hash<A: Address>(key: &FlowKey<A>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key.src.words(), key.dst.words(), key.sport, key.dport, key.proto, A::IS_V6).hash(&mut hasher);
    hasher.finish() & !ENDED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(port: u16) -> FlowRecord {
        let client = std::net::SocketAddr::from(([198, 51, 100, 7], port));
        FlowRecord {
            protocol: 6,
            client,
            vip: client,
            source: client,
            destination: client,
            service: 1,
            backend: 1,
            state: 5,
            idle_seconds: 0,
        }
    }

    /// A look that sees flows of these numbers, some of which have ended.
    fn look(
        follower: &mut Follower,
        room: u64,
        flows: &[(u16, Option<End>)],
    ) -> (Vec<u16>, Vec<(u16, End)>, u64) {
        let before = follower.known.take();
        let rules =
            Rules { now: 1, timeouts: [10; 16], backends: Vec::new(), reset_since: Default::default() };
        let room = AtomicU64::new(room);
        let mut looker =
            Looker { rules: &rules, before: before.as_deref(), room: &room, seen: Seen::default() };
        for (number, end) in flows {
            looker.take(u64::from(*number) << 1, *end, || record(*number));
        }
        let mut seen = looker.seen;
        seen.known.sort_unstable();
        follower.known = Some(seen.known);
        let begun = once(seen.begun).iter().map(|flow| flow.client.port()).collect();
        let ended = once(seen.ended).iter().map(|(flow, end)| (flow.client.port(), *end)).collect();
        (begun, ended, seen.more)
    }

    #[test]
    fn each_flow_begins_once_and_ends_once() {
        let (mut follower, open, closed) = (Follower::default(), None, Some(End::Closed));
        assert_eq!(look(&mut follower, 9, &[(1, open), (2, closed)]), (vec![], vec![], 0), "the first look");
        assert_eq!(look(&mut follower, 9, &[(1, open), (2, closed), (3, open)]), (vec![3], vec![], 0));
        let ends = look(&mut follower, 9, &[(1, closed), (2, closed), (3, Some(End::Expired))]);
        assert_eq!(ends, (vec![], vec![(1, End::Closed), (3, End::Expired)], 0));
        assert_eq!(look(&mut follower, 9, &[(1, closed)]), (vec![], vec![], 0), "3 was deleted");
        let short = look(&mut follower, 9, &[(1, closed), (4, closed)]);
        assert_eq!(short, (vec![4], vec![(4, End::Closed)], 0), "it began and ended between two looks");
        assert_eq!(
            look(&mut follower, 9, &[(2, open)]),
            (vec![2], vec![], 0),
            "an old address, a flow of its own"
        );
        follower.forget();
        assert_eq!(look(&mut follower, 9, &[(7, open)]), (vec![], vec![], 0));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_known_all_the_same() {
        let mut follower = Follower::default();
        look(&mut follower, 0, &[]);
        assert_eq!(
            look(&mut follower, 2, &[(1, None), (2, None), (3, None), (4, None)]),
            (vec![1, 2], vec![], 2)
        );
        assert_eq!(
            look(&mut follower, 2, &[(1, None), (2, None), (3, None), (4, None)]),
            (vec![], vec![], 0)
        );
    }
}
