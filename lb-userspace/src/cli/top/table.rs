//! Rows with columns that can be sorted and searched, before anybody knows how wide the terminal is.

use std::cmp::Ordering;

/// What is in a cell; it is sorted by what it means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// A text.
    Text(String),
    /// A state of a backend, of its health, of a flow or of a virtual router.
    State(String),
    /// A number.
    Count(u64),
    /// So many per second; `None`: not known yet.
    Rate(Option<f64>),
    /// So much of the whole, 0 to 1; `None`: of nothing.
    Share(Option<f64>),
    /// A number that is written in another way.
    Ranked(f64, String),
    /// Rates, the oldest first.
    Trend(Vec<f64>),
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Bits of a rate of bytes.
    pub(super) fn bits(bytes: Option<f64>) -> Self {
        Self::Rate(bytes.map(|bytes| bytes * 8.0))
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.number(), other.number()) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => self.word().cmp(other.word()),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Text(_) | Self::State(_) => None,
            Self::Count(count) => Some(*count as f64),
            Self::Rate(value) | Self::Share(value) => Some(value.unwrap_or(-1.0)),
            Self::Ranked(value, _) => Some(*value),
            Self::Trend(rates) => Some(rates.last().copied().unwrap_or(-1.0)),
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Text(text) | Self::State(text) | Self::Ranked(_, text) => text,
            Self::Count(_) | Self::Rate(_) | Self::Share(_) | Self::Trend(_) => "",
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Least width in characters.
    pub(super) width: u16,
    /// Whether it is a text, which is aligned left, and takes more room where there is some.
    pub(super) text: bool,
    /// Columns of higher numbers go first where the terminal is narrow; those of 0 stay.
    pub(super) rank: u8,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, text: true, rank }
    }

    pub(super) const fn number(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, text: false, rank }
    }
}

/// How a row is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should.
    #[default]
    Good,
    /// Worth a look.
    Odd,
    /// Badly.
    Bad,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// What tells it apart from the others, from round to round.
    pub(super) key: String,
    pub(super) tone: Tone,
    pub(super) cells: Vec<Cell>,
}

/// All rows of a screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// What is said where there are no rows.
    pub(super) none: String,
}

/// By which column, and in which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) ascending: bool,
}

impl Table {
    /// Sorts the rows; those that are alike are in the order of their keys.
    pub(super) fn sort(&mut self, sort: Sort) {
        self.rows.sort_by(|left, right| {
            let pair = (left.cells.get(sort.column), right.cells.get(sort.column));
            let order = match pair {
                (Some(left), Some(right)) => left.compare(right),
                _ => Ordering::Equal,
            };
            let order = if sort.ascending { order } else { order.reverse() };
            order.then_with(|| left.key.cmp(&right.key))
        });
    }

    /// Leaves only rows that have a text in their key or in a cell, whatever its case.
    pub(super) fn search(&mut self, text: &str) {
        let text = text.to_lowercase();
        let has = |within: &str| within.to_lowercase().contains(&text);
        self.rows.retain(|row| has(&row.key) || row.cells.iter().any(|cell| has(cell.word())));
        if self.rows.is_empty() && !text.is_empty() {
            self.none = format!("nothing has {text:?}; esc clears the filter");
        }
    }

    /// Where a row is.
    pub(super) fn position(&self, key: Option<&str>) -> Option<usize> {
        self.rows.iter().position(|row| Some(row.key.as_str()) == key)
    }
}
