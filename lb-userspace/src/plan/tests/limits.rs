//! Limits of connections, and affinity.

use std::time::Duration;

use lb_common::abi::{BackendFlags, BackendLimits};

use super::*;
use crate::model::OnFull;

fn web(limits: [u32; 3]) -> Service {
    let mut web = service(
        "web",
        "203.0.113.10",
        80,
        vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1), backend("c", "10.0.0.3", 1)],
    );
    for (backend, limit) in web.backends.iter_mut().zip(limits) {
        backend.max_connections = limit;
    }
    web
}

fn of(planner: &mut Planner, service: Service) -> MapImage {
    plan(planner, &config(vec![service]), &HealthView::default())
}

fn limits(image: &MapImage) -> Vec<(u32, [u32; 3])> {
    let of = |limits: &BackendLimits| [limits.connections, limits.service_connections, limits.next];
    image.limits.iter().map(|(id, limits)| (*id, of(limits))).collect()
}

#[test]
fn a_limit_of_one_backend_makes_all_of_its_service_take_places_and_stand_in_a_ring() {
    let image = of(&mut Planner::default(), web([0, 7, 0]));
    assert_eq!(limits(&image), [(1, [0, 0, 2]), (2, [7, 0, 3]), (3, [0, 0, 1])]);
    assert!(image.backends.values().all(|backend| backend.flags & BackendFlags::LIMITED != 0));
}

#[test]
fn only_backends_that_take_flows_are_in_the_ring_and_the_others_lead_there() {
    let mut draining = Service { max_connections: 9, ..web([1, 2, 3]) };
    draining.backends[1].state = AdminState::Draining;
    let image = of(&mut Planner::default(), draining.clone());
    assert_eq!(limits(&image), [(1, [1, 9, 3]), (2, [2, 9, 1]), (3, [3, 9, 1])]);
    draining.backends[0].weight = 0;
    draining.backends[2].state = AdminState::Disabled;
    let image = of(&mut Planner::default(), draining);
    assert_eq!(limits(&image), [(1, [1, 9, 0]), (2, [2, 9, 0]), (3, [3, 9, 0])]);
}

#[test]
fn without_a_limit_nothing_is_left_of_it() {
    let mut planner = Planner::default();
    of(&mut planner, web([0, 7, 0]));
    let image = of(&mut planner, web([0; 3]));
    assert_eq!(image, of(&mut Planner::default(), web([0; 3])));
    assert!(image.limits.is_empty());
}

#[test]
fn limits_and_affinity_are_printed() {
    let service = Service {
        max_connections: 9,
        on_full: OnFull::Reset,
        affinity_timeout: Duration::from_secs(600),
        affinity_prefix: Some(24),
        ..web([5, 0, 0])
    };
    let text = of(&mut Planner::default(), service).to_string();
    for line in [
        "backend 1: 10.0.0.1:8080 active weight 1 service 1 exclusive limited\n",
        "limits 1: 5 of 9 next 2\n",
        "service tcp 203.0.113.10:80: id 1 mode 1 selector 1 prefix 24 affinity 559 ticks reset-when-full cookies auto\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}
