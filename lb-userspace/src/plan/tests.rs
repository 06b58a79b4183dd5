//! Golden images, and the rules of ids.

mod limits;
mod resets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::{Backend as Element, BackendState, Interface};
use proptest::prelude::*;

use super::*;
use crate::model::{
    AdminState, Algorithm, Backend, BackendName, Config, Draft, Health, HealthCheck, HealthView,
    InterfaceName, Mode, Protocol, Service, ServiceAddress, ServiceName,
};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn backend(name: &str, at: &str, weight: u16) -> Backend {
    let name = BackendName::new(name).unwrap();
    Backend {
        name,
        address: address(at),
        port: 8080,
        weight,
        state: AdminState::Enabled,
        drain: None,
        backup: false,
        max_connections: 0,
    }
}

pub(crate) fn service(name: &str, vip: &str, port: u16, backends: Vec<Backend>) -> Service {
    let at = ServiceAddress { address: address(vip), protocol: Protocol::Tcp, port };
    let mut service = Service::new(ServiceName::new(name).unwrap(), at);
    service.slots = Some(13);
    service.backends = backends;
    service
}

fn draft(services: Vec<Service>) -> Draft {
    let services = services.into_iter().map(Into::into).collect();
    Draft { interfaces: vec![InterfaceName::new("eth0").unwrap()], services, ..Draft::default() }
}

pub(crate) fn config(services: Vec<Service>) -> Config {
    draft(services).check().unwrap()
}

pub(crate) fn plan(planner: &mut Planner, config: &Config, health: &HealthView) -> MapImage {
    try_plan(planner, config, health).unwrap()
}

fn try_plan(planner: &mut Planner, config: &Config, health: &HealthView) -> Result<MapImage, PlanError> {
    try_plan_with(planner, config, health, &BTreeSet::new())
}

fn try_plan_with(
    planner: &mut Planner,
    config: &Config,
    health: &HealthView,
    resets: &BTreeSet<BackendAt>,
) -> Result<MapImage, PlanError> {
    let interface = Interface { flags: 1, mtu: 1500, ..Interface::default() };
    let interfaces = BTreeMap::from([(2, interface)]);
    planner
        .plan(&Inputs {
            config,
            health,
            pools: &[],
            resets,
            sources: &Sources::default(),
            interfaces: &interfaces,
            seed: 0x2a,
        })
        .map(std::sync::Arc::unwrap_or_clone)
}

fn two_services() -> Vec<Service> {
    let mut web = service(
        "web",
        "203.0.113.10",
        80,
        vec![backend("a", "10.0.0.1", 100), backend("b", "10.0.0.2", 300), backend("c", "10.0.0.3", 0)],
    );
    web.mode = Mode::FullNat;
    web.snat_addresses = vec![address("192.0.2.1"), address("192.0.2.2")];
    let mut six =
        service("six", "2001:db8::10", 0, vec![backend("a", "fd00::1", 1), backend("b", "fd00::2", 1)]);
    six.algorithm = Algorithm::RoundRobin;
    six.backends[1].state = AdminState::Draining;
    vec![web, six]
}

#[test]
fn an_image_prints_as_sorted_lines() {
    let image = plan(&mut Planner::default(), &config(two_services()), &HealthView::default());
    assert_eq!(
        image.to_string(),
        "\
settings: seed 0x2a ports 1024-32767
timeouts: [28, 28, 28, 28, 6930, 559, 559, 56, 10, 280] ticks
interface 2: flags 1 mtu 1500
snat 0: 192.0.2.1
snat 1: 192.0.2.2
backend 1: 10.0.0.1:8080 active weight 100 service 1 pool 0
backend 2: 10.0.0.2:8080 active weight 300 service 1 pool 2
backend 3: 10.0.0.3:8080 active weight 1 service 1 pool 4
backend 4: [fd00::1]:8080 active weight 1 service 2
backend 5: [fd00::2]:8080 draining weight 1 service 2
own addresses: 9 bits
slots 1: 13 1x3 2x10
slots 2: 1 4x1
snat address 192.0.2.1
snat address 192.0.2.2
vip 203.0.113.10
service tcp 203.0.113.10:80: id 1 mode 2 selector 1 prefix 32 snat 0+2 cookies auto
service tcp [2001:db8::10]:0: id 2 mode 1 selector 3 prefix 128 cookies auto
vip 2001:db8::10
"
    );
}

