//! A guided tour: `cargo xtask demo`.
//!
//! Three servers behind a virtual IP are balanced by `lbd`. While clients keep sending requests over IPv4, IPv6 and UDP, one
//! server dies and is removed, another is added, and `lbd` itself is killed and started again. [`tour`] reads from top to
//! bottom as what an operator does; at the end stands what the clients saw.

pub mod ha;
mod keep;
mod show;
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    config::{Config, Protocol, Service},
    servers::{ECHO_PORT, HTTP_PORT, Servers},
    site::{Site, WEB_PORT, target},
    topology::{Family, Host, Plan, addresses},
};
use show::{say, step};
use traffic::Traffic;

/// How the tour is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Leave everything running at the end, until Ctrl-C.
    pub keep: bool,
}

/// Weights of the three servers at the start, and of the fourth.
const WEIGHTS: [u16; 4] = [100, 100, 200, 100];

/// The services that the tour balances, all on one VIP for each family.
#[must_use]
pub fn services(hosts: &[Host]) -> Vec<Service> {
    let web = |name: &str, family| Service::new(name, Protocol::Tcp, target(family, WEB_PORT));
    let udp = Service::new("udp", Protocol::Udp, target(Family::V4, ECHO_PORT));
    vec![
        web("web-v4", Family::V4).backends(hosts, HTTP_PORT).weights(&WEIGHTS).checked(HTTP_PORT),
        web("web-v6", Family::V6).backends(hosts, HTTP_PORT).weights(&WEIGHTS).checked(HTTP_PORT),
        // Every UDP answer is a good answer, so the health of a UDP service is asked for over TCP.
        udp.backends(hosts, ECHO_PORT).weights(&WEIGHTS).checked(ECHO_PORT),
    ]
}

/// Does the tour; true if all expectations were met.
///
/// # Errors
///
/// If a part does not work at all, or on Ctrl-C.
pub fn tour(options: Options) -> Result<bool> {
    let interrupt = keep::Interrupt::watch()?;

    step(
        "Build a network: a client, a balancer, three servers, each in its own namespace; start nginx and lbd",
    );
    show::network();
    let mut site = Site::start(Plan::default(), |topology| {
        Config::new(topology.interfaces(), services(&topology.servers))
    })?;
    say(&site.daemon.lbctl_text("status")?);
    say(&site.daemon.lbctl_text("backend list")?);

    step("Clients send requests to the virtual IP: HTTP over IPv4 and IPv6, and UDP");
    let traffic = Traffic::start(&site.topology.client);
    traffic.watch(&interrupt, Duration::from_secs(5))?;
    let before_death = traffic.report();

    step("server-2 dies; its health checks fail, and it gets no more requests");
    let dead = site.servers.remove(1);
    drop(dead);
    for service in traffic::SERVICES {
        site.daemon.wait_backend(service, "server-2", "down")?;
    }
    traffic.watch(&interrupt, Duration::from_secs(3))?;
    for service in traffic::SERVICES {
        lbctl(&site, &format!("backend rm {service} server-2"))?;
    }
    traffic.settle()?;
    let after_removal = traffic.report();

    step("server-4 is set up and added");
    let fourth = site.topology.add_server()?;
    site.servers.push(Servers::start(fourth)?);
    add_fourth(&site)?;
    traffic.settle()?;
    let with_fourth = traffic.report();
    traffic.watch(&interrupt, Duration::from_secs(5))?;

    step("lbd is killed (kill -9): the XDP program goes on without it");
    site.daemon.kill()?;
    traffic.watch(&interrupt, Duration::from_secs(4))?;
    step("lbd is started again and takes over what it finds, flows included");
    site.daemon.start_again()?;
    traffic.watch(&interrupt, Duration::from_secs(4))?;

    step("What the clients saw");
    let good = traffic.summary(&before_death, &after_removal, &with_fourth);
    if options.keep {
        keep::until_interrupted(&site, &interrupt)?;
    }
    drop(traffic);
    Ok(good)
}

/// Adds the fourth server to every service, in the service's family.
fn add_fourth(site: &Site) -> Result<()> {
    let host = site.topology.servers.last().context("there are servers")?;
    for (service, port, family) in
        [("web-v4", HTTP_PORT, Family::V4), ("web-v6", HTTP_PORT, Family::V6), ("udp", ECHO_PORT, Family::V4)]
    {
        let address = std::net::SocketAddr::new(host.address(family), port);
        lbctl(site, &format!("backend add {service} {} {address} --weight {}", host.name, WEIGHTS[3]))?;
    }
    for service in traffic::SERVICES {
        site.daemon.wait_backend(service, &host.name, "active")?;
    }
    Ok(())
}

/// Runs `lbctl` and shows the command line.
fn lbctl(site: &Site, line: &str) -> Result<()> {
    say(&format!("$ lbctl {line}"));
    site.daemon.lbctl_text(line).map(drop)
}

/// Where a service of the tour is reached.
pub(crate) fn target_of(service: &str) -> std::net::SocketAddr {
    match service {
        "web-v4" => target(Family::V4, WEB_PORT),
        "web-v6" => target(Family::V6, WEB_PORT),
        _ => target(Family::V4, ECHO_PORT),
    }
}

/// The client's addresses that fit a service of the tour.
pub(crate) fn sources_of(service: &str) -> Vec<std::net::IpAddr> {
    addresses::clients(if target_of(service).is_ipv4() { Family::V4 } else { Family::V6 })
}
