//! The rules of pools, one by one and under random histories, in simulated time.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::Pools;
use crate::model::{
    AdminState, Backend, Condition, Config, Draft, Finding, Health, HealthCheck, HealthView, Service,
    ServiceAddress, Standing,
};

const SECOND: Duration = Duration::from_secs(1);

/// A service `web`, its health, and a clock.
struct Simulation {
    service: Service,
    health: HealthView,
    now: Instant,
    pools: Pools,
}

fn backend(number: u8, backup: bool) -> Backend {
    Backend {
        name: format!("b{number}").parse().unwrap(),
        address: Ipv4Addr::new(10, 0, 0, number).into(),
        port: 80,
        weight: 100,
        state: AdminState::Enabled,
        drain: None,
        backup,
        max_connections: 0,
    }
}

impl Simulation {
    /// So many backends, `b1` and so on, of which the last `backups` are backups; no panic unless it is set.
    fn new(backends: u8, backups: u8) -> Self {
        let at =
            ServiceAddress { address: [203, 0, 113, 10].into(), protocol: "tcp".parse().unwrap(), port: 80 };
        let mut service = Service::new("web".parse().unwrap(), at);
        service.health = Some(HealthCheck { panic_threshold: 0, ..HealthCheck::default() });
        service.backends =
            (1..=backends).map(|number| backend(number, number > backends - backups)).collect();
        let now = crate::runtime::Clock.instant();
        let mut simulation = Self { service, health: HealthView::default(), now, pools: Pools::default() };
        simulation.run();
        simulation
    }

    fn check(&mut self) -> &mut HealthCheck {
        self.service.health.as_mut().unwrap()
    }

    fn config(&self) -> Config {
        let draft = Draft {
            interfaces: vec!["eth0".parse().unwrap()],
            services: vec![self.service.clone().into()],
            ..Draft::default()
        };
        draft.check().unwrap()
    }

    fn run(&mut self) {
        self.pools = self.pools.next(&self.config(), &self.health, |_, _| false, self.now);
    }

    /// The health of `b<number>` becomes another.
    fn set(&mut self, number: u8, health: Health) {
        let finding = Finding { health, since: Some(self.now), ..Finding::default() };
        let name = format!("b{number}").parse().unwrap();
        self.health.record(&self.service.name, &name, finding);
        self.now += SECOND;
        self.run();
    }

    fn down(&mut self, numbers: impl IntoIterator<Item = u8>) {
        numbers.into_iter().for_each(|number| self.set(number, Health::Down));
    }

    fn condition(&self) -> Condition {
        self.pools.all()[0].condition
    }

    fn standings(&self) -> Vec<Standing> {
        self.pools.all()[0].shares.iter().map(|share| share.standing).collect()
    }

    fn weights(&self) -> Vec<u32> {
        self.pools.all()[0].shares.iter().map(|share| share.weight).collect()
    }
}

use Standing::{Ejected, Idle, Kept, Panic, Serving, Standby};

#[test]
fn an_unhealthy_backend_is_out_and_the_others_take_its_share() {
    let mut simulation = Simulation::new(3, 0);
    simulation.down([2]);
    assert_eq!(simulation.standings(), [Serving, Ejected, Serving]);
    assert_eq!(simulation.weights(), [100, 0, 100]);
    assert!(simulation.pools.all()[0].shares[1].down);
}

#[test]
fn all_unhealthy_backends_are_out_if_nothing_else_was_configured() {
    let mut simulation = Simulation::new(2, 0);
    simulation.down([1, 2]);
    assert_eq!(simulation.standings(), [Ejected, Ejected]);
    assert_eq!(simulation.condition(), Condition::Normal);
}

#[test]
fn by_default_all_are_used_when_none_is_healthy() {
    let mut simulation = Simulation::new(2, 0);
    simulation.check().panic_threshold = HealthCheck::default().panic_threshold;
    simulation.down([1]);
    assert_eq!(simulation.condition(), Condition::Normal);
    simulation.down([2]);
    assert_eq!(simulation.condition(), Condition::Panic);
    assert_eq!(simulation.standings(), [Panic, Panic]);
    assert!(simulation.pools.all()[0].shares.iter().all(|share| !share.down));
    simulation.set(1, Health::Up);
    assert_eq!((simulation.condition(), simulation.standings()), (Condition::Normal, vec![Serving, Ejected]));
}

