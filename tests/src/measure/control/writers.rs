//! Many writers at once.

use std::{collections::BTreeSet, fs, thread};

use anyhow::{Context, Result};

use super::super::{Depth, Required, Row, number};
use super::{Ground, SERVICE};
use crate::config::Mode;

const WRITERS: usize = 50;

pub(super) fn measure(_: Depth) -> Result<Vec<Row>> {
    let ground = Ground::start(1, 1, Mode::Nat, false)?;
    let daemon = &ground.daemon;
    let (added, reloaded) = thread::scope(|scope| {
        let add = |number: usize| {
            let name = format!("w{number}");
            let line = format!("backend add {SERVICE} {name} 10.1.1.{number}:9000 --weight {number}");
            daemon.lbctl(&line).map(|_| name)
        };
        let threads: Vec<_> = (1..=WRITERS).map(|number| scope.spawn(move || add(number))).collect();
        let reload = scope.spawn(|| daemon.lbctl("config reload"));
        let added: Vec<Result<String>> =
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        (added, reload.join().ok().context("the reloading thread panicked").and_then(|reloaded| reloaded))
    });
    added.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(|error| eprintln!("{error:#}"));
    let told: BTreeSet<String> = added.into_iter().flatten().collect();
    let shown = daemon.lbctl(&format!("backend list {SERVICE}"))?;
    let names = shown.as_array().context("no list of backends")?.iter();
    let there: BTreeSet<String> = names
        .filter_map(|backend| backend["name"].as_str())
        .filter(|name| name.starts_with('w'))
        .map(str::to_owned)
        .collect();
    let file = fs::read_to_string(daemon.config_file())?;
    let written = (1..=WRITERS).filter(|number| file.contains(&format!("name = \"w{number}\""))).count();
    let repaired = daemon.lbctl("config repair")?;
    let case = format!("{WRITERS} writers and a reload at once");
    Ok(vec![
        Row::new(
            format!("{case}: changes that were taken"),
            number(told.len() as u64),
            "changes",
            Required::Exactly(number(WRITERS as u64)),
        ),
        Row::succeeds(format!("{case}: the reload"), &reloaded),
        Row::none(
            format!("{case}: changes told that are not there, or there and not told"),
            told.symmetric_difference(&there).count() as u64,
            "changes",
        ),
        Row::new(
            format!("{case}: changes in the file"),
            number(written as u64),
            "changes",
            Required::Exactly(number(told.len() as u64)),
        ),
        Row::new(
            format!("{case}: elements of maps that were not as they should be"),
            repaired["repaired"].as_f64().context("no count of repairs")?,
            "elements",
            Required::Exactly(0.0),
        ),
    ])
}
