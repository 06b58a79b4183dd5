//! The scan of the flow tables.

use std::{io, ops::ControlFlow, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_common::{
    abi::{Flow, FlowKey},
    maps as names,
};
use lb_tests::large::{
    Large, Size,
    flows::{OF_A_CLIENT, client, fill},
};
use lb_userspace::{
    api::{FlowFilter, GroupBy},
    flows::{self, FlowMaps, Scanner, scan_threads},
    sys::bpf::{Map, Part, in_parts},
};

use crate::{
    finding::{Findings, Row, Target},
    part::Depth,
    statistics::{median, milliseconds, timed},
};

/// Connections in the table; each has two entries.
const CONNECTIONS: u32 = 1_000_000;
/// Services and backends that own them.
const OWNERS: Size = Size { services: 10, backends: 10 };

pub(super) fn measure(depth: Depth, findings: &mut Findings) -> Result<()> {
    let mut large = Large::prepare(OWNERS, "connections_v4 = 1048576")?;
    large.start()?;
    // Its own scans would disturb; what is pinned stays.
    large.daemon.terminate()?;
    let pins = large.pins();
    let table = Map::open(&pins.join(names::FLOWS_V4)).context("open the flow table")?;
    let tick = fill(&table, OWNERS, CONNECTIONS)?;
    let maps = FlowMaps::open(&pins)?;
    let mut scanner = Scanner::default();
    let (mut times, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..depth.pick(15, 7) {
        let (floor, read) = timed(|| read(&table));
        let read = read.context("read the flow table")?;
        ensure!(read == 2 * CONNECTIONS as usize, "{read} entries were read");
        let (took, report) = timed(|| scanner.scan(&maps, tick));
        let report = report.context("scan the flow tables")?;
        let live: u64 = report.flows.values().map(|counts| counts.established).sum();
        ensure!(live == u64::from(CONNECTIONS) && report.deleted == 0, "{live} live flows were seen");
        times.push(milliseconds(took));
        floors.push(milliseconds(floor));
        ratios.push(took.as_secs_f64() / floor.as_secs_f64());
    }
    findings.rows.push(
        Row::new("1 000 000 flows scanned for expiry", "ms", median(&times))
            .paired(median(&floors), median(&ratios))
            .target(Target::AtMost(300.0))
            .note(format!(
                "2 000 000 entries, as each flow has one for each direction; by {} threads. Floor: as many threads that only have the \
                 kernel copy them",
                scan_threads()
            )),
    );
    listed(&maps, tick, findings)
}

/// What is asked about the flows, and how many of them are ended.
fn listed(maps: &FlowMaps, tick: u32, findings: &mut Findings) -> Result<()> {
    let of_one = OF_A_CLIENT as usize;
    let address = client(CONNECTIONS / 2);
    let one =
        FlowFilter { client: Some(format!("{address}/32").parse()?), limit: 1000, ..FlowFilter::default() };
    let all = FlowFilter { limit: 20, ..FlowFilter::default() };
    let mut row = |what: &str, took: Duration, limit| {
        findings.rows.push(Row::new(what, "ms", milliseconds(took)).target(Target::AtMost(limit)));
    };
    let (took, found) = timed(|| flows::list(maps, tick, &one));
    ensure!(found?.flows.len() == of_one, "one client has 256 of the flows");
    row("one client's flows of 1 000 000 listed", took, 2000.0);
    for (what, by) in [
        ("top: 1 000 000 flows put together by client", GroupBy::Client),
        ("top: 1 000 000 flows put together by client prefix", GroupBy::ClientPrefix(24, 64)),
        ("top: 1 000 000 flows put together by backend", GroupBy::Backend),
    ] {
        let (took, tally) = timed(|| flows::top(maps, tick, by, &all));
        ensure!(tally?.established == u64::from(CONNECTIONS), "all flows are counted");
        row(what, took, 2000.0);
    }
    let (took, ended) = timed(|| flows::kill(maps, tick, &one, false));
    ensure!(ended?.reset == u64::from(OF_A_CLIENT), "one client's flows are ended");
    row("one client's flows of 1 000 000 ended", took, 2000.0);
    let (took, ended) = timed(|| flows::kill(maps, tick, &FlowFilter::default(), false));
    ensure!(ended?.reset == u64::from(CONNECTIONS - OF_A_CLIENT), "all other flows are ended");
    row("1 000 000 flows ended", took, 10_000.0);
    Ok(())
}

/// Has the kernel copy all entries, by as many threads as a scan has; their number.
fn read(table: &Map) -> io::Result<usize> {
    let cuts = table.cuts::<FlowKey<u32>, Flow<u32>>(scan_threads())?;
    let read = |part: Part<'_>| {
        let mut read = 0;
        table.scan_part::<FlowKey<u32>, Flow<u32>>(part, |chunk| {
            read += chunk.iter::<FlowKey<u32>, Flow<u32>>().count();
            ControlFlow::Continue(())
        })?;
        Ok(read)
    };
    Ok(in_parts(&cuts, read)?.iter().sum())
}
