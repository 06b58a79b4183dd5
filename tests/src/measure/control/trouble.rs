//! Backends that vanish without a word, flap, are all gone, or move to another network card.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use lb_userspace::{model::Timestamp, runtime::Clock};

use super::super::{Depth, Required, Row, number};
use super::{Ground, SERVICE, broken_elsewhere, milliseconds};
use crate::{
    clock::{self, wait_until},
    config::Mode,
    servers::EchoServer,
};

/// Interval (200 ms) times fall (2), the timeout of the last check (200 ms), and 50 ms.
const NOTICED_WITHIN: f64 = 650.0;
/// Interval (200 ms) times rise (2), and 50 ms.
const BACK_WITHIN: f64 = 450.0;
/// Within which the packets of a backend that has another MAC address reach it again.
const FOLLOWED_WITHIN: f64 = 1000.0;
/// How often a backend that goes up and down for a minute may be taken out and in again.
const MOST_CHANGES: f64 = 20.0;
const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = vanished(depth)?;
    rows.extend(flapping(depth)?);
    rows.extend(all_gone(depth)?);
    rows.extend(moved(depth)?);
    Ok(rows)
}

/// The switch loses the way to a backend: nobody answers, and nobody refuses.
fn vanished(depth: Depth) -> Result<Vec<Row>> {
    let times = depth.of(10);
    let ground = Ground::start(4, 4, Mode::Nat, true)?;
    let (mut slowest, mut last, mut elsewhere) = (0.0_f64, 0.0_f64, 0);
    for round in 0..times {
        // In turn: who goes down too often is held down.
        let victim = ground.name(round as usize % 4);
        let connections = ground.connections(100)?;
        let load = ground.load();
        load.wait_more(1000)?;
        let (cut, begin) = (now(), clock::now());
        ground.topology.switch.ip(&format!("link set {victim} nomaster"))?;
        slowest = slowest.max(milliseconds(told(&ground, &victim, "down")?.since(cut)));
        load.wait_more(1000)?;
        // Clients that wait for the backend's next word wait until they give up: they began before it was out.
        let failed = load.stop().last_failure.map(|failed| failed.saturating_duration_since(begin));
        last = last.max(failed.map_or(0.0, milliseconds));
        ground.topology.switch.ip(&format!("link set {victim} master br0"))?;
        ground.daemon.wait_backend(SERVICE, &victim, "active")?;
        elsewhere += broken_elsewhere(&connections.close(), &[&victim]);
    }
    let case = format!("one of 4 backends cut off, {times} times");
    Ok(vec![
        Row::new(format!("{case}: out after, at most"), slowest, "ms", Required::AtMost(NOTICED_WITHIN)),
        Row::new(
            format!("{case}: last connection that failed began after, at most"),
            last,
            "ms",
            Required::AtMost(NOTICED_WITHIN),
        ),
        Row::none(format!("{case}: broken flows of other backends"), elsewhere, "connections"),
    ])
}

/// A backend that is there for 300 ms and away for 300 ms.
fn flapping(depth: Depth) -> Result<Vec<Row>> {
    let rounds = depth.of(100);
    let mut ground = Ground::start(4, 4, Mode::Nat, true)?;
    let victim = ground.name(0);
    let before = ground.daemon.lbctl("events --past")?["last"].as_u64().context("no number")?;
    let connections = ground.connections(100)?;
    for _ in 0..rounds {
        drop(ground.servers.remove(0));
        thread::sleep(Duration::from_millis(300));
        ground.servers.insert(0, EchoServer::start(&ground.topology.servers[0])?);
        thread::sleep(Duration::from_millis(300));
    }
    let elsewhere = broken_elsewhere(&connections.close(), &[&victim]);
    let changes = told_since(&ground, before, &format!("kind=backend-state(backend={victim})"))?;
    let case = format!("one of 4 backends goes up and down {rounds} times in {} s", rounds * 6 / 10);
    Ok(vec![
        Row::new(
            format!("{case}: taken out and in"),
            number(changes.len() as u64),
            "times",
            Required::AtMost(MOST_CHANGES),
        ),
        Row::none(format!("{case}: broken flows of other backends"), elsewhere, "connections"),
    ])
}

