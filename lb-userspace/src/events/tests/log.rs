//! Numbers, queues, and what is lost.

use std::time::Duration;

use super::*;
use crate::{
    events::{Batch, Bus, KEPT, Log, Lost, MOST_SUBSCRIPTIONS, QUEUE, TooMany, Topic},
    model::Timestamp,
};

fn moment() -> Timestamp {
    Timestamp::since_epoch(Duration::from_secs(1_795_389_000))
}

fn all() -> Filter {
    Filter::default()
}

fn wanting(text: &str) -> Filter {
    text.parse().unwrap()
}

fn publish(log: &mut Log, count: usize) {
    for number in 0..count {
        log.publish(moment(), repaired(number as u64)).for_each(drop);
    }
}

fn numbers(batch: &Batch) -> Vec<u64> {
    batch.events.iter().map(|event| event.sequence).collect()
}

#[test]
fn a_subscriber_gets_what_it_wants_in_order_and_once() {
    let mut log = Log::new(moment());
    let first = log.next();
    let everything = log.subscribe(&all(), None).unwrap();
    let some = log.subscribe(&wanting("count in 2..3"), None).unwrap();
    publish(&mut log, 5);
    assert_eq!(numbers(&log.take(everything).unwrap()), (first..first + 5).collect::<Vec<_>>());
    assert_eq!(numbers(&log.take(some).unwrap()), [first + 2, first + 3]);
    assert_eq!(log.take(everything), None);
    log.unsubscribe(some);
    publish(&mut log, 5);
    assert_eq!(log.take(some), None);
    assert_eq!(log.counts().subscriptions, 1);
}

#[test]
fn a_slow_subscriber_loses_the_oldest_and_is_told_how_many() {
    let mut log = Log::new(moment());
    let first = log.next();
    let slow = log.subscribe(&all(), None).unwrap();
    publish(&mut log, QUEUE + 7);
    let batch = log.take(slow).unwrap();
    assert_eq!(batch.lost, Lost::Wanted(7));
    assert_eq!((batch.events.len(), batch.events[0].sequence), (QUEUE, first + 7));
    publish(&mut log, 1);
    assert_eq!(log.take(slow).unwrap().lost, Lost::Nothing, "that was told already");
    let counts = log.counts();
    assert_eq!((counts.lost, counts.published[Topic::Drift as usize]), (7, QUEUE as u64 + 8));
}

#[test]
fn who_resumes_gets_what_it_missed() {
    let mut log = Log::new(moment());
    let first = log.next();
    publish(&mut log, 10);
    let again = log.subscribe(&wanting("count in 5.."), Some(first + 6)).unwrap();
    publish(&mut log, 1);
    let batch = log.take(again).unwrap();
    assert_eq!((batch.lost, numbers(&batch)), (Lost::Nothing, vec![first + 7, first + 8, first + 9]));
    let up_to_date = log.subscribe(&all(), Some(first + 10)).unwrap();
    assert_eq!(log.take(up_to_date), None);
    let of_the_future = log.subscribe(&all(), Some(u64::MAX)).unwrap();
    assert_eq!(log.take(of_the_future), None);
}

#[test]
fn who_was_away_for_too_long_is_told() {
    let mut log = Log::new(moment());
    let first = log.next();
    publish(&mut log, KEPT + 4);
    let late = log.subscribe(&all(), Some(first)).unwrap();
    let batch = log.take(late).unwrap();
    assert_eq!((batch.lost, batch.events.len()), (Lost::AtMost(3), KEPT));

    let next_life = Log::new(Timestamp::since_epoch(moment().to_epoch() + Duration::from_secs(1)));
    assert!(next_life.next() > log.next(), "numbers grow over a restart");
    let mut log = next_life;
    let stranger = log.subscribe(&all(), Some(first)).unwrap();
    assert_eq!(log.take(stranger).unwrap(), Batch { lost: Lost::Unknown, events: Vec::new() });
}

#[test]
fn more_than_a_queue_can_be_resumed_and_still_grows() {
    let mut log = Log::new(moment());
    let first = log.next();
    publish(&mut log, KEPT);
    let again = log.subscribe(&all(), Some(first - 1)).unwrap();
    publish(&mut log, QUEUE);
    let batch = log.take(again).unwrap();
    assert_eq!((batch.lost, batch.events.len()), (Lost::Nothing, KEPT + QUEUE));
}

#[test]
fn subscriptions_are_bounded() {
    let mut log = Log::new(moment());
    for _ in 0..MOST_SUBSCRIPTIONS {
        log.subscribe(&all(), None).unwrap();
    }
    assert_eq!(log.subscribe(&all(), None), Err(TooMany));
    log.unsubscribe(1);
    log.subscribe(&all(), None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscription_wakes_up_ends_and_leaves_nothing() {
    let bus = Bus::new(moment());
    let subscription = bus.subscribe(&wanting("count=1"), None).unwrap();
    bus.publish(moment(), [repaired(0)]);
    let soon = Duration::from_millis(1);
    tokio::time::timeout(soon, subscription.next()).await.expect_err("nothing that it wants");
    let publisher = bus.clone();
    let (batch, ()) = tokio::join!(subscription.next(), async {
        publisher.publish(moment(), [repaired(1), repaired(2)]);
    });
    assert_eq!(batch.unwrap().events.len(), 1);
    bus.publish(moment(), [repaired(1)]);
    bus.end();
    assert_eq!(subscription.next().await.unwrap().events.len(), 1, "what waits is still given");
    assert_eq!(subscription.next().await, None);
    drop(subscription);
    assert_eq!(bus.counts().subscriptions, 0);
}
