//! Requests, connections and latency over TCP: ours beside plain kernel forwarding, which balances nothing.

use std::time::Duration;

use anyhow::Result;
use lb_tests::topology::Family;

use crate::{
    finding::{Findings, Plot, Point, Row, Target},
    live::{contest::Contest, way::Way},
    part::{Depth, Run},
};

const WAYS: [Way; 3] = [Way::Plain, Way::Nat, Way::FullNat];
const OURS: [Way; 2] = [Way::Nat, Way::FullNat];

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let mut findings = Findings { notes: NOTES.map(str::to_owned).to_vec(), ..Findings::default() };
    let families = run.depth.pick(&Family::ALL[..], &Family::ALL[..1]);
    for family in families {
        measure(run, *family, &mut findings)?;
    }
    Ok(findings)
}

const NOTES: [&str; 5] = [
    "veth is not a NIC, and the client and the servers share the two cores with the balancer and take most of their time: requests in a \
     second compare whole machines, the time of the balancer compares balancers.",
    "Closed loops (32 connections) show what gets through. Latency is of an open loop: requests are due at fixed times, and latency \
     counts from there. wrk's closed loop would ask nothing while something stalls, and hide it (coordinated omission).",
    "Offloads are off on all links, on both sides: XDP forwards no GSO frames, which plain forwarding over veth would move 64 kB at a time.",
    "The time of the balancer is that of the threads that poll its interfaces (threaded NAPI), alone on a core, in rounds of their own. Few \
     packets come at a time there, so we take most of it to be waking up and waking others (not shown): see `forward` for the cost of a packet.",
    "Percentiles of a round are medians over the rounds, and their ratios are of the same round. Those of all rounds together have no ratio: \
     beyond p99 they mostly show what else the machine had to do.",
];

/// Requests in a second of the open loop.
const RATE: u32 = 4000;
/// Rounds of the open loop for each of the closed ones: the 99th percentile of a round is known worse than the rest.
const LATENCY_ROUNDS: usize = 3;

fn measure(run: &mut Run<'_>, family: Family, findings: &mut Findings) -> Result<()> {
    let rounds = run.depth.pick(11, 7);
    let slice = Duration::from_millis(run.depth.pick(500, 300));
    let steps = rounds * 2 + 2;
    run.step("networks", 0, steps);
    let mut contest = Contest::build(&WAYS, family)?;
    contest.ask(slice / 4)?;
    contest.forget();
    for round in 0..rounds {
        run.step(&format!("{}: requests and connections", family.name()), round * 2 + 1, steps);
        contest.ask(slice)?;
        contest.download()?;
        run.step(&format!("{}: latency", family.name()), round * 2 + 2, steps);
        for _ in 0..LATENCY_ROUNDS {
            contest.ask_at(RATE, slice * 2 / 3)?;
        }
    }
    run.step(&format!("{}: time of the balancer", family.name()), steps - 1, steps);
    contest.balancer_time(rounds, slice / 2)?;
    for way in OURS {
        findings.rows.extend(throughput(&contest, way, family, run.depth));
    }
    latency(&mut contest, (family, run.depth), findings);
    Ok(())
}

fn throughput(contest: &Contest, way: Way, family: Family, depth: Depth) -> Vec<Row> {
    let family = family.name();
    let at_least = |row: Row| row.target(Target::RatioAtLeast(1.0));
    let rows = [
        contest
            .row(way, Way::Plain, &format!("{family} requests on kept connections"), "1/s", |runner| {
                &runner.kept
            })
            .map(at_least),
        contest
            .row(way, Way::Plain, &format!("{family} new connections"), "1/s", |runner| &runner.anew)
            .map(at_least),
        contest
            .row(way, Way::Plain, &format!("{family} download, offloads off"), "MB/s", |runner| &runner.bulk)
            .map(|row| steady(row, depth)),
        contest.row(
            way,
            Way::Plain,
            &format!("{family} time of the balancer for a request"),
            "us",
            |runner| &runner.core,
        ),
    ];
    rows.into_iter().flatten().collect()
}

/// What swings too much for the ratio of a quick run.
pub(crate) fn steady(row: Row, depth: Depth) -> Row {
    if depth == Depth::Quick { row.figures_only() } else { row }
}

fn latency(contest: &mut Contest, (family, depth): (Family, Depth), findings: &mut Findings) {
    const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];
    let name = family.name();
    for way in OURS {
        let row = |percentile: &str, figure| {
            let what = format!("{name} latency at {RATE} requests/s, {percentile} of a round");
            contest.row(way, Way::Plain, &what, "us", figure)
        };
        findings.rows.extend(row("p50", |runner| &runner.typical));
        let late = row("p99", |runner| &runner.late);
        findings.rows.extend(late.map(|row| steady(row.target(Target::RatioAtMost(1.0)), depth)));
    }
    for runner in contest.runners() {
        let way = runner.way();
        for percentile in PERCENTILES {
            let line = format!("{} {name}", way.name());
            let latency = runner.latencies.percentile(percentile / 100.0);
            findings.points.push(Point::new(Plot::LatencyDistribution, line, percentile, latency));
            if percentile >= 99.0 {
                let what =
                    format!("{}: {name} latency at {RATE} requests/s, p{percentile} of all", way.name());
                let row = Row::new(what, "us", latency);
                findings.rows.push(row.note(format!("{} requests", runner.latencies.count())));
            }
        }
    }
}
