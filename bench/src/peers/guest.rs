//! IPVS beside ours, in a guest with Debian's kernel 6.1.
//!
//! An emulated processor has no caches and no honest clock, but it can count: in this guest a nanosecond is an instruction
//! (QEMU's `-icount`). What is measured is the number of instructions that the guest executes for a packet, from the interrupt of one
//! network card to the doorbell of the other. It does not depend on what else the machine does, and two runs give the same.

mod forwarders;
mod traffic;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lb_tests::{
    config::Mode,
    guest::{self, Clock, Hardware, Image, Network, daemon::Program},
    inject,
    servers::EchoServer,
};

use crate::{
    finding::{Findings, Row, Target},
    part::Run,
    statistics::median,
};
use forwarders::{Forwarder, start_lbd};
use traffic::Traffic;

/// Answers before a measurement: flows get established.
const WARM_UP: u64 = 256;

/// Measures in the guest. Where there can be none, the findings say why.
///
/// # Errors
///
/// If the guest does not boot or does not forward.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    if let Err(reason) = guest::available() {
        return Ok(Findings::nothing(format!("IPVS: {reason:#}")));
    }
    let (rounds, count) = (run.depth.pick(9, 3), run.depth.pick(10_000, 3_000));
    let of = rounds * Forwarder::ALL.len() + 1;
    run.step("guest with kernel 6.1: boot", 0, of);
    // One processor: its work is that of the one core that forwards. Two queues: XDP sends from one of its own.
    let hardware = Hardware { processors: 1, queues: 2, clock: Clock::Instructions, ..Hardware::default() };
    let network = Network::build(&Image::build()?, &hardware)?;
    let _server = EchoServer::start(&network.server)?;
    know_neighbours(&network)?;
    let flows = Forwarder::ALL.map(|way| Traffic::open(&network.client, way.target(&network)));
    let flows = flows.into_iter().collect::<Result<Vec<_>>>()?;
    let ours = start_lbd(&network)?.end()?;
    network.kernel_forwarding(true)?;
    let mut costs: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        for (index, way) in Forwarder::ALL.into_iter().enumerate() {
            let done = round * Forwarder::ALL.len() + index + 1;
            run.step(&format!("guest with kernel 6.1: {way:?}"), done, of);
            let cost = measure(&network, &ours, way, &flows[index], count);
            costs.entry(index).or_default().push(cost.with_context(|| format!("{way:?} in the guest"))?);
        }
    }
    let mut found = findings(&costs.into_values().collect::<Vec<_>>(), network.machine.release());
    for (index, way) in Forwarder::ALL.into_iter().enumerate() {
        if let Forwarder::Ours(mode) = way {
            let alone = measure_program(&network, &ours, way, &flows[index], count)?;
            found.rows.extend(apart(mode.name(), alone, &found.rows));
        }
    }
    Ok(found)
}

/// What our program takes alone, and what is left for the driver and the kernel: the bound for every XDP program there.
fn apart(mode: &str, alone: f64, rows: &[Row]) -> Vec<Row> {
    let program = Row::new(format!("guest, packet: {mode} without driver and kernel"), "instructions", alone);
    let whole = rows.iter().find(|row| row.what == format!("guest, packet: {mode} / IPVS"));
    let rest = whole.and_then(|row| Some((row.ours - alone, row.floor?)));
    let rest = rest.map(|(rest, ipvs)| {
        Row::new(format!("guest, packet: driver and kernel of {mode} / IPVS"), "instructions", rest)
            .against(ipvs)
            .note("the bound")
    });
    [program].into_iter().chain(rest).collect()
}

/// Instructions of our program alone for each packet.
fn measure_program(
    network: &Network,
    ours: &Program<'_>,
    way: Forwarder,
    flows: &Traffic,
    count: u64,
) -> Result<f64> {
    let (before, after, _) = exchange(network, ours, way, (flows, count), || ours.runs())?;
    ours.stop_counting()?;
    Ok((after.time - before.time) as f64 / (after.count - before.count).max(1) as f64)
}

