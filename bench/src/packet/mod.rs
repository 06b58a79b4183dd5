//! What a packet costs the program, by `BPF_PROG_TEST_RUN`: net of the wrapper, beside floors of the same run.

mod asm;
mod bed;
mod cases;
mod programs;
mod timing;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lb_common::{abi::Mode, maps as names, wire::UDP};
use lb_tests::{netns::Netns, packets::world, topology::Family};

use crate::{
    finding::{Findings, Plot, Point, Row, Target},
    part::Run,
};
use bed::{Bed, FAR};
use cases::{Cases, Direction, FULL_NAT, Flows, NAT, SHARED, furnish};
use timing::{Times, interleave};

const ONE_LOOKUP: &str = "one look-up";
const TWO_ENTRIES: &str = "one look-up, two entries a flow";
const ONE_INSERTION: &str = "one insertion";
const TWO_INSERTIONS: &str = "two insertions";

/// Measures the part.
///
/// # Errors
///
/// If the kernel refuses a program, or a packet did not go the way that was to be timed.
pub fn run(run: &mut Run<'_>) -> Result<Findings> {
    let netns = Netns::create("bench")?;
    world::build(&netns)?;
    // Clients are behind a router, which is known, as in most networks.
    let router = world::client(Family::V4, world::ROUTER);
    netns.ip(&format!("route add default via {router}"))?;
    let mut findings = Findings::default();
    netns.run(|| {
        paths(run, &mut findings)?;
        new_flows(run, &mut findings)?;
        flows(run, &mut findings)?;
        services(run, &mut findings)
    })?;
    findings.notes.push(
        "Times are of BPF_PROG_TEST_RUN, without the driver and without the next program on the wire; caches are warm but for the rows \
         with many flows."
            .to_owned(),
    );
    Ok(findings)
}

/// Rounds of a quick run.
const ROUNDS: usize = 9;

