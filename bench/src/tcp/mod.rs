//! Requests, connections and latency over TCP: ours beside plain kernel forwarding, which balances nothing.

use std::time::Duration;

use anyhow::Result;
use lb_tests::topology::Family;

use crate::{
    finding::{Findings, Plot, Point, Row, Target},
    live::{contest::Contest, way::Way},
    part::Run,
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
    "Percentiles are of all rounds together; beyond p99 they mostly show what else the machine had to do.",
];

/// Requests in a second of the open loop.
const RATE: u32 = 4000;

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
        contest.ask_at(RATE, slice * 2)?;
    }
    run.step(&format!("{}: time of the balancer", family.name()), steps - 1, steps);
    contest.balancer_time(rounds, slice / 2)?;
    for way in OURS {
        findings.rows.extend(throughput(&contest, way, family));
    }
    latency(&mut contest, family, findings);
    Ok(())
}

fn throughput(contest: &Contest, way: Way, family: Family) -> Vec<Row> {
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
            .row(way, Way::Plain, &format!("{family} download, offloads off"), "MB/s", |runner| &runner.bulk),
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

fn latency(contest: &mut Contest, family: Family, findings: &mut Findings) {
    const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];
    let mut base = [0.0; PERCENTILES.len()];
    for runner in contest.runners() {
        let way = runner.way();
        let all = PERCENTILES.map(|percentile| runner.latencies.percentile(percentile / 100.0));
        if way == Way::Plain {
            base = all;
        }
        for ((percentile, ours), plain) in PERCENTILES.into_iter().zip(all).zip(base) {
            let line = format!("{} {}", way.name(), family.name());
            findings.points.push(Point::new(Plot::LatencyDistribution, line, percentile, ours));
            if way == Way::Plain || ![50.0, 99.0, 99.9].contains(&percentile) {
                continue;
            }
            let what =
                format!("{}: {} latency p{percentile} at {RATE} requests/s", way.name(), family.name());
            let row = Row::new(what, "us", ours).against(plain);
            let row =
                if (percentile - 99.0).abs() < 0.1 { row.target(Target::RatioAtMost(1.0)) } else { row };
            findings.rows.push(row.note(format!("{} requests", runner.latencies.count())));
        }
    }
}
