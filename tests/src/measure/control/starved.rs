//! `lbd` is stopped, and starved of processor time.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::super::{Depth, Required, Row, busy::Busy, number};
use super::{Ground, SERVICE, milliseconds};
use crate::{clock, config::Mode};

/// Processes that do nothing but use a processor.
const BUSY: usize = 6;
/// Longest answer of `lbctl` meanwhile, at the 99th percentile.
const ANSWERS_WITHIN: f64 = 1000.0;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = stopped(depth)?;
    rows.extend(starved(depth)?);
    Ok(rows)
}

/// SIGSTOP and SIGCONT under load.
fn stopped(depth: Depth) -> Result<Vec<Row>> {
    let seconds = depth.of(60);
    let ground = Ground::start(3, 3, Mode::Nat, true)?;
    let (load, connections) = (ground.load(), ground.connections(100)?);
    let process = Pid::from_raw(ground.daemon.process_id().context("lbd does not run")?.try_into()?);
    kill(process, Signal::SIGSTOP)?;
    thread::sleep(Duration::from_secs(seconds));
    kill(process, Signal::SIGCONT)?;
    thread::sleep(Duration::from_secs(2));
    let (report, long) = (load.stop(), connections.close());
    let downs = changes(&ground)?;
    let case = format!("lbd stopped for {seconds} s");
    Ok(vec![
        Row::new(
            format!("{case}: connections meanwhile"),
            number(report.total()),
            "connections",
            Required::AtLeast(number(seconds) * 500.0),
        ),
        Row::none(format!("{case}: failed"), report.failed(), "connections"),
        Row::none(format!("{case}: broken of 100 long connections"), long.broken.len() as u64, "connections"),
        Row::none(format!("{case}: backends taken out after it"), downs, "times"),
    ])
}

/// More busy processes than processors.
fn starved(depth: Depth) -> Result<Vec<Row>> {
    let seconds = depth.of(60);
    let ground = Ground::start(3, 3, Mode::Nat, true)?;
    let load = ground.load();
    let _busy = (0..BUSY).map(|_| Busy::start()).collect::<Result<Vec<_>>>()?;
    let (begin, mut answers) = (clock::now(), Vec::new());
    while begin.elapsed() < Duration::from_secs(seconds) {
        let asked = clock::now();
        ground.daemon.lbctl("status")?;
        answers.push(milliseconds(asked.elapsed()));
        thread::sleep(Duration::from_millis(100));
    }
    let report = load.stop();
    let downs = changes(&ground)?;
    answers.sort_by(f64::total_cmp);
    let slow = answers.get(answers.len() * 99 / 100).or(answers.last()).copied().unwrap_or(f64::INFINITY);
    let case = format!("{BUSY} busy processes for {seconds} s");
    Ok(vec![
        Row::none(format!("{case}: backends taken out that live"), downs, "times"),
        Row::new(format!("{case}: lbctl status, p99"), slow, "ms", Required::AtMost(ANSWERS_WITHIN)),
        Row::none(format!("{case}: failed"), report.failed(), "connections"),
    ])
}

/// How often a backend was taken out.
fn changes(ground: &Ground) -> Result<u64> {
    let filter = format!("kind=backend-state(service={SERVICE})to=down");
    let past = ground.daemon.lbctl(&format!("events --past --match {filter}"))?;
    Ok(past["events"].as_array().context("no events")?.len() as u64)
}