#[test]
fn a_backend_that_is_down_leaves_the_slots_and_none_left_gives_an_empty_table() {
    let mut web =
        service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1)]);
    web.health = Some(HealthCheck::default());
    let config = config(vec![web.clone()]);
    let mut health = HealthView::default();
    health.set(&web.name, &web.backends[0].name, Health::Down);
    let mut planner = Planner::default();
    let image = plan(&mut planner, &config, &health);
    assert_eq!(image.backends[&1].state, BackendState::Down as u8);
    assert!(image.slots[&1].iter().all(|id| *id == 2));

    health.set(&web.name, &web.backends[1].name, Health::Down);
    assert!(plan(&mut planner, &config, &health).slots[&1].is_empty());

    health.set(&web.name, &web.backends[0].name, Health::Up);
    assert!(plan(&mut planner, &config, &health).slots[&1].iter().all(|id| *id == 1));
}

#[test]
fn health_is_ignored_for_a_service_without_a_check() {
    let web = service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1)]);
    let mut health = HealthView::default();
    health.set(&web.name, &web.backends[0].name, Health::Down);
    let image = plan(&mut Planner::default(), &config(vec![web]), &health);
    assert_eq!(image.backends[&1].state, BackendState::Active as u8);
}

#[test]
fn a_restart_keeps_every_id_and_does_not_revive_a_dead_backend() {
    let mut services = two_services();
    services[0].health = Some(HealthCheck::default());
    let mut health = HealthView::default();
    health.set(&services[0].name, &services[0].backends[0].name, Health::Down);
    let before = plan(&mut Planner::default(), &config(services.clone()), &health);

    services.reverse();
    services[1].backends.reverse();
    services[1].backends.insert(0, backend("new", "10.0.0.9", 5));
    let mut planner = Planner::restore(&before);
    let after = plan(&mut planner, &config(services.clone()), &HealthView::default());
    for (id, element) in &before.backends {
        assert_eq!(after.backends[id], *element, "backend {id}");
    }
    assert_eq!(after.backends[&6].pool_base, 6);
    for (key, service) in &before.services {
        assert_eq!(after.services[key], *service, "{key}");
    }

    health.set(&services[1].name, &BackendName::new("a").unwrap(), Health::Up);
    assert_eq!(plan(&mut planner, &config(services), &health).backends[&1].state, BackendState::Active as u8);
}

#[test]
fn a_removed_backends_id_is_not_given_away_before_its_flows_are_gone() {
    let with = |names: &[&str]| {
        let backends = names.iter().map(|name| backend(name, &format!("10.0.0.{}", name.len()), 1)).collect();
        config(vec![service("web", "203.0.113.10", 80, backends)])
    };
    let none = HealthView::default();
    let mut planner = Planner::default();
    plan(&mut planner, &with(&["a", "bb"]), &none);
    let image = plan(&mut planner, &with(&["bb", "ccc"]), &none);
    assert_eq!((image.backends[&1].state, image.backends[&1].family), (BackendState::Unused as u8, 4));
    assert_eq!(image.slots[&1].iter().collect::<BTreeSet<_>>().len(), 2);
    assert!(image.backends.contains_key(&3));
    assert_eq!(planner.ids().releasing().collect::<Vec<_>>(), [1]);

    // A restart in between does not forget it.
    let mut planner = Planner::restore(&image);
    assert!(plan(&mut planner, &with(&["bb", "ccc", "dddd"]), &none).backends.contains_key(&4));

    assert!(!planner.release(2), "it is in use");
    assert!(planner.release(1));
    assert!(!planner.release(1));
    let image = plan(&mut planner, &with(&["bb", "ccc", "dddd", "eeeee"]), &none);
    assert_eq!(image.backends[&1].addr, address_words(address("10.0.0.5")));
}

#[test]
fn a_backend_that_comes_back_before_its_flows_are_gone_has_its_old_id() {
    let with = config(vec![service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1)])]);
    let none = HealthView::default();
    let mut planner = Planner::default();
    let before = plan(&mut planner, &with, &none);
    let removed = plan(&mut planner, &config(Vec::new()), &none);
    assert!(removed.services.is_empty() && removed.slots.is_empty());
    assert_eq!(plan(&mut planner, &with, &none), before);
    assert_eq!(planner.ids().releasing().count(), 0);
}

#[test]
fn a_limit_that_is_reached_is_named_and_changes_nothing() {
    let with = |name: &str, at: &str| {
        let mut draft = draft(vec![service("web", "203.0.113.10", 80, vec![backend(name, at, 1)])]);
        draft.limits.backends = 1;
        draft.check().unwrap()
    };
    let none = HealthView::default();
    let mut planner = Planner::default();
    let before = plan(&mut planner, &with("a", "10.0.0.1"), &none);
    let error = try_plan(&mut planner, &with("b", "10.0.0.2"), &none).unwrap_err();
    assert_eq!(
        error.to_string(),
        "limits.backends = 1 is reached: 1 more are needed (1 removed backends are held until their flows are gone, \
         which takes some seconds); raise it and restart lbd, or remove some"
    );
    assert_eq!(plan(&mut planner, &with("a", "10.0.0.1"), &none), before);
}

