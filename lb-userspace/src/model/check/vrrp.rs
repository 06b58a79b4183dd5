//! The rules of virtual routers.

use std::net::IpAddr;
use std::time::Duration;

use super::{Found, absolute, vrrp_track, within};
use crate::model::{
    AddressKind, InterfaceName, Notify, Path, Problem, ServiceName, VirtualRouter, address_kind,
};

/// Most addresses of an advert.
const MAX_ADDRESSES: u64 = 255;
/// Longest password of version 2.
const MAX_PASSWORD: usize = 8;
/// Milliseconds.
const INTERVALS_V2: (u64, u64) = (1_000, 255_000);
const INTERVALS_V3: (u64, u64) = (10, 40_950);

/// All that is wrong.
pub(super) fn check(
    routers: &[VirtualRouter],
    interfaces: &[InterfaceName],
    services: &[&ServiceName],
    found: &mut Found,
) {
    let root = Path::root().key("vrrp");
    for (index, router) in routers.iter().enumerate() {
        let path = root.index(index);
        let others = &routers[..index];
        if let Some(first) = others.iter().position(|other| other.name == router.name) {
            let problem =
                Problem::Duplicate { first: root.index(first).key("name"), expected: "a name of its own" };
            found.add(path.key("name"), &router.name, problem);
        }
        let place =
            |router: &VirtualRouter| (router.interface.clone(), router.is_v4(), router.virtual_router_id);
        if let Some(first) = others.iter().position(|other| place(other) == place(router)) {
            let first = root.index(first).key("virtual_router_id");
            let expected = "another number for each virtual router of an interface and address family";
            found.add(
                path.key("virtual_router_id"),
                router.virtual_router_id,
                Problem::Duplicate { first, expected },
            );
        }
        protocol(router, &path, found);
        addresses(router, others, &path, found);
        if router.virtual_mac && !interfaces.contains(&router.interface) {
            let expected =
                "an interface of `interfaces`: the program there takes frames to the virtual MAC address"
                    .to_owned();
            let what = "one that may have `virtual_mac`";
            found.add(path.key("interface"), &router.interface, Problem::Not { what, expected });
        }
        peers(router, &path, found);
        vrrp_track::check(routers, index, services, found);
        notify(router, &path, found);
    }
}

fn protocol(router: &VirtualRouter, path: &Path, found: &mut Found) {
    found
        .range(
            path.key("virtual_router_id"),
            router.virtual_router_id,
            (1, 255),
            "a number of a virtual router",
        )
        .range(path.key("priority"), router.priority, (1, 255), "a priority");
    let mut versions = router.versions.clone();
    versions.sort_unstable();
    if !matches!(versions[..], [2 | 3] | [2, 3]) {
        let problem = Problem::Not { what: "a list of versions", expected: "[3], [2] or [2, 3]".to_owned() };
        found.add(path.key("versions"), format_args!("{:?}", router.versions), problem);
    }
    let (bounds, step, expected) = if versions == [2] {
        (INTERVALS_V2, 1000, "\"1s\" to \"255s\" in whole seconds, as version 2 has it")
    } else {
        (INTERVALS_V3, 10, "\"10ms\" to \"40950ms\" in steps of 10 ms")
    };
    let interval = router.advert_interval;
    let path_of_interval = path.key("advert_interval");
    if interval.as_nanos().is_multiple_of(step * 1_000_000) {
        within(interval, bounds, expected, path_of_interval, found);
    } else {
        let problem =
            Problem::Not { what: "an interval that adverts can name", expected: expected.to_owned() };
        found.add(path_of_interval, format_args!("{interval:?}"), problem);
    }
    if let Some(password) = &router.auth_pass {
        let path = path.key("auth_pass");
        if versions == [3] {
            let when = "in version 3, which has no authentication".to_owned();
            found.add(path, "(a password)", Problem::Meaningless { when });
        } else if password.is_empty() || password.len() > MAX_PASSWORD {
            let expected = format!("1 to {MAX_PASSWORD} bytes");
            found.add(path, "(a password)", Problem::Not { what: "one that fits into a packet", expected });
        }
    }
    let delay = path.key("preempt_delay");
    if !router.preempt && !router.preempt_delay.is_zero() {
        let when = "with `preempt = false`".to_owned();
        found.add(delay, format_args!("{:?}", router.preempt_delay), Problem::Meaningless { when });
    } else if router.preempt_delay > Duration::from_secs(1000) {
        within(router.preempt_delay, (0, 1_000_000), "\"0s\" to \"1000s\"", delay, found);
    }
}

