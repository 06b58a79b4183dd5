//! What it costs to capture, and that it costs nothing afterwards.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::super::{Depth, Required, Row, number};
use crate::{
    clock,
    command::sh,
    config::Mode,
    daemon::binary,
    site::Site,
    topology::{Family, Plan},
};

/// Switches the kernel's accounts of programs on, for all of the machine.
const ACCOUNTS: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// Requests of a round.
const REQUESTS: u64 = 5000;
/// The verifier takes its time on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let site = Site::standard(Plan::default(), Mode::Nat)?;
    let load = site.http_load(Family::V4);
    load.wait_more(200)?;
    let kept = fs::read_to_string(ACCOUNTS)?;
    fs::write(ACCOUNTS, "1").context("cannot have the kernel keep accounts of programs")?;
    let requests = depth.of(REQUESTS);
    let round = || -> Result<f64> {
        let before = runs(&site)?;
        load.wait_more(requests)?;
        let after = runs(&site)?;
        Ok(number(after.time - before.time) / number((after.count - before.count).max(1)))
    };
    let measured = || -> Result<(Vec<(&str, f64)>, u64)> {
        let usual = site.programs()?;
        let mut found = vec![("before", round()?)];
        for (what, arguments) in [
            ("while packets of others are captured", &["client=192.0.2.1"][..]),
            ("while one packet of 1000 is", &["--sample", "1/1000", "service^=web-"]),
            ("while all are that there may be", &["service^=web-"]),
        ] {
            let capture = begin(&site, arguments)?;
            found.push((what, round()?));
            end(capture)?;
            clock::wait_until("the usual program", LIMIT, || site.programs().is_ok_and(|now| now == usual))?;
        }
        found.push(("afterwards", round()?));
        let others = site.programs()?.iter().zip(&usual).filter(|(now, before)| now != before).count();
        Ok((found, others as u64))
    };
    let measured = measured();
    fs::write(ACCOUNTS, kept)?;
    let (times, others) = measured?;
    let row = |(what, time): &(&str, f64)| {
        Row::new(format!("run time of the program for a packet, {what}"), *time, "ns", Required::Nothing)
    };
    let mut rows: Vec<Row> = times.iter().map(row).collect();
    rows.push(Row::none("interfaces with another program than before", others, "interfaces"));
    rows.push(Row::none(
        "requests that failed while captures began and ended",
        load.stop().failed(),
        "requests",
    ));
    Ok(rows)
}

/// What the kernel counts of a program.
struct Runs {
    /// In nanoseconds.
    time: u64,
    count: u64,
}

fn runs(site: &Site) -> Result<Runs> {
    let id = site.programs()?[0];
    let shown: Value = serde_json::from_str(&sh(&format!("bpftool -j prog show id {id}"))?)?;
    let figure = |key: &str| shown[key].as_u64().unwrap_or_default();
    Ok(Runs { time: figure("run_time_ns"), count: figure("run_cnt") })
}

fn begin(site: &Site, arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(binary("lbctl")?);
    command.arg("--socket").arg(site.daemon.socket()).arg("capture").args(arguments);
    let capture = site.topology.balancer.spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    clock::wait_until("the capture to begin", LIMIT, || {
        site.daemon
            .lbctl("capture --list")
            .is_ok_and(|list| list["captures"].as_array().is_some_and(|list| !list.is_empty()))
    })?;
    Ok(capture)
}

fn end(mut capture: Child) -> Result<()> {
    kill(Pid::from_raw(capture.id().try_into()?), Signal::SIGINT)?;
    let status = capture.wait()?;
    ensure!(status.success(), "lbctl capture ended with {status}");
    Ok(())
}
