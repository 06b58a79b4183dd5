//! What operators do: the active node's daemon ends, and comes back.

use anyhow::Result;

use super::{
    super::{Depth, Required, Row},
    rounds::compare,
};
use crate::duo::{Duo, Mover};

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
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
