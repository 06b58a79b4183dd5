//! Aligned columns without borders.

use std::fmt::Display;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};

/// How text looks.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Style {
    /// With colours: only on a terminal.
    pub(in crate::cli) coloured: bool,
    /// With columns that are not always wanted.
    pub(in crate::cli) wide: bool,
}

/// A cell.
pub(super) struct Value {
    text: String,
    right: bool,
    colour: Option<Color>,
}

impl Value {
    /// Text, aligned right.
    pub(super) fn right(text: String) -> Self {
        Self { text, right: true, colour: None }
    }
}

/// Text, aligned left.
pub(super) fn text(value: impl Display) -> Value {
    Value { text: format!("{value}"), right: false, colour: None }
}

/// A number, aligned right.
pub(super) fn number(value: u64) -> Value {
    Value { text: value.to_string(), right: true, colour: None }
}

/// A state, coloured by what it means for traffic.
pub(super) fn state(value: &str) -> Value {
    let colour = match value {
        "active" | "up" => Some(Color::Green),
        "draining" => Some(Color::Yellow),
        "down" => Some(Color::Red),
        _ => None,
    };
    Value { colour, ..text(value) }
}

/// A table with a header; `none` instead of it when there are no rows.
pub(super) fn table(
    style: Style,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<Value>>,
    none: &str,
) -> String {
    let rows: Vec<Vec<Value>> = rows.into_iter().collect();
    let Some(first) = rows.first() else { return format!("{none}\n") };
    let alignment: Vec<CellAlignment> = first.iter().map(align).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if style.coloured {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(header.iter().zip(&alignment).map(|(title, alignment)| {
        let cell = Cell::new(title).set_alignment(*alignment);
        if style.coloured { cell.add_attribute(Attribute::Bold) } else { cell }
    }));
    table.add_rows(rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// Lines of a name and a value.
pub(super) fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn align(value: &Value) -> CellAlignment {
    if value.right { CellAlignment::Right } else { CellAlignment::Left }
}

fn cell(value: &Value) -> Cell {
    let cell = Cell::new(&value.text).set_alignment(align(value));
    match value.colour {
        Some(colour) => cell.fg(colour),
        None => cell,
    }
}
