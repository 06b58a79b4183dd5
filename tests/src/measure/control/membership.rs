//! Adding a backend breaks nothing; removing one of ten moves its flows only.

use std::net::SocketAddr;

use anyhow::Result;

use super::super::{Depth, Required, Row, number};
use super::{Ground, SERVICE, broken_elsewhere};
use crate::{config::Mode, servers::ECHO_PORT};

const BACKENDS: usize = 10;
const CONNECTIONS: usize = 400;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let rounds = match depth {
        Depth::Full => 5,
        Depth::Quick => 1,
    };
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        let ground = Ground::start(BACKENDS as u16 + 1, BACKENDS, mode, false)?;
        let new = &ground.topology.servers[BACKENDS];
        let address = SocketAddr::new(new.v4.into(), ECHO_PORT);
        let (mut added, mut removed, mut of, mut took_over) = (0, 0, 0, 0);
        for _ in 0..rounds {
            let connections = ground.connections(CONNECTIONS)?;
            ground.daemon.lbctl(&format!("backend add {SERVICE} {} {address}", new.name))?;
            connections.wait_more(CONNECTIONS as u64 * 5)?;
            added += broken_elsewhere(&connections.close(), &[]);
            // Now with flows on all eleven.
            let connections = ground.connections(CONNECTIONS)?;
            of += connections.report().servers.get(&new.name).copied().unwrap_or_default();
            ground.daemon.lbctl(&format!("backend rm {SERVICE} {}", new.name))?;
            connections.wait_more(CONNECTIONS as u64 * 5)?;
            let report = connections.close();
            removed += broken_elsewhere(&report, &[&new.name]);
            took_over += report.broken.len();
        }
        let case = mode.name();
        rows.extend([
            Row::none(format!("{case}: backend added {rounds} times: broken flows"), added, "connections"),
            Row::new(
                format!("{case}: flows of the backend that was removed {rounds} times"),
                number(of as u64),
                "connections",
                Required::AtLeast(number(rounds as u64) * 20.0),
            ),
            Row::new(
                format!("{case}: backend removed: its flows that ended"),
                number(took_over as u64),
                "connections",
                Required::Exactly(number(of as u64)),
            ),
            Row::none(format!("{case}: backend removed: broken flows of others"), removed, "connections"),
        ]);
    }
    Ok(rows)
}
