//! How soon the dashboard shows what the API tells.

use anyhow::{Context, Result};

use super::super::{Depth, Required, Row};
use crate::{
    browser::Browser,
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    servers::{ECHO_PORT, EchoServer},
    site::target,
    topology::{Family, Plan, Topology},
};

const SERVICE: &str = "echo";
const PAGE: &str = "http://127.0.0.1:9466/";
/// Within which the page follows.
const FOLLOWED_WITHIN: f64 = 2000.0;

/// A server dies and comes back; the page is asked for its state as fast as the browser answers.
pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    // Fewer than would be held down as they go down too often.
    let times = depth.of(10).clamp(1, 4);
    let topology = Topology::build(Plan { servers: 2, ..Plan::default() })?;
    let mut servers = topology.servers.iter().map(EchoServer::start).collect::<Result<Vec<_>>>()?;
    let service = Service::new(SERVICE, Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(Mode::Nat);
    let service = service.backends(&topology.servers, ECHO_PORT).checked(ECHO_PORT);
    let config = Config::new(topology.interfaces(), [service]);
    let config = config.tables("[dashboard]\nlisten = \"127.0.0.1:9466\"\n");
    let daemon = Daemon::start(&topology.balancer, &config)?;
    let victim = &topology.servers[1].name;
    daemon.wait_backend(SERVICE, victim, "active")?;
    let browser = Browser::start(&topology.balancer)?;
    browser.open(PAGE)?;
    let state = |state: &str| {
        format!("document.querySelector('[data-key=\"{SERVICE}/{victim}\"]')?.dataset.state === '{state}'")
    };
    let mut slowest = 0.0_f64;
    for _ in 0..times {
        browser.wait(&state("active"))?;
        servers.pop().context("no server")?;
        daemon.wait_backend(SERVICE, victim, "down")?;
        let told = clock::now();
        browser.wait(&state("down"))?;
        slowest = slowest.max(told.elapsed().as_secs_f64() * 1e3);
        servers.push(EchoServer::start(&topology.servers[1])?);
        daemon.wait_backend(SERVICE, victim, "active")?;
    }
    let errors = browser.errors()?;
    let case = format!("a backend dies {times} times");
    errors.iter().for_each(|error| eprintln!("{error}"));
    Ok(vec![
        Row::new(
            format!("{case}: the dashboard shows it after, at most"),
            slowest,
            "ms",
            Required::AtMost(FOLLOWED_WITHIN),
        ),
        Row::none(format!("{case}: errors of the page"), errors.len() as u64, "errors"),
    ])
}
