//! Destination NAT by nftables.

use std::{fmt::Write as _, io::Write as _, net::IpAddr, process::Stdio};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    netns::Netns,
    topology::{Family, Topology, addresses},
};

/// Installs rules that spread the connections to a port of the VIP evenly over the servers.
pub(super) fn install(topology: &Topology, port: u16) -> Result<()> {
    let netns = &topology.balancer;
    load(netns, &rules(topology, port))?;
    // Frames of the generator carry no sequence numbers that fit.
    netns.sysctl("net/netfilter/nf_conntrack_tcp_be_liberal", "1")?;
    // On a network card that verifies checksums conntrack need not; on a veth it would.
    netns.sysctl("net/netfilter/nf_conntrack_checksum", "0")?;
    // The limit of entries is the machine's, not the namespace's: closed connections must not use it up.
    netns.sysctl("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "2")
}

fn rules(topology: &Topology, port: u16) -> String {
    let mut rules =
        String::from("table inet lb {\n chain pre {\n  type nat hook prerouting priority dstnat;\n");
    for family in Family::ALL {
        let word = if family == Family::V4 { "ip" } else { "ip6" };
        let vip: IpAddr = addresses::vip(family, 0);
        let servers = topology.servers.iter().enumerate();
        let map: Vec<String> =
            servers.map(|(number, host)| format!("{number} : {}", host.address(family))).collect();
        for protocol in ["tcp", "udp"] {
            // Writing to a string cannot fail.
            let _ = writeln!(
                rules,
                "  {word} daddr {vip} {protocol} dport {port} dnat {word} to numgen inc mod {} map {{ {} }}",
                map.len(),
                map.join(", ")
            );
        }
    }
    rules + " }\n}\n"
}

fn load(netns: &Netns, rules: &str) -> Result<()> {
    let mut command = std::process::Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut nft = netns.spawn(&mut command).context("nft comes with Debian's package nftables")?;
    nft.stdin.take().context("no pipe to nft")?.write_all(rules.as_bytes())?;
    let output = nft.wait_with_output()?;
    ensure!(output.status.success(), "nft: {}\n{rules}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
