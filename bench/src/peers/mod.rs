//! Others on the same topology, in the same run.

pub mod guest;

use std::time::Duration;

use anyhow::Result;
use lb_tests::topology::Family;

use crate::{
    finding::{Findings, Plot, Point, Target},
    live::{
        contest::{Contest, Figure},
        way::Way,
    },
    part::{Depth, Run},
    statistics::median,
    tcp::steady,
};

const WAYS: [Way; 7] =
    [Way::Bare, Way::Plain, Way::Nftables, Way::HaProxy, Way::Nginx, Way::Nat, Way::FullNat];
const OURS: [Way; 2] = [Way::Nat, Way::FullNat];
/// Requests in a second of the open loop.
const RATE: u32 = 4000;
/// Rounds of the open loop for each of the closed ones: the 99th percentile of a round is known worse than the rest.
const LATENCY_ROUNDS: usize = 2;

/// Measures the part.
///
/// # Errors
///
/// If the measurement itself fails.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let rounds = run.depth.pick(11, 7);
    let slice = Duration::from_millis(run.depth.pick(500, 200));
    run.step("networks", 0, rounds + 3);
    let mut findings = Findings { notes: NOTES.map(str::to_owned).to_vec(), ..Findings::default() };
    {
        let mut contest = Contest::build(&WAYS, Family::V4)?;
        contest.ask(slice / 4)?;
        contest.forget();
        for round in 0..rounds {
            run.step("requests, connections, latency", round + 1, rounds + 3);
            contest.ask(slice)?;
            for _ in 0..LATENCY_ROUNDS {
                contest.ask_at(RATE, slice)?;
            }
        }
        run.step("time of the balancers", rounds + 1, rounds + 3);
        contest.balancer_time(rounds, slice / 2)?;
        add(&mut contest, run.depth, &mut findings);
    }
    run.step("IPVS in a guest", rounds + 2, rounds + 3);
    match guest::run(run) {
        Ok(guest) => {
            findings.rows.extend(guest.rows);
            findings.points.extend(guest.points);
            findings.notes.extend(guest.notes);
        }
        // The others are worth having all the same.
        Err(error) => findings.notes.push(format!("IPVS was not measured: {error:#}")),
    }
    Ok(findings)
}

const NOTES: [&str; 5] = [
    "veth is not a NIC, and the client and the servers share the two cores with the balancer and take most of their time: requests in a \
     second compare whole machines, the time of the balancer compares balancers.",
    "HAProxy (mode tcp) and nginx (stream) have their defaults with as many threads as there are cores; they end connections and open their \
     own, and the servers do not see the client's address. nftables maps by numgen, and conntrack verifies no checksums.",
    "The time of the balancer is that of the threads that poll its interfaces (threaded NAPI), and of a proxy's processes, alone on a core. Few \
     packets come at a time there, so we take most of it to be waking up and waking others (not shown): see `forward` for the cost of a packet.",
    "Bare XDP redirect is a wire: what it reaches is the bound for every balancer in XDP, on this machine and these veths.",
    "IPv4; p99 is of an open loop: the median of the rounds' own.",
];

/// What is compared: its name, its unit, and the ratios that are wanted against each of the others.
struct Comparison {
    what: &'static str,
    unit: &'static str,
    figure: Figure,
    targets: &'static [(Way, Option<Target>)],
}

const COMPARISONS: [Comparison; 4] = [
    Comparison {
        what: "requests on kept connections",
        unit: "1/s",
        figure: |runner| &runner.kept,
        targets: &[
            (Way::Plain, Some(Target::RatioAtLeast(1.0))),
            (Way::Nftables, Some(Target::RatioAtLeast(1.5))),
            (Way::HaProxy, Some(Target::RatioAtLeast(2.0))),
            (Way::Nginx, None),
        ],
    },
    Comparison {
        what: "new connections",
        unit: "1/s",
        figure: |runner| &runner.anew,
        targets: &[
            (Way::Plain, Some(Target::RatioAtLeast(1.0))),
            (Way::Nftables, Some(Target::RatioAtLeast(1.5))),
            (Way::HaProxy, None),
            (Way::Nginx, None),
        ],
    },
    Comparison {
        what: "time of the balancer for a request",
        unit: "us",
        figure: |runner| &runner.core,
        targets: &[
            (Way::Plain, None),
            (Way::Nftables, Some(Target::RatioAtMost(0.25))),
            (Way::HaProxy, None),
            (Way::Nginx, None),
        ],
    },
    Comparison {
        what: "latency at 4000 requests/s, p99 of a round",
        unit: "us",
        figure: |runner| &runner.late,
        targets: &[(Way::Plain, None), (Way::Nftables, None), (Way::HaProxy, None), (Way::Nginx, None)],
    },
];

fn add(contest: &mut Contest, depth: Depth, findings: &mut Findings) {
    // The scheduler puts nginx's processes elsewhere each time.
    let swings = |what: &str, floor| what.contains("p99") || floor == Way::Nginx;
    let judged = |what: &str, floor, row| if swings(what, floor) { steady(row, depth) } else { row };
    for Comparison { what, unit, figure, targets } in COMPARISONS {
        for way in OURS {
            for (floor, target) in targets {
                let row = contest.row(way, *floor, what, unit, figure);
                findings.rows.extend(row.map(|row| match target {
                    Some(target) => row.target(*target),
                    None => judged(what, *floor, row),
                }));
            }
        }
    }
    for Comparison { what, unit, figure, .. } in COMPARISONS {
        for way in [Way::Nftables, Way::HaProxy, Way::Nat, Way::FullNat] {
            let row = contest.row(Way::Bare, way, what, unit, figure);
            findings.rows.extend(row.map(|row| judged(what, way, row.note("the bound"))));
        }
    }
    for (number, runner) in (0_u32..).zip(contest.runners()) {
        for (what, figures) in [("kept", &runner.kept), ("new", &runner.anew)] {
            let line = format!("{} ({what})", runner.way().name());
            findings.points.push(Point::new(Plot::Peers, line, f64::from(number), median(figures)));
        }
    }
}
