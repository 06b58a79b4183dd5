//! The active node's daemon is killed or stopped, and nothing else: its kernel and its data path live.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    super::{Depth, Required, Row, number},
    rounds::{MODES, Rounds, maximum, median, mode_of},
};
use crate::{
    clock,
    duo::{Duo, Setup},
};

/// `Active_Down_Interval` of the other node, and as long as one question who has the VIP takes.
const ONE_OWNER_WITHIN: f64 = 361.0 + 10.0;
/// How long it is watched who answers for the VIP.
const WATCHED: Duration = Duration::from_millis(1500);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for setup in MODES {
        let mode = mode_of(&setup);
        let case = format!("lbd of the active node killed (SIGKILL), {mode}");
        rows.extend(silenced(depth, setup, &case, |duo| duo.kill(0), |duo| duo.launch(0))?);
        let case = format!("lbd of the active node stopped (SIGSTOP), {mode}");
        let stop: fn(&mut Duo) -> Result<()> = |duo| signal(duo, Signal::SIGSTOP);
        rows.extend(silenced(depth, setup, &case, stop, |duo| signal(duo, Signal::SIGCONT))?);
    }
    Ok(rows)
}

fn silenced(
    depth: Depth,
    setup: Setup,
    case: &str,
    silence: fn(&mut Duo) -> Result<()>,
    wake: fn(&mut Duo) -> Result<()>,
) -> Result<Vec<Row>> {
    let count = depth.of(10);
    let mut duo = Duo::start(setup)?;
    let [mut silent, mut back] = [Rounds::new(count), Rounds::new(count)];
    let (mut alone, mut owners) = (Vec::new(), Vec::new());
    while !silent.is_done() || !back.is_done() {
        let mut answers = Vec::new();
        silent.add(duo.seen(|duo| {
            let begin = clock::now();
            silence(duo)?;
            answers = duo.arp.watch(begin + WATCHED)?;
            // The last moment at which it was not one node alone that answered.
            let last = answers.iter().rev().find(|(_, owners)| owners.len() != 1);
            alone.push(last.map_or(0.0, |(at, _)| at.duration_since(begin).as_secs_f64() * 1e3));
            Ok(())
        })?)?;
        owners.push(number(answers.last().context("nobody was asked")?.1.len() as u64));
        back.add(duo.seen(|duo| {
            wake(duo)?;
            duo.settled(0)
        })?)?;
    }
    let zero = Required::Exactly(0.0);
    let mut rows = silent.losses(case, zero);
    let within = Required::AtMost(ONE_OWNER_WITHIN);
    let two = format!("{case}: not one node alone answered for the VIP until");
    rows.push(Row::new(format!("{two}, median"), median(&alone), "ms", within));
    rows.push(Row::new(format!("{two}, maximum"), maximum(&alone), "ms", within));
    let one = Required::Exactly(1.0);
    rows.push(Row::new(
        format!("{case}: answer for the VIP in the end, at most"),
        maximum(&owners),
        "nodes",
        one,
    ));
    rows.extend(back.losses(&format!("{case}, and back"), zero));
    Ok(rows)
}

fn signal(duo: &mut Duo, signal: Signal) -> Result<()> {
    let id = duo.daemons[0].process_id().context("lbd does not run")?;
    Ok(kill(Pid::from_raw(id.try_into()?), signal)?)
}
