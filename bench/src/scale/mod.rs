//! What grows with services and backends: the time of a load, memory, the latency of a change.

use anyhow::Result;

use crate::{
    control::changes,
    finding::{Findings, Plot, Point, Row},
    large::{Large, Size},
    part::{Depth, Run},
    statistics::median,
};

/// Ten backends each, and at the end one service of as many backends as the largest of these has in all.
const FULL: [Size; 7] = [
    Size { services: 1, backends: 10 },
    Size { services: 10, backends: 10 },
    Size { services: 100, backends: 10 },
    Size { services: 1000, backends: 10 },
    Size { services: 3000, backends: 10 },
    Size { services: 10_000, backends: 10 },
    Size { services: 100, backends: 1000 },
];
const QUICK: [Size; 4] = [
    Size { services: 10, backends: 10 },
    Size { services: 100, backends: 10 },
    Size { services: 1000, backends: 10 },
    Size { services: 10, backends: 1000 },
];

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let sizes: &[Size] = match run.depth {
        Depth::Full => &FULL,
        Depth::Quick => &QUICK,
    };
    let mut findings = Findings::default();
    for (done, size) in sizes.iter().enumerate() {
        run.step(&format!("{} services of {} backends", size.services, size.backends), done, sizes.len());
        measure(*size, run.depth, &mut findings)?;
    }
    findings.notes.push("What the data path costs with many flows and services is in `packet`.".to_owned());
    Ok(findings)
}

fn measure(size: Size, depth: Depth, findings: &mut Findings) -> Result<()> {
    let mut large = Large::prepare(size, "")?;
    let load = large.start()?.as_secs_f64();
    let (memory, _) = large.memory()?;
    let (visible, _) = changes(&large, depth.pick(15, 7), false)?;
    let change = median(&visible);
    let name = format!("{} x {} backends", size.services, size.backends);
    for (what, unit, plot, value) in [
        ("load", "s", Plot::LoadTime, load),
        ("memory of lbd", "MiB", Plot::Memory, memory),
        ("change", "ms", Plot::ChangeLatency, change),
    ] {
        findings.rows.push(Row::new(format!("{what}, {name}"), unit, value));
        let line = format!("{} backends each", size.backends);
        findings.points.push(Point::new(plot, line, f64::from(size.total()), value));
    }
    Ok(())
}
