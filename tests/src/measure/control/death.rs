//! One of four backends dies under 2000 connections in a second.

use anyhow::Result;

use super::super::{Depth, Required, Row, number};
use super::{Ground, broken_elsewhere, milliseconds};
use crate::{clock, config::Mode, servers::EchoServer};

/// Interval (200 ms) times fall (2), and 50 ms.
const OUT_WITHIN: f64 = 450.0;
const CONNECTIONS: usize = 100;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let deaths = match depth {
        Depth::Full => 10,
        Depth::Quick => 2,
    };
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        let (mut slowest, mut after, mut elsewhere, mut rate) = (0.0_f64, 0, 0, f64::INFINITY);
        let mut ground = Ground::start(4, 4, mode, true)?;
        for death in 0..deaths {
            let victim = death % ground.servers.len();
            let name = ground.name(victim);
            let connections = ground.connections(CONNECTIONS)?;
            let load = ground.load();
            let begin = clock::now();
            load.wait_more(2000)?;
            rate = rate.min(number(load.report().total()) / begin.elapsed().as_secs_f64());
            let killed = clock::now();
            drop(ground.servers.remove(victim));
            ground.daemon.wait_backend(super::SERVICE, &name, "down")?;
            // Requests under way end before the next ones are counted.
            load.wait_more(100)?;
            let out = load.report();
            load.wait_more(2000)?;
            let end = load.stop();
            let last =
                out.last_failure.map_or(0.0, |last| milliseconds(last.saturating_duration_since(killed)));
            slowest = slowest.max(last);
            after += end.since(&out).failed();
            elsewhere += broken_elsewhere(&connections.close(), &[&name]);
            ground.servers.insert(victim, EchoServer::start(&ground.topology.servers[victim])?);
            ground.daemon.wait_backend(super::SERVICE, &name, "active")?;
        }
        let case = format!("{}, one of 4 backends killed, {deaths} times", mode.name());
        rows.extend([
            Row::new(format!("{case}: load"), rate, "connections/s", Required::AtLeast(2000.0)),
            Row::new(
                format!("{case}: last connection that failed began after, at most"),
                slowest,
                "ms",
                Required::AtMost(OUT_WITHIN),
            ),
            Row::none(format!("{case}: failed afterwards"), after, "connections"),
            Row::none(format!("{case}: broken flows of other backends"), elsewhere, "connections"),
        ]);
    }
    Ok(rows)
}
