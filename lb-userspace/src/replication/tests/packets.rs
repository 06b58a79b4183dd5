//! Packets that are not what they should be change nothing.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::replication::{Event, MOST_BYTES, Rejection};

const START: Duration = Duration::from_secs(2000);

/// Two machines that know each other, and all packets that led there.
fn pair() -> (Link, Link, Vec<Vec<u8>>) {
    let (mut a, mut b, mut packets) = (link(1, START), link(2, START), Vec::new());
    let now = exchange(&mut a, &mut b, START, &mut packets);
    assert!(a.is_connected(now) && b.is_connected(now));
    (a, b, packets)
}

/// Lets both say what they have to say; the time afterwards.
fn exchange(a: &mut Link, b: &mut Link, mut now: Duration, packets: &mut Vec<Vec<u8>>) -> Duration {
    for _ in 0..60 {
        now += Duration::from_millis(10);
        for _ in 0..200 {
            let (from_a, from_b) = (a.poll_packet(now), b.poll_packet(now));
            if from_a.is_none() && from_b.is_none() {
                break;
            }
            for (packet, to) in [(from_a, &mut *b), (from_b, &mut *a)] {
                let Some(packet) = packet else { continue };
                assert!(packet.len() <= MOST_BYTES);
                // Until a machine that was started again is known, the other one goes on with the session before.
                let taken = to.handle_packet(now, &packet);
                assert!(
                    matches!(taken, Ok(()) | Err(Rejection::Session | Rejection::Addressee)),
                    "{taken:?}"
                );
                packets.push(packet);
            }
        }
        for link in [&mut *a, &mut *b] {
            if link.starts_sweep(now) {
                link.begin_sweep();
                link.end_sweep(now, true);
            }
        }
    }
    now
}

fn events(link: &mut Link) -> Vec<Event> {
    std::iter::from_fn(|| link.poll_event()).collect()
}

/// All there is but what is counted.
fn state(link: &Link) -> String {
    let text = format!("{link:?}");
    let (before, after) = text.split_once("trial_at").unwrap();
    assert!(after.contains("counters"), "{after}");
    before.to_owned()
}

#[test]
fn two_machines_get_to_know_each_other_and_say_what_happens() {
    let (mut a, mut b, mut packets) = pair();
    for link in [&mut a, &mut b] {
        let expected =
            [Event::Began { knows: false }, Event::SweepBegan, Event::SweepEnded { is_intact: true }];
        assert_eq!(events(link), expected);
        assert_eq!(link.counters().rejected.len(), 0);
    }
    let now = START + Duration::from_secs(1);
    for number in 0..10_000 {
        a.push(flow(number));
    }
    exchange(&mut a, &mut b, now, &mut packets);
    let flows = events(&mut b);
    assert_eq!(flows.len(), 10_000);
    assert!((0..).zip(&flows).all(|(number, event)| *event == Event::Flow(flow(number))), "in their order");
    assert_eq!((a.counters().flows_sent, b.counters().flows_received), (10_000, 10_000));
    assert_eq!((a.waiting(), a.lag(now)), (0, Duration::ZERO));
}

#[test]
fn a_machine_that_is_heard_again_is_asked_for_everything() {
    let (mut a, mut b, mut packets) = pair();
    let now = START + Duration::from_secs(10);
    assert!(!a.is_synced(now) && !a.is_connected(now), "nobody was heard for so long");
    events(&mut a);
    let now = exchange(&mut a, &mut b, now, &mut packets);
    assert!(a.is_synced(now));
    assert_eq!(events(&mut a), [Event::SweepBegan, Event::SweepEnded { is_intact: true }]);
}

#[test]
fn more_flows_than_may_wait_are_left_to_the_next_sweep() {
    let (mut a, mut b, mut packets) = pair();
    let now = START + Duration::from_millis(700);
    (0..200_000).for_each(|number| a.push(flow(number)));
    assert_eq!(a.counters().flows_lost, 200_000 - (1 << 16));
    assert!(!a.has_told_all());
    events(&mut b);
    let now = exchange(&mut a, &mut b, now, &mut packets) + Duration::from_secs(1);
    exchange(&mut a, &mut b, now, &mut packets);
    assert!(events(&mut b).contains(&Event::SweepBegan) && a.has_told_all());
}