#[test]
fn panic_begins_below_the_threshold_and_not_at_it() {
    let mut simulation = Simulation::new(4, 0);
    simulation.check().panic_threshold = 50;
    simulation.down([1, 2]);
    assert_eq!(simulation.condition(), Condition::Normal);
    simulation.down([3]);
    assert_eq!(simulation.condition(), Condition::Panic);
    assert_eq!(simulation.standings(), [Panic, Panic, Panic, Serving]);
}

#[test]
fn never_more_than_the_configured_share_is_ejected_and_those_that_failed_first_are() {
    let mut simulation = Simulation::new(10, 0);
    simulation.check().max_ejected = 30;
    simulation.down([7, 2, 9, 1]);
    let standings = simulation.standings();
    assert_eq!([7, 2, 9, 1].map(|number: usize| standings[number - 1]), [Ejected, Ejected, Ejected, Kept]);
    // Room for the one that was kept.
    simulation.set(2, Health::Up);
    assert_eq!(simulation.standings()[0], Ejected);
}

#[test]
fn a_cap_that_comes_to_less_than_one_backend_ejects_none() {
    let mut simulation = Simulation::new(4, 0);
    simulation.check().max_ejected = 20;
    simulation.down([1]);
    assert_eq!(simulation.standings(), [Kept, Serving, Serving, Serving]);
}

#[test]
fn backups_take_flows_when_no_other_backend_is_healthy_and_only_then() {
    let mut simulation = Simulation::new(3, 1);
    assert_eq!(simulation.standings(), [Serving, Serving, Standby]);
    assert_eq!(simulation.weights(), [100, 100, 0]);
    simulation.down([1]);
    assert_eq!(simulation.condition(), Condition::Normal);
    simulation.down([2]);
    assert_eq!(
        (simulation.condition(), simulation.standings()),
        (Condition::Backup, vec![Ejected, Ejected, Serving])
    );
    simulation.set(1, Health::Up);
    assert_eq!(
        (simulation.condition(), simulation.standings()),
        (Condition::Normal, vec![Serving, Ejected, Standby])
    );
}

#[test]
fn backups_help_below_a_number_of_healthy_others() {
    let mut simulation = Simulation::new(4, 1);
    simulation.service.backup_below = 2;
    simulation.down([1]);
    assert_eq!(simulation.standings()[3], Standby);
    simulation.down([2]);
    assert_eq!(simulation.standings(), [Ejected, Ejected, Serving, Serving]);
}

#[test]
fn an_unhealthy_backup_is_of_no_help() {
    let mut simulation = Simulation::new(2, 1);
    simulation.check().panic_threshold = 1;
    simulation.down([2]);
    assert_eq!(simulation.standings(), [Serving, Ejected]);
    simulation.down([1]);
    assert_eq!((simulation.condition(), simulation.standings()), (Condition::Panic, vec![Panic, Ejected]));
}

#[test]
fn backups_come_before_panic() {
    let mut simulation = Simulation::new(5, 1);
    simulation.check().panic_threshold = 50;
    simulation.down([1, 2]);
    assert_eq!(simulation.condition(), Condition::Normal);
    // One of four would be too few; with the backup they are two.
    simulation.down([3]);
    assert_eq!(simulation.condition(), Condition::Backup);
    assert_eq!(simulation.standings(), [Ejected, Ejected, Ejected, Serving, Serving]);
    simulation.down([4]);
    assert_eq!(simulation.condition(), Condition::Panic);
    assert_eq!(simulation.standings(), [Panic, Panic, Panic, Panic, Serving]);
}

