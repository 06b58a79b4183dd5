//! Requests and files.

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::{Depth, Row};
use crate::{
    capture::Capture,
    client::{self, Load, Udp},
    clock,
    config::{Config, Mode, Protocol},
    pattern::Pattern,
    servers::{ECHO_PORT, Nginx},
    site::{Site, WEB_PORT, services, target},
    topology::{Family, Plan, addresses},
};

const MEGABYTE: u64 = 1_000_000;

/// Requests over every mode, family and protocol, with all links recorded; then datagrams in fragments.
pub(super) fn requests(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(10_000);
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        let site = Site::standard(Plan::default(), mode)?;
        for family in Family::ALL {
            for (protocol, word) in [(Protocol::Tcp, "TCP"), (Protocol::Udp, "UDP")] {
                let case = format!("{} {} {word}", mode.name(), family.name());
                eprintln!("measuring: {case}");
                let recorded = site.recorded_requests(&[(family, protocol)], count)?;
                let report = &recorded.reports[0];
                let failed = count - report.succeeded;
                explain(&case, &report.failures.iter().collect::<Vec<_>>());
                explain(&case, &recorded.bad_checksums);
                explain(&case, &recorded.backends_seen);
                rows.extend([
                    Row::none(format!("{case}: failed of {count}"), failed, "requests"),
                    Row::none(
                        format!("{case}: bad checksums"),
                        recorded.bad_checksums.len() as u64,
                        "frames",
                    ),
                    Row::none(
                        format!("{case}: client sees a server"),
                        recorded.backends_seen.len() as u64,
                        "frames",
                    ),
                ]);
            }
            rows.push(fragments(&site, mode, family, depth.of(1000)));
        }
    }
    Ok(rows)
}

fn fragments(site: &Site, mode: Mode, family: Family, count: u64) -> Row {
    let request = Udp { target: target(family, ECHO_PORT), size: 4096 };
    let load = Load::full(addresses::clients(family));
    let report = client::run(&site.topology.client, &request, &load, count);
    let case = format!("{} {} UDP of 4 kB: failed of {count}", mode.name(), family.name());
    explain(&case, &report.failures.iter().collect::<Vec<_>>());
    Row::none(case, count - report.succeeded, "requests")
}

/// A large file each way.
pub(super) fn transfers(depth: Depth) -> Result<Vec<Row>> {
    let size = depth.of(100 * MEGABYTE);
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        eprintln!("measuring: transfers, {}", mode.name());
        let site = Site::standard(Plan::default(), mode)?;
        rows.extend(both_ways(&site, mode, size, "intact")?);
    }
    Ok(rows)
}

/// A file each way over a path with an MTU of 1280 behind the balancer.
pub(super) fn narrow_path(depth: Depth) -> Result<Vec<Row>> {
    let size = depth.of(10 * MEGABYTE);
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        eprintln!("measuring: a narrow path, {}", mode.name());
        let plan = Plan { servers: 0, narrow: true, ..Plan::default() };
        let site = Site::start(plan, |topology| {
            let far = topology.far.as_slice();
            Config::new(topology.interfaces(), services(far, mode))
        })?;
        let capture = Capture::start(&site.topology.links())?;
        rows.extend(both_ways(&site, mode, size, "over MTU 1280, intact")?);
        let recording = capture.stop()?;
        let learned = recording.find_on("client", "icmp.mtu == 1280 || icmpv6.type == 2")?.len();
        let result = (learned > 0).then_some(()).context("no ICMP error with the MTU reached the client");
        rows.push(Row::succeeds(format!("{}: client learned the MTU through the VIP", mode.name()), &result));
        let bad = recording.bad_checksums()?;
        explain("narrow path", &bad);
        rows.push(Row::none(
            format!("{}: bad checksums over MTU 1280", mode.name()),
            bad.len() as u64,
            "frames",
        ));
    }
    Ok(rows)
}

fn both_ways(site: &Site, mode: Mode, size: u64, what: &str) -> Result<Vec<Row>> {
    let (down, up) = (Pattern::new(1), Pattern::new(2));
    let servers: Vec<&Nginx> = site.servers.iter().map(|servers| &servers.nginx).collect();
    for server in &servers {
        server.provide("down", down, size)?;
    }
    let client = &site.topology.client;
    let mut rows = Vec::new();
    for family in Family::ALL {
        let case = format!("{} {} {} MB", mode.name(), family.name(), size / MEGABYTE);
        let web = target(family, WEB_PORT);
        let start = clock::now();
        rows.push(Row::succeeds(
            format!("{case} to the client {what}"),
            &client::download(client, web, "down", down, size),
        ));
        let took = start.elapsed();
        site.topology.forget_mtus()?;
        let middle = clock::now();
        rows.push(Row::succeeds(
            format!("{case} to the server {what}"),
            &client::upload(client, web, &servers, family.name(), up, size),
        ));
        log_rate(&case, size, took, middle.elapsed());
    }
    Ok(rows)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn log_rate(case: &str, size: u64, down: Duration, up: Duration) {
    let rate = |time: Duration| size as f64 / MEGABYTE as f64 / time.as_secs_f64();
    eprintln!("{case}: {:.0} MB/s to the client, {:.0} MB/s to the server", rate(down), rate(up));
}

/// Prints the first few of what must not be.
fn explain<T: std::fmt::Debug>(case: &str, what: &[T]) {
    for one in what.iter().take(5) {
        eprintln!("{case}: {one:?}");
    }
}
