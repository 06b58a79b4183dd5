//! The daemon with many services.

use std::{thread, time::Duration};

use anyhow::Result;
use lb_tests::large::{Large, Size};

use crate::{
    finding::{Findings, Row, Target},
    part::Depth,
    statistics::{median, milliseconds, quantile},
};

/// What the targets name.
const LARGE: Size = Size { services: 10_000, backends: 10 };
/// What a scrape is measured with.
const SCRAPED: Size = Size { services: 1000, backends: 10 };
/// Longer than an answer of the metrics is good for.
const STALE: Duration = Duration::from_millis(150);

pub(super) fn load_and_change(depth: Depth, findings: &mut Findings) -> Result<()> {
    let mut large = Large::prepare(LARGE, "")?;
    let took = large.start()?;
    let (_, most) = large.memory()?;
    findings.rows.push(
        Row::new("full load of 10 000 services with 100 000 backends", "s", took.as_secs_f64())
            .target(Target::AtMost(5.0))
            .note("from the start of the process with empty maps until it answers and is attached"),
    );
    findings.rows.push(
        Row::new("most memory of lbd during that load", "MiB", most)
            .target(Target::AtMost(400.0))
            .note("resident set; the maps are the kernel's"),
    );
    let (visible, _) = changes(&large, depth.pick(30, 9), false)?;
    findings.rows.push(
        Row::new("one change there, visible in the map", "ms", median(&visible))
            .target(Target::AtMost(50.0))
            .note(format!("through the API with ?runtime=true; slowest {:.0} ms", quantile(&visible, 1.0))),
    );
    let (visible, answered) = changes(&large, depth.pick(9, 3), true)?;
    findings.rows.push(Row::new("the same, to be written into the file too", "ms", median(&visible)).note(
        format!(
            "the file of 100 000 backends is written anew and synced; the answer comes after {:.0} ms",
            median(&answered)
        ),
    ));
    let mut again = Vec::new();
    for _ in 0..depth.pick(3, 1) {
        large.daemon.terminate()?;
        again.push(large.start()?.as_secs_f64());
    }
    findings.rows.push(
        Row::new("lbd restarted over full maps", "s", median(&again)).note("forwarding goes on meanwhile"),
    );
    Ok(())
}

/// Times in milliseconds until changes of single backends were visible and answered.
pub(crate) fn changes(large: &Large, count: u32, lasting: bool) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut visible, mut answered) = (Vec::new(), Vec::new());
    for number in 0..count {
        let state = if number % 2 == 0 { "draining" } else { "enabled" };
        let (seen, told) = large.change(number / 2, 0, state, lasting)?;
        visible.push(milliseconds(seen));
        answered.push(milliseconds(told));
    }
    if !lasting && count % 2 == 1 {
        // The file and the running state are to agree again.
        large.change((count - 1) / 2, 0, "enabled", false)?;
    }
    Ok((visible, answered))
}

pub(super) fn scrape(depth: Depth, findings: &mut Findings) -> Result<()> {
    let mut large = Large::prepare(SCRAPED, "")?;
    large.start()?;
    let (mut times, mut size) = (Vec::new(), 0);
    for _ in 0..depth.pick(21, 9) {
        thread::sleep(STALE);
        let (took, answer) = large.scrape()?;
        times.push(milliseconds(took));
        size = answer.len();
    }
    findings.rows.push(
        Row::new("metrics scrape with 1000 services of 10 backends", "ms", median(&times))
            .target(Target::AtMost(50.0))
            .note(format!("{} KiB of text over TCP in the namespace", size / 1024)),
    );
    Ok(())
}
