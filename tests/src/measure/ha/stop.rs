//! What operators do: the active node's daemon ends, and comes back; a planned switchover and its end. In both modes, with replication of flows in
//! `full-nat`, as docs/replication.md has it.

use anyhow::Result;

use super::{
    super::{Depth, Required, Row},
    rounds::{MODES, Rounds, compare, mode_of},
};
use crate::duo::{Duo, Mover, Setup};

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = ended(depth)?;
    rows.extend(ended_in_full_nat(depth)?);
    for setup in MODES {
        rows.extend(planned(depth, setup)?);
    }
    Ok(rows)
}

/// `lbctl vrrp failover` and `lbctl vrrp release`.
fn planned(depth: Depth, setup: Setup) -> Result<Vec<Row>> {
    let count = depth.of(10);
    let mut duo = Duo::start(setup)?;
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
    let mode = mode_of(&setup);
    let mut rows = away.losses(&format!("planned switchover (lbctl vrrp failover), {mode}"), zero);
    rows.extend(back.losses(&format!("its end (lbctl vrrp release), {mode}"), zero));
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
        rows.extend(stop.losses(&format!("clean stop (SIGTERM), nat, {}", mover.name()), required));
        rows.extend(back.losses(&format!("it is back and takes over, nat, {}", mover.name()), required));
    }
    Ok(rows)
}

/// The same with SNAT addresses.
fn ended_in_full_nat(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(10);
    let [_, setup] = MODES;
    let mut duo = Duo::start(setup)?;
    let [mut stop, mut back] = [Rounds::new(count), Rounds::new(count)];
    while !stop.is_done() || !back.is_done() {
        stop.add(duo.seen(|duo| {
            duo.stop(0)?;
            duo.settled(1)
        })?)?;
        back.add(duo.seen(returned)?)?;
    }
    let (mode, zero) = (mode_of(&setup), Required::Exactly(0.0));
    let mut rows = stop.losses(&format!("clean stop (SIGTERM), {mode}"), zero);
    rows.extend(back.losses(&format!("it is back and takes over, {mode}"), zero));
    Ok(rows)
}

/// The preferred node is started again, and takes the addresses back.
fn returned(duo: &mut Duo) -> Result<()> {
    duo.launch(0)?;
    duo.settled(0)
}
