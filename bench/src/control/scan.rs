//! The scan of the flow tables.

use std::{io, net::Ipv4Addr, ops::ControlFlow};

use anyhow::{Context, Result, ensure};
use lb_common::{
    abi::{Flow, FlowFlags, FlowKey, FlowState, ticks_from_nanos},
    maps,
};
use lb_tests::large::{Large, Size};
use lb_userspace::{
    flows::{FlowMaps, Scanner, scan_threads},
    sys::bpf::{Map, Part, in_parts},
};
use nix::time::{ClockId, clock_gettime};

use crate::{
    finding::{Findings, Row, Target},
    part::Depth,
    statistics::{median, milliseconds, timed},
};

/// Connections in the table; each has two entries.
const CONNECTIONS: u32 = 1_000_000;
/// Connections written with one system call.
const CHUNK: u32 = 1 << 13;
/// Services and backends that own them.
const OWNERS: Size = Size { services: 10, backends: 10 };

pub(super) fn measure(depth: Depth, findings: &mut Findings) -> Result<()> {
    let mut large = Large::prepare(OWNERS, "connections_v4 = 1048576")?;
    large.start()?;
    // Its own scans would disturb; what is pinned stays.
    large.daemon.terminate()?;
    let pins = large.pins();
    let table = Map::open(&pins.join(maps::FLOWS_V4)).context("open the flow table")?;
    let tick = tick()?;
    for first in (0..CONNECTIONS).step_by(CHUNK as usize) {
        let chunk = (first..CONNECTIONS.min(first + CHUNK)).flat_map(|number| connection(number, tick));
        let (keys, values): (Vec<FlowKey<u32>>, Vec<Flow<u32>>) = chunk.unzip();
        table.update_batch(&keys, &values).context("fill the flow table")?;
    }
    let flows = FlowMaps::open(&pins)?;
    let mut scanner = Scanner::default();
    let (mut times, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..depth.pick(15, 7) {
        let (floor, read) = timed(|| read(&table));
        let read = read.context("read the flow table")?;
        ensure!(read == 2 * CONNECTIONS as usize, "{read} entries were read");
        let (took, report) = timed(|| scanner.scan(&flows, tick));
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

fn tick() -> Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(ticks_from_nanos(u64::try_from(now.tv_sec())? * 1_000_000_000 + u64::try_from(now.tv_nsec())?))
}

/// Both entries of an established connection.
fn connection(number: u32, tick: u32) -> [(FlowKey<u32>, Flow<u32>); 2] {
    let wire = |address: u32| u32::from_ne_bytes(Ipv4Addr::from(address).octets());
    let backend = number % OWNERS.total();
    let service = backend / OWNERS.backends;
    let (client, vip) = (wire(0x6440_0000 + (number >> 8)), wire(0xcb00_0001 + service));
    let client_port = (40_000 + u16::from(number.to_le_bytes()[0])).to_be();
    let key =
        FlowKey { src: client, dst: vip, sport: client_port, dport: 80_u16.to_be(), proto: 6, pad: [0; 3] };
    let forward = Flow {
        src: client,
        dst: wire(0x0a00_0002 + backend),
        sport: client_port,
        dport: 8080_u16.to_be(),
        backend: backend + 1,
        last_seen: tick,
        service: u16::try_from(service + 1).unwrap_or_default(),
        state: FlowState::Established as u8,
        ..Flow::default()
    };
    let reverse = Flow {
        src: vip,
        dst: client,
        sport: 80_u16.to_be(),
        dport: client_port,
        flags: FlowFlags::REVERSE,
        ..forward
    };
    [(key, forward), (forward.twin_key(6), reverse)]
}
