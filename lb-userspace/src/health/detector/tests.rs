//! Cases of the detector in simulated time.

mod checked;

use std::cell::Cell;

use lb_common::abi::Signal;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const RULES: Passive = Passive { enabled: true, window: Duration::from_secs(3), count: 3, percent: 50 };

/// A backend that is read at its times, and what is counted for it.
struct Simulation {
    now: Duration,
    detector: Detector<u32>,
    counted: Cell<BackendSignals>,
    suspicions: Vec<(Duration, Suspicion<u32>)>,
}

impl Simulation {
    fn new() -> Self {
        Self::with(RULES)
    }

    fn with(rules: Passive) -> Self {
        let mut detector = Detector::default();
        detector.set_targets([(7, 70, rules)]);
        let mut simulation =
            Self { now: Duration::ZERO, detector, counted: Cell::default(), suspicions: Vec::new() };
        simulation.read();
        simulation
    }

    fn count(&self, signal: Signal, times: u64) -> &Self {
        let mut counted = self.counted.get();
        counted.counts[signal as usize] += times;
        self.counted.set(counted);
        self
    }

    /// The next reading; how many suspicions it raised.
    fn read(&mut self) -> usize {
        self.now += READ_EVERY;
        let counted = &self.counted;
        let found = self.detector.observe(self.now, |id| {
            assert_eq!(id, 70);
            counted.get()
        });
        let raised = found.len();
        self.suspicions.extend(found.into_iter().map(|suspicion| (self.now, suspicion)));
        raised
    }

    /// Readings for so long, before each of which this is counted.
    fn run(&mut self, time: Duration, count: impl Fn(&Self)) -> usize {
        let until = self.now + time;
        let mut raised = 0;
        while self.now < until {
            count(self);
            raised += self.read();
        }
        raised
    }

    fn reason(&self) -> &str {
        &self.suspicions.last().unwrap().1.reason
    }
}

#[test]
fn syns_that_stay_unanswered_raise_a_suspicion() {
    let mut simulation = Simulation::new();
    simulation.count(Signal::Syn, 3);
    assert_eq!(simulation.read(), 0, "they may still be answered");
    assert_eq!(simulation.read(), 1);
    assert_eq!(simulation.reason(), "3 of 3 SYNs unanswered within 0.50 s");
    assert_eq!(simulation.suspicions[0].1.key, 7);
}

#[test]
fn connections_from_before_the_trouble_do_not_hide_it() {
    for signal in [None, Some(Signal::Reset)] {
        let mut simulation = Simulation::new();
        let well = |simulation: &Simulation| {
            simulation.count(Signal::Syn, 500).count(Signal::SynAck, 500);
        };
        assert_eq!(simulation.run(10 * SECOND, well), 0);
        // All clients wait for the same backend; few connect any more.
        simulation.count(Signal::Syn, 8);
        signal.map(|signal| simulation.count(signal, 8));
        assert_eq!(simulation.run(SECOND, |_| {}), 1, "{signal:?}");
    }
}

#[test]
fn syns_that_are_answered_late_raise_none() {
    let mut simulation = Simulation::new();
    simulation.count(Signal::Syn, 1000);
    simulation.read();
    simulation.count(Signal::SynAck, 999);
    assert_eq!(simulation.run(10 * SECOND, |_| {}), 0);
}

#[test]
fn a_steady_load_with_some_loss_raises_none() {
    let mut simulation = Simulation::new();
    // A third of the SYNs is lost and sent again.
    let raised = simulation.run(600 * SECOND, |simulation| {
        simulation.count(Signal::Syn, 300).count(Signal::SynAck, 200);
    });
    assert_eq!(raised, 0);
}