#[test]
fn backups_take_flows_when_the_others_were_taken_out_by_hand() {
    let mut simulation = Simulation::new(2, 1);
    simulation.service.backends[0].state = AdminState::Draining;
    simulation.run();
    assert_eq!((simulation.condition(), simulation.standings()), (Condition::Backup, vec![Idle, Serving]));
    simulation.service.health = None;
    simulation.run();
    assert_eq!(simulation.standings(), [Idle, Serving], "without checks, too");
}

#[test]
fn weight_0_takes_no_flows_is_no_part_of_the_pool_and_can_be_down() {
    let mut simulation = Simulation::new(3, 0);
    simulation.service.backends[0].weight = 0;
    simulation.check().panic_threshold = 50;
    simulation.down([2]);
    assert_eq!(simulation.standings(), [Idle, Ejected, Serving]);
    let pool = simulation.pools.all()[0].clone();
    assert_eq!((pool.condition, pool.healthy, pool.wanted), (Condition::Normal, 1, 2));
    assert_eq!((pool.shares[0].weight, pool.shares[0].down), (0, false));
    simulation.down([1]);
    assert!(simulation.pools.all()[0].shares[0].down);
}

#[test]
fn what_was_down_before_a_restart_is_unhealthy_until_it_is_heard_of() {
    let mut simulation = Simulation::new(2, 0);
    let was_down = |_: &Service, backend: &Backend| backend.name.as_str() == "b1";
    let pools = Pools::default().next(&simulation.config(), &simulation.health, was_down, simulation.now);
    assert!(pools.all()[0].shares[0].down && !pools.all()[0].shares[1].down);
    simulation.set(1, Health::Up);
    let pools = pools.next(&simulation.config(), &simulation.health, was_down, simulation.now);
    assert!(!pools.all()[0].shares[0].down);
}

/// The weights of `b1` while it comes back, each with how long it had it.
fn ramp(simulation: &mut Simulation) -> Vec<(u32, Duration)> {
    let mut levels = Vec::new();
    while let Some(due) = simulation.pools.poll_timeout() {
        let pool = &simulation.pools.all()[0];
        assert!(simulation.weights()[1] == 100 * pool.scale, "the other one keeps its weight");
        levels.push((100 * pool.shares[0].weight / pool.shares[1].weight, due - simulation.now));
        simulation.now = due;
        simulation.run();
    }
    levels
}

#[test]
fn a_backend_that_recovered_gets_its_weight_in_20_steps() {
    let mut simulation = Simulation::new(2, 0);
    simulation.service.slow_start = 38 * SECOND;
    simulation.down([1]);
    let finding = Finding { health: Health::Up, ..Finding::default() };
    simulation.health.record(&simulation.service.name, &"b1".parse().unwrap(), finding);
    simulation.run();
    let levels = ramp(&mut simulation);
    assert_eq!(levels, (1..20).map(|level| (5 * level, 2 * SECOND)).collect::<Vec<_>>());
    assert_eq!((simulation.weights(), simulation.pools.all()[0].scale), (vec![100, 100], 1));
}

#[test]
fn a_slow_start_goes_on_after_a_restart_from_where_it_was() {
    let mut simulation = Simulation::new(2, 0);
    simulation.service.slow_start = 38 * SECOND;
    simulation.down([1]);
    simulation.set(1, Health::Up);
    let ramps = simulation.pools.ramps();
    assert_eq!(ramps.values().copied().collect::<Vec<_>>(), [simulation.now]);
    simulation.now += 11 * SECOND;
    // Nothing is known of health yet.
    simulation.health = HealthView::default();
    simulation.pools = Pools::resuming(ramps.clone());
    simulation.run();
    assert_eq!(simulation.pools.ramps(), ramps);
    let levels = ramp(&mut simulation);
    assert_eq!((levels.len(), levels[0]), (14, (30, SECOND)));
    assert!(simulation.pools.ramps().is_empty());
    simulation.pools = Pools::resuming(ramps);
    simulation.run();
    assert!(simulation.pools.ramps().is_empty(), "it was over meanwhile");
}

