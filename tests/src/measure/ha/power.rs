//! The active node loses its power: it falls silent, and its links go down.

use std::time::Duration;

use anyhow::Result;

use super::{
    super::{Depth, Required, Row, number},
    rounds::{Rounds, compare, median},
};
use crate::{
    client::{Flows, Seen},
    duo::{self, Duo, Mover, Setup},
};

/// Of keepalived 2.2.7 at the same interval.
const MEDIAN: f64 = 315.0;
/// Three intervals and the skew of priority 100 (360.9), and what a probe each millisecond adds: a gap ends with the next one.
const MAXIMUM: f64 = 361.0 + GRAIN;
/// Milliseconds between two probes.
const GRAIN: f64 = 1.0;
/// At the shortest interval: as much is 36.1 ms.
const MAXIMUM_SHORTEST: f64 = 45.0;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = compared(depth)?;
    rows.extend(shortest(depth)?);
    Ok(rows)
}

/// Adverts each 100 ms; keepalived in turn with `lbd`.
fn compared(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(20);
    let duos = compare(count, |duo, [rounds]| rounds.add(round(duo, rounds.done(), count)?))?;
    let case = |mover: Mover| format!("power off, adverts each 100 ms, {}", mover.name());
    let limits = [Required::AtMost(MEDIAN), Required::AtMost(MAXIMUM)];
    let [[own], [keepalived]] = duos;
    let mut rows = own.outages(&case(Mover::Own), limits);
    rows.extend(keepalived.outages(&case(Mover::Keepalived), [Required::Nothing; 2]));
    let longer = median(&own.longer_than(&keepalived));
    let name = format!("{}: longer than with keepalived at the same moment, median", case(Mover::Own));
    rows.push(Row::new(name, longer, "ms", Required::AtMost(GRAIN)));
    Ok(rows)
}

fn shortest(depth: Depth) -> Result<Vec<Row>> {
    let count = depth.of(20);
    let interval = Duration::from_millis(10);
    let mut duo = Duo::start(Setup { interval, ..Setup::default() })?;
    let mut rounds = Rounds::new(count);
    while !rounds.is_done() {
        rounds.add(round(&mut duo, rounds.done(), count)?)?;
    }
    let limits = [Required::AtMost(MAXIMUM_SHORTEST); 2];
    Ok(rounds.outages("power off, adverts each 10 ms, lbd", limits))
}

/// One end of power. The moments within an interval are spread evenly over the rounds: chance would make the median another one each
/// time.
fn round(duo: &mut Duo, done: u64, count: u64) -> Result<[Seen; 2]> {
    duo.settled(0)?;
    let prober = duo.prober(Flows::One)?;
    duo.wait_phase(0, (number(done) + 0.5) / number(count))?;
    duo.power_off(0)?;
    duo.adverts.heard(duo::source(1), 5)?;
    prober.wait_more(200)?;
    let seen = prober.stop()?;
    duo.power_on(0)?;
    Ok([seen, Seen::default()])
}