#[test]
fn fewer_than_the_least_number_raise_none_and_repeated_syns_count_as_often_as_they_are_sent() {
    let mut simulation = Simulation::new();
    simulation.count(Signal::Syn, 2);
    assert_eq!(simulation.run(10 * SECOND, |_| {}), 0, "one client that tries twice");
    // A client that repeats its SYN after 1, 3 and 7 seconds, as Linux does.
    let begin = simulation.now;
    let sent = [0, 1, 3, 7].map(|after| begin + after * SECOND);
    let mut raised = 0;
    while simulation.now < begin + 10 * SECOND {
        if sent.contains(&simulation.now) {
            simulation.count(Signal::Syn, 1);
        }
        raised += simulation.read();
    }
    assert_eq!(raised, 0, "the window has two of them at most");
    // Three such clients.
    simulation.count(Signal::Syn, 3);
    assert_eq!(simulation.run(SECOND, |_| {}), 1);
}

#[test]
fn refusals_raise_a_suspicion_at_once() {
    let mut simulation = Simulation::new();
    simulation.count(Signal::Syn, 5).count(Signal::SynAck, 2).count(Signal::Reset, 3);
    assert_eq!(simulation.read(), 1);
    assert_eq!(simulation.reason(), "3 of 5 SYNs refused within 0.25 s");
}

#[test]
fn refusals_are_weighed_against_the_syns() {
    let mut simulation = Simulation::new();
    // A port scan of a service of all ports, beside its clients.
    let raised = simulation.run(60 * SECOND, |simulation| {
        simulation.count(Signal::Syn, 100).count(Signal::SynAck, 60).count(Signal::Reset, 40);
    });
    assert_eq!(raised, 0);
}

#[test]
fn icmp_errors_raise_a_suspicion_whatever_the_syns_say() {
    for (own, routers, reason) in [
        (3, 0, "3 ICMP unreachable errors of its own within 0.25 s"),
        (0, 3, "3 ICMP unreachable errors of routers within 0.25 s"),
        (1, 2, "1 ICMP unreachable errors of its own, 2 of routers within 0.25 s"),
    ] {
        let mut simulation = Simulation::new();
        simulation.count(Signal::Syn, 100).count(Signal::SynAck, 100);
        simulation.count(Signal::Unreachable, own).count(Signal::RouterUnreachable, routers);
        assert_eq!(simulation.read(), 1);
        assert_eq!(simulation.reason(), reason);
    }
}

#[test]
fn what_is_older_than_the_window_does_not_count() {
    let mut simulation = Simulation::new();
    simulation.count(Signal::Reset, 2);
    simulation.read();
    simulation.run(3 * SECOND, |_| {});
    simulation.count(Signal::Reset, 2);
    assert_eq!(simulation.read(), 0);
    simulation.run(2 * SECOND, |_| {});
    simulation.count(Signal::Reset, 1);
    assert_eq!(simulation.read(), 1);
}

#[test]
fn a_flood_costs_one_suspicion_for_each_pause_and_the_pauses_grow() {
    let mut simulation = Simulation::new();
    simulation.run(300 * SECOND, |simulation| {
        simulation.count(Signal::Syn, 250_000);
    });
    let moments: Vec<Duration> = simulation.suspicions.iter().map(|(at, _)| *at).collect();
    let pauses: Vec<u64> = moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [3, 6, 12, 24, 48, 48, 48, 48, 48]);
    let again: Vec<bool> = simulation.suspicions.iter().map(|(_, suspicion)| suspicion.again).collect();
    assert!(!again[0] && again[1..].iter().all(|again| *again));
}

#[test]
fn a_flood_in_pulses_costs_no_more_than_a_suspicion_each_window() {
    let mut simulation = Simulation::new();
    for _ in 0..100 {
        simulation.count(Signal::Syn, 1000);
        simulation.read();
        simulation.run(SECOND, |_| {});
    }
    let moments: Vec<Duration> = simulation.suspicions.iter().map(|(at, _)| *at).collect();
    assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= RULES.window), "{moments:?}");
    assert!(moments.len() < 10, "{moments:?}");
}

