//! The wall clock jumps: an hour, beyond 2038, to 1970. Nothing that runs may go by it.
//!
//! libfaketime tells `lbd` another time of day; the clocks that cannot be set stay as they are, as when an administrator or NTP sets the clock.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::super::{Depth, Required, Row, number};
use crate::{
    client::{self, Echo, Load, Long, LongConnections},
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    temporary,
    topology::{Family, Plan, Topology, addresses},
};

/// What libfaketime is told, and how times then begin; empty: anything will do.
const JUMPS: [(&str, &str); 6] = [
    ("+3600", ""),
    ("-3600", ""),
    ("@2038-01-19 03:14:00", "2038-01-19T03:1"),
    ("@1970-01-01 00:00:10", "1970-01-01T00:0"),
    ("@2106-02-07 06:28:00", "2106-02-07T06:2"),
    ("+0", ""),
];
const SERVICE: &str = "echo";
const CONNECTIONS: usize = 50;
const ROUTER: &str = "[[vrrp]]\nname = \"outside\"\ninterface = \"eth0\"\nvirtual_router_id = 7\nadvert_interval = \"100ms\"\n\
    virtual_addresses = [\"203.0.113.99/32\"]\n";
/// A source that is blocked for a time that is not over when this ends.
const BLOCKED: &str = "192.0.2.0/24";

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let topology = Topology::build(Plan { servers: 3, ..Plan::default() })?;
    let _servers = topology.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
    let service = Service::new(SERVICE, Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(Mode::FullNat);
    let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
    let config = Config::new(topology.interfaces(), [service]).tables(ROUTER);
    let mut daemon = Daemon::prepare(&topology.balancer, &config)?;
    let place = temporary::directory("time")?;
    let file = place.path().join("time");
    fs::write(&file, "+0")?;
    daemon.run_with(words(&library()?, &file));
    daemon.start_again()?;
    for host in &topology.servers {
        daemon.wait_backend(SERVICE, &host.name, "active")?;
    }
    daemon.lbctl(&format!("acl block {BLOCKED} --for 2h"))?;
    let load = Load::steady(addresses::clients(Family::V4));
    let load = client::start(&topology.client, &Echo { target: target(Family::V4, ECHO_PORT) }, &load);
    let connections = LongConnections::open(
        &topology.client,
        &Long {
            target: target(Family::V4, ECHO_PORT),
            sources: addresses::clients(Family::V4),
            count: CONNECTIONS,
            pause: Duration::from_millis(50),
        },
    )?;
    let mut harm = Harm::default();
    let mut told = settled(&daemon)?;
    for (time, begins) in JUMPS {
        fs::write(&file, time)?;
        thread::sleep(Duration::from_millis(depth.of(10_000)));
        harm.look(&daemon, told)?;
        believes(&daemon, time, begins)?;
        // What is written down for the next start has to mean the same then.
        daemon.kill()?;
        daemon.start_again()?;
        told = settled(&daemon)?;
        load.wait_more(100)?;
    }
    let (report, long) = (load.stop(), connections.close());
    report.failures.iter().for_each(|(reason, count)| eprintln!("clock: {count} x {reason}"));
    let case = format!("the time of day jumps {} times, with a restart after each", JUMPS.len());
    let row = |what: &str, count, unit| Row::none(format!("{case}: {what}"), count, unit);
    Ok(vec![
        Row::new(
            format!("{case}: connections made"),
            number(report.total()),
            "connections",
            Required::AtLeast(1000.0),
        ),
        row("failed", report.failed(), "connections"),
        row(&format!("broken of {CONNECTIONS} long connections"), long.broken.len() as u64, "connections"),
        row("backends taken out", harm.downs, "times"),
        row("changes of the virtual router", harm.transitions, "times"),
        row("blocks of sources that ended too soon", harm.unblocked, "times"),
    ])
}

/// What must not happen.
#[derive(Debug, Default)]
struct Harm {
    downs: u64,
    transitions: u64,
    unblocked: u64,
}

impl Harm {
    /// Adds what is seen, of events those after a number.
    fn look(&mut self, daemon: &Daemon, told: u64) -> Result<()> {
        let count = |filter: &str| -> Result<u64> {
            let past = daemon.lbctl(&format!("events --past --match {filter}"))?;
            let events = past["events"].as_array().context("no events")?.iter();
            Ok(events.filter(|event| event["sequence"].as_u64() > Some(told)).count() as u64)
        };
        self.downs += count("kind=backend-state(to=down)")?;
        self.transitions += count("kind=vrrp-state")?;
        let blocks = daemon.lbctl_text("-o json acl list")?;
        self.unblocked += u64::from(!blocks.contains(BLOCKED));
        Ok(())
    }
}

/// Waits until the virtual router is active, which is no harm; the number of the last event that was told until then.
fn settled(daemon: &Daemon) -> Result<u64> {
    clock::wait_until("the virtual router to be active", Duration::from_secs(10), || {
        daemon.lbctl_text("vrrp status").is_ok_and(|status| status.contains("active"))
    })?;
    daemon.lbctl("events --past")?["last"].as_u64().context("no number")
}

/// That `lbd` goes by that time: an event's begins so.
fn believes(daemon: &Daemon, time: &str, begins: &str) -> Result<()> {
    daemon.lbctl("acl block 192.0.2.128/25 --for 1h")?;
    daemon.lbctl("acl unblock 192.0.2.128/25")?;
    let past = daemon.lbctl("events --past --match kind=source-unblocked")?;
    let event = past["events"].as_array().and_then(|events| events.last()).context("nothing was told")?;
    let told = event["time"].as_str().context("an event without a time")?;
    ensure!(told.starts_with(begins), "with {time:?} lbd says it is {told}");
    eprintln!("clock: {time}: lbd says it is {told}");
    Ok(())
}

/// The words before `lbd`.
fn words(library: &Path, file: &Path) -> Vec<String> {
    let set = |name: &str, value: &Path| format!("{name}={}", value.display());
    vec![
        "env".to_owned(),
        set("LD_PRELOAD", library),
        set("FAKETIME_TIMESTAMP_FILE", file),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "TZ=UTC".to_owned(),
    ]
}

/// Debian's libfaketime, in the directory of this machine's architecture.
fn library() -> Result<PathBuf> {
    let directories = fs::read_dir("/usr/lib").context("no /usr/lib")?.flatten();
    let mut libraries = directories.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let found = libraries.find(|library| library.exists());
    found.context("there is no libfaketime; `cargo xtask setup` installs it")
}
