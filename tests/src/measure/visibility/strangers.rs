//! A good scrape while others hold connections to the metrics and say nothing that ends.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};

use super::super::{Depth, Required, Row, number};
use crate::{
    clock,
    config::{Config, Mode, Protocol, Service},
    daemon::Daemon,
    http,
    servers::ECHO_PORT,
    site::target,
    topology::{Family, Plan, Topology},
};

const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);
/// Connections that each get a byte of a request's head now and then.
const STRANGERS: usize = 500;
/// Pause of each between two bytes.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let topology = Topology::build(Plan { servers: 1, ..Plan::default() })?;
    let service = Service::new("echo", Protocol::Tcp, target(Family::V4, ECHO_PORT)).mode(Mode::Nat);
    let config = Config::new(topology.interfaces(), [service.backends(&topology.servers, ECHO_PORT)]);
    let _daemon = Daemon::start(&topology.balancer, &config)?;
    let (stop, there) = (AtomicBool::new(false), AtomicUsize::new(0));
    let slowest = thread::scope(|scope| {
        scope.spawn(|| topology.balancer.run(|| dawdle(&stop, &there)));
        let slowest = clock::wait_until("the strangers", Duration::from_secs(10), || {
            there.load(Ordering::Relaxed) >= STRANGERS
        })
        .and_then(|()| scrapes(&topology, depth.of(100)));
        stop.store(true, Ordering::Relaxed);
        slowest
    })?;
    let case = format!("{STRANGERS} connections that never finish a request");
    Ok(vec![
        Row::new(
            format!("{case}: held"),
            number(there.load(Ordering::Relaxed) as u64),
            "connections",
            Required::AtLeast(number(STRANGERS as u64)),
        ),
        Row::new(
            format!("{case}: slowest good scrape"),
            slowest.as_secs_f64() * 1e3,
            "ms",
            Required::AtMost(1000.0),
        ),
    ])
}

/// Scrapes with a pause; how long the slowest took.
fn scrapes(topology: &Topology, count: u64) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        let start = clock::now();
        let (status, page) = http::get(&topology.balancer, SocketAddr::from(METRICS), "/metrics")?;
        slowest = slowest.max(start.elapsed());
        ensure!(status == 200 && page.contains("lb_service_packets_total"), "{status}: {page}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(slowest)
}

/// Holds the connections; those that are closed are opened again.
fn dawdle(stop: &AtomicBool, there: &AtomicUsize) {
    let open = || TcpStream::connect(SocketAddr::from(METRICS)).ok();
    let mut held: Vec<Option<TcpStream>> = (0..STRANGERS).map(|_| open()).collect();
    while !stop.load(Ordering::Relaxed) {
        for stream in &mut held {
            let alive = stream.as_mut().is_some_and(|stream| stream.write_all(b"G").is_ok());
            if !alive {
                *stream = open();
            }
        }
        there.store(held.iter().flatten().count(), Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
}
