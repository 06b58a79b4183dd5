//! The links of the active node go down and up again and again.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    super::{Depth, Required, Row, number},
    rounds::{Rounds, maximum},
};
use crate::duo::{Duo, Setup};

/// Times in a round, and how long the links are down and up.
const TIMES: usize = 10;
const HALF: Duration = Duration::from_millis(250);
/// As when it loses its power.
const OUTAGE: f64 = 361.0;
/// The other node takes over, and gives back.
const CHANGES: f64 = 2.0;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(10).div_ceil(2);
    let (mut rounds, mut changes) = (Rounds::new(count), Vec::new());
    while !rounds.is_done() {
        // A node whose links flap takes longer each time until it trusts them.
        let mut duo = Duo::start(Setup::default())?;
        let before = taken_over(&duo)?;
        rounds.add(duo.seen(|duo| {
            for _ in 0..TIMES {
                for is_in in [false, true] {
                    duo.pair.plug(0, is_in)?;
                    thread::sleep(HALF);
                }
            }
            duo.settled(0)
        })?)?;
        changes.push(number(taken_over(&duo)? - before));
    }
    let case = format!("links of the active node down and up {TIMES} times in 5 s");
    let mut rows = rounds.outages(&case, [Required::AtMost(OUTAGE); 2]);
    let what = format!("{case}: changes of state of the other node in a round, at most");
    rows.push(Row::new(what, maximum(&changes), "changes", Required::AtMost(CHANGES)));
    Ok(rows)
}

/// Changes of state of the other node's first virtual router.
fn taken_over(duo: &Duo) -> Result<u64> {
    duo.daemons[1].lbctl("vrrp status")?[0]["transitions"].as_u64().context("no count of changes")
}
