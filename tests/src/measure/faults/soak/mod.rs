//! A soak: load with checked bytes while `lbd` is reloaded, killed, replaced, and its backends flap and are drained. What it uses must not grow.
//!
//! The first two thirds of the time are one life of `lbd`: memory that leaks shows there. In the last third it lives for seconds only: what
//! a start, an end or an upgrade leaves behind shows there.

mod disturb;
mod load;
mod resources;

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::{Measurement, Required, Row, figures::median, number};
use crate::{
    clock,
    config::{Config, Mode, Protocol, Service},
    servers::{ECHO_PORT, HTTP_PORT},
    site::{Site, WEB_PORT},
    topology::{Family, Host, Plan, addresses},
};
use disturb::{Counts, Disturber};
use load::Loads;
use resources::{Entries, Sample};

/// Servers; the first two of them never die.
const SERVERS: usize = 4;
/// What memory may grow by, in percent.
const GROWTH: f64 = 1.0;
/// After the load what flows take has to be given back within this time: the longest time-out of a flow that has ended, a scan, and how long reading takes.
const GONE_WITHIN: Duration = Duration::from_secs(40);
const TIMEOUTS: &str = "[timeouts]\ntcp_handshake = \"5s\"\ntcp_half_closed = \"15s\"\ntcp_closing = \"5s\"\ntcp_closed = \"2s\"\n\
    udp_new = \"5s\"\nudp_established = \"10s\"\n";

/// Soaks for so many minutes.
///
/// # Errors
///
/// If the network, a server or `lbd` does not start or stops answering.
pub(in super::super) fn measure(minutes: f64) -> Result<Measurement> {
    let time = Duration::from_secs_f64(minutes * 60.0);
    let plan = Plan { servers: SERVERS as u16, fixed_neighbours: true, ..Plan::default() };
    let mut site = Site::start(plan, |topology| {
        Config::new(topology.interfaces(), services(&topology.servers)).tables(TIMEOUTS)
    })?;
    for service in &NAMES {
        // Places are counted where there is a limit.
        site.daemon.lbctl(&format!("service set {service} --max-connections 60000"))?;
        for host in &site.topology.servers {
            site.daemon.wait_backend(service, &host.name, "active")?;
        }
    }
    let before = Entries::read(&site)?;
    let loads = Loads::start(&site.topology.client)?;
    let mut disturber = Disturber::new(&mut site, &loads);
    disturber.warm_up()?;
    let begin = clock::now();
    let one_life = disturber.one_life(begin + time * 2 / 3)?;
    let lives = disturber.many_lives(begin + time)?;
    let counts = disturber.end()?;
    let mut rows = loads.end()?;
    let gone = clock::wait_until("entries, ports and places to be given back", GONE_WITHIN, || {
        Entries::read(&site).is_ok_and(|entries| entries.are_at_rest())
    });
    let after = Entries::read(&site)?;
    after.tell_differences(&before);
    rows.push(Row::succeeds("soak: what flows take is given back after the load", &gone));
    rows.extend(after.rows(&before));
    rows.extend(grown("one life", &one_life, minutes)?);
    rows.extend(grown("many lives", &lives, minutes)?);
    rows.extend(counted(&counts, minutes));
    Ok(Measurement { area: "faults", rows })
}

/// What has been done, so that a soak in which little happened is seen.
fn counted(counts: &Counts, minutes: f64) -> Vec<Row> {
    let at_least = |what: &str, count: u64, a_minute: f64| {
        Row::new(
            format!("soak: {what}"),
            number(count),
            "times",
            Required::AtLeast((minutes * a_minute).floor()),
        )
    };
    vec![
        at_least("reloads", counts.reloads, 20.0),
        at_least("a backend dies and comes back", counts.deaths, 1.5),
        at_least("of them, while lbd was dead", counts.deaths_unseen, 0.3),
        at_least("drains", counts.drains, 1.0),
        at_least("kill -9 and start", counts.kills, 1.0),
        at_least("upgrades: another program on the interfaces", counts.upgrades, 1.0),
    ]
}

/// From the first third to the last one, of medians; both thirds are of lbd after it has warmed up.
fn grown(part: &str, samples: &[Sample], minutes: f64) -> Result<Vec<Row>> {
    let third = (samples.len() / 3).max(1);
    let (first, last) = (samples.get(..third), samples.get(samples.len().saturating_sub(third)..));
    let (first, last) = first.zip(last).context("nothing was looked at")?;
    let growth = |figure: fn(&Sample) -> u64| {
        let middle =
            |part: &[Sample]| median(&part.iter().map(|one| number(figure(one))).collect::<Vec<_>>());
        (middle(first), middle(last) - middle(first))
    };
    let (memory, more) = growth(|sample| sample.resident);
    let row = |what: &str, figure, unit, required| {
        Row::new(format!("soak, {part}: {what}"), figure, unit, required)
    };
    Ok(vec![
        row(
            "times lbd was looked at",
            number(samples.len() as u64),
            "times",
            Required::AtLeast((minutes / 2.0).floor().max(1.0)),
        ),
        row("resident memory at first", memory / 1_048_576.0, "MiB", Required::Nothing),
        row("growth of resident memory", 100.0 * more / memory, "%", Required::AtMost(GROWTH)),
        row("more descriptors", growth(|sample| sample.descriptors).1, "descriptors", Required::AtMost(0.0)),
        row("more threads", growth(|sample| sample.threads).1, "threads", Required::AtMost(0.0)),
        row(
            "more names in the pin directory",
            growth(|sample| sample.pins).1,
            "names",
            Required::AtMost(0.0),
        ),
    ])
}

/// Names of the services.
const NAMES: [&str; 6] = ["web", "echo", "echo-snat", "echo-v6", "udp", "udp-snat"];
const SNAT_PORT: u16 = ECHO_PORT + 1;

/// Both modes, protocols and families; the port of each is that of its load.
fn services(hosts: &[Host]) -> Vec<Service> {
    let service = |name: &str, protocol, family: Family, port, backend_port, mode| {
        let address = std::net::SocketAddr::new(addresses::vip(family, 0), port);
        let service = Service::new(name, protocol, address).mode(mode).backends(hosts, backend_port);
        // Whoever goes down this often would be held down otherwise.
        let checked = if backend_port == HTTP_PORT { HTTP_PORT } else { ECHO_PORT };
        service.health(&format!("port = {checked}\nmax_flaps = 0"))
    };
    let (tcp, udp, v4) = (Protocol::Tcp, Protocol::Udp, Family::V4);
    vec![
        service(NAMES[0], tcp, v4, WEB_PORT, HTTP_PORT, Mode::Nat),
        service(NAMES[1], tcp, v4, ECHO_PORT, ECHO_PORT, Mode::Nat),
        service(NAMES[2], tcp, v4, SNAT_PORT, ECHO_PORT, Mode::FullNat),
        service(NAMES[3], tcp, Family::V6, ECHO_PORT, ECHO_PORT, Mode::FullNat),
        service(NAMES[4], udp, v4, ECHO_PORT, ECHO_PORT, Mode::Nat),
        service(NAMES[5], udp, v4, SNAT_PORT, ECHO_PORT, Mode::FullNat),
    ]
}
