//! What needs no kernel: slot tables, configuration files, plans, and the page of metrics. `cargo bench -p lb-bench`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::LazyLock,
    time::Duration,
};

use divan::{Bencher, black_box};
use lb_bench::control::fill::{candidates, fill};
use lb_common::abi::TrafficCounters;
use lb_tests::large::Size;
use lb_userspace::{
    config::Document,
    health::{Checker, Command, Outcome, Policy, Target},
    metrics::{BackendSample, Observation, ServiceSample, text},
    model::{AdminState, Algorithm, Config, HealthCheck, HealthView},
    plan::{BackendAt, Inputs, Planner, Sources},
    reconcile::diff,
};

const SIZE: Size = Size { services: 10_000, backends: 10 };

fn main() {
    divan::main();
}

fn document() -> Document {
    let limits = "[limits]\nservices = 10000\nbackends = 100000\n";
    Document::new("lb.toml", format!("interfaces = [\"eth0\"]\n{limits}\n{}", SIZE.text()))
}

#[expect(clippy::unwrap_used, reason = "the text is made here")]
fn config() -> Config {
    document().config().unwrap()
}

fn inputs<'a>(
    config: &'a Config,
    health: &'a HealthView,
    interfaces: &'a BTreeMap<u32, lb_common::abi::Interface>,
) -> Inputs<'a> {
    static NO_RESETS: BTreeSet<BackendAt> = BTreeSet::new();
    static NO_SOURCES: LazyLock<Sources> = LazyLock::new(Sources::default);
    Inputs { config, health, pools: &[], resets: &NO_RESETS, sources: &NO_SOURCES, interfaces, seed: 1 }
}

#[divan::bench(args = [10, 100, 1000])]
fn maglev_65537_slots(bencher: Bencher<'_, '_>, backends: u32) {
    let candidates = candidates(backends);
    bencher.bench(|| fill(Algorithm::Maglev, black_box(&candidates)));
}

#[divan::bench(args = [10, 100, 1000])]
fn round_robin_65537_slots(bencher: Bencher<'_, '_>, backends: u32) {
    let candidates = candidates(backends);
    bencher.bench(|| fill(Algorithm::RoundRobin, black_box(&candidates)));
}

#[divan::bench(sample_count = 10)]
fn parse_100_000_backends(bencher: Bencher<'_, '_>) {
    let document = document();
    bencher.bench(|| document.config());
}

#[divan::bench(sample_count = 10)]
fn plan_100_000_backends(bencher: Bencher<'_, '_>) {
    let (config, health, interfaces) = (config(), HealthView::default(), BTreeMap::new());
    bencher.bench(|| Planner::default().plan(&inputs(&config, &health, &interfaces)));
}

#[divan::bench(sample_count = 20)]
#[expect(clippy::unwrap_used, reason = "the configurations are made here")]
fn plan_and_compare_one_change_of_100_000_backends(bencher: Bencher<'_, '_>) {
    let (enabled, health, interfaces) = (config(), HealthView::default(), BTreeMap::new());
    let mut draft = enabled.draft();
    draft.services[5].backends[1].state = AdminState::Draining;
    let draining = draft.check_changes(&enabled).unwrap();
    let mut planner = Planner::default();
    let mut last = planner.plan(&inputs(&enabled, &health, &interfaces)).unwrap();
    let mut turn = false;
    bencher.bench_local(|| {
        turn = !turn;
        let config = if turn { &draining } else { &enabled };
        let next = planner.plan(&inputs(config, &health, &interfaces)).unwrap();
        let operations = diff(&next, &last);
        last = next;
        operations
    });
}

#[divan::bench(sample_count = 20)]
fn metrics_of_10_000_backends(bencher: Bencher<'_, '_>) {
    let traffic = TrafficCounters { packets_in: 1 << 40, bytes_in: 1 << 50, ..TrafficCounters::default() };
    let backend =
        |number: u32| BackendSample { name: format!("b{number}"), traffic, ..BackendSample::default() };
    let service = |number: u32| ServiceSample {
        name: format!("s{number}"),
        traffic,
        active_flows: 1,
        backends: (0..10).map(backend).collect(),
        ..ServiceSample::default()
    };
    let observation = Observation { services: (0..1000).map(service).collect(), ..Observation::default() };
    bencher.bench(|| text(black_box(&observation)));
}

/// What the checker does in a second in which each target is probed once: the schedule, the starts and the outcomes, not the probes.
#[divan::bench(args = [1000, 10_000])]
fn check_targets_for_a_second(bencher: Bencher<'_, '_>, targets: u32) {
    let check = HealthCheck::default();
    let policy = Policy {
        interval: check.interval,
        timeout: check.timeout,
        rise: check.rise,
        fall: check.fall,
        fast_interval: check.interval,
        confirm_interval: check.interval,
        jitter: check.jitter,
        damping: check.damping,
    };
    let target = |number: u32| {
        let address = SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + number).into(), 80);
        (number, Target { address, probe: check.probe.clone(), policy })
    };
    let mut checker = Checker::new(1);
    let mut now = Duration::ZERO;
    checker.set_targets(now, (0..targets).map(target));
    bencher.bench_local(|| {
        let end = now + check.interval;
        let mut started = 0;
        while let Some(due) = checker.poll_timeout().filter(|due| *due < end) {
            now = due;
            checker.handle_timeout(now);
            while let Some(command) = checker.poll_command() {
                if let Command::Start { probe, .. } = command {
                    started += 1;
                    checker.handle_result(now, probe, Outcome::Healthy);
                }
            }
        }
        now = end;
        assert_eq!(started, targets);
    });
}
