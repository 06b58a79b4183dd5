//! The active node's daemon is killed, and nothing else: its kernel and its data path live.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    super::{Depth, Required, Row, number},
    rounds::{Rounds, maximum, median},
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
    let count = depth.of(10);
    let mut duo = Duo::start(Setup::default())?;
    let [mut killed, mut back] = [Rounds::new(count), Rounds::new(count)];
    let (mut alone, mut owners) = (Vec::new(), Vec::new());
    while !killed.is_done() || !back.is_done() {
        let mut seen = Vec::new();
        killed.add(duo.seen(|duo| {
            let begin = clock::now();
            duo.kill(0)?;
            seen = duo.arp.watch(begin + WATCHED)?;
            // The last moment at which it was not one node alone that answered.
            let last = seen.iter().rev().find(|(_, owners)| owners.len() != 1);
            alone.push(last.map_or(0.0, |(at, _)| at.duration_since(begin).as_secs_f64() * 1e3));
            Ok(())
        })?)?;
        owners.push(number(seen.last().context("nobody was asked")?.1.len() as u64));
        back.add(duo.seen(|duo| {
            duo.launch(0)?;
            duo.settled(0)
        })?)?;
    }
    let case = "lbd of the active node killed (SIGKILL)";
    let zero = Required::Exactly(0.0);
    let mut rows = killed.losses(case, zero);
    let within = Required::AtMost(ONE_OWNER_WITHIN);
    rows.push(Row::new(
        format!("{case}: two answered for the VIP until, median"),
        median(&alone),
        "ms",
        within,
    ));
    rows.push(Row::new(
        format!("{case}: two answered for the VIP until, maximum"),
        maximum(&alone),
        "ms",
        within,
    ));
    let one = Required::Exactly(1.0);
    rows.push(Row::new(
        format!("{case}: answer for the VIP in the end, at most"),
        maximum(&owners),
        "nodes",
        one,
    ));
    rows.extend(back.losses(&format!("{case}, and started again"), zero));
    Ok(rows)
}
