//! What tracked things do to a priority, and how often.

use std::time::Duration;

use proptest::prelude::*;

use crate::vrrp::{Effect, Impact, Priority, Reading, Standing, Tracking, number_in};

const ZERO: Duration = Duration::ZERO;
const HOLD: Duration = Duration::from_millis(500);

fn missing() -> Reading {
    Reading::Missing("gone".into())
}

fn tracking(effect: Effect) -> Tracking {
    Tracking::new([("it".to_owned(), effect)])
}

fn standing_of(base: u8, objects: &[(i16, bool)]) -> (bool, u8) {
    let name = |at: usize| format!("object {at}");
    let effects = objects.iter().enumerate();
    let mut tracking = Tracking::new(effects.map(|(at, (weight, _))| (name(at), Effect::of_weight(*weight))));
    for (at, (_, is_there)) in objects.iter().enumerate() {
        tracking.take(ZERO, &name(at), if *is_there { Reading::There } else { missing() });
    }
    let Standing { fault, priority } = tracking.standing(Priority::new(base));
    (fault, priority.number())
}

#[test]
fn weights_are_those_of_keepalived() {
    assert_eq!(standing_of(100, &[]), (false, 100));
    assert_eq!(standing_of(100, &[(0, true)]), (false, 100));
    assert_eq!(standing_of(100, &[(0, true), (0, false)]), (true, 100));
    assert_eq!(standing_of(100, &[(20, true), (30, false)]), (false, 120));
    assert_eq!(standing_of(100, &[(-20, true), (-30, false)]), (false, 70));
}

#[test]
fn a_priority_stays_within_1_to_254_and_an_owner_an_owner() {
    assert_eq!(standing_of(100, &[(253, true)]), (false, 254));
    assert_eq!(standing_of(100, &[(-253, false)]), (false, 1));
    assert_eq!(standing_of(100, &[(-253, false), (200, true)]), (false, 47), "clamped at the end only");
    assert_eq!(standing_of(255, &[(-253, false)]), (false, 255));
    assert_eq!(standing_of(255, &[(0, false)]), (true, 255));
}

#[test]
fn the_number_of_a_file_is_multiplied_and_254_less_is_a_fault() {
    for (weight, content, expected) in [
        (1, "", (false, 100)),
        (1, "up", (false, 100)),
        (1, "-50", (false, 50)),
        (-1, "50", (false, 50)),
        (2, "30", (false, 160)),
        (1, "2147483647", (false, 254)),
        (1, "-253", (false, 1)),
        (1, "-254", (true, 100)),
        (254, "-1", (true, 100)),
        (1, "down", (true, 100)),
        (0, "0", (false, 100)),
        (0, "1", (true, 100)),
        (0, "-1", (true, 100)),
    ] {
        let mut tracking = tracking(Effect::Times(weight));
        tracking.take(ZERO, "it", number_in(content.as_bytes()).unwrap());
        let Standing { fault, priority } = tracking.standing(Priority::new(100));
        assert_eq!((fault, priority.number()), expected, "{weight} x {content:?}");
    }
}

#[test]
fn what_is_not_known_is_missing_and_what_is_not_tracked_does_nothing() {
    let mut tracking = tracking(Effect::Fault);
    assert!(tracking.standing(Priority::DEFAULT).fault && tracking.is_incomplete());
    tracking.take(ZERO, "something else", Reading::There);
    assert!(tracking.is_incomplete());
    tracking.assume();
    assert!(!tracking.standing(Priority::DEFAULT).fault, "it was fit before the restart");
    tracking.take(ZERO, "it", missing());
    assert!(tracking.standing(Priority::DEFAULT).fault);
}

#[test]
fn the_first_reading_counts_at_once_and_so_does_a_loss() {
    let mut tracking = tracking(Effect::Fault);
    tracking.take(ZERO, "it", Reading::There);
    assert!(!tracking.standing(Priority::DEFAULT).fault);
    tracking.take(ZERO, "it", missing());
    assert!(tracking.standing(Priority::DEFAULT).fault);
}

