//! Very many flows, put into the flow table by hand.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use lb_common::abi::{Flow, FlowFlags, FlowKey, FlowState, ticks_from_nanos};
use lb_userspace::sys::bpf::Map;
use nix::time::{ClockId, clock_gettime};

use super::Size;

/// Connections that are written with one system call.
const CHUNK: u32 = 1 << 13;
/// The first client, and how many connections each has.
const FIRST_CLIENT: u32 = 0x6440_0000;
/// Connections of each client.
pub const OF_A_CLIENT: u32 = 256;

/// Puts established connections into the table `FLOWS_V4` as if each had just had a packet, spread evenly over the backends of an `lbd` that was started with
/// services and backends of this size and nothing else; the tick of those packets.
///
/// # Errors
///
/// If the table does not take them.
pub fn fill(table: &Map, size: Size, count: u32) -> Result<u32> {
    let tick = tick()?;
    for first in (0..count).step_by(CHUNK as usize) {
        let numbers = first..count.min(first + CHUNK);
        let entries = numbers.flat_map(|number| connection(size, number, tick));
        let (keys, values): (Vec<FlowKey<u32>>, Vec<Flow<u32>>) = entries.unzip();
        table.update_batch(&keys, &values).context("fill the flow table")?;
    }
    Ok(tick)
}

/// The address of the client of a connection; those of [`OF_A_CLIENT`] numbers in a row are the same.
#[must_use]
pub fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST_CLIENT + number / OF_A_CLIENT)
}

fn tick() -> Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(ticks_from_nanos(u64::try_from(now.tv_sec())? * 1_000_000_000 + u64::try_from(now.tv_nsec())?))
}

/// Both entries of an established connection.
fn connection(size: Size, number: u32, tick: u32) -> [(FlowKey<u32>, Flow<u32>); 2] {
    let wire = |address: Ipv4Addr| u32::from_ne_bytes(address.octets());
    let backend = number % size.total();
    let service = backend / size.backends;
    let (client, vip) = (wire(client(number)), wire(Ipv4Addr::from(0xcb00_0001 + service)));
    let client_port = (40_000 + u16::from(number.to_le_bytes()[0])).to_be();
    let key =
        FlowKey { src: client, dst: vip, sport: client_port, dport: 80_u16.to_be(), proto: 6, pad: [0; 3] };
    let forward = Flow {
        src: client,
        dst: wire(Ipv4Addr::from(0x0a00_0002 + backend)),
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
