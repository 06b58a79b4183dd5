//! Lists of sources: how long it takes to load many prefixes.

use std::{fmt::Write as _, fs};

use anyhow::{Context, Result, ensure};

use super::super::{Depth, Required, Row, number};
use crate::{clock, config::Mode, site::Site, topology::Plan};

/// As many as a list has to have room for.
const PREFIXES: u64 = 65_536;
/// What loading them may take.
const LIMIT: f64 = 1.0;

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let site = Site::standard(Plan::default(), Mode::Nat)?;
    let prefixes = depth.of(PREFIXES);
    let file = site.daemon.config_file().with_file_name("prefixes.txt");
    let mut rows = Vec::new();
    for (what, first) in [("loaded", 100), ("replaced by as many others", 101)] {
        fs::write(&file, text(first, prefixes)).context("cannot write the list")?;
        let begun = clock::now();
        let loaded = site.daemon.lbctl(&format!("acl load {}", file.display()))?;
        let took = clock::now() - begun;
        ensure!(loaded["blocked"] == prefixes, "{loaded}");
        let what = format!("{prefixes} prefixes {what} by `lbctl acl load`");
        rows.push(Row::new(what, took.as_secs_f64(), "s", Required::AtMost(LIMIT)));
    }
    rows.push(Row::new("prefixes at once", number(prefixes), "prefixes", Required::Nothing));
    Ok(rows)
}

fn text(first: u8, prefixes: u64) -> String {
    (0..prefixes as u32).fold(String::new(), |mut text, number| {
        let [_, b, c, d] = (number << 4).to_be_bytes();
        // A text takes all there is.
        let _ = writeln!(text, "{first}.{b}.{c}.{d}/28");
        text
    })
}
