//! From the configuration to the settings of the protocol.

use ipnet::IpNet;

use super::{
    Addresses, Authentication, Checksum, Effect, Interval, Member, Peers, Preemption, Priority, Settings,
    Tracking, Versions, Vrid,
};
use crate::model::{
    InterfaceName, RouterName, Track, TrackedFile, TrackedService, VirtualRouter, VrrpChecksum,
};

/// What the data path is called, for [`Node::take_reading`](super::Node::take_reading).
pub const DATA_PATH: &str = "data path";

/// What an interface is called.
#[must_use]
pub fn tracked_interface(name: &InterfaceName) -> String {
    format!("interface {name}")
}

/// What a service is called: another one for each number of backends.
#[must_use]
pub fn tracked_service(tracked: &TrackedService) -> String {
    format!("service {} ({})", tracked.service, tracked.quorum)
}

/// What a script is called.
#[must_use]
pub fn tracked_script(name: &RouterName) -> String {
    format!("script {name}")
}

/// What a file is called.
#[must_use]
pub fn tracked_file(tracked: &TrackedFile) -> String {
    format!("file {}", tracked.path.display())
}

impl Member {
    /// The virtual router of a checked configuration; `None` if it was not checked, and is wrong.
    #[must_use]
    pub fn of(router: &VirtualRouter) -> Option<Self> {
        let centiseconds = u16::try_from(router.advert_interval.as_millis() / 10).ok()?;
        let settings = Settings {
            priority: Priority::new(router.priority),
            interval: Interval::from_centiseconds(centiseconds)?,
            versions: match (router.versions.contains(&2), router.versions.contains(&3)) {
                (true, true) => Versions::Both,
                (true, false) => Versions::V2,
                (false, _) => Versions::V3,
            },
            authentication: router
                .auth_pass
                .as_deref()
                .map_or(Authentication::None, Authentication::simple_text),
            preemption: if router.preempt {
                Preemption::After(router.preempt_delay)
            } else {
                Preemption::Never
            },
            checksum: match router.checksum {
                VrrpChecksum::Auto => Checksum::Auto,
                VrrpChecksum::Rfc9568 => Checksum::Rfc9568,
                VrrpChecksum::Rfc5798 => Checksum::Rfc5798,
            },
            peers: match &router.unicast_peers[..] {
                [] => Peers::Multicast,
                peers => Peers::Unicast { peers: peers.to_vec(), least_hop_limit: router.min_ttl },
            },
            ..Settings::new(Vrid::new(router.virtual_router_id)?, addresses(&router.virtual_addresses))
        };
        Some(Self {
            interface: router.interface.clone(),
            settings,
            tracking: tracking(router),
            group: router.sync_group.as_ref().map(ToString::to_string),
        })
    }
}

fn tracking(router: &VirtualRouter) -> Tracking {
    let Track { interfaces, services, scripts, files, data_path } = &router.track;
    let mut objects = vec![(tracked_interface(&router.interface), Effect::Fault)];
    let of = Effect::of_weight;
    objects
        .extend(interfaces.iter().map(|tracked| (tracked_interface(&tracked.interface), of(tracked.weight))));
    objects.extend(services.iter().map(|tracked| (tracked_service(tracked), of(tracked.weight))));
    objects.extend(scripts.iter().map(|tracked| (tracked_script(&tracked.name), of(tracked.weight))));
    objects.extend(files.iter().map(|tracked| (tracked_file(tracked), Effect::Times(tracked.weight))));
    objects.extend(data_path.then(|| (DATA_PATH.to_owned(), Effect::Fault)));
    Tracking::new(objects)
}

fn addresses(networks: &[IpNet]) -> Addresses {
    let v6: Vec<_> = networks
        .iter()
        .filter_map(|network| match network {
            IpNet::V6(network) => Some(network.addr()),
            IpNet::V4(_) => None,
        })
        .collect();
    let v4 = networks.iter().filter_map(|network| match network {
        IpNet::V4(network) => Some(network.addr()),
        IpNet::V6(_) => None,
    });
    if v6.is_empty() { Addresses::V4(v4.collect()) } else { Addresses::V6(v6) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::RouterName,
        vrrp::{Node, Version},
    };

    fn router(id: u8, address: &str) -> VirtualRouter {
        let name = RouterName::new(format!("r{id}")).unwrap();
        let mut router = VirtualRouter::new(name, InterfaceName::new("eth0").unwrap(), id);
        router.virtual_addresses = vec![address.parse().unwrap()];
        router
    }

    #[test]
    fn defaults_are_those_of_the_protocol() {
        let member = Member::of(&router(51, "192.0.2.10/24")).unwrap();
        let v4 = Addresses::V4(vec!["192.0.2.10".parse().unwrap()]);
        assert_eq!(member.settings, Settings::new(Vrid::new(51).unwrap(), v4));
        let tracked: Vec<_> =
            member.tracking.iter().map(|(name, tracked, _)| (name, tracked.effect())).collect();
        assert_eq!(tracked, [(DATA_PATH, Effect::Fault), ("interface eth0", Effect::Fault)]);
    }

    #[test]
    fn every_key_has_its_setting() {
        let mut router = router(51, "192.0.2.10/24");
        router.priority = 150;
        router.advert_interval = Duration::from_millis(250);
        router.versions = vec![2, 3];
        router.auth_pass = Some("secret".into());
        router.preempt_delay = Duration::from_secs(5);
        router.checksum = VrrpChecksum::Rfc9568;
        router.unicast_peers = vec!["192.0.2.3".parse().unwrap()];
        router.min_ttl = 250;
        router.sync_group = Some(RouterName::new("nat").unwrap());
        let Member { settings, group, .. } = Member::of(&router).unwrap();
        assert_eq!(settings.priority, Priority::new(150));
        assert_eq!(settings.interval.centiseconds(), 25);
        assert_eq!(settings.versions.sent(), [Version::V3, Version::V2]);
        assert_eq!(settings.authentication, Authentication::simple_text("secret"));
        assert_eq!(settings.preemption, Preemption::After(Duration::from_secs(5)));
        assert_eq!(settings.checksum, Checksum::Rfc9568);
        let peers = router.unicast_peers.clone();
        assert_eq!(settings.peers, Peers::Unicast { peers, least_hop_limit: 250 });
        assert_eq!(group.as_deref(), Some("nat"));
        router.preempt = false;
        assert_eq!(Member::of(&router).unwrap().settings.preemption, Preemption::Never);
        assert!(Node::new(Member::of(&router)).is_ok());
    }
}