fn addresses(router: &VirtualRouter, others: &[VirtualRouter], path: &Path, found: &mut Found) {
    let path = path.key("virtual_addresses");
    let count = router.virtual_addresses.len() as u64;
    if count == 0 {
        let (why, expected) =
            ("a virtual router without a VIP is of no use", "a list of one or more addresses");
        found.add(path.clone(), "", Problem::Missing { why, expected });
        return;
    }
    found.range(path.clone(), count, (1, MAX_ADDRESSES), "a number of addresses");
    let is_v4 = router.virtual_addresses[0].addr().is_ipv4();
    for (index, network) in router.virtual_addresses.iter().enumerate() {
        let (path, address) = (path.index(index), network.addr());
        if address.is_ipv4() != is_v4 {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            let expected =
                format!("one of the family of the first ({family}); another [[vrrp]] for the other family");
            found.add(path, network, Problem::Not { what: "of the right family", expected });
            continue;
        }
        let kind = address_kind(address);
        if kind != AddressKind::Unicast && !is_link_local(address) {
            found.add(path.clone(), network, Problem::AddressKind { kind });
        }
        let earlier = router.virtual_addresses[..index].iter();
        let elsewhere = others.iter().flat_map(|other| &other.virtual_addresses);
        if earlier.chain(elsewhere).any(|other| other.addr() == address && !is_link_local(address)) {
            let expected = "each address once".to_owned();
            found.add(path, network, Problem::Not { what: "used only here", expected });
        }
    }
    if !is_v4 {
        if router.versions.contains(&2) {
            let expected = "IPv4 addresses, or `versions = [3]`".to_owned();
            found.add(
                path.clone(),
                router.virtual_addresses[0],
                Problem::Not { what: "known to version 2", expected },
            );
        }
        if !is_link_local(router.virtual_addresses[0].addr()) {
            let expected = "an address in fe80::/10 before the others (RFC 9568 section 5.2.9)".to_owned();
            found.add(
                path.index(0),
                router.virtual_addresses[0],
                Problem::Not { what: "link-local", expected },
            );
        }
    }
}

fn peers(router: &VirtualRouter, path: &Path, found: &mut Found) {
    for (index, peer) in router.unicast_peers.iter().enumerate() {
        let path = path.key("unicast_peers").index(index);
        if peer.is_ipv4() != router.is_v4() {
            let family = if router.is_v4() { "IPv4" } else { "IPv6" };
            found.add(path, peer, Problem::Family { family });
        } else if router.unicast_peers[..index].contains(peer) {
            let expected = "each peer once".to_owned();
            found.add(path, peer, Problem::Not { what: "new", expected });
        }
    }
    if router.unicast_peers.is_empty() && router.min_ttl != 255 {
        let when = "without `unicast_peers`".to_owned();
        found.add(path.key("min_ttl"), router.min_ttl, Problem::Meaningless { when });
    }
    found.range(path.key("min_ttl"), router.min_ttl, (1, 255), "a TTL");
}

fn notify(router: &VirtualRouter, path: &Path, found: &mut Found) {
    let Some(Notify { program, timeout }) = &router.notify else { return };
    let of_program = path.key("notify");
    absolute(&program.path, of_program.index(0), found);
    vrrp_track::arguments(&program.args, &of_program, found);
    vrrp_track::user(&program.user, path.key("notify_user"), found);
    within(*timeout, (100, 60_000), "\"100ms\" to \"60s\"", path.key("notify_timeout"), found);
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
