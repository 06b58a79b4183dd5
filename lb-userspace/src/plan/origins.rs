//! What a packet without a flow is known by: whose backend an address and port is, and which addresses are ours.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use lb_common::abi::{Backend, BackendFlags, BackendState, Mode, Origin};
use lb_common::maps::{OWN_ADDRESS_WORDS, address_bit};

use super::{EntryKey, MapImage, address_of, address_words};

/// The entries of `ORIGINS`, and the ids of the backends that are [`BackendFlags::EXCLUSIVE`], the lowest first.
#[derive(Debug, Default)]
struct Owners {
    origins: Vec<(EntryKey, Origin<[u32; 4]>)>,
    exclusive: Vec<u32>,
}

/// A backend of a `nat` service.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// Where its packets come from.
    from: EntryKey,
    service: u16,
    backend: u32,
    /// What clients connect to; port 0: any.
    to: EntryKey,
}

/// Makes these parts of an image, whose services, SNAT addresses and backends are complete.
pub(super) fn add(image: &mut MapImage) {
    let Owners { origins, exclusive } = owners(image);
    image.origins = origins.into_iter().collect();
    let mut exclusive = exclusive.into_iter().peekable();
    for (id, backend) in &mut image.backends {
        backend.flags &= !BackendFlags::EXCLUSIVE;
        if exclusive.next_if_eq(id).is_some() {
            backend.flags |= BackendFlags::EXCLUSIVE;
        }
    }
    image.own_addresses = own_addresses(image);
}

fn owners(image: &MapImage) -> Owners {
    let mut nat = vec![None; usize::from(u16::MAX) + 1];
    for (key, service) in image.services.iter().filter(|(_, service)| service.mode == Mode::Nat as u8) {
        nat[usize::from(service.id)] = Some(*key);
    }
    let claims = image.backends.iter().filter_map(|(id, backend)| claim(*id, backend, &nat));
    let mut claims: Vec<Claim> = claims.collect();
    claims.sort_unstable();
    // A backend with port 0 answers from every port.
    let every_port = claims.iter().filter(|claim| claim.from.port == 0);
    let every_port: HashSet<(IpAddr, u8)> =
        every_port.map(|claim| (claim.from.address, claim.from.proto)).collect();
    let mut owners = Owners::default();
    for same in claims.chunk_by(|a, b| a.from == b.from) {
        let Some(Claim { from, service, backend, to }) =
            same.iter().find(|claim| claim.from.port != 0 && claim.to.port != 0)
        else {
            continue;
        };
        let (vip, port) = (address_words(to.address), to.port.to_be());
        owners.origins.push((*from, Origin { vip, port, service: *service, backend: *backend }));
        if same.len() == 1 && !every_port.contains(&(from.address, from.proto)) {
            owners.exclusive.push(*backend);
        }
    }
    owners.exclusive.sort_unstable();
    owners
}

/// `nat` are the keys of services by their ids.
fn claim(id: u32, backend: &Backend, nat: &[Option<EntryKey>]) -> Option<Claim> {
    if backend.state == BackendState::Unused as u8 {
        return None;
    }
    let to = (*nat.get(usize::from(backend.service))?)?;
    let address = address_of(backend.addr, backend.family)?;
    let from = EntryKey { address, proto: to.proto, port: u16::from_be(backend.port) };
    Some(Claim { from, service: backend.service, backend: id, to })
}

