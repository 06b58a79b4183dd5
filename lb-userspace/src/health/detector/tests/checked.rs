//! The detector and the checker together: what forged packets can bring about, and what a dead backend does.

use super::*;
use crate::health::{Checker, Command, Outcome, Policy, Target};
use crate::model::{Damping, Health, Shared};

const INTERVAL: Duration = Duration::from_secs(10);

/// A backend that is checked every 10 seconds.
struct Checked {
    signals: Simulation,
    checker: Checker<u32>,
    healthy: bool,
    /// When probes started.
    probes: Vec<Duration>,
    downs: Vec<Duration>,
}

impl Checked {
    /// One whose checks found it to be up.
    fn new() -> Self {
        let policy = Policy {
            interval: INTERVAL,
            timeout: Duration::from_millis(500),
            rise: 1,
            fall: 3,
            fast_interval: INTERVAL,
            confirm_interval: READ_EVERY,
            jitter: Duration::ZERO,
            damping: Damping::default(),
        };
        let mut checker = Checker::new(1);
        let address = ([10, 0, 0, 1], 80).into();
        checker.set_targets(Duration::ZERO, [(7, Target { address, probe: Shared::default(), policy })]);
        let signals = Simulation::new();
        let mut checked = Self { signals, checker, healthy: true, probes: Vec::new(), downs: Vec::new() };
        checked.run(INTERVAL, |_| {});
        assert_eq!(checked.checker.health(&7), Some(Health::Up));
        checked.probes.clear();
        checked
    }

    fn run(&mut self, time: Duration, count: impl Fn(&Simulation)) {
        let until = self.signals.now + time;
        while self.signals.now < until {
            count(&self.signals);
            let before = self.signals.suspicions.len();
            self.signals.read();
            let now = self.signals.now;
            for (_, suspicion) in &self.signals.suspicions[before..] {
                self.checker.suspect(now, &suspicion.key, &suspicion.reason);
            }
            self.checker.handle_timeout(now);
            self.obey(now);
        }
    }

    fn obey(&mut self, now: Duration) {
        while let Some(command) = self.checker.poll_command() {
            match command {
                Command::Start { probe, .. } => {
                    self.probes.push(now);
                    let refused = || Outcome::Failed("connection refused".into());
                    let outcome = if self.healthy { Outcome::Healthy } else { refused() };
                    self.checker.handle_result(now, probe, outcome);
                }
                Command::Change { health: Health::Down, .. } => self.downs.push(now),
                _ => {}
            }
        }
    }
}

#[test]
fn spoofed_syns_at_a_healthy_backend_cost_checks_and_change_nothing() {
    let mut checked = Checked::new();
    checked.run(300 * SECOND, |signals| {
        signals.count(Signal::Syn, 1_000_000);
    });
    assert_eq!((checked.downs.len(), checked.checker.health(&7)), (0, Some(Health::Up)));
    // 30 turns, and pauses of 3, 6, 12, 24, 48, 48 ... seconds.
    assert!((35..=41).contains(&checked.probes.len()), "{} checks", checked.probes.len());
}

#[test]
fn forged_icmp_errors_and_resets_do_no_more() {
    for signal in [Signal::Unreachable, Signal::RouterUnreachable, Signal::Reset] {
        let mut checked = Checked::new();
        checked.run(300 * SECOND, |signals| {
            signals.count(Signal::Syn, 10).count(Signal::SynAck, 10).count(signal, 1000);
        });
        assert!(checked.downs.is_empty(), "{signal:?}");
        assert!(checked.probes.len() <= 41, "{signal:?}: {} checks", checked.probes.len());
    }
}

#[test]
fn a_dead_backend_is_out_within_a_second_or_so() {
    for signal in [Signal::Reset, Signal::Unreachable, Signal::Syn] {
        let mut checked = Checked::new();
        checked.run(INTERVAL, |signals| {
            signals.count(Signal::Syn, 25).count(Signal::SynAck, 25);
        });
        checked.healthy = false;
        let died = checked.signals.now;
        checked.run(3 * SECOND, |signals| {
            signals.count(Signal::Syn, 25);
            if signal != Signal::Syn {
                signals.count(signal, 25);
            }
        });
        let out = checked.downs[0] - died;
        assert!(out <= Duration::from_millis(1250), "{signal:?}: {out:?}");
    }
}

#[test]
fn a_backend_that_dies_under_a_flood_is_found_by_its_turns_at_the_latest() {
    let mut checked = Checked::new();
    let flood = |signals: &Simulation| {
        signals.count(Signal::Syn, 1000);
    };
    checked.run(200 * SECOND, flood);
    checked.healthy = false;
    let died = checked.signals.now;
    checked.run(60 * SECOND, flood);
    assert!(checked.downs[0] - died <= 3 * INTERVAL + SECOND, "{:?}", checked.downs);
}

proptest! {
    /// Whatever is counted, only checks take a backend out.
    #[test]
    fn no_traffic_takes_a_healthy_backend_out(
        pulses in prop::collection::vec((0_u64..2000, 0_u64..2000, 0_u64..2000, 0_u64..2000), 1..300)
    ) {
        let mut checked = Checked::new();
        for (syns, syn_acks, resets, errors) in pulses {
            checked.run(READ_EVERY, |signals| {
                signals.count(Signal::Syn, syns).count(Signal::SynAck, syn_acks);
                signals.count(Signal::Reset, resets).count(Signal::RouterUnreachable, errors);
            });
        }
        prop_assert_eq!(checked.checker.health(&7), Some(Health::Up));
        prop_assert!(checked.downs.is_empty());
    }
}
