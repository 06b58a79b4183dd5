//! A backend with 200 live connections is drained: to the end, and to a deadline.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::{Depth, Required, Row, number};
use super::{Ground, SERVICE, broken_elsewhere, milliseconds};
use crate::{clock, config::Mode, servers::ECHO_PORT, site::target, topology::Family};

const CONNECTIONS: usize = 200;
/// A scan of the flows finds out that the last has ended; there is one about each second.
const TOLD_WITHIN: f64 = 2500.0;
const DEADLINE: Duration = Duration::from_secs(2);

pub(super) fn measure(_: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        let ground = Ground::start(4, 4, mode, false)?;
        rows.extend(to_the_end(&ground, mode)?);
        rows.extend(to_a_deadline(&ground, mode)?);
    }
    Ok(rows)
}

fn to_the_end(ground: &Ground, mode: Mode) -> Result<Vec<Row>> {
    let name = ground.name(0);
    ground.alone(&name)?;
    let connections = ground.connections(CONNECTIONS)?;
    ground.all()?;
    let load = ground.load();
    load.wait_more(1000)?;
    let drained = clock::now();
    ground.daemon.lbctl(&format!("backend drain {SERVICE} {name}"))?;
    load.wait_more(3000)?;
    let last = load.stop().last_answers.get(&name).copied();
    let last = last.map_or(0.0, |last| milliseconds(last.saturating_duration_since(drained)));
    clock::wait_until("the flows to be counted", Duration::from_secs(5), || {
        ground.drain_of(&name).is_ok_and(|drain| drain["flows"] == CONNECTIONS)
    })?;
    connections.wait_more(CONNECTIONS as u64 * 5)?;
    let too_soon = ground.drain_of(&name)?["drained"] == true;
    let broken = broken_elsewhere(&connections.close(), &[]);
    let ended = clock::now();
    let told = clock::wait_until("the end of the drain to be told", Duration::from_secs(10), || {
        ground.drain_of(&name).is_ok_and(|drain| drain["drained"] == true)
    });
    let took = milliseconds(ended.elapsed());
    ground.daemon.lbctl(&format!("backend undrain {SERVICE} {name}"))?;
    let case = format!("{}, drained with {CONNECTIONS} live flows", mode.name());
    Ok(vec![
        Row::new(format!("{case}: last new flow began after"), last, "ms", Required::AtMost(100.0)),
        Row::none(format!("{case}: broken flows"), broken, "connections"),
        Row::none(format!("{case}: told before the last had ended"), u64::from(too_soon), "times"),
        Row::succeeds(format!("{case}: its end is told"), &told),
        Row::new(format!("{case}: told after the last had ended"), took, "ms", Required::AtMost(TOLD_WITHIN)),
    ])
}

/// Connections that say nothing: nothing but a RST ends them.
fn to_a_deadline(ground: &Ground, mode: Mode) -> Result<Vec<Row>> {
    let name = ground.name(1);
    ground.alone(&name)?;
    let idle = ground.topology.client.run(|| (0..CONNECTIONS).map(|_| open()).collect::<Result<Vec<_>>>())?;
    ground.all()?;
    let seconds = DEADLINE.as_secs();
    let start = clock::now();
    ground.daemon.lbctl(&format!("backend drain {SERVICE} {name} --deadline {seconds}s --then rst"))?;
    let ends: Vec<Option<Instant>> = thread::scope(|scope| {
        let threads: Vec<_> = idle.iter().map(|stream| scope.spawn(move || reset(stream))).collect();
        threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
    });
    let reset: Vec<f64> =
        ends.iter().flatten().map(|end| milliseconds(end.saturating_duration_since(start))).collect();
    let (first, last) =
        (reset.iter().copied().fold(f64::INFINITY, f64::min), reset.iter().copied().fold(0.0, f64::max));
    let server = &ground.topology.servers[1].netns;
    let left = server.sh(&format!("ss -Htn state established sport = :{ECHO_PORT}"))?.lines().count();
    ground.daemon.lbctl(&format!("backend undrain {SERVICE} {name}"))?;
    let case =
        format!("{}, drained with {CONNECTIONS} idle flows and a deadline of {seconds} s", mode.name());
    let deadline = milliseconds(DEADLINE);
    Ok(vec![
        Row::new(
            format!("{case}: connections reset at the client"),
            number(reset.len() as u64),
            "connections",
            Required::Exactly(number(CONNECTIONS as u64)),
        ),
        Row::none(format!("{case}: connections left at the server"), left as u64, "connections"),
        Row::new(format!("{case}: first reset after"), first, "ms", Required::AtLeast(deadline)),
        Row::new(format!("{case}: last reset after"), last, "ms", Required::AtMost(deadline + 1500.0)),
    ])
}

fn open() -> Result<TcpStream> {
    let stream = TcpStream::connect(target(Family::V4, ECHO_PORT))?;
    stream.set_read_timeout(Some(DEADLINE + Duration::from_secs(5)))?;
    let mut name = String::new();
    BufReader::new(&stream).read_line(&mut name)?;
    ensure!(!name.is_empty(), "the server said nothing");
    Ok(stream)
}

/// When the connection was reset; `None` if it was not.
fn reset(mut stream: &TcpStream) -> Option<Instant> {
    let error = stream.read(&mut [0]).err()?;
    (error.kind() == std::io::ErrorKind::ConnectionReset).then(clock::now)
}

impl Ground {
    /// Lets one backend take all new flows.
    fn alone(&self, name: &str) -> Result<()> {
        for host in self.topology.servers.iter().filter(|host| host.name != name) {
            self.daemon.lbctl(&format!("backend set {SERVICE} {} --weight 0", host.name))?;
        }
        Ok(())
    }

    fn all(&self) -> Result<()> {
        for host in &self.topology.servers {
            self.daemon.lbctl(&format!("backend set {SERVICE} {} --weight 100", host.name))?;
        }
        Ok(())
    }

    /// How far the drain of a backend is.
    fn drain_of(&self, name: &str) -> Result<Value> {
        let backends = self.daemon.lbctl(&format!("backend list {SERVICE}"))?;
        let backend = backends.as_array().and_then(|list| list.iter().find(|entry| entry["name"] == name));
        Ok(backend.context("there is no such backend")?["drain"].clone())
    }
}
