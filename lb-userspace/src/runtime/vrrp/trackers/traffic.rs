//! Traffic: whether packets for the VIPs arrive at a machine that has announced them.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;

use super::{Finding, Outbox};
use crate::{
    control::{Handle, Snapshot},
    maps::{Counters, Totals},
    model::RouterName,
    runtime::{
        Clock,
        vrrp::{RouterStatus, StatusBoard},
    },
};

/// Between two looks. Nothing is looked at while nobody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Packets of clients for the services of each VIP.
type Packets = HashMap<IpAddr, u64>;

/// Looks again and again.
pub(super) async fn follow(
    counters: Counters,
    board: StatusBoard,
    control: Handle,
    clock: Clock,
    findings: Outbox,
) {
    let mut watched = Watched::default();
    let mut is_failing = false;
    while !findings.is_closed() {
        clock.sleep_until(Some(clock.now() + LOOK_EVERY)).await;
        let routers = board.snapshot().routers;
        if routers.iter().all(|router| router.awaits_traffic.is_none()) {
            watched = Watched::default();
            continue;
        }
        match counters.read_services() {
            Ok(totals) => {
                is_failing = false;
                let waiting: Vec<Waiting> = routers.iter().filter_map(Waiting::of).collect();
                let arrived = watched.look(&waiting, &packets(&control.snapshot(), &totals));
                for (router, begun) in arrived {
                    // Without a receiver, VRRP has ended.
                    drop(findings.send(Finding::Traffic { router, begun }));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "VRRP cannot see whether packets for the VIPs arrive");
                }
            }
        }
    }
}

fn packets(snapshot: &Snapshot, totals: &Totals) -> Packets {
    let mut packets = Packets::new();
    for service in &snapshot.services {
        *packets.entry(service.desired.address).or_default() += totals.service(service.id).packets_in;
    }
    packets
}

/// A virtual router that waits for packets for its VIPs.
#[derive(Clone, Debug)]
struct Waiting {
    router: RouterName,
    begun: u64,
    vips: Vec<IpAddr>,
}

impl Waiting {
    fn of(status: &RouterStatus) -> Option<Self> {
        let vips = status.router.virtual_addresses.iter().map(IpNet::addr).collect();
        Some(Self { router: status.router.name.clone(), begun: status.awaits_traffic?, vips })
    }
}

/// What there was when virtual routers began to announce.
#[derive(Debug, Default)]
struct Watched(BTreeMap<RouterName, (u64, Packets)>);

impl Watched {
    /// The routers for all of whose VIPs packets have arrived since, with the number of their announcing. A VIP without a service shows nothing,
    /// and neither does a router that has no other.
    fn look(&mut self, waiting: &[Waiting], packets: &Packets) -> Vec<(RouterName, u64)> {
        let (mut arrived, mut kept) = (Vec::new(), BTreeMap::new());
        for Waiting { router, begun, vips } in waiting {
            let present: Packets = vips.iter().filter_map(|vip| Some((*vip, *packets.get(vip)?))).collect();
            let before = self.0.remove(router).filter(|(number, _)| number == begun);
            let before = before.map_or_else(|| present.clone(), |(_, before)| before);
            let has_risen =
                |(vip, packets): (&IpAddr, &u64)| before.get(vip).is_some_and(|before| packets > before);
            if !present.is_empty() && present.iter().all(has_risen) {
                arrived.push((router.clone(), *begun));
            }
            kept.insert(router.clone(), (*begun, before));
        }
        self.0 = kept;
        arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIPS: [IpAddr; 2] = [
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
    ];

    fn waiting(begun: u64, vips: &[IpAddr]) -> [Waiting; 1] {
        [Waiting { router: RouterName::new("outside").unwrap(), begun, vips: vips.to_vec() }]
    }

    /// Whether packets have arrived, by how many there are for each VIP.
    fn arrived(watched: &mut Watched, waiting: &[Waiting], packets: [u64; 2]) -> bool {
        !watched.look(waiting, &VIPS.into_iter().zip(packets).collect()).is_empty()
    }

    #[test]
    fn packets_from_before_the_announcement_do_not_count() {
        let mut watched = Watched::default();
        assert!(!arrived(&mut watched, &waiting(1, &VIPS[..1]), [5, 0]));
        assert!(!arrived(&mut watched, &waiting(1, &VIPS[..1]), [5, 9]), "for another VIP");
        assert!(arrived(&mut watched, &waiting(1, &VIPS[..1]), [6, 9]));
        assert!(!arrived(&mut watched, &waiting(2, &VIPS[..1]), [7, 9]), "it is announced again since");
        assert!(arrived(&mut watched, &waiting(2, &VIPS[..1]), [8, 9]));
    }

    #[test]
    fn packets_have_to_arrive_for_all_vips_that_have_services() {
        let mut watched = Watched::default();
        let without_service: IpAddr = [192, 0, 2, 3].into();
        let all = waiting(1, &[VIPS[0], VIPS[1], without_service]);
        assert!(!arrived(&mut watched, &all, [0, 0]));
        assert!(!arrived(&mut watched, &all, [3, 0]));
        assert!(arrived(&mut watched, &all, [3, 1]));
        let other = waiting(1, &[without_service]);
        assert!(!arrived(&mut watched, &other, [3, 1]) && !arrived(&mut watched, &other, [9, 9]));
    }
}