/// Instructions for each forwarded packet.
fn measure(
    network: &Network,
    ours: &Program<'_>,
    way: Forwarder,
    flows: &Traffic,
    count: u64,
) -> Result<f64> {
    // The second question tells what it takes to ask.
    let ask = || Ok((network.machine.usage()?, network.machine.usage()?));
    let ((start, before), (after, _), answers) = exchange(network, ours, way, (flows, count), ask)?;
    let work = after.busy_since(&before).saturating_sub(before.busy_since(&start));
    // A question and an answer.
    Ok(work as f64 / (2 * answers) as f64)
}

/// Sends questions a way; what a look at the guest said before and after, and the number of answers.
fn exchange<T>(
    network: &Network,
    ours: &Program<'_>,
    way: Forwarder,
    (flows, count): (&Traffic, u64),
    look: impl Fn() -> Result<T>,
) -> Result<(T, T, u64)> {
    way.set_up(network, ours)?;
    flows.exchange(WARM_UP)?;
    let before = look()?;
    let answers = flows.exchange(count)?;
    let after = look()?;
    way.remove(network, ours)?;
    Ok((before, after, answers))
}

/// Neighbours that never have to be asked for again.
fn know_neighbours(network: &Network) -> Result<()> {
    let mac = |netns| -> Result<String> {
        let bytes = inject::mac(netns, "eth0")?;
        Ok(bytes.map(|byte| format!("{byte:02x}")).join(":"))
    };
    let server = mac(&network.server.netns)?;
    let client = mac(&network.client)?;
    let mut script =
        format!("/sbin/ip neigh replace {} lladdr {server} nud permanent dev eth1\n", network.server.v4);
    for address in lb_tests::topology::addresses::clients(lb_tests::topology::Family::V4) {
        script += &format!("/sbin/ip neigh replace {address} lladdr {client} nud permanent dev eth0\n");
    }
    network.machine.sh(&script).map(drop)
}

/// Costs in the order of [`Forwarder::ALL`], one for each round.
fn findings(costs: &[Vec<f64>], release: &str) -> Findings {
    let of = |way: Forwarder| {
        let index = Forwarder::ALL.iter().position(|other| *other == way).unwrap_or_default();
        costs[index].as_slice()
    };
    let row = |name: &str, way: Forwarder, floor_name: &str, floor: Forwarder| {
        let ratios: Vec<f64> = of(way).iter().zip(of(floor)).map(|(ours, floor)| ours / floor).collect();
        Row::new(format!("guest, packet: {name} / {floor_name}"), "instructions", median(of(way)))
            .paired(median(of(floor)), median(&ratios))
    };
    let (nat, full_nat) = (Forwarder::Ours(Mode::Nat), Forwarder::Ours(Mode::FullNat));
    let quarter = Target::RatioAtMost(0.25);
    let rows = vec![
        row("nat", nat, "IPVS", Forwarder::Ipvs).target(quarter),
        row("full-nat", full_nat, "IPVS", Forwarder::Ipvs).target(quarter),
        row("nat", nat, "nftables DNAT", Forwarder::Nftables).target(quarter),
        row("nat", nat, "plain forwarding", Forwarder::Plain),
        row("IPVS", Forwarder::Ipvs, "plain forwarding", Forwarder::Plain),
        row("nftables DNAT", Forwarder::Nftables, "plain forwarding", Forwarder::Plain),
    ];
    let note = format!(
        "Guest: Debian's kernel {release} in QEMU without hardware virtualisation, one processor, virtio network cards \
         with two queues and no offloads, UDP over 64 established flows. The figures are instructions that the guest \
         executes for a packet, the driver's included, which is most of ours; caches and the emulated cards cost nothing \
         there. lbd is not running meanwhile. What our program takes alone is what the kernel counts of its runs \
         (kernel.bpf_stats_enabled), with some dozens of instructions for the counting."
    );
    Findings { rows, notes: vec![note], ..Findings::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_paired_by_rounds() {
        let costs = [
            vec![100.0, 100.0, 100.0],
            vec![400.0, 800.0, 400.0],
            vec![500.0; 3],
            vec![80.0, 160.0, 90.0],
            vec![100.0; 3],
        ];
        let found = findings(&costs, "6.1");
        assert_eq!((found.rows[0].ratio, found.rows[0].ok), (Some(0.2), Some(true)));
        assert_eq!((found.rows[0].ours, found.rows[0].floor), (90.0, Some(400.0)));
        assert_eq!(found.rows[4].ratio, Some(4.0));
    }
}
