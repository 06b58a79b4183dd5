//! Long connections while the active node dies and comes back.

use std::time::Duration;

use anyhow::Result;

use super::super::{Depth, Row};
use crate::{
    client::{Long, LongConnections},
    config::Mode,
    duo::{Duo, Setup},
    servers::ECHO_PORT,
    site::target,
    topology::{Family, addresses},
};

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(1000);
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        let mut duo = Duo::start(Setup { mode, replicated: true, ..Setup::default() })?;
        let long = Long {
            target: target(Family::V4, ECHO_PORT),
            sources: addresses::clients(Family::V4),
            count: count as usize,
            pause: Duration::from_millis(200),
        };
        let connections = LongConnections::open(&duo.pair.client, &long)?;
        connections.wait_more(3 * count)?;
        let case = format!("{count} long TCP connections, {}", mode.name());
        let mut broken = 0;
        for event in ["failover (power off)", "failback"] {
            if event == "failback" {
                duo.power_on(0)?;
                duo.settled(0)?;
            } else {
                duo.power_off(0)?;
                duo.settled_alone(1)?;
            }
            // Each has had its say, or has broken.
            let _ = connections.wait_more(3 * count);
            let report = connections.report();
            report.broken.iter().skip(broken).take(3).for_each(|reason| eprintln!("{event}: {reason}"));
            rows.push(Row::none(
                format!("{case}, {event}: broken"),
                (report.broken.len() - broken) as u64,
                "connections",
            ));
            broken = report.broken.len();
        }
        let left = connections.close();
        rows.push(Row::none(format!("{case}, all in all: broken"), left.broken.len() as u64, "connections"));
    }
    Ok(rows)
}
