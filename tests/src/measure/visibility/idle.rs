//! What looking costs a packet while nobody looks: whether the program is that of the budget, and has nothing of captures in it.

use anyhow::{Context, Result};
use lb_common::maps::OF_CAPTURES;

use super::super::{Depth, Required, Row, number};
use crate::budget::{Budget, maps_used};

/// The program that forwards while nobody captures.
const PROGRAM: &str = "lb";

pub(super) fn measure(_: Depth) -> Result<Vec<Row>> {
    let (budget, found) = (Budget::read()?, Budget::measure()?);
    let of = |from: &Budget| from.programs.get(PROGRAM).copied().context("no such program");
    let (budgeted, now) = (of(&budget)?, of(&found)?);
    // Another kernel's verifier changes the code in other ways.
    let same = budget.measured.kernel == found.measured.kernel;
    let required = if same { Required::Exactly(0.0) } else { Required::Nothing };
    let more = |now: u64, budgeted: u64| number(now) - number(budgeted);
    let used = maps_used(PROGRAM)?;
    let of_captures = used.iter().filter(|name| OF_CAPTURES.contains(&name.as_str())).count();
    Ok(vec![
        Row::new(
            format!(
                "nobody captures or listens: code of the program, {} bytes, beyond the budget file",
                now.translated_bytes
            ),
            more(now.translated_bytes, budgeted.translated_bytes),
            "bytes",
            required,
        ),
        Row::new(
            "nobody captures or listens: instructions that the verifier follows, beyond the budget file",
            more(now.verified_instructions, budgeted.verified_instructions),
            "instructions",
            required,
        ),
        Row::none(
            format!("nobody captures: maps of captures among the {} that the program works on", used.len()),
            of_captures as u64,
            "maps",
        ),
    ])
}
