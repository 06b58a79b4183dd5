//! How long `lbctl flow` takes where there are very many flows, from its start to its end.

use anyhow::{Context, Result, ensure};
use lb_common::maps;
use lb_userspace::sys::bpf::Map;

use super::super::{Depth, Required, Row, figures::median};
use crate::{
    clock,
    large::{
        Large, Size,
        flows::{OF_A_CLIENT, client, fill},
    },
};

/// Flows, and those who own them.
const FLOWS: u64 = 1_000_000;
const OWNERS: Size = Size { services: 10, backends: 10 };
/// How often each question is asked.
const TIMES: usize = 3;
/// Within which each is to be answered.
const LIMIT: Required = Required::AtMost(2000.0);
/// Most that are listed at once.
const MOST_LISTED: u64 = 100_000;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let count = u32::try_from(depth.of(FLOWS))?;
    let mut large = Large::prepare(OWNERS, "connections_v4 = 1048576")?;
    large.start()?;
    let table = Map::open(&large.pins().join(maps::FLOWS_V4)).context("open the flow table")?;
    fill(&table, OWNERS, count)?;
    let of_service = u64::from(count / OWNERS.services);
    let some = client(count / 2);
    let mut rows = Vec::new();
    for (line, lines) in [
        ("flow list --service s3".to_owned(), 1000),
        (format!("flow list --service s3 --limit {MOST_LISTED}"), of_service.min(MOST_LISTED)),
        (format!("flow list --client {some}"), OF_A_CLIENT.into()),
        ("flow list --backend b7 --idle-max 10m --state established --protocol tcp".to_owned(), 1000),
        ("flow top".to_owned(), 20),
        ("flow top --by client-prefix --service s3".to_owned(), 2),
        ("flow top --by backend".to_owned(), 20),
        ("flow count".to_owned(), OWNERS.total().into()),
    ] {
        rows.push(row(count, &line, ask(&large, &line, lines)?));
    }
    for (line, ended) in [
        (format!("flow kill --client {some} --dry-run"), OF_A_CLIENT.into()),
        (format!("flow kill --client {some}"), OF_A_CLIENT.into()),
        ("flow kill --service s3".to_owned(), of_service - of_service_and_client(count)),
    ] {
        let begin = clock::now();
        let answer = large.daemon.lbctl(&line)?;
        let took = begin.elapsed().as_secs_f64() * 1e3;
        ensure!(answer["reset"] == ended, "{line}: {answer}, expected {ended}");
        rows.push(row(count, &line, took));
    }
    Ok(rows)
}

fn row(count: u32, line: &str, millis: f64) -> Row {
    Row::new(format!("{count} flows: lbctl {line}"), millis, "ms", LIMIT)
}

/// How long a question takes, in milliseconds; at least so many lines answer it.
fn ask(large: &Large, line: &str, lines: u64) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begin = clock::now();
        let answer = large.daemon.lbctl_text(line)?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        let found = answer.lines().count() as u64;
        ensure!(found > lines, "{line}: {found} lines, expected a heading and {lines}");
    }
    Ok(median(&times))
}

/// Flows of the fourth service among those of the client that is ended before.
fn of_service_and_client(count: u32) -> u64 {
    let first = count / 2 / OF_A_CLIENT * OF_A_CLIENT;
    let is_of_service = |number: &u32| number % OWNERS.total() / OWNERS.backends == 3;
    (first..first + OF_A_CLIENT).filter(is_of_service).count() as u64
}
