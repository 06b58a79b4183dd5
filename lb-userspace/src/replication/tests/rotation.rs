//! Keys that are changed while both machines run.

use super::*;
use crate::replication::{Event, Rejection};

const OLD: u8 = 0x11;
const NEW: u8 = 0x22;

/// A file with these keys, numbered by what they are made of.
fn file(keys: &[u8]) -> Keys {
    let lines = keys.iter().map(|key| format!("{key} {}\n", format!("{key:02x}").repeat(32)));
    Keys::parse(&lines.collect::<String>()).unwrap()
}

/// Two machines side by side.
struct Couple {
    now: Duration,
    links: [Link; 2],
    sessions: u8,
}

impl Couple {
    fn new(keys: &[u8]) -> Self {
        let now = Duration::from_secs(1000);
        let links = [1, 2].map(|session| {
            let seeds = Seeds { session: [session; 16], challenges: [session; 32] };
            Link::new(now, file(keys), &seeds, session.into(), Duration::from_secs(60)).unwrap()
        });
        let mut couple = Self { now, links, sessions: 2 };
        couple.run(Duration::from_secs(2));
        couple
    }

    /// Gives one of them other keys.
    fn change(&mut self, machine: usize, keys: &[u8]) {
        self.sessions += 1;
        self.links[machine].set_keys(self.now, file(keys), [self.sessions; 16]);
        self.run(Duration::from_secs(2));
    }

    /// Lets time pass; what each of them heard.
    fn run(&mut self, time: Duration) -> [Vec<Event>; 2] {
        let (end, mut heard) = (self.now + time, [Vec::new(), Vec::new()]);
        while self.now < end {
            for (from, to) in [(0, 1), (1, 0)] {
                if self.links[from].starts_sweep(self.now) {
                    self.links[from].begin_sweep();
                    self.links[from].end_sweep(self.now, true);
                }
                while let Some(packet) = self.links[from].poll_packet(self.now) {
                    let _ = self.links[to].handle_packet(self.now, &packet);
                }
                heard[to].extend(std::iter::from_fn(|| self.links[to].poll_event()));
            }
            self.now += Duration::from_millis(5);
        }
        heard
    }

    fn are_synced(&self) -> bool {
        self.links.iter().all(|link| link.is_synced(self.now))
    }

    fn sessions(&self) -> [u64; 2] {
        self.links.each_ref().map(|link| link.counters().sessions)
    }

    /// Whether a flow that one of them tells of reaches the other one.
    fn tells(&mut self, from: usize) -> bool {
        self.links[from].push(flow(7));
        let heard = self.run(Duration::from_millis(200));
        heard[1 - from].iter().any(|event| matches!(event, Event::Flow(_)))
    }
}

#[test]
fn a_key_is_changed_in_three_steps_and_flows_are_told_after_each() {
    let mut couple = Couple::new(&[OLD]);
    assert!(couple.are_synced());
    let steps = [&[OLD, NEW][..], &[NEW, OLD], &[NEW]];
    for (keys, sessions) in steps.into_iter().zip([[1, 1], [3, 3], [3, 3]]) {
        for machine in [0, 1] {
            couple.change(machine, keys);
            assert!(couple.are_synced() && couple.tells(0) && couple.tells(1), "{keys:x?} on {machine}");
        }
        assert_eq!(couple.sessions(), sessions, "{keys:x?}: what is sent with changes once on each machine");
    }
}

#[test]
fn flow_tables_are_known_over_a_change_of_the_key() {
    let mut couple = Couple::new(&[OLD, NEW]);
    couple.links[0].set_keys(couple.now, file(&[NEW, OLD]), [9; 16]);
    let heard = couple.run(Duration::from_secs(2)).concat();
    let began = heard.iter().filter(|event| matches!(event, Event::Began { .. })).count();
    assert_eq!(began, 2, "{heard:?}");
    assert!(!heard.contains(&Event::Began { knows: false }), "nothing was lost: {heard:?}");
}

#[test]
fn who_sends_with_a_key_that_was_removed_is_not_believed_any_more() {
    let mut couple = Couple::new(&[OLD]);
    couple.change(0, &[NEW]);
    assert!(!couple.links[0].is_connected(couple.now) && !couple.tells(0) && !couple.tells(1));
    assert!(couple.links[0].counters().rejected[&Rejection::KeyId] > 0);
    couple.change(1, &[NEW]);
    assert!(couple.are_synced() && couple.tells(0) && couple.tells(1));
}

#[test]
fn the_same_keys_change_nothing() {
    let mut couple = Couple::new(&[OLD, NEW]);
    for machine in [0, 1] {
        couple.change(machine, &[OLD, NEW]);
    }
    assert_eq!(couple.sessions(), [1, 1]);
}
