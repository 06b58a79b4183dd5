//! `lbd` has too little memory, or no descriptors left: it may end, forwarding goes on, and the next one takes over.
//!
//! The limits are those of the process (`RLIMIT_DATA`, `RLIMIT_NOFILE`), so that nothing else on the machine is short of anything. What the kernel kills for
//! want of memory is killed as by `kill -9`, which others measure.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use super::super::{Depth, Required, Row, number};
use crate::{
    client::{LongConnections, Running},
    command,
    config::{Config, Mode, Protocol, Service},
    servers::{ECHO_PORT, HTTP_PORT},
    site::{Site, services},
    topology::{Family, Plan, addresses},
};

/// Services that one configuration has more than the other one.
const MORE: u16 = 1000;
const CONNECTIONS: usize = 50;
const MEBIBYTE: u64 = 1 << 20;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut site = Site::start(Plan::default(), |topology| {
        let mut all = services(&topology.servers, Mode::FullNat);
        for service in &mut all {
            let port = service.backends[0].address.port();
            service.health = Some(format!(
                "interval = \"200ms\"\ntimeout = \"200ms\"\nport = {}\n",
                if port == HTTP_PORT { HTTP_PORT } else { ECHO_PORT }
            ));
        }
        Config::new(topology.interfaces(), all)
    })?;
    let load = site.http_load(Family::V4);
    let connections = site.long_connections(Family::V4, CONNECTIONS)?;
    let starts = too_little_to_start(&mut site, &load)?;
    let applies = too_little_to_apply(&mut site, &load, depth.of(30).max(6))?;
    let downs = no_descriptors(&site, &load)?;
    connections.wait_more(CONNECTIONS as u64)?;
    let (report, long) = (Running::stop(load), LongConnections::close(connections));
    report.failures.iter().for_each(|(reason, count)| eprintln!("memory: {count} x {reason}"));
    let mut rows = applies.rows();
    rows.extend([
        Row::new(
            "memory: starts that failed for want of it",
            number(starts),
            "starts",
            Required::AtLeast(3.0),
        ),
        Row::none("no descriptors left for 3 s: backends taken out that live", downs, "times"),
        Row::new(
            "memory and descriptors: requests meanwhile",
            number(report.total()),
            "requests",
            Required::AtLeast(1000.0),
        ),
        Row::none("memory and descriptors: failed", report.failed(), "requests"),
        Row::none(
            format!("memory and descriptors: broken of {CONNECTIONS} long connections"),
            long.broken.len() as u64,
            "connections",
        ),
    ]);
    Ok(rows)
}

/// Starts `lbd` with more and more memory, until it runs; how often it did not.
fn too_little_to_start(site: &mut Site, load: &Running) -> Result<u64> {
    site.daemon.terminate()?;
    // With less the program is not even loaded.
    let mut limit = 5 * MEBIBYTE;
    for failed in 0..30 {
        site.daemon.run_with(vec!["prlimit".to_owned(), format!("--data={limit}")]);
        load.wait_more(20)?;
        let started = site.daemon.start_again();
        match &started {
            Ok(()) => eprintln!("memory: lbd starts with {} KiB", limit >> 10),
            Err(error) => eprintln!("memory: {} KiB: {}", limit >> 10, last_line(error)),
        }
        if started.is_ok() {
            site.daemon.kill()?;
            site.daemon.run_with(Vec::new());
            site.daemon.start_again()?;
            return Ok(failed);
        }
        // It has ended, unless it hangs.
        let _ = site.daemon.kill();
        limit += limit / 4;
    }
    anyhow::bail!("lbd does not start with {limit} bytes of memory")
}

/// What an error ends with.
fn last_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().last().unwrap_or_default().to_owned()
}

/// What came of applying configurations with too little memory.
#[derive(Debug, Default)]
struct Applies {
    tried: u64,
    died: u64,
    /// Afterwards there was neither the one nor the other configuration, or lbd had a problem with it.
    partial: u64,
    /// Elements of maps that were not as configured after the next start.
    drift: u64,
}

