//! What grows with services and backends: the time of a load, memory, the latency of a change.

use std::time::Duration;

use anyhow::Result;
use lb_tests::large::{Large, Size};

use crate::{
    control::changes,
    finding::{Findings, Plot, Point, Row, Target},
    forward::{CASES, Race, Track},
    live::{rounds::paired_ratio, way::Ground},
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
        run.step(&format!("{} services of {} backends", size.services, size.backends), done, sizes.len() + 1);
        measure(*size, run.depth, &mut findings)?;
    }
    run.step("frames with many services", sizes.len(), sizes.len() + 1);
    findings.rows.extend(frames(run.depth)?);
    findings.notes.push(
        "What a packet of one of many flows, or to one of many services, costs is in `packet`.".to_owned(),
    );
    Ok(findings)
}

/// What the core of a balancer with ten services, and of one with ten thousand, takes for a frame of an established connection.
fn frames(depth: Depth) -> Result<Vec<Row>> {
    const SERVICES: [u32; 2] = [10, 10_000];
    let grounds = Ground::build_with_services(&SERVICES)?;
    let tracks = grounds.into_iter().map(Track::new).collect::<Result<Vec<_>>>()?;
    let mut race = Race::prepare(CASES[0], &tracks)?;
    let (rounds, slice) = depth.pick((21, 100), (15, 20));
    for _ in 0..rounds {
        race.round(Duration::from_millis(slice))?;
    }
    let row = |(direction, figures): (&str, &[Vec<f64>])| {
        let (few, many) = (&figures[0], &figures[1]);
        let what = format!(
            "nat IPv4 TCP ACK, {direction}: core time of a frame, 10 000 services, floor 10 services"
        );
        Row::new(what, "ns", median(many))
            .paired(median(few), paired_ratio(many, few))
            .target(Target::RatioAtMost(1.05))
    };
    Ok(race.directions().map(row).collect())
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