/// All backends are gone, and come back.
fn all_gone(depth: Depth) -> Result<Vec<Row>> {
    // Fewer than would be held down as they go down too often.
    let times = depth.of(10).min(4);
    let mut ground = Ground::start(3, 3, Mode::Nat, true)?;
    let (mut slowest, mut after) = (0.0_f64, 0);
    for _ in 0..times {
        let load = ground.load();
        load.wait_more(500)?;
        ground.servers.clear();
        wait_until("the service to be in panic", LIMIT, || {
            ground.daemon.lbctl("status").is_ok_and(|status| status["panic"][0] == SERVICE)
        })?;
        ground.servers = ground.topology.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
        let back = clock::now();
        thread::sleep(Duration::from_secs(1));
        let seen = load.report();
        let last = seen.last_failure.map_or(0.0, |last| milliseconds(last.saturating_duration_since(back)));
        slowest = slowest.max(last);
        load.wait_more(500)?;
        after += load.stop().since(&seen).failed();
        for host in &ground.topology.servers {
            ground.daemon.wait_backend(SERVICE, &host.name, "active")?;
        }
    }
    let case = format!("all backends die and come back, {times} times");
    Ok(vec![
        Row::new(
            format!("{case}: last connection that failed began after their return, at most"),
            slowest,
            "ms",
            Required::AtMost(BACK_WITHIN),
        ),
        Row::none(format!("{case}: failed a second later"), after, "connections"),
    ])
}

/// A backend's MAC address becomes another one, of which it tells its neighbours.
fn moved(depth: Depth) -> Result<Vec<Row>> {
    let times = depth.of(10);
    let ground = Ground::start(1, 1, Mode::Nat, true)?;
    let host = &ground.topology.servers[0];
    host.netns.sysctl("net/ipv4/conf/all/arp_notify", "1")?;
    let (mut slowest, mut broken) = (0.0_f64, 0);
    for round in 0..times {
        let connections = ground.connections(20)?;
        connections.wait_more(200)?;
        host.netns.ip(&format!("link set eth0 address 02:00:00:00:77:{:02x}", round + 1))?;
        connections.wait_more(2000)?;
        let report = connections.close();
        slowest = slowest.max(milliseconds(report.slowest));
        broken += report.broken.len() as u64;
    }
    let case = format!("the backend's MAC address changes, {times} times");
    Ok(vec![
        Row::new(
            format!("{case}: longest pause of a flow"),
            slowest,
            "ms",
            Required::AtMost(FOLLOWED_WITHIN),
        ),
        Row::none(format!("{case}: broken flows"), broken, "connections"),
    ])
}

fn now() -> Timestamp {
    Clock.moment().wall
}

/// When `lbd` put a backend into a state for the last time; waits for that.
fn told(ground: &Ground, backend: &str, state: &str) -> Result<Timestamp> {
    ground.daemon.wait_backend(SERVICE, backend, state)?;
    let filter = format!("kind=backend-state(backend={backend})to={state}");
    let events = told_since(ground, 0, &filter)?;
    events.last().copied().context("lbd did not tell of it")
}

/// The times of the events after a number that a filter wants.
fn told_since(ground: &Ground, number: u64, filter: &str) -> Result<Vec<Timestamp>> {
    let past = ground.daemon.lbctl(&format!("events --past --match {filter}"))?;
    let events = past["events"].as_array().context("no events")?;
    let since = events.iter().filter(|event| event["sequence"].as_u64() > Some(number));
    since.map(|event| event["time"].as_str().context("no time")?.parse().context("no time")).collect()
}
