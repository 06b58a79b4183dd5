//! A flow table that is full of established connections.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use lb_common::{
    abi::{ABI_VERSION, Flow, FlowKey},
    maps,
};
use lb_userspace::sys::bpf::Map;

use super::{
    super::super::{Depth, Required, Row, main_job::Synthetic, number},
    IDLE, Idle, LIMIT, tell_drops,
};
use crate::{
    client::{self, Echo, Load, Report, Timed},
    clock,
    config::{Config, Mode},
    servers::ECHO_PORT,
    site::{Site, services, target},
    topology::{Family, Plan, addresses},
};

/// Connections the table has room for.
const CONNECTIONS: u32 = 10_000;
/// Connections that clients try to make afterwards.
const MORE: u64 = 5000;
/// How long they may try.
const TIME: Duration = Duration::from_secs(10);
/// The policies, and whether one keeps established flows.
const POLICIES: [(&str, bool); 3] = [("evict-idle", false), ("evict-embryonic", true), ("reject", true)];

/// The table full of established connections, and clients that connect.
pub(in super::super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let cases = POLICIES.into_iter().flat_map(|policy| Mode::ALL.map(|mode| (policy, mode)));
    for ((policy, keeps), mode) in cases {
        let plan = Plan { fixed_neighbours: true, ..Plan::default() };
        let site = Site::start(plan, |topology| {
            Config::new(topology.interfaces(), services(&topology.servers, mode))
                .tables(&format!("[limits]\nconnections_v4 = {CONNECTIONS}\ntable_full = \"{policy}\""))
        })?;
        let case = format!("table full, {policy}, {}", mode.name());
        rows.extend(fill(&site, &case, keeps, depth.of(MORE))?);
    }
    Ok(rows)
}

fn fill(site: &Site, case: &str, keeps: bool, more: u64) -> Result<Vec<Row>> {
    let pin = site.daemon.pin_directory().join(format!("v{ABI_VERSION}")).join(maps::FLOWS_V4);
    let flows = Map::open(&pin).with_context(|| format!("cannot open {}", pin.display()))?;
    let entries = || flows.entries::<FlowKey<u32>, Flow<u32>>().context("cannot read the table");
    let idle = Idle::open(&site.topology.client, Family::V4, IDLE)?;
    let synthetic = Synthetic::of(site)?;
    let mut held = Vec::new();
    for number in 0..CONNECTIONS - IDLE as u32 {
        for (key, flow) in synthetic.connection(number) {
            if flows.update(&key, &flow).is_ok() {
                held.push(key);
            }
        }
    }
    let before = entries()?.len();
    let report = connect(site, more)?;
    let left: HashSet<FlowKey<u32>> = entries()?.into_iter().map(|(key, _)| key).collect();
    let gone = held.iter().filter(|key| !left.contains(key)).count();
    let (count, broken) = (idle.len(), idle.broken());
    tell_drops(site, case)?;
    for (reason, count) in &report.failures {
        eprintln!("{case}: {count} x {reason}");
    }
    let none = if keeps { Required::Exactly(0.0) } else { Required::Nothing };
    Ok(vec![
        Row::new(
            format!("{case}: entries in use of {}", 2 * CONNECTIONS),
            number(before as u64),
            "entries",
            Required::AtLeast(f64::from(2 * CONNECTIONS) * 0.97),
        ),
        Row::new(
            format!("{case}: of them gone after {} more connected", report.total()),
            number(gone as u64),
            "entries",
            none,
        ),
        Row::new(format!("{case}: broken of {count} idle connections"), number(broken), "connections", none),
        Row::new(
            format!("{case}: connections served beside them"),
            100.0 * number(report.succeeded) / number(report.total().max(1)),
            "%",
            Required::Nothing,
        ),
    ])
}

/// Makes so many connections, or as many as there is time for.
fn connect(site: &Site, count: u64) -> Result<Report> {
    let timed = Timed::new(Echo { target: target(Family::V4, ECHO_PORT) }, LIMIT);
    let load = Load { concurrency: 64, pause: Duration::ZERO, sources: addresses::clients(Family::V4) };
    let (begin, running) = (clock::now(), client::start(&site.topology.client, &timed, &load));
    clock::wait_until("the connections", 2 * TIME, || {
        running.report().total() >= count || begin.elapsed() > TIME
    })?;
    Ok(running.stop())
}
