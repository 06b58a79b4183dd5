//! Area `main`: that connections are balanced, and what that takes.

mod capacity;
mod foreign;
mod restarts;
mod traffic;

use anyhow::Result;

use super::{Depth, Row};

/// Measures it all, one site after the other.
///
/// # Errors
///
/// If a site does not start.
pub fn measure(depth: Depth) -> Result<Vec<Row>> {
    let mut rows = traffic::requests(depth)?;
    rows.extend(traffic::transfers(depth)?);
    rows.extend(traffic::narrow_path(depth)?);
    rows.extend(foreign::measure()?);
    rows.extend(capacity::measure(depth)?);
    rows.extend(restarts::measure(depth)?);
    Ok(rows)
}
