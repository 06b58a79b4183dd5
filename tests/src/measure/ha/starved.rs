//! Less processor time than is wanted, and the shortest interval.

use std::{thread, time::Duration};

use anyhow::Result;

use super::super::{Depth, Required, Row, busy::Busy, number};
use crate::duo::{Duo, Setup};

/// Processes that do nothing but use a processor.
const BUSY: usize = 6;
/// Takes away what real-time priority needs, as systemd's unit does.
const WITHOUT: &[&str] = &["setpriv", "--bounding-set=-sys_nice"];

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (how, words) in [("with", &[][..]), ("without", WITHOUT)] {
        let interval = Duration::from_millis(10);
        let mut duo = Duo::start(Setup { interval, words, ..Setup::default() })?;
        let (before, seconds) = (duo.changes()?, depth.of(30));
        let [one, new] = duo.seen(|_| {
            let _busy = (0..BUSY).map(|_| Busy::start()).collect::<Result<Vec<_>>>()?;
            thread::sleep(Duration::from_secs(seconds));
            Ok(())
        })?;
        let case =
            format!("{BUSY} busy processes for {seconds} s, adverts each 10 ms, {how} real-time priority");
        rows.push(Row::none(format!("{case}: changes of state"), duo.changes()? - before, "changes"));
        let share = number(one.lost + new.lost) / number(one.asked + new.asked) * 100.0;
        rows.push(Row::new(format!("{case}: lost"), share, "% of probes", Required::Nothing));
    }
    Ok(rows)
}
