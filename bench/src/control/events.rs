//! What it takes to find out which subscribers want an event.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Context, Result};
use lb_userspace::events::{Attribute, Filter, Index, Kind, Notice, Value};

use crate::{
    finding::{Findings, Row, Target},
    part::Depth,
    statistics::{median, timed},
};

/// Subscriptions, each with a filter of its own.
const SUBSCRIPTIONS: u32 = 10_000;
/// Events of a round, each of another backend.
const EVENTS: u32 = 200;

pub(super) fn measure(depth: Depth, findings: &mut Findings) -> Result<()> {
    let filters: Vec<Filter> = (0..SUBSCRIPTIONS)
        .map(|number| filter(number).parse().with_context(|| filter(number)))
        .collect::<Result<_>>()?;
    let mut index = Index::default();
    for (number, filter) in (0..).zip(&filters) {
        index.insert(number, filter);
    }
    let notices: Vec<Notice> = (0..EVENTS).map(|number| notice(number * 37)).collect();
    let (mut times, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..depth.pick(21, 9) {
        let (each, wanted) = timed(|| {
            let wants = |notice| filters.iter().filter(|filter| filter.matches(notice)).count();
            notices.iter().map(wants).sum::<usize>()
        });
        let (took, found) =
            timed(|| notices.iter().map(|one| black_box(index.matching(one)).len()).sum::<usize>());
        anyhow::ensure!(
            found == wanted && found > 0,
            "{found} subscriptions were found, {wanted} want an event"
        );
        let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6 / f64::from(EVENTS);
        times.push(micros(took));
        floors.push(micros(each));
        ratios.push(took.as_secs_f64() / each.as_secs_f64());
    }
    findings.rows.push(
        Row::new("an event for 10 000 subscribers with filters", "us", median(&times))
            .paired(median(&floors), median(&ratios))
            .target(Target::RatioAtMost(0.1))
            .note("finding those who want it; floor: asking each"),
    );
    Ok(())
}

/// Most want what happens to one backend or one service, some more than that.
fn filter(number: u32) -> String {
    let service = number % 1000;
    match number % 100 {
        0 => format!("service^=web-{service} or kind=drift-repaired"),
        1 => format!("address in 10.{}.0.0/16 to=down", service % 256),
        2 => format!("(to=down or to=active) healthy in ..{}", number % 7),
        3..30 => format!("service=web-{service} to=down"),
        _ => format!("topic=health service=web-{service} backend=b{}", number % 10),
    }
}

fn notice(number: u32) -> Notice {
    let address = Ipv4Addr::from(0x0a00_0000 + number * 8191 % (1 << 24));
    Notice::new(Kind::HealthDown)
        .with(Attribute::Service, format!("web-{}", number % 1000))
        .with(Attribute::Backend, format!("b{}", number % 10))
        .with(Attribute::Address, Value::from(IpAddr::V4(address)))
        .with(Attribute::From, "up")
        .with(Attribute::To, "down")
        .with(Attribute::Reason, "connection refused")
}