#[test]
fn what_comes_back_counts_after_a_hold_that_doubles_while_it_flaps() {
    let mut tracking = tracking(Effect::Fault);
    tracking.take(ZERO, "it", Reading::There);
    let mut now = Duration::from_secs(100);
    for hold in [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 32_000] {
        tracking.take(now, "it", missing());
        tracking.take(now, "it", Reading::There);
        assert_eq!(tracking.poll_timeout(), Some(now + Duration::from_millis(hold)));
        assert!(tracking.standing(Priority::DEFAULT).fault);
        now += Duration::from_millis(hold);
        tracking.handle_timeout(now);
        assert!(!tracking.standing(Priority::DEFAULT).fault);
        now += Duration::from_secs(1);
    }
    now += Duration::from_secs(120);
    tracking.take(now, "it", missing());
    tracking.take(now, "it", Reading::There);
    assert_eq!(tracking.poll_timeout(), Some(now + HOLD), "it was well for long enough");
}

#[test]
fn a_link_that_flaps_ten_times_in_five_seconds_costs_two_changes() {
    let mut tracking = tracking(Effect::Fault);
    tracking.take(ZERO, "it", Reading::There);
    let (mut changes, mut before) = (0, false);
    for step in 0..=30 {
        let now = Duration::from_millis(step * 250);
        tracking.handle_timeout(now);
        tracking.take(now, "it", if step < 20 && step % 2 == 0 { missing() } else { Reading::There });
        let fault = tracking.standing(Priority::DEFAULT).fault;
        changes += u32::from(fault != before);
        before = fault;
    }
    assert_eq!((changes, before), (2, false));
}

proptest! {
    /// Whatever is read when: missing things count as missing, and nothing comes back that was not there for a hold.
    #[test]
    fn nothing_comes_back_without_having_been_there_for_a_hold(
        steps in prop::collection::vec((any::<bool>(), 0_u64..2000), 1..200),
    ) {
        let mut tracking = tracking(Effect::Takes(10));
        let (mut now, mut there_since) = (ZERO, None);
        let (mut lost, mut counted) = (false, false);
        for (is_there, wait) in steps {
            now += Duration::from_millis(wait);
            tracking.handle_timeout(now);
            tracking.take(now, "it", if is_there { Reading::There } else { missing() });
            there_since = if is_there { there_since.or(Some(now)) } else { None };
            lost |= !is_there;
            let (_, _, impact) = tracking.iter().next().unwrap();
            let counts = impact == Impact::Priority(0);
            prop_assert!(is_there || !counts);
            if counts && !counted && lost {
                prop_assert!(there_since.is_some_and(|since| now >= since + HOLD));
            }
            counted = counts;
            prop_assert_eq!(tracking.poll_timeout().is_some(), is_there && !counts);
        }
    }

    #[test]
    fn a_priority_is_always_one_that_a_router_may_have(
        base in 1_u8..=255,
        readings in prop::collection::vec((-300_i16..300, any::<i32>(), 0_u8..4), 0..12),
    ) {
        let effects = readings.iter().enumerate().map(|(at, (weight, _, kind))| {
            let effect = if kind % 2 == 0 { Effect::Times(*weight) } else { Effect::of_weight(*weight) };
            (at.to_string(), effect)
        });
        let mut tracking = Tracking::new(effects);
        for (at, (_, number, kind)) in readings.iter().enumerate() {
            let reading = match kind { 0 => Reading::Number(*number), 1 => Reading::There, _ => missing() };
            tracking.take(ZERO, &at.to_string(), reading);
        }
        let priority = tracking.standing(Priority::new(base)).priority;
        let is_right = match base {
            255 => priority == Priority::OWNER,
            _ => (1..=254).contains(&priority.number()),
        };
        prop_assert!(is_right, "{:?}", priority);
    }
}
