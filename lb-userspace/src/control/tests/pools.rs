//! What health, panic and slow start come to in the maps and in the snapshot.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    control::{Now, Store as _},
    model::{Condition, Standing, Timestamp},
};

/// A bench whose clock the test sets.
struct Timed {
    bench: Bench,
    now: Instant,
}

impl Timed {
    fn new(change: impl FnOnce(&mut Service)) -> Self {
        let mut draft = example().draft();
        change(&mut draft.services[0]);
        let (store, maps) = (MemoryStore::new(draft.check().unwrap()), SharedMaps::default());
        Self { bench: Bench { control: control(&store, &maps), store, maps }, now: moment() }
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.now += wait;
        self.bench.control.handle(event, self.now).unwrap();
        self.bench.control.settle(self.now);
    }

    fn health(&mut self, backend: &str, up: bool, reason: Option<&'static str>) {
        let (id, backend) = (self.bench.id(backend), backend.parse().unwrap());
        let reason = reason.map(Into::into);
        let (health, held) = (if up { Health::Up } else { Health::Down }, None);
        self.after(
            Duration::from_secs(1),
            Event::Health { service: name("web"), backend, id, health, reason, held },
        );
    }

    /// How many of the slots of `web` are `b1`'s, and how many there are.
    fn slots(&self) -> (usize, usize) {
        let snapshot = self.bench.control.snapshot();
        let image = self.bench.maps.image();
        let slots = &image.slots[&snapshot.service("web").unwrap().id];
        (slots.iter().filter(|id| **id == self.bench.id("b1")).count(), slots.len())
    }
}

#[test]
fn the_snapshot_says_why_a_backend_is_down_and_since_when() {
    let mut timed = Timed::new(|_| {});
    timed.health("b1", false, Some("connection refused"));
    let since = timed.now;
    timed.health("b1", false, Some("timed out"));
    let snapshot = timed.bench.control.snapshot();
    let finding = &snapshot.service("web").unwrap().backend("b1").unwrap().finding;
    assert_eq!((finding.since, finding.transitions), (Some(since), 1));
    assert_eq!(finding.reason.as_deref(), Some("timed out"));
}

#[test]
fn when_none_is_healthy_all_are_used_and_the_snapshot_says_so() {
    // Fault 20: all down, then up.
    let mut timed = Timed::new(|_| {});
    timed.health("b1", false, None);
    assert_eq!(timed.slots().0, 0);
    timed.health("b2", false, None);
    assert_eq!(timed.bench.state("b1"), BackendState::Active);
    let (own, all) = timed.slots();
    assert!(own > 0 && all > own);
    let condition = |timed: &Timed| timed.bench.control.snapshot().service("web").unwrap().pool.condition;
    assert_eq!(condition(&timed), Condition::Panic);
    timed.health("b2", true, None);
    assert_eq!((condition(&timed), timed.slots().0), (Condition::Normal, 0));
    assert_eq!(timed.bench.state("b1"), BackendState::Down);
}

#[test]
fn without_a_panic_threshold_a_service_may_have_no_backend_and_recovers() {
    let mut timed = Timed::new(|web| web.health.as_mut().unwrap().panic_threshold = 0);
    timed.health("b1", false, None);
    timed.health("b2", false, None);
    assert_eq!(timed.slots(), (0, 0));
    timed.health("b1", true, None);
    let (own, all) = timed.slots();
    assert!(own == all && all > 0);
}

#[test]
fn a_slow_start_fills_the_slot_table_20_times_at_most_and_wakes_control_for_each() {
    let mut timed = Timed::new(|web| web.slow_start = Duration::from_secs(30));
    timed.health("b1", false, None);
    timed.health("b1", true, None);
    let mut shares = vec![timed.slots()];
    let begin = timed.now;
    while let Some(due) = timed.bench.control.snapshot().wake_at {
        assert!(due > timed.now, "time goes on");
        timed.after(due - timed.now, Event::Tick);
        shares.push(timed.slots());
    }
    assert_eq!(timed.now - begin, Duration::from_secs(30));
    assert!(shares.len() <= 20, "{shares:?}");
    let parts: Vec<f64> = shares.iter().map(|(own, all)| *own as f64 / *all as f64).collect();
    assert!(parts[0] < 0.1 && parts.is_sorted(), "{parts:?}");
    assert!((parts[parts.len() - 1] - 0.5).abs() < 0.02, "{parts:?}");
}

#[test]
fn a_standby_backup_is_active_but_has_no_slots() {
    let mut timed = Timed::new(|web| web.backends[0].backup = true);
    assert_eq!((timed.bench.state("b1"), timed.slots().0), (BackendState::Active, 0));
    timed.health("b2", false, None);
    let (own, all) = timed.slots();
    assert!(own == all && all > 0);
    let snapshot = timed.bench.control.snapshot();
    assert_eq!(snapshot.service("web").unwrap().backend("b1").unwrap().share.standing, Standing::Serving);
}

#[test]
fn a_slow_start_goes_on_in_the_next_process() {
    let mut timed = Timed::new(|web| web.slow_start = Duration::from_secs(20));
    timed.health("b1", false, None);
    timed.health("b1", true, None);
    let begun = timed.now;
    timed.after(Duration::from_secs(2), Event::Tick);
    let (few, all) = timed.slots();
    assert!(few > 0 && few * 4 < all, "{few} of {all}");
    assert!(!timed.bench.store.notes().unwrap().ramps.is_empty());

    // Ten seconds after the slow start began, half of the weight.
    let boot = Duration::from_secs(1000);
    timed.bench.store.set_ramp("web", "b1", boot - Duration::from_secs(10));
    let (store, maps) = (timed.bench.store.clone(), timed.bench.maps.restarted());
    let now =
        Now { instant: begun + Duration::from_secs(10), wall: Timestamp::default(), boot, monotonic: boot };
    let control =
        Control::start(Box::new(store.clone()), Box::new(maps.clone()), BTreeMap::new(), 7, now).unwrap();
    timed = Timed { bench: Bench { control, store, maps }, now: now.instant };
    let (own, all) = timed.slots();
    assert!((30..=40).contains(&(100 * own / all)), "half of the other's: {own} of {all}");
    timed.after(Duration::from_secs(11), Event::Tick);
    let (own, all) = timed.slots();
    assert!((45..=55).contains(&(100 * own / all)), "{own} of {all}");
    assert!(timed.bench.store.notes().unwrap().ramps.is_empty());
}
