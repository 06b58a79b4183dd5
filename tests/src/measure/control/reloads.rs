//! Reloads of the file and replacements of `lbd` under load.

use std::fs;

use anyhow::Result;

use super::super::{Depth, Required, Row, number};
use super::{Ground, broken_elsewhere};
use crate::config::Mode;

const CONNECTIONS: usize = 100;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let (reloads, upgrades) = match depth {
        Depth::Full => (50, 20),
        Depth::Quick => (5, 2),
    };
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        let mut ground = Ground::start(4, 4, mode, true)?;
        let (load, connections) = (ground.load(), ground.connections(CONNECTIONS)?);
        let file = ground.daemon.config_file();
        let text = fs::read_to_string(&file)?;
        for number in 0..reloads {
            // Another weight each time, so that the slot table is another, too.
            fs::write(&file, text.replacen("weight = 100", &format!("weight = {}", 50 + number), 1))?;
            ground.daemon.lbctl("config reload")?;
            load.wait_more(50)?;
        }
        for _ in 0..upgrades {
            // The program on the interfaces is replaced at each start.
            ground.daemon.terminate()?;
            load.wait_more(50)?;
            ground.daemon.start_again()?;
            load.wait_more(50)?;
        }
        connections.wait_more(CONNECTIONS as u64)?;
        let report = load.stop();
        report.failures.iter().for_each(|(reason, count)| eprintln!("{count} x {reason}"));
        let case = format!("{}, {reloads} reloads and {upgrades} upgrades", mode.name());
        rows.extend([
            Row::new(
                format!("{case}: connections made"),
                number(report.total()),
                "connections",
                Required::AtLeast(f64::from(reloads + upgrades) * 50.0),
            ),
            Row::none(format!("{case}: failed"), report.failed(), "connections"),
            Row::none(
                format!("{case}: broken of {CONNECTIONS} long connections"),
                broken_elsewhere(&connections.close(), &[]),
                "connections",
            ),
        ]);
    }
    Ok(rows)
}