/// The words of `OWN_ADDRESSES` that are not 0. A removed backend counts until its flows are gone.
fn own_addresses(image: &MapImage) -> BTreeMap<u32, u64> {
    let mut words = [0_u64; OWN_ADDRESS_WORDS as usize];
    let vips = image.services.keys().map(|key| address_words(key.address));
    let backends = image.backends.values().map(|backend| backend.addr);
    for address in vips.chain(image.snat_addresses.values().copied()).chain(backends) {
        let (word, bit) = address_bit(address);
        words[word as usize] |= 1 << bit;
    }
    (0..).zip(words).filter(|(_, bits)| *bits != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AdminState, Health, HealthCheck, HealthView, Protocol, Service};
    use crate::plan::Planner;
    use crate::plan::tests::{backend, config, plan, service};

    const VIP: &str = "203.0.113.10";

    fn planned(services: Vec<Service>) -> MapImage {
        plan(&mut Planner::default(), &config(services), &HealthView::default())
    }

    /// The lines about origins and backends.
    fn lines(image: &MapImage) -> Vec<String> {
        let of_interest = |line: &&str| line.starts_with("origin") || line.starts_with("backend");
        image.to_string().lines().filter(of_interest).map(str::to_owned).collect()
    }

    fn is_own(image: &MapImage, address: &str) -> bool {
        let (word, bit) = address_bit(address_words(address.parse().unwrap()));
        image.own_addresses.get(&word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    #[test]
    fn a_backend_of_one_service_only_is_exclusive_and_says_whose_it_is() {
        let web = service("web", VIP, 80, vec![backend("a", "10.0.0.1", 1)]);
        let six = service("six", "2001:db8::10", 443, vec![backend("a", "fd00::1", 1)]);
        let image = planned(vec![web, six]);
        assert_eq!(
            lines(&image),
            [
                "backend 1: 10.0.0.1:8080 active weight 1 service 1 exclusive",
                "backend 2: [fd00::1]:8080 active weight 1 service 2 exclusive",
                "origin tcp 10.0.0.1:8080: 203.0.113.10:80 service 1 backend 1",
                "origin tcp [fd00::1]:8080: [2001:db8::10]:443 service 2 backend 2",
            ]
        );
        let key = EntryKey { address: "10.0.0.1".parse().unwrap(), proto: 6, port: 8080 };
        let vip = address_words(VIP.parse().unwrap());
        assert_eq!(image.origins[&key], Origin { vip, port: 80_u16.to_be(), service: 1, backend: 1 });
    }

    #[test]
    fn backends_in_one_place_are_not_exclusive_and_the_origin_is_the_first_services() {
        let mut dns = service("dns", VIP, 80, vec![backend("a", "10.0.0.1", 1)]);
        dns.protocol = Protocol::Udp;
        let image = planned(vec![
            service("web", VIP, 80, vec![backend("a", "10.0.0.1", 1)]),
            service("alias", VIP, 81, vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1)]),
            dns,
        ]);
        assert_eq!(
            lines(&image),
            [
                "backend 1: 10.0.0.1:8080 active weight 1 service 1",
                "backend 2: 10.0.0.1:8080 active weight 1 service 2",
                "backend 3: 10.0.0.2:8080 active weight 1 service 2 exclusive",
                "backend 4: 10.0.0.1:8080 active weight 1 service 3 exclusive",
                "origin tcp 10.0.0.1:8080: 203.0.113.10:80 service 1 backend 1",
                "origin udp 10.0.0.1:8080: 203.0.113.10:80 service 3 backend 4",
                "origin tcp 10.0.0.2:8080: 203.0.113.10:81 service 2 backend 3",
            ]
        );
    }

    #[test]
    fn a_service_of_every_port_has_no_origin_and_shares_what_it_may_use() {
        let web = || service("web", VIP, 80, vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1)]);
        let exclusive = |image: &MapImage| -> Vec<u32> {
            let flagged =
                image.backends.iter().filter(|(_, backend)| backend.flags == BackendFlags::EXCLUSIVE);
            flagged.map(|(id, _)| *id).collect()
        };
        let image = planned(vec![service("all", VIP, 0, vec![backend("a", "10.0.0.1", 1)]), web()]);
        assert_eq!((exclusive(&image), image.origins.len()), (vec![3], 2));
        assert!(image.origins.values().all(|origin| origin.service == 2));

        let mut same_port = service("all", VIP, 0, vec![backend("a", "10.0.0.1", 1)]);
        same_port.backends[0].port = 0;
        let image = planned(vec![web(), same_port]);
        assert_eq!((exclusive(&image), image.origins.len()), (vec![2], 2));
    }

    #[test]
    fn full_nat_needs_no_origin() {
        let mut web = service("web", VIP, 80, vec![backend("a", "10.0.0.1", 1)]);
        web.mode = crate::model::Mode::FullNat;
        web.snat_addresses = vec!["192.0.2.1".parse().unwrap()];
        let alias = service("alias", VIP, 81, vec![backend("a", "10.0.0.1", 1)]);
        let image = planned(vec![web, alias]);
        assert_eq!((image.backends[&1].flags, image.backends[&2].flags), (0, BackendFlags::EXCLUSIVE));
        assert_eq!(image.origins.values().map(|origin| origin.backend).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_backend_keeps_its_origin_until_it_is_removed_and_its_address_until_its_flows_are_gone() {
        let mut web = service("web", VIP, 80, vec![backend("a", "10.0.0.1", 1), backend("b", "10.0.0.2", 1)]);
        web.health = Some(HealthCheck::default());
        let mut health = HealthView::default();
        let mut planner = Planner::default();
        let first = plan(&mut planner, &config(vec![web.clone()]), &health);
        health.set(&web.name, &web.backends[0].name, Health::Down);
        for state in [AdminState::Enabled, AdminState::Draining, AdminState::Disabled] {
            web.backends[1].state = state;
            let image = plan(&mut planner, &config(vec![web.clone()]), &health);
            assert_eq!(image.origins, first.origins, "{state}");
            assert!(image.backends.values().all(|backend| backend.flags == BackendFlags::EXCLUSIVE));
        }
        web.backends.remove(1);
        let none = HealthView::default();
        let image = plan(&mut Planner::restore(&first), &config(vec![web.clone()]), &none);
        assert_eq!((image.origins.len(), image.backends[&2].flags), (1, 0));
        let restarted = plan(&mut Planner::restore(&image), &config(vec![web.clone()]), &none);
        assert_eq!(restarted, MapImage { slots: restarted.slots.clone(), ..image });
        assert!(is_own(&restarted, "10.0.0.2"));

        let mut planner = Planner::restore(&restarted);
        assert!(planner.release(2));
        assert!(!is_own(&plan(&mut planner, &config(vec![web]), &none), "10.0.0.2"));
    }

    #[test]
    fn vips_snat_addresses_and_backends_are_ours_and_nothing_else() {
        let mut web = service("web", VIP, 80, vec![backend("a", "10.0.0.1", 1)]);
        web.mode = crate::model::Mode::FullNat;
        web.snat_addresses = vec!["192.0.2.1".parse().unwrap()];
        let six = service("six", "2001:db8::10", 0, vec![backend("a", "fd00::1", 1)]);
        let image = planned(vec![web, six]);
        for own in [VIP, "10.0.0.1", "192.0.2.1", "2001:db8::10", "fd00::1"] {
            assert!(is_own(&image, own), "{own}");
        }
        assert_eq!(image.own_addresses.values().map(|bits| bits.count_ones()).sum::<u32>(), 5);
        assert!(planned(Vec::new()).own_addresses.is_empty());
    }
}
