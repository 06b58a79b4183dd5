//! The harness tested on its own, with the kernel forwarding in the balancer's place.

use lb_tests::{
    require_privileged,
    topology::{Arms, Plan, Topology},
};

#[test]
fn every_part_of_the_network_reaches_every_other() {
    require_privileged!();
    for arms in [Arms::One, Arms::Two] {
        let plan = Plan { arms, servers: 2, narrow: true, kernel_forwarding: true };
        let topology = Topology::build(plan).unwrap();
        for host in topology.servers.iter().chain(&topology.far) {
            topology.client.wait_reachable(host.v4.into()).unwrap();
            topology.client.wait_reachable(host.v6.into()).unwrap();
        }
    }
}