#[test]
fn a_short_slow_start_has_a_step_a_second() {
    let mut simulation = Simulation::new(2, 0);
    simulation.service.slow_start = 3 * SECOND;
    simulation.service.backends[0].state = AdminState::Disabled;
    simulation.run();
    simulation.service.backends[0].state = AdminState::Enabled;
    simulation.run();
    assert_eq!(ramp(&mut simulation), [(25, SECOND), (50, SECOND), (75, SECOND)]);
}

#[test]
fn a_slow_start_begins_after_recovery_enabling_and_adding_and_not_at_the_start() {
    let mut simulation = Simulation::new(2, 1);
    simulation.service.slow_start = 30 * SECOND;
    simulation.run();
    let is_ramping = |simulation: &Simulation| simulation.pools.poll_timeout().is_some();
    assert!(!is_ramping(&simulation), "everything is as it was");
    simulation.down([1]);
    assert!(!is_ramping(&simulation), "a backup is needed at once");
    simulation.set(1, Health::Up);
    assert!(is_ramping(&simulation));
    simulation.down([1]);
    assert!(!is_ramping(&simulation), "it is over when the backend is out again");
    simulation.service.backends.push(backend(3, false));
    simulation.run();
    assert!(is_ramping(&simulation), "a backend that was added");
    simulation.service.slow_start = Duration::ZERO;
    simulation.service.backends[0].weight = 0;
    simulation.now += 30 * SECOND;
    simulation.run();
    assert!(!is_ramping(&simulation));
    simulation.service.slow_start = 30 * SECOND;
    simulation.set(1, Health::Up);
    assert!(!is_ramping(&simulation), "weight 0");
    simulation.service.backends[0].weight = 1;
    simulation.run();
    assert!(is_ramping(&simulation), "a weight again");
}

#[test]
fn no_slow_start_for_what_takes_flows_already() {
    let mut simulation = Simulation::new(2, 0);
    simulation.service.slow_start = 30 * SECOND;
    simulation.check().panic_threshold = 1;
    simulation.down([1, 2]);
    simulation.set(1, Health::Up);
    assert_eq!(simulation.pools.poll_timeout(), None);
}

#[test]
fn pools_that_did_not_change_are_shared_with_those_before() {
    let mut simulation = Simulation::new(3, 0);
    let before = simulation.pools.clone();
    simulation.run();
    assert!(simulation.pools.all()[0].is(&before.all()[0]));
    simulation.set(1, Health::Up);
    assert!(simulation.pools.all()[0].is(&before.all()[0]), "unknown and up are the same to the pool");
    simulation.down([1]);
    assert!(!simulation.pools.all()[0].is(&before.all()[0]));
}

