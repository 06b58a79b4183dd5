//! Less processor time than is wanted, and the shortest interval.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use super::super::{Depth, Required, Row, busy::Busy, number};
use crate::{
    daemon::WITHOUT_REAL_TIME,
    duo::{Duo, Setup},
};

/// Processes that do nothing but use a processor.
const BUSY: usize = 6;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (how, words) in [("with", &[][..]), ("without", WITHOUT_REAL_TIME)] {
        let interval = Duration::from_millis(10);
        let mut duo = Duo::start(Setup { interval, words, ..Setup::default() })?;
        for daemon in &duo.daemons {
            ensure!(
                daemon.has_real_time()? == words.is_empty(),
                "priority of VRRP's thread {how}: it is not so"
            );
        }
        let (before, seconds) = (duo.changes()?, depth.of(30));
        let [one, new] = duo.seen(|_| {
            let _busy = (0..BUSY).map(|_| Busy::start()).collect::<Result<Vec<_>>>()?;
            thread::sleep(Duration::from_secs(seconds));
            Ok(())
        })?;
        let case =
            format!("{BUSY} busy processes for {seconds} s, adverts each 10 ms, {how} real-time priority");
        // A machine whose adverts are late looks like one that is gone: what the scheduler does not grant cannot be made up for elsewhere.
        let required = if words.is_empty() { Required::Exactly(0.0) } else { Required::Nothing };
        let changes = number(duo.changes()? - before);
        if words.is_empty() && changes > 0.0 {
            eprintln!("{}", duo.logs());
        }
        rows.push(Row::new(format!("{case}: changes of state"), changes, "changes", required));
        let share = number(one.lost + new.lost) / number(one.asked + new.asked) * 100.0;
        rows.push(Row::new(format!("{case}: lost"), share, "% of probes", Required::Nothing));
    }
    Ok(rows)
}
