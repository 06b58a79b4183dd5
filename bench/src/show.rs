//! Results on a terminal.

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};

use crate::results::{PartResult, Record};

/// The table of a part, with what it notes below.
#[must_use]
pub fn part(result: &PartResult) -> String {
    let mut text = format!("{} ({}, {:.1} s)\n", result.part, result.depth.name(), result.seconds);
    if !result.rows.is_empty() {
        text.push_str(&format!("{}\n", table(&result.rows)));
    }
    let of_rows = result.rows.iter().filter_map(|row| Some(format!("{}: {}", row.what, row.note.as_ref()?)));
    for note in of_rows.chain(result.notes.iter().cloned()) {
        text.push_str(&format!("  {note}\n"));
    }
    text
}

fn table(rows: &[Record]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["what", "ours", "floor", "unit", "ours / floor", "target", "ok"]);
    for row in rows {
        table.add_row([
            row.what.clone(),
            figure(row.ours),
            row.floor.map(figure).unwrap_or_default(),
            row.unit.clone(),
            row.ratio.map(figure).unwrap_or_default(),
            row.target.clone().unwrap_or_default(),
            verdict(row.ok).to_owned(),
        ]);
    }
    for column in [1, 2, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Whether a target is met, in a word.
#[must_use]
pub fn verdict(ok: Option<bool>) -> &'static str {
    match ok {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    }
}

/// A figure with three significant digits, and never in exponents.
#[must_use]
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        grouped(&format!("{value:.0}"))
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    format!("{sign}{}", groups.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_groups() {
        let shown: Vec<String> = [0.0, 1.234, -12.34, 123.4, 1_234_567.0].map(figure).into();
        assert_eq!(shown, ["0.00", "1.23", "-12.3", "123", "1 234 567"]);
    }
}
