//! Backends whose connections are reset.

use lb_common::abi::BackendFlags;

use super::*;
use crate::model::OnDown;

fn web(on_down: OnDown) -> Service {
    let mut web =
        service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1)]);
    web.on_down = on_down;
    web.health = Some(HealthCheck::default());
    web
}

fn is_reset(element: &Element) -> bool {
    element.flags & BackendFlags::RESET != 0
}

fn first(service: &Service) -> BTreeSet<BackendAt> {
    let backend = &service.backends[0];
    BTreeSet::from([BackendAt { service: service.at(), address: backend.address, port: backend.port }])
}

#[test]
fn the_policy_stands_in_every_backend_of_a_tcp_service() {
    for (on_down, protocol, expected) in [
        (OnDown::Reselect, Protocol::Tcp, false),
        (OnDown::Reset, Protocol::Tcp, true),
        (OnDown::Reset, Protocol::Udp, false),
    ] {
        let service = Service { protocol, health: None, ..web(on_down) };
        let image = plan(&mut Planner::default(), &config(vec![service]), &HealthView::default());
        assert!(image.backends.values().all(|element| is_reset(element) == expected), "{on_down} {protocol}");
    }
}

#[test]
fn a_backend_whose_drain_ended_is_disabled_and_reset_until_that_is_taken_back() {
    let mut service = web(OnDown::Reselect);
    service.backends[0].state = AdminState::Draining;
    let (config, health, resets) = (config(vec![service.clone()]), HealthView::default(), first(&service));
    let mut planner = Planner::default();
    let image = try_plan_with(&mut planner, &config, &health, &resets).unwrap();
    assert_eq!(image.backends[&1].state, BackendState::Disabled as u8);
    assert!(is_reset(&image.backends[&1]) && !is_reset(&image.backends[&2]));
    let image = plan(&mut planner, &config, &health);
    assert_eq!(image.backends[&1].state, BackendState::Draining as u8);
    assert!(!is_reset(&image.backends[&1]));
}

#[test]
fn a_removed_backend_resets_its_connections_if_its_service_does_so() {
    for (on_down, ended, expected) in
        [(OnDown::Reselect, false, false), (OnDown::Reset, false, true), (OnDown::Reselect, true, true)]
    {
        let service = web(on_down);
        let resets = if ended { first(&service) } else { BTreeSet::new() };
        let (none, mut planner) = (HealthView::default(), Planner::default());
        let before = try_plan_with(&mut planner, &config(vec![service.clone()]), &none, &resets).unwrap();
        let mut restarted = Planner::restore(&before);
        for planner in [&mut planner, &mut restarted] {
            let rest = Service { backends: service.backends[1..].to_vec(), ..service.clone() };
            let image = plan(planner, &config(vec![rest]), &none);
            assert_eq!(image.backends[&1].state, BackendState::Unused as u8);
            assert_eq!(is_reset(&image.backends[&1]), expected, "{on_down}");
            let image = plan(&mut Planner::restore(&image), &config(vec![]), &none);
            assert_eq!(is_reset(&image.backends[&1]), expected, "it stays for as long as the element");
        }
    }
}