impl Applies {
    fn rows(&self) -> Vec<Row> {
        let case = format!("lbd is short of memory in {} changes of {MORE} services", self.tried);
        vec![
            Row::new(format!("{case}: died"), number(self.died), "times", Required::AtLeast(1.0)),
            Row::none(format!("{case}: left a configuration in part"), self.partial, "times"),
            Row::none(
                format!("{case}: elements of maps that were wrong after the next start"),
                self.drift,
                "elements",
            ),
        ]
    }
}

/// Applies many services and none in turn, with a little more memory each time than there is already.
fn too_little_to_apply(site: &mut Site, load: &Running, times: u64) -> Result<Applies> {
    let file = site.daemon.config_file();
    let few = fs::read_to_string(&file)?;
    let many = few.clone() + &more(site);
    let (small, large) = (file.with_file_name("few.toml"), file.with_file_name("many.toml"));
    fs::write(&small, &few)?;
    fs::write(&large, &many)?;
    let count = |site: &Site| -> Result<usize> {
        Ok(site.daemon.lbctl("service list")?.as_array().context("no services")?.len())
    };
    let base = count(site)?;
    let mut applies = Applies::default();
    for round in 0..times {
        let process = site.daemon.process_id().context("lbd does not run")?;
        let limit = data(process)? + (round + 1) * MEBIBYTE;
        command::sh(&format!("prlimit --pid {process} --data={limit}"))?;
        // Whether that succeeds is not known here; if it does, it has to be whole.
        let _ = site.daemon.lbctl(&format!("config apply {}", large.display()));
        load.wait_more(20)?;
        applies.tried += 1;
        let alive = site.daemon.lbctl("status").is_ok();
        if !alive {
            applies.died += 1;
        }
        // It ended by itself, or is ended: both are a sudden death.
        let _ = site.daemon.kill();
        site.daemon.start_again()?;
        let (services, status) = (count(site)?, site.daemon.lbctl("status")?);
        let is_whole = services == base || services == base + usize::from(MORE);
        applies.partial += u64::from(!is_whole || !status["problem"].is_null());
        let repaired = site.daemon.lbctl("config repair")?;
        applies.drift += repaired["repaired"].as_u64().context("no number")?;
        site.daemon.lbctl(&format!("config apply {}", small.display()))?;
    }
    Ok(applies)
}

/// Further services, as a file has them.
fn more(site: &Site) -> String {
    let service = |number: u16| {
        let address = std::net::SocketAddr::new(addresses::vip(Family::V4, 1), 10_000 + number);
        let service = Service::new(&format!("more-{number}"), Protocol::Tcp, address);
        service.backends(&site.topology.servers, 20_000 + number).to_string()
    };
    (0..MORE).map(service).collect()
}

/// `lbd` may open nothing more for a while.
fn no_descriptors(site: &Site, load: &Running) -> Result<u64> {
    let process = site.daemon.process_id().context("lbd does not run")?;
    let before = site.daemon.lbctl("events --past")?["last"].as_u64().context("no number")?;
    let open = fs::read_dir(format!("/proc/{process}/fd"))?.count();
    let hard = command::sh(&format!("prlimit --pid {process} --nofile --raw --noheadings --output HARD"))?;
    command::sh(&format!("prlimit --pid {process} --nofile={open}:"))?;
    std::thread::sleep(Duration::from_secs(3));
    command::sh(&format!("prlimit --pid {process} --nofile={}:", hard.trim()))?;
    load.wait_more(100)?;
    let past = site.daemon.lbctl("events --past --match kind=backend-state(to=down)")?;
    let events = past["events"].as_array().context("no events")?.iter();
    Ok(events.filter(|event| event["sequence"].as_u64() > Some(before)).count() as u64)
}

/// Bytes of a process that `RLIMIT_DATA` counts.
fn data(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).context("no VmData")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
