//! What operators do: the active node's daemon ends, and comes back; a planned switchover and its end.

use anyhow::Result;

use super::{
    super::{Depth, Required, Row},
    rounds::{Rounds, compare},
};
use crate::duo::{Duo, Mover, Setup};

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = ended(depth)?;
    rows.extend(planned(depth)?);
    Ok(rows)
}

/// `lbctl vrrp failover` and `lbctl vrrp release`.
fn planned(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(10);
    let mut duo = Duo::start(Setup::default())?;
    let [mut away, mut back] = [Rounds::new(count), Rounds::new(count)];
    while !away.is_done() || !back.is_done() {
        for (rounds, verb, active) in [(&mut away, "failover", 1), (&mut back, "release", 0)] {
            rounds.add(duo.seen(|duo| {
                duo.daemons[0].lbctl(&format!("vrrp {verb} --all --wait"))?;
                duo.settled(active)
            })?)?;
        }
    }
    let zero = Required::Exactly(0.0);
    let mut rows = away.losses("planned switchover (lbctl vrrp failover)", zero);
    rows.extend(back.losses("its end (lbctl vrrp release)", zero));
    Ok(rows)
}

/// SIGTERM, and another start.
fn ended(depth: Depth) -> Result<Vec<Row>> {
    let results = compare(depth.of(10), |duo, [stop, back]| {
        stop.add(duo.seen(|duo| {
            duo.stop(0)?;
            duo.settled(1)
        })?)?;
        back.add(duo.seen(returned)?)
    })?;
    let mut rows = Vec::new();
    for ([stop, back], mover) in results.iter().zip([Mover::Own, Mover::Keepalived]) {
        let required = if mover == Mover::Own { Required::Exactly(0.0) } else { Required::Nothing };
        rows.extend(stop.losses(&format!("clean stop (SIGTERM), {}", mover.name()), required));
        rows.extend(back.losses(&format!("it is back and takes over, {}", mover.name()), required));
    }
    Ok(rows)
}

/// The preferred node is started again, and takes the addresses back.
fn returned(duo: &mut Duo) -> Result<()> {
    duo.launch(0)?;
    duo.settled(0)
}
