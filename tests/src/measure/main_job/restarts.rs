//! `kill -9` under load.

use anyhow::Result;

use super::super::{Depth, Required, Row, number};
use crate::{
    config::Mode,
    site::Site,
    topology::{Family, Plan},
};

/// Kills `lbd` ten times while requests are made and long connections are open, and starts it again each time.
pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let kills = match depth {
        Depth::Full => 10,
        Depth::Quick => 2,
    };
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        eprintln!("measuring: kill -9, {}", mode.name());
        let mut site = Site::standard(Plan::default(), mode)?;
        let loads = Family::ALL.map(|family| site.http_load(family));
        let v4 = site.long_connections(Family::V4, CONNECTIONS)?;
        let v6 = site.long_connections(Family::V6, CONNECTIONS)?;
        for _ in 0..kills {
            loads.iter().try_for_each(|load| load.wait_more(100))?;
            site.daemon.kill()?;
            loads.iter().try_for_each(|load| load.wait_more(200))?;
            site.daemon.start_again()?;
            loads.iter().try_for_each(|load| load.wait_more(100))?;
            v4.wait_more(100)?;
            v6.wait_more(100)?;
        }
        let (mut made, mut failed) = (0, 0);
        for report in loads.map(crate::client::Running::stop) {
            for (reason, count) in &report.failures {
                eprintln!("{}: {count} x {reason}", mode.name());
            }
            made += report.total();
            failed += report.failed();
        }
        let broken: Vec<String> =
            [v4, v6].into_iter().flat_map(|connections| connections.close().broken).collect();
        broken.iter().take(5).for_each(|reason| eprintln!("{}: {reason}", mode.name()));
        let case = format!("{}, kill -9 {kills} times", mode.name());
        rows.extend([
            Row::new(
                format!("{case}: requests made"),
                number(made),
                "requests",
                Required::AtLeast(f64::from(kills) * 800.0),
            ),
            Row::none(format!("{case}: failed"), failed, "requests"),
            Row::none(
                format!("{case}: of {} long connections broken", 2 * CONNECTIONS),
                broken.len() as u64,
                "connections",
            ),
        ]);
    }
    Ok(rows)
}

/// Long connections in each family.
const CONNECTIONS: usize = 50;
