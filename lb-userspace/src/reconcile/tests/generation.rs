//! The generation is raised after what flows go by, whatever fails.

use super::*;
use crate::maps::{LbMaps, MapError, Operation};
use crate::model::{Health, HealthCheck};

/// Maps that know whether flows go by something older than the generation, and refuse operations that begin with a text.
#[derive(Debug, Default)]
struct Watched {
    maps: FakeMaps,
    outdated: bool,
    refused: Option<&'static str>,
}

impl LbMaps for Watched {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        if self.refused.is_some_and(|start| operation.to_string().starts_with(start)) {
            return Err(MapError::Injected(operation.to_string()));
        }
        let before = self.maps.image.settings.fib_generation;
        self.outdated |= operation.concerns_flows(&self.maps.image);
        self.maps.apply(operation)?;
        self.outdated &= self.maps.image.settings.fib_generation == before;
        Ok(())
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        self.maps.read(part, image)
    }
}

/// A service with two checked backends, in the maps.
fn begun() -> (Service, Planner, Reconciler, Watched) {
    let mut web = web(&[("a", "10.0.0.1", 1), ("b", "10.0.0.2", 1)]);
    web.health = Some(HealthCheck::default());
    let (mut planner, mut maps) = (Planner::default(), Watched::default());
    let mut reconciler = Reconciler::new(Policy::default());
    reconciler.desire(image(&mut planner, &config(vec![web.clone()])), true);
    assert!(reconciler.run(&mut maps, start()).error.is_none());
    assert!(!maps.outdated);
    maps.maps.log.clear();
    (web, planner, reconciler, maps)
}

fn with_first_down(web: &Service, planner: &mut Planner) -> MapImage {
    let mut health = HealthView::default();
    health.set(&web.name, &web.backends[0].name, Health::Down);
    plan(planner, &config(vec![web.clone()]), &health)
}

#[test]
fn a_backend_that_goes_down_raises_the_generation_once_and_last() {
    let (web, mut planner, mut reconciler, mut maps) = begun();
    reconciler.desire(with_first_down(&web, &mut planner), true);
    reconciler.run(&mut maps, start());
    assert_eq!(maps.maps.log, ["slots 1:13", "backend 1 state 3 exclusive", "fib generation 2"]);
}

#[test]
fn weights_and_slots_alone_do_not_raise_it() {
    let (mut web, mut planner, mut reconciler, mut maps) = begun();
    web.backends[0].weight = 3;
    web.slots = Some(17);
    reconciler.desire(image(&mut planner, &config(vec![web])), true);
    reconciler.run(&mut maps, start());
    assert_eq!(maps.maps.log, ["backend 1 state 1 exclusive", "slots 1:17"]);
}

#[test]
fn an_interface_that_changes_raises_it() {
    let (web, mut planner, mut reconciler, mut maps) = begun();
    let mut changed = image(&mut planner, &config(vec![web]));
    changed.interfaces.entry(2).or_default().mtu = 9000;
    reconciler.desire(changed, true);
    reconciler.run(&mut maps, start());
    assert_eq!(maps.maps.log, ["interface 2 flags 1", "fib generation 2"]);
}

#[test]
fn it_is_raised_although_something_later_fails_and_again_with_the_next_try() {
    let (web, mut planner, mut reconciler, mut maps) = begun();
    let mut changed = with_first_down(&web, &mut planner);
    changed.interfaces.entry(2).or_default().mtu = 9000;
    reconciler.desire(changed, true);
    maps.refused = Some("slots");
    let now = start();
    let round = reconciler.run(&mut maps, now);
    assert!(round.error.is_some_and(|error| error.to_string().contains("slots")));
    assert_eq!(maps.maps.log, ["interface 2 flags 1", "fib generation 2"]);

    maps.refused = None;
    reconciler.run(&mut maps, reconciler.next_run(now).unwrap());
    assert_eq!(maps.maps.log[2..], ["slots 1:13", "backend 1 state 3 exclusive", "fib generation 3"]);
    assert!(reconciler.is_converged());
}

#[test]
fn a_generation_that_could_not_be_written_is_written_with_the_next_try() {
    let (web, mut planner, mut reconciler, mut maps) = begun();
    reconciler.desire(with_first_down(&web, &mut planner), true);
    maps.refused = Some("fib");
    let now = start();
    assert!(reconciler.run(&mut maps, now).error.is_some());
    assert!(maps.outdated && !reconciler.is_converged());

    maps.refused = None;
    reconciler.run(&mut maps, reconciler.next_run(now).unwrap());
    assert!(!maps.outdated && reconciler.is_converged());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_fails_no_flow_goes_by_what_was_before(
        seed in any::<u64>(),
        percent in 0_u64..60,
        wishes in prop::collection::vec((prop::collection::btree_set(1_u8..20, 0..8), any::<u8>()), 1..6),
    ) {
        let mut maps = FaultyMaps::new(Watched::default(), percent, random(seed));
        let mut planner = Planner::default();
        let mut reconciler = Reconciler::new(Policy::default());
        for (hosts, down) in wishes {
            let backends = hosts.iter().map(|host| backend(&format!("b{host}"), &format!("10.0.0.{host}"), 1)).collect();
            let mut web = service("web", "203.0.113.10", 80, backends);
            web.health = Some(HealthCheck::default());
            let mut health = HealthView::default();
            for backend in web.backends.iter().skip(usize::from(down % 3)).step_by(2) {
                health.set(&web.name, &backend.name, Health::Down);
            }
            reconciler.desire(plan(&mut planner, &config(vec![web]), &health), true);
            reconciler.run(&mut maps, start());
            prop_assert!(!(reconciler.is_converged() && maps.inner.outdated));
        }
        run_until_converged(&mut reconciler, &mut maps, 10_000);
        prop_assert!(!maps.inner.outdated);
    }
}
