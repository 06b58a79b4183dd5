//! 10 000 services with 100 000 backends.

use anyhow::Result;

use super::super::{Depth, Required, Row};
use super::milliseconds;
use crate::{
    clock,
    large::{Large, Size},
};

const CHANGES: u32 = 11;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let services = match depth {
        Depth::Full => 10_000,
        Depth::Quick => 1000,
    };
    let size = Size { services, backends: 10 };
    let mut large = Large::prepare(size, "")?;
    let load = large.start()?.as_secs_f64();
    let (_, most) = large.memory()?;
    let mut changes = Vec::new();
    for number in 0..CHANGES {
        let state = if number % 2 == 0 { "draining" } else { "enabled" };
        let (visible, _) = large.change(services / 2, 3, state, false)?;
        changes.push(milliseconds(visible));
    }
    changes.sort_by(f64::total_cmp);
    let start = clock::now();
    let text = large.daemon.lbctl_text("service list")?;
    let listed = start.elapsed().as_secs_f64();
    let case = format!("{services} services, {} backends", size.total());
    let row = |what: &str, figure, unit, limit| {
        Row::new(format!("{case}: {what}"), figure, unit, Required::AtMost(limit))
    };
    Ok(vec![
        row("loaded after", load, "s", 5.0),
        row("most memory of lbd", most, "MiB", 400.0),
        row("one change in the map after, median", changes[changes.len() / 2], "ms", 50.0),
        row("lbctl service list", listed, "s", 1.0),
        Row::new(
            format!("{case}: lines of that list"),
            text.lines().count() as f64,
            "lines",
            Required::AtLeast(f64::from(services)),
        ),
    ])
}