#[test]
fn a_change_of_condition_is_told_once() {
    let mut simulation = Simulation::new(2, 1);
    simulation.down([1]);
    let before = simulation.pools.clone();
    simulation.check().panic_threshold = 1;
    simulation.down([2]);
    let changes: Vec<_> = simulation.pools.changes(&before).collect();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].before, changes[0].pool.condition), (Condition::Backup, Condition::Panic));
    let before = simulation.pools.clone();
    simulation.run();
    assert_eq!(simulation.pools.changes(&before).count(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Health(u8, Health),
    State(u8, AdminState),
    Weight(u8, u16),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let health = prop_oneof![Just(Health::Up), Just(Health::Down)];
    let state =
        prop_oneof![Just(AdminState::Enabled), Just(AdminState::Draining), Just(AdminState::Disabled)];
    let step = prop_oneof![
        8 => (1..=8_u8, health).prop_map(|(number, health)| Step::Health(number, health)),
        1 => (1..=8_u8, state).prop_map(|(number, state)| Step::State(number, state)),
        1 => (1..=8_u8, prop_oneof![Just(0), Just(1), Just(65_535)]).prop_map(|(n, weight)| Step::Weight(n, weight)),
        2 => (0..40_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold(
        steps in steps(),
        backups in 0..4_u8,
        max_ejected in 0..=100_u8,
        panic_threshold in 0..=100_u8,
        backup_below in 1..4_u32,
        slow_start in 0..40_u64,
    ) {
        let mut simulation = Simulation::new(8, backups);
        simulation.service.slow_start = SECOND * u32::try_from(slow_start).unwrap();
        simulation.service.backup_below = backup_below;
        *simulation.check() = HealthCheck { max_ejected, panic_threshold, ..HealthCheck::default() };
        let mut last_changes = 0;
        for step in steps {
            match step {
                Step::Health(number, health) => simulation.set(number, health),
                Step::State(number, state) => simulation.service.backends[usize::from(number) - 1].state = state,
                Step::Weight(number, weight) => simulation.service.backends[usize::from(number) - 1].weight = weight,
                Step::Wait(seconds) => {
                    // Steps of ramps are seen at their own moments, and there are few of them.
                    let end = simulation.now + Duration::from_secs(seconds);
                    last_changes = 0;
                    while let Some(due) = simulation.pools.poll_timeout().filter(|due| *due <= end) {
                        prop_assert!(due > simulation.now || last_changes == 0, "time goes on");
                        simulation.now = due.max(simulation.now);
                        simulation.run();
                        last_changes += 1;
                    }
                    simulation.now = end;
                }
            }
            prop_assert!(last_changes <= 20 * 8);
            simulation.run();
            rules_hold(&simulation, max_ejected, panic_threshold, backup_below)?;
        }
    }
}

fn rules_hold(
    simulation: &Simulation,
    max_ejected: u8,
    panic_threshold: u8,
    backup_below: u32,
) -> Result<(), TestCaseError> {
    let (pool, service) = (&simulation.pools.all()[0], &simulation.service);
    let members: Vec<_> = service.backends.iter().zip(&pool.shares).collect();
    let is_wanted = |backend: &Backend| backend.state == AdminState::Enabled && backend.weight > 0;
    let is_healthy = |backend: &Backend| simulation.health.of(&service.name, &backend.name) != Health::Down;
    let count = |what: &dyn Fn(&Backend, Standing) -> bool| {
        members.iter().filter(|(backend, share)| what(backend, share.standing)).count()
    };
    for (backend, share) in &members {
        prop_assert_eq!(share.weight > 0, share.standing.takes_flows());
        prop_assert!(share.weight <= u32::from(backend.weight) * pool.scale);
        prop_assert_eq!(share.standing == Idle, !is_wanted(backend));
        if is_wanted(backend) {
            prop_assert_eq!(matches!(share.standing, Serving | Standby), is_healthy(backend));
            prop_assert_eq!(share.down, share.standing == Ejected);
        }
        prop_assert!(share.standing != Standby || backend.backup);
    }
    // The cap.
    let primaries = count(&|backend, _| is_wanted(backend) && !backend.backup);
    let ejected = count(&|backend, standing| !backend.backup && standing == Ejected);
    prop_assert!(ejected * 100 <= primaries * usize::from(max_ejected), "{} of {}", ejected, primaries);
    // Panic.
    let healthy_primaries = count(&|backend, _| is_wanted(backend) && !backend.backup && is_healthy(backend));
    let serving = count(&|_, standing| standing == Serving);
    let backups = count(&|backend, _| is_wanted(backend) && backend.backup);
    let expected = if primaries == 0 { backups } else { primaries };
    let too_few = serving * 100 < expected * usize::from(panic_threshold);
    prop_assert_eq!(pool.condition == Condition::Panic, too_few);
    if pool.condition == Condition::Panic {
        prop_assert!(primaries == 0 || ejected == 0, "all are used");
    }
    // Backups.
    let standby = count(&|_, standing| standing == Standby);
    if standby > 0 {
        prop_assert!(healthy_primaries >= backup_below as usize);
    }
    if healthy_primaries >= backup_below as usize
        && healthy_primaries * 100 >= primaries * usize::from(panic_threshold)
        && primaries > 0
    {
        prop_assert_eq!(count(&|backend, standing| backend.backup && standing.takes_flows()), 0);
    }
    Ok(())
}
