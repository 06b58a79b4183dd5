//! The nodes do not hear each other, and then they do again.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    super::{Depth, Required, Row},
    rounds::{Rounds, compare},
};
use crate::duo::{self, Duo, Mover, Setup};

/// Longest time without an answer.
const GAP: f64 = 150.0;
/// How long a node is alone.
const APART: Duration = Duration::from_secs(1);
/// How long it is watched what follows.
const AFTER: Duration = Duration::from_millis(1500);

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = isolated(depth)?;
    rows.extend(deaf(depth)?);
    Ok(rows)
}

/// The preferred node reaches nobody, and then everybody: both have been active.
fn isolated(depth: Depth) -> Result<Vec<Row>> {
    let results = compare(depth.of(10), |duo, [rounds]| {
        duo.settled(0)?;
        duo.pair.isolate(0, true)?;
        duo.adverts.heard(duo::source(1), 3)?;
        thread::sleep(APART);
        let seen = duo.seen(|duo| {
            duo.pair.isolate(0, false)?;
            thread::sleep(AFTER);
            Ok(())
        })?;
        duo.settled(0)?;
        rounds.add(seen)
    })?;
    let case = |mover: Mover| format!("partition healed, {}", mover.name());
    let [[own], [keepalived]] = results;
    let mut rows = own.outages(&case(Mover::Own), [Required::AtMost(GAP); 2]);
    rows.extend(keepalived.outages(&case(Mover::Keepalived), [Required::Nothing; 2]));
    Ok(rows)
}

/// Only the adverts are lost: both nodes are active and reach everybody.
fn deaf(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(10);
    let mut duo = Duo::start(Setup::default())?;
    let mut rounds = Rounds::new(count);
    while !rounds.is_done() {
        duo.settled(0)?;
        let seen = duo.seen(|duo| {
            [0, 1].iter().try_for_each(|node| duo.pair.deafen(*node, true))?;
            thread::sleep(APART);
            let both = duo.holders()?;
            [0, 1].iter().try_for_each(|node| duo.pair.deafen(*node, false))?;
            anyhow::ensure!(both[0] == [0, 1], "the nodes still hear each other");
            thread::sleep(AFTER);
            Ok(())
        });
        rounds.add(seen.with_context(|| duo.logs())?)?;
    }
    Ok(rounds.outages("adverts lost for 1 s, lbd", [Required::AtMost(GAP); 2]))
}
