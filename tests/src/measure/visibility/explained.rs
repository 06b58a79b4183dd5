//! Whether what `lbctl explain` says comes true: the packet cases, each frame explained before it runs in the kernel.

use anyhow::Result;

use super::super::{Depth, Required, Row, number};
use crate::packets::{agreement, kernel::Explain};

pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let explain = if depth == Depth::Full { Explain::All } else { Explain::Some };
    let found = agreement::run(explain)?;
    found.failures.iter().take(5).for_each(|failure| eprintln!("{failure}"));
    let cases = format!("{} packet cases, {} frames", found.cases, found.frames);
    let least = match explain {
        Explain::All => found.frames,
        Explain::Some => 1,
    };
    Ok(vec![
        Row::new(
            format!("{cases}: explained before they ran in the kernel"),
            number(found.explained),
            "frames",
            Required::AtLeast(number(least)),
        ),
        Row::none(
            format!(
                "{cases}: cases where something else came to pass than was explained, or than the model says"
            ),
            found.failures.len() as u64,
            "cases",
        ),
    ])
}