/// A row of the table: name, target, and the floor it is held against.
type Wanted = (&'static str, Option<Target>);

/// The ways of a packet that do not depend on the size of the tables.
fn paths(run: &mut Run<'_>, findings: &mut Findings) -> Result<()> {
    const REPEAT: u32 = 200_000;
    let mut bed = Bed::new(&[])?;
    furnish(&bed)?;
    let mut cases = Cases::default();
    cases.add_floors(REPEAT)?;
    cases.add_one_lookup(ONE_LOOKUP, (0, 1), REPEAT)?;
    let (one, back) = (Flows::ONE, Direction::FromBackend);
    let full_nat = Flows { mode: Mode::FullNat, ..one };
    let udp = Flows { proto: UDP, ..one };
    let v6 = Flows { family: Family::V6, backend: 3, ..one };
    let established: [(Wanted, Flows); 9] = [
        (("IPv4 TCP, nat, from client", Some(Target::RatioAtMost(1.5))), one),
        (("IPv4 TCP, nat, from backend", Some(Target::RatioAtMost(1.5))), Flows { direction: back, ..one }),
        (("IPv4 TCP, full-nat, from client", Some(Target::RatioAtMost(1.5))), full_nat),
        (
            ("IPv4 TCP, full-nat, from backend", Some(Target::RatioAtMost(1.5))),
            Flows { direction: back, ..full_nat },
        ),
        (("IPv4 TCP, nat, out of another interface", None), Flows { backend: FAR, ..one }),
        (("IPv4 UDP, nat, from client", Some(Target::RatioAtMost(1.6))), udp),
        (("IPv4 UDP, nat, from backend", Some(Target::RatioAtMost(1.6))), Flows { direction: back, ..udp }),
        (("IPv6 TCP, nat, from client", Some(Target::RatioAtMost(1.7))), v6),
        (("IPv6 TCP, nat, from backend", Some(Target::RatioAtMost(1.7))), Flows { direction: back, ..v6 }),
    ];
    let mut wanted: Vec<Wanted> = Vec::new();
    for (number, (row, flows)) in established.into_iter().enumerate() {
        cases.add_flows(&mut bed, (row.0, 100 + number as u16), flows, REPEAT)?;
        wanted.push(row);
    }
    cases.add_foreign(&mut bed, "IPv4 TCP, not for us", REPEAT)?;
    wanted.push(("IPv4 TCP, not for us", Some(Target::AtMost(45.0))));
    cases.add_icmp_error(&mut bed, ("ICMP error for a flow", 99), REPEAT)?;
    wanted.push(("ICMP error for a flow", Some(Target::AtMost(200.0))));
    cases.add_drop(&mut bed, "SYN, no backend", REPEAT)?;
    wanted.push(("SYN, no backend", None));
    // What is held against a floor of 30 ns has to be known to a nanosecond.
    let times = timed(run, ("ways of a packet", 31), &mut cases, &bed)?;
    findings.rows.extend(floors(&times, &["pass", "tx", ONE_LOOKUP]));
    findings.rows.extend(rows(&times, &wanted, &times[ONE_LOOKUP]));
    Ok(())
}

/// SYNs, each of another client. Those that take no entry are timed by themselves: the others leave the caches cold.
///
/// `large` has room for all flows that are begun; the tables of the others have their default sizes, and the embryonic one of `full` is
/// full after the first SYNs to a shared backend.
fn new_flows(run: &mut Run<'_>, findings: &mut Findings) -> Result<()> {
    const REPEAT: u32 = 100_000;
    let mut large = Bed::new(&[(names::EMBRYONIC_V4, 1 << 21)])?;
    let mut full = Bed::new(&[])?;
    let mut empty = Bed::new(&[])?;
    furnish(&empty)?;
    furnish(&large)?;
    furnish(&full)?;
    let mut stored = Cases::default();
    stored.add_one_lookup(ONE_LOOKUP, (0, 1), 200_000)?;
    // One pool has 64 512 ports.
    let few = run.depth.pick(2000, 4000);
    stored.add_insertions(ONE_INSERTION, 1, few)?;
    stored.add_insertions(TWO_INSERTIONS, 2, few)?;
    stored.add_syns(&mut large, "SYN, full-nat", FULL_NAT, few)?;
    stored.add_syns(&mut large, "SYN, nat, backend of several services", SHARED, 20_000)?;
    stored.add_syns(&mut full, "SYN, nat, backend of several services, table full", SHARED, REPEAT)?;
    let times = timed(run, ("new flows with an entry", ROUNDS), &mut stored, &large)?;
    findings.rows.extend(floors(&times, &[ONE_INSERTION, TWO_INSERTIONS]));
    let wanted = [("SYN, full-nat", Some(Target::AtMost(408.0)))];
    findings.rows.extend(rows(&times, &wanted, &times[ONE_LOOKUP]));
    let shared =
        ["SYN, nat, backend of several services", "SYN, nat, backend of several services, table full"];
    findings
        .rows
        .extend(shared.iter().filter_map(|name| Some(figure((*name).to_owned(), times.get(*name)?))));

    let mut stateless = Cases::default();
    stateless.add_one_lookup(ONE_LOOKUP, (0, 1), 200_000)?;
    stateless.add_syns(&mut empty, "SYN, nat", NAT, REPEAT)?;
    stateless.add_syns(&mut full, "SYN, nat, table full", NAT, REPEAT)?;
    let times = timed(run, ("new flows", 21), &mut stateless, &large)?;
    let wanted =
        [("SYN, nat", Some(Target::AtMost(272.0))), ("SYN, nat, table full", Some(Target::AtMost(600.0)))];
    findings.rows.extend(rows(&times, &wanted, &times[ONE_LOOKUP]));
    Ok(())
}

/// Established flows in random order, so many that the tables do not fit into the caches.
fn flows(run: &mut Run<'_>, findings: &mut Findings) -> Result<()> {
    if !run.wants("random flows") {
        return Ok(());
    }
    let steps: &[u32] = run.depth.pick(&[0, 10, 14, 16, 18, 20, 22], &[0, 10, 16, 20]);
    for &log2 in steps {
        let mut bed = Bed::new(&[(names::FLOWS_V4, (2 << log2).max(1 << 17))])?;
        furnish(&bed)?;
        let mut cases = Cases::default();
        // All flows are seen once before the clock runs.
        let repeat = (1 << log2).clamp(100_000, 4 << 20);
        cases.add_one_lookup(ONE_LOOKUP, (log2, 1), repeat)?;
        cases.add_one_lookup(TWO_ENTRIES, (log2, 2), repeat)?;
        cases.add_flows(&mut bed, ("ours", 100), Flows { flows_log2: log2, ..Flows::ONE }, repeat)?;
        let times = timed(run, (&format!("{} flows", 1_u32 << log2), ROUNDS), &mut cases, &bed)?;
        let count = f64::from(1_u32 << log2);
        let Some(ours) = times.get("ours") else { continue };
        for (name, times) in &times {
            findings.points.push(Point::new(Plot::CostAgainstFlows, name, count, times.median()));
        }
        if log2 >= 16 {
            let name = format!("IPv4 TCP, {} random flows", 1_u32 << log2);
            let target = (log2 == 20).then_some(Target::RatioAtMost(1.1));
            let row = row(name.clone(), ours, &times[ONE_LOOKUP]);
            findings.rows.push(match target {
                Some(target) => row.target(target),
                None => row,
            });
            let two = &times[TWO_ENTRIES];
            findings.rows.push(figure(format!("floor: {TWO_ENTRIES}, {} random flows", 1_u32 << log2), two));
        }
    }
    Ok(())
}

/// SYNs to random services, each of which has an address and a slot table of its own.
fn services(run: &mut Run<'_>, findings: &mut Findings) -> Result<()> {
    const REPEAT: u32 = 100_000;
    if !run.wants("services") {
        return Ok(());
    }
    let steps: &[u32] = run.depth.pick(&[0, 4, 7, 10, 12, 14], &[0, 10, 14]);
    for &log2 in steps {
        let sizes = [names::SERVICES_V4, names::SLOTS, names::SERVICE_COUNTERS, names::ROTATION]
            .map(|name| (name, 1 << 15));
        let mut bed = Bed::new(&sizes)?;
        furnish(&bed)?;
        let mut cases = Cases::default();
        cases.add_one_lookup(ONE_LOOKUP, (0, 1), REPEAT)?;
        cases.add_services(&mut bed, "ours", log2, REPEAT)?;
        let times = timed(run, (&format!("{} services", 1_u32 << log2), ROUNDS), &mut cases, &bed)?;
        let count = f64::from(1_u32 << log2);
        for (name, times) in &times {
            let line = if name == "ours" { "SYN, nat" } else { name };
            findings.points.push(Point::new(Plot::CostAgainstServices, line, count, times.median()));
        }
        let name = format!("SYN, nat, {} services at random", 1_u32 << log2);
        findings.rows.push(figure(name, &times["ours"]));
    }
    Ok(())
}

/// Times all cases, and proves that their packets were forwarded.
fn timed(
    run: &mut Run<'_>,
    (step, quick): (&str, usize),
    cases: &mut Cases,
    bed: &Bed,
) -> Result<BTreeMap<String, Times>> {
    let rounds = run.depth.pick(quick.max(21), quick);
    if let Some(filter) = &run.filter {
        const ALWAYS: [&str; 3] = [ONE_LOOKUP, TWO_ENTRIES, "ours"];
        cases.subjects.retain(|name, _| ALWAYS.contains(&name.as_str()) || name.contains(filter));
    }
    let before: Vec<_> = cases.services.iter().map(|(_, id)| bed.counted(*id)).collect::<Result<_>>()?;
    let times = interleave(&cases.subjects, rounds, |round| run.step(step, round, rounds))?;
    for ((name, id), before) in cases.services.iter().zip(before) {
        let Some(subject) = cases.subjects.get(name) else { continue };
        let expected = subject.repetitions(rounds);
        let counted = bed.counted(*id)?.0 - before.0;
        ensure!(counted == expected, "{name}: {counted} of {expected} packets had a flow");
    }
    Ok(times)
}

/// What the others are held against, as figures of their own.
fn floors(times: &BTreeMap<String, Times>, names: &[&str]) -> Vec<Row> {
    let floor = |name: &&str| Some(figure(format!("floor: {name}"), times.get(*name)?));
    names.iter().filter_map(floor).collect()
}

/// A figure that is held against nothing.
fn figure(name: String, times: &Times) -> Row {
    Row::new(name, "ns", times.median()).note(format!("minimum {:.1} ns", times.minimum()))
}

fn rows(times: &BTreeMap<String, Times>, wanted: &[Wanted], floor: &Times) -> Vec<Row> {
    let row = |(name, target): &Wanted| {
        let row = row((*name).to_owned(), times.get(*name)?, floor);
        Some(match target {
            Some(target) => row.target(*target),
            None => row,
        })
    };
    wanted.iter().filter_map(row).collect()
}

fn row(name: String, ours: &Times, floor: &Times) -> Row {
    let row = Row::new(name, "ns", ours.median()).paired(floor.median(), ours.ratio(floor));
    row.note(format!("minimum {:.1} ns", ours.minimum()))
}