#[test]
fn new_snat_addresses_stand_beside_the_old_ones() {
    let with = |snat: &[&str]| {
        let mut web = service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1)]);
        web.mode = Mode::FullNat;
        web.snat_addresses = snat.iter().map(|text| address(text)).collect();
        config(vec![web])
    };
    let none = HealthView::default();
    let mut planner = Planner::default();
    let first = plan(&mut planner, &with(&["192.0.2.1"]), &none);
    assert_eq!(first.snat_addresses.keys().copied().collect::<Vec<_>>(), [0]);
    let second = plan(&mut planner, &with(&["192.0.2.2", "192.0.2.1"]), &none);
    assert_eq!(second.snat_addresses.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((first.backends[&1].pool_base, second.backends[&1].pool_base), (0, 1));
}

#[test]
fn port_pools_begin_with_the_ports_outside_the_range_taken() {
    let range = PortRange { min: 100, max: 130 };
    let free: Vec<u32> = (0..1024)
        .flat_map(|word| (0..64).map(move |bit| (word, bit)))
        .filter(|(word, bit)| range.initial_word(*word) >> bit & 1 == 0)
        .map(|(word, bit)| word * 64 + bit)
        .collect();
    assert_eq!(free, (100..=130).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_two_backends_ever_share_an_id_a_pool_or_a_removed_ones_id(
        rounds in prop::collection::vec(
            (prop::collection::btree_set(1_u8..30, 0..12), prop::collection::vec(1_u32..20, 0..5), any::<bool>()),
            1..12,
        ),
    ) {
        let none = HealthView::default();
        let mut planner = Planner::default();
        let mut last: BTreeMap<u32, Element> = BTreeMap::new();
        for (hosts, released, restart) in rounds {
            let backends = hosts.iter().map(|host| backend(&format!("b{host}"), &format!("10.0.0.{host}"), 1)).collect();
            let mut web = service("web", "203.0.113.10", 80, backends);
            web.mode = Mode::FullNat;
            web.snat_addresses = vec![address("192.0.2.1"), address("192.0.2.2")];
            let gone: Vec<u32> = released.into_iter().filter(|id| planner.release(*id)).collect();
            let image = plan(&mut planner, &config(vec![web]), &none);
            let mut pools: Vec<u32> = image.backends.values().map(|element| element.pool_base).collect();
            pools.sort_unstable();
            prop_assert!(pools.windows(2).all(|pair| pair[1] - pair[0] >= 2), "{:?}", pools);
            for (id, element) in &image.backends {
                if let Some(before) = last.get(id).filter(|_| !gone.contains(id)) {
                    prop_assert_eq!(before.addr, element.addr);
                }
            }
            if restart {
                planner = Planner::restore(&image);
            }
            last = image.backends;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_planned_for_changes_alone_is_what_is_planned_for_everything(
        rounds in prop::collection::vec((0_usize..3, 0_usize..3, 0_u16..4, any::<bool>(), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let names = ["a", "b", "c"];
        let mut draft = Draft {
            interfaces: vec![InterfaceName::new("eth0").unwrap()],
            services: (0..3_u16).map(|number| {
                let hosts = names.iter().map(|name| backend(name, &format!("10.0.{number}.{}", name.as_bytes()[0]), 1));
                let mut checked = service(&format!("s{number}"), "203.0.113.10", 80 + number, hosts.collect());
                checked.health = Some(HealthCheck::default());
                checked.into()
            }).collect(),
            ..Draft::default()
        };
        let (mut health, mut planner) = (HealthView::default(), Planner::default());
        let mut resets = BTreeSet::new();
        for (at, host, weight, down, draining, reset) in rounds {
            let changed = &mut draft.services[at].backends[host];
            changed.weight = weight;
            changed.state = if draining { AdminState::Draining } else { AdminState::Enabled };
            let name = changed.name.clone();
            health.set(&draft.services[at].name, &name, if down { Health::Down } else { Health::Up });
            let config = draft.clone().check().unwrap();
            let mut other = planner.clone();
            // Forgets what was planned last.
            other.release(u32::MAX);
            let (service, backend) = (&draft.services[at], &draft.services[at].backends[host]);
            let place = BackendAt { service: service.at(), address: backend.address, port: backend.port };
            let _ = if reset { resets.insert(place) } else { resets.remove(&place) };
            prop_assert_eq!(
                try_plan_with(&mut planner, &config, &health, &resets).unwrap(),
                try_plan_with(&mut other, &config, &health, &resets).unwrap()
            );
        }
    }
}