#[test]
fn a_packet_that_was_recorded_changes_nothing_in_any_later_session() {
    let (mut a, mut b, recorded) = pair();
    let now = START + Duration::from_secs(1);
    let (of_a, of_b) = (state(&a), state(&b));
    for packet in &recorded {
        a.handle_packet(now, packet).unwrap_err();
        b.handle_packet(now, packet).unwrap_err();
    }
    assert_eq!((state(&a), state(&b)), (of_a, of_b));

    // The other machine is started again; then what it said before comes again.
    let mut later = Vec::new();
    let mut b = link(3, now);
    let now = exchange(&mut a, &mut b, now, &mut later);
    assert!(a.is_synced(now) && b.is_synced(now));
    assert_eq!(a.counters().sessions, 2);
    let mut now = now;
    for packet in recorded.iter().chain(&later) {
        now += Duration::from_millis(2);
        let _ = a.handle_packet(now, packet);
    }
    assert_eq!(a.counters().sessions, 2, "no old session comes back");
    assert!(a.is_connected(now));
    exchange(&mut a, &mut b, now, &mut later);
    assert_eq!(a.counters().sessions, 2);

    // A machine that was started itself believes nothing of what it said to others.
    let mut a = link(4, now);
    for packet in recorded.iter().chain(&later) {
        now += Duration::from_millis(2);
        let _ = a.handle_packet(now, packet);
    }
    assert_eq!((a.counters().sessions, a.poll_event()), (0, None));
}

#[test]
fn another_key_is_not_understood_and_its_id_is_said() {
    let now = START;
    let seeds = Seeds { session: [9; 16], challenges: [9; 32] };
    for (text, expected) in [
        (format!("0 {}", "11".repeat(32)), Rejection::Authentication),
        (format!("5 {}", "5a".repeat(32)), Rejection::KeyId),
    ] {
        let mut stranger =
            Link::new(now, Keys::parse(&text).unwrap(), &seeds, 9, Duration::from_secs(1)).unwrap();
        let packet = stranger.poll_packet(now).unwrap();
        assert_eq!(link(1, now).handle_packet(now, &packet), Err(expected));
    }
}

#[test]
fn keys_are_changed_one_machine_after_the_other() {
    let (old, new) = (format!("1 {}", "11".repeat(32)), format!("2 {}", "22".repeat(32)));
    let machine = |session: u8, text: &str| {
        let seeds = Seeds { session: [session; 16], challenges: [session; 32] };
        Link::new(START, Keys::parse(text).unwrap(), &seeds, 1, Duration::from_secs(5)).unwrap()
    };
    let (both, turned) = (format!("{old}\n{new}"), format!("{new}\n{old}"));
    for (a, b) in [(&old, &both), (&both, &both), (&turned, &both), (&turned, &turned), (&new, &turned)] {
        let (mut a, mut b) = (machine(1, a), machine(2, b));
        let now = exchange(&mut a, &mut b, START, &mut Vec::new());
        assert!(a.is_synced(now) && b.is_synced(now));
    }
}

#[test]
fn what_a_machine_sent_itself_is_not_taken() {
    let mut a = link(1, START);
    let packet = a.poll_packet(START).unwrap();
    assert_eq!(a.handle_packet(START, &packet), Err(Rejection::Reflected));
}

#[test]
fn every_rejection_has_a_name_of_its_own() {
    let labels: std::collections::BTreeSet<_> =
        Rejection::ALL.iter().map(|rejection| rejection.label()).collect();
    assert_eq!(labels.len(), Rejection::ALL.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_packet_of_which_any_bit_is_different_changes_nothing(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut a, mut b, _) = pair();
        let now = START + Duration::from_millis(900);
        (0..100).for_each(|number| a.push(flow(number)));
        let packets: Vec<_> = std::iter::from_fn(|| a.poll_packet(now)).collect();
        let good = which.get(&packets);
        let mut bad = good.clone();
        match cut {
            Some(cut) => bad.truncate(cut.index(good.len())),
            None => bad[at.index(good.len())] ^= 1 << bit,
        }
        let before = state(&b);
        b.handle_packet(now, &bad).unwrap_err();
        prop_assert_eq!(&state(&b), &before);
        prop_assert_eq!(b.counters().rejected.values().sum::<u64>(), 1);
        b.handle_packet(now, good).unwrap();
    }

    #[test]
    fn bytes_from_anywhere_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let (_, mut b, _) = pair();
        let mut bytes = bytes;
        if version && bytes.len() > 3 {
            bytes[..4].copy_from_slice(&[1, 0, 0, 0]);
        }
        let before = state(&b);
        b.handle_packet(START + Duration::from_secs(1), &bytes).unwrap_err();
        prop_assert_eq!(state(&b), before);
    }

    #[test]
    fn packets_that_come_twice_are_taken_once(order in prop::collection::vec(0..12_usize, 1..60)) {
        let (mut a, mut b, _) = pair();
        let now = START + Duration::from_millis(900);
        (0..400).for_each(|number| a.push(flow(number)));
        let packets: Vec<_> = std::iter::from_fn(|| a.poll_packet(now)).collect();
        events(&mut b);
        let mut taken = std::collections::BTreeSet::new();
        for index in order {
            let Some(packet) = packets.get(index) else { continue };
            prop_assert_eq!(b.handle_packet(now, packet).is_ok(), taken.insert(index));
        }
        let flows = events(&mut b);
        let expected: Vec<_> = (0..flows.len() as u32).map(|number| Event::Flow(flow(number))).collect();
        prop_assert_eq!(flows, expected, "in their order, and none twice");
    }
}