#[test]
fn who_gave_no_cause_for_a_while_is_trusted_again() {
    let mut simulation = Simulation::new();
    let flood = |simulation: &Simulation| {
        simulation.count(Signal::Syn, 1000);
    };
    simulation.run(30 * SECOND, flood);
    let raised = simulation.suspicions.len();
    simulation.run(60 * SECOND, |_| {});
    assert!(simulation.detector.0[0].recent.is_none(), "nothing is kept of it");
    simulation.run(SECOND, flood);
    assert_eq!(simulation.suspicions.len(), raised + 1);
    assert!(!simulation.suspicions[raised].1.again);
}

#[test]
fn what_was_counted_before_and_counts_that_begin_anew_say_nothing() {
    let mut detector = Detector::default();
    let counted = BackendSignals { counts: [1000, 0, 1000, 1000, 1000, 0, 0, 0] };
    detector.set_targets([(1, 10, RULES)]);
    assert_eq!(detector.observe(SECOND, |_| counted), []);
    assert_eq!(detector.observe(2 * SECOND, |_| counted), []);
    assert_eq!(detector.observe(3 * SECOND, |_| BackendSignals { counts: [9; 8] }), []);
    assert_eq!(detector.observe(4 * SECOND, |_| BackendSignals { counts: [9; 8] }), []);
}

#[test]
fn targets_that_stay_go_on_and_another_backend_begins_anew() {
    let refused = |times: u64| BackendSignals { counts: [times, 0, times, 0, 0, 0, 0, 0] };
    let mut detector = Detector::default();
    assert!(detector.is_idle());
    detector.set_targets([(1, 10, RULES), (2, 20, RULES)]);
    assert_eq!(detector.observe(SECOND, |_| refused(5)), []);
    detector.set_targets([(1, 10, Passive { count: 1, ..RULES }), (2, 21, RULES), (3, 30, RULES)]);
    assert!(!detector.is_idle());
    let raised = detector.observe(2 * SECOND, |_| refused(6));
    assert_eq!(raised.iter().map(|suspicion| suspicion.key).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_hundred_thousand_backends_are_looked_at_fast() {
    let mut detector = Detector::default();
    detector.set_targets((0..100_000).map(|id| (id, id, RULES)));
    let quiet = BackendSignals::default();
    detector.observe(SECOND, |_| quiet);
    let begin = now();
    detector.observe(2 * SECOND, |_| quiet);
    let took = now() - begin;
    println!("100 000 quiet backends in {took:?}");
    // The real figure is about a millisecond; this build is not optimised.
    assert!(took.as_millis() < 500, "{took:?}");
}

#[expect(clippy::disallowed_methods, reason = "any moment does; durations are measured")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

proptest! {
    /// Whatever is sent to a backend, two suspicions of it are at least a window apart, and what is kept stays small.
    #[test]
    fn no_traffic_raises_suspicions_in_a_row(
        pulses in prop::collection::vec((0_u64..2000, 0_u64..2000, 0_u64..10, 0_u64..10), 1..400)
    ) {
        let mut simulation = Simulation::new();
        for (syns, syn_acks, resets, errors) in pulses {
            simulation.count(Signal::Syn, syns).count(Signal::SynAck, syn_acks);
            simulation.count(Signal::Reset, resets).count(Signal::Unreachable, errors);
            simulation.read();
            let kept = simulation.detector.0[0].recent.as_ref().map_or(0, |recent| recent.parts.len());
            prop_assert!(kept <= 1 + PARTS as usize, "{kept}");
        }
        let moments: Vec<Duration> = simulation.suspicions.iter().map(|(at, _)| *at).collect();
        prop_assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= RULES.window));
    }

    /// A backend that answers every SYN within a reading, and sends no errors, is never suspect.
    #[test]
    fn a_backend_that_answers_is_never_suspect(pulses in prop::collection::vec(0_u64..100_000, 1..200)) {
        let mut simulation = Simulation::new();
        let mut owed = 0;
        for syns in pulses {
            simulation.count(Signal::SynAck, owed).count(Signal::Syn, syns);
            owed = syns;
            prop_assert_eq!(simulation.read(), 0);
        }
    }
}
