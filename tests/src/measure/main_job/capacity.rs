//! How many connections are held, and in how much memory.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use lb_common::{
    abi::{ABI_VERSION, Flow, FlowKey, FlowState, ticks_from_nanos},
    maps,
};
use lb_userspace::sys::bpf::Map;
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::super::{Depth, Required, Row, number};
use crate::{
    command,
    config::{Config, Mode},
    site::{Site, services},
    topology::Plan,
};

/// Connections the table is configured for.
const CONNECTIONS: u32 = 1 << 20;
/// Connections written with one system call.
const CHUNK: u32 = 1 << 13;

/// Fills the IPv4 flow table with established connections through the kernel's map interface; `lbd` runs meanwhile and must
/// take none for dead.
pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    eprintln!("measuring: capacity");
    let site = Site::start(Plan::default(), |topology| {
        Config::new(topology.interfaces(), services(&topology.servers, Mode::Nat))
            .tables(&format!("[limits]\nconnections_v4 = {CONNECTIONS}"))
    })?;
    let pin = site.daemon.pin_directory().join(format!("v{ABI_VERSION}")).join(maps::FLOWS_V4);
    let flows = Map::open(&pin).with_context(|| format!("cannot open {}", pin.display()))?;
    let wanted = u32::try_from(depth.of(1_000_000))?;
    let synthetic = Synthetic::of(&site)?;
    for first in (0..wanted).step_by(CHUNK as usize) {
        let chunk = (first..wanted.min(first + CHUNK)).flat_map(|number| synthetic.connection(number));
        let (keys, values): (Vec<_>, Vec<_>) = chunk.unzip();
        flows.update_batch(&keys, &values).context("the table refused connections")?;
    }
    let held = flows.entries::<FlowKey<u32>, Flow<u32>>().context("cannot read the table")?.len() / 2;
    Ok(vec![
        Row::new(
            "IPv4 connections held",
            number(held as u64),
            "connections",
            Required::AtLeast(f64::from(wanted)),
        ),
        Row::new(
            "map memory per IPv4 connection, both directions",
            bytes(&pin)? / f64::from(CONNECTIONS),
            "bytes",
            Required::AtMost(256.0),
        ),
    ])
}

/// Established connections that nobody has, of the first service and its first backend: flows of others would be taken for dead.
pub(in super::super) struct Synthetic {
    service: u16,
    backend: u32,
    tick: u32,
}

impl Synthetic {
    /// For a site with the usual services; they are seen as of now.
    pub(in super::super) fn of(site: &Site) -> Result<Self> {
        let service = site.daemon.lbctl("service show web-v4")?;
        let number = |value: &Value| value.as_u64().context("lbctl shows no id");
        let (id, backend) = (number(&service["id"])?, number(&service["backends"][0]["id"])?);
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
        let nanos = u64::try_from(now.tv_sec())? * 1_000_000_000 + u64::try_from(now.tv_nsec())?;
        Ok(Self { service: id.try_into()?, backend: backend.try_into()?, tick: ticks_from_nanos(nanos) })
    }

    /// Both entries of the connection with a number.
    pub(in super::super) fn connection(&self, number: u32) -> [(FlowKey<u32>, Flow<u32>); 2] {
        let wire = |address: Ipv4Addr| u32::from_ne_bytes(address.octets());
        let client = wire(Ipv4Addr::from(0x0b00_0000 + (number >> 8)));
        let (vip, server) = (wire(Ipv4Addr::new(203, 0, 113, 100)), wire(Ipv4Addr::new(10, 1, 0, 11)));
        let port = |port: u16| port.to_be();
        let client_port = port(40_000 + u16::from(number.to_le_bytes()[0]));
        let key =
            FlowKey { src: client, dst: vip, sport: client_port, dport: port(80), proto: 6, pad: [0; 3] };
        let forward = Flow {
            src: client,
            dst: server,
            sport: client_port,
            dport: port(8080),
            backend: self.backend,
            last_seen: self.tick,
            service: self.service,
            state: FlowState::Established as u8,
            ..Flow::default()
        };
        let reverse = Flow {
            src: vip,
            dst: client,
            sport: port(80),
            dport: client_port,
            flags: lb_common::abi::FlowFlags::REVERSE,
            ..forward
        };
        [(key, forward), (forward.twin_key(6), reverse)]
    }
}

/// What the kernel charges for a map.
fn bytes(pin: &Path) -> Result<f64> {
    let text = command::run("bpftool", &["-j", "map", "show", "pinned", &pin.to_string_lossy()])?;
    let shown: Value = serde_json::from_str(&text).context("bpftool printed no JSON")?;
    shown["bytes_memlock"].as_f64().with_context(|| format!("bpftool names no memory: {text}"))
}
