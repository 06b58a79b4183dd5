//! What `lbd` uses, and what is in its maps.

use std::{collections::BTreeMap, fmt, fs, path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_common::{abi::ABI_VERSION, maps};
use lb_userspace::sys::bpf::Map;
use serde_json::Value;

use super::super::super::Row;
use crate::{command, daemon::Daemon, http, site::Site};

/// Probes and answers come and go: of so many looks the least counts.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(30);
/// `enum bpf_map_type` of maps whose elements come and go: HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH, LPM_TRIE.
const COUNTED: [u32; 5] = [1, 5, 9, 10, 11];

/// The metrics.
const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);

/// What the process uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes of resident memory.
    pub(super) resident: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    /// Names in the pin directory.
    pub(super) pins: u64,
}

impl Sample {
    pub(super) fn take(daemon: &Daemon) -> Result<Self> {
        let process = daemon.process_id().context("lbd does not run")?;
        let mut least: Option<Self> = None;
        for _ in 0..LOOKS {
            let status = fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = |name: &str| -> Result<u64> {
                let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
                value.with_context(|| format!("no {name} in the status of lbd"))
            };
            let sample = Self {
                resident: line("VmRSS")? << 10,
                descriptors: fs::read_dir(format!("/proc/{process}/fd"))?.count() as u64,
                threads: line("Threads")?,
                pins: names(&daemon.pin_directory())?,
            };
            least = Some(least.map_or(sample, |other: Self| Self {
                resident: other.resident.min(sample.resident),
                descriptors: other.descriptors.min(sample.descriptors),
                threads: other.threads.min(sample.threads),
                pins: sample.pins,
            }));
            thread::sleep(PAUSE);
        }
        least.context("nobody looked")
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, descriptors, threads, pins } = self;
        write!(f, "{} KiB, {descriptors} descriptors, {threads} threads, {pins} pins", resident >> 10)
    }
}

/// Names below a directory.
fn names(directory: &Path) -> Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        count += 1;
        if entry.file_type()?.is_dir() {
            count += names(&entry.path())?;
        }
    }
    Ok(count)
}

/// What is counted in maps.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Elements of each map in which they come and go.
    maps: BTreeMap<String, u64>,
    /// Source ports that are taken, of all pools.
    ports: u64,
    /// Places that are taken, of all services.
    places: u64,
}

impl Entries {
    pub(super) fn read(site: &Site) -> Result<Self> {
        let daemon = &site.daemon;
        let mut entries = BTreeMap::new();
        let directory = daemon.pin_directory().join(format!("v{ABI_VERSION}"));
        for name in maps::ALL {
            let pin = directory.join(name);
            let map = Map::open(&pin).with_context(|| format!("cannot open {}", pin.display()))?;
            if COUNTED.contains(&map.info().shape.map_type) {
                let text = command::run("bpftool", &["-j", "map", "dump", "pinned", &pin.to_string_lossy()])?;
                let dump: Value = serde_json::from_str(&text).context("bpftool printed no JSON")?;
                entries.insert((*name).to_owned(), dump.as_array().context("no list")?.len() as u64);
            }
        }
        let services = daemon.lbctl("service list")?;
        let places = services.as_array().context("no services")?.iter();
        let places = places.filter_map(|service| service["connections"].as_u64()).sum();
        Ok(Self { maps: entries, ports: ports(site)?, places })
    }

    /// Elements of the tables of flows.
    pub(super) fn flows(&self) -> u64 {
        let tables = [maps::FLOWS_V4, maps::FLOWS_V6, maps::EMBRYONIC_V4, maps::EMBRYONIC_V6];
        tables.iter().filter_map(|name| self.maps.get(*name)).sum()
    }

    /// Whether no flow takes anything.
    pub(super) fn are_at_rest(&self) -> bool {
        self.flows() + self.ports + self.places == 0
    }

    /// How far a map's elements are from those of before.
    fn differences(&self, before: &Self) -> impl Iterator<Item = (&String, u64)> {
        let of_before = |name| before.maps.get(name).copied().unwrap_or_default();
        let all = self.maps.iter().map(move |(name, count)| (name, count.abs_diff(of_before(name))));
        all.filter(|(_, count)| *count > 0)
    }

    pub(super) fn tell_differences(&self, before: &Self) {
        for (name, count) in self.differences(before) {
            eprintln!("soak: {name}: {count} elements more or fewer than before");
        }
    }

    pub(super) fn rows(&self, before: &Self) -> Vec<Row> {
        let others = self.differences(before).map(|(_, count)| count).sum::<u64>() - self.flows();
        vec![
            Row::none("soak: entries of flows at the end", self.flows(), "entries"),
            Row::none("soak: elements of other maps more or fewer than before", others, "elements"),
            Row::none("soak: SNAT ports taken at the end", self.ports, "ports"),
            Row::none("soak: places of services taken at the end", self.places, "places"),
        ]
    }
}

/// Ports of all SNAT addresses that are taken, as the metrics say.
fn ports(site: &Site) -> Result<u64> {
    let (status, page) = http::get(&site.topology.balancer, METRICS.into(), "/metrics")?;
    let taken = page.lines().filter_map(|line| line.strip_prefix("lb_snat_ports_in_use{")?.split_once("} "));
    let taken: Vec<u64> =
        taken.map(|(_, count)| count.parse().context(page.clone())).collect::<Result<_>>()?;
    ensure!(status == 200 && !taken.is_empty(), "{status}: {page}");
    Ok(taken.iter().sum())
}
