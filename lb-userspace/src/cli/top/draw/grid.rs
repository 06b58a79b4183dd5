//! A table in so many columns of characters.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    super::table::{Cell, Column, Row, Sort, Table},
    theme::Theme,
    words,
};

/// Where a column is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    index: usize,
    width: u16,
}

/// What is drawn.
pub(super) struct Grid<'a> {
    pub(super) table: &'a Table,
    pub(super) sort: Sort,
    /// The row that is marked; `None`: none is shown as such.
    pub(super) marked: Option<usize>,
    pub(super) theme: Theme,
}

impl Grid<'_> {
    /// Draws the titles, and as many rows as there is room, the one that is marked among them.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer) {
        if area.height == 0 {
            return;
        }
        let places = places(self.table, area.width);
        self.titles(&places, area, buffer);
        let room = usize::from(area.height - 1);
        let rows = &self.table.rows;
        if rows.is_empty() {
            let text = words::cut(&self.table.none, area.width.into(), self.theme.unicode);
            if room > 0 {
                buffer.set_string(area.x, area.y + 1, text, self.theme.quiet());
            }
            return;
        }
        let first = first_row(rows.len(), self.marked.unwrap_or(0), room);
        for (line, (index, row)) in (area.y + 1..area.bottom()).zip(rows.iter().enumerate().skip(first)) {
            let line = Rect { y: line, height: 1, ..area };
            self.row(row, &places, line, buffer);
            if self.marked == Some(index) {
                buffer.set_style(line, self.theme.marked());
            }
        }
    }

    fn titles(&self, places: &[Place], area: Rect, buffer: &mut Buffer) {
        let mut x = area.x;
        for Place { index, width } in places {
            let column = &self.table.columns[*index];
            let text = aligned(column.title, *width, column, self.theme.unicode);
            buffer.set_string(x, area.y, text, self.theme.title());
            if *index == self.sort.column {
                let arrow = arrow(self.sort, self.theme.unicode);
                let length = u16::try_from(column.title.chars().count()).unwrap_or(*width).min(*width);
                // Beside the title: what is between columns is wide enough.
                let at = if column.text { x + length } else { (x + width - length).saturating_sub(1) };
                buffer.set_stringn(
                    at,
                    area.y,
                    arrow,
                    area.right().saturating_sub(at).into(),
                    self.theme.title(),
                );
            }
            x += width + 1;
        }
    }

    fn row(&self, row: &Row, places: &[Place], line: Rect, buffer: &mut Buffer) {
        let mut x = line.x;
        let tone = self.theme.tone(row.tone);
        for Place { index, width } in places {
            let (column, cell) = (&self.table.columns[*index], &row.cells[*index]);
            let text = aligned(&text(cell, *width, self.theme), *width, column, self.theme.unicode);
            buffer.set_string(x, line.y, text, self.style(cell, tone));
            x += width + 1;
        }
    }

    fn style(&self, cell: &Cell, tone: Style) -> Style {
        match cell {
            Cell::State(state) => self.theme.state(state),
            Cell::Trend(_) => self.theme.trend(),
            _ => tone,
        }
    }
}

fn arrow(sort: Sort, unicode: bool) -> &'static str {
    match (unicode, sort.ascending) {
        (true, true) => "▲",
        (true, false) => "▼",
        (false, true) => "^",
        (false, false) => "v",
    }
}

/// The first row to draw, so that the one that is marked is in the middle where it can be.
fn first_row(rows: usize, marked: usize, room: usize) -> usize {
    marked.saturating_sub(room / 2).min(rows.saturating_sub(room))
}

/// Which columns there is room for, and how wide they are.
fn places(table: &Table, width: u16) -> Vec<Place> {
    let columns = table.columns;
    let wide = |shown: &[usize]| -> u16 {
        let widths: u16 = shown.iter().map(|index| columns[*index].width).sum();
        widths + u16::try_from(shown.len().saturating_sub(1)).unwrap_or(u16::MAX)
    };
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    while wide(&shown) > width {
        let last = shown.iter().copied().max_by_key(|index| (columns[*index].rank, *index));
        match last.filter(|index| columns[*index].rank > 0) {
            Some(last) => shown.retain(|index| *index != last),
            None => break,
        }
    }
    let mut left = width.saturating_sub(wide(&shown));
    let mut places: Vec<Place> =
        shown.into_iter().map(|index| Place { index, width: columns[index].width }).collect();
    for place in &mut places {
        let wanted = wanted(table, place.index).saturating_sub(place.width).min(left);
        place.width += wanted;
        left -= wanted;
    }
    places
}

/// How wide a column would like to be.
fn wanted(table: &Table, index: usize) -> u16 {
    let column = &table.columns[index];
    let longest = |row: &Row| match &row.cells[index] {
        Cell::Trend(_) => TREND,
        Cell::Text(text) | Cell::State(text) | Cell::Ranked(_, text) => text.chars().count(),
        Cell::Count(_) | Cell::Rate(_) | Cell::Share(_) => 0,
    };
    let longest = table.rows.iter().map(longest).max().unwrap_or(0);
    let title = column.title.chars().count();
    u16::try_from(longest.max(title)).unwrap_or(u16::MAX).max(column.width)
}

/// Width of a trend where there is room.
const TREND: usize = 40;

fn text(cell: &Cell, width: u16, theme: Theme) -> String {
    match cell {
        Cell::Text(text) | Cell::State(text) | Cell::Ranked(_, text) => text.clone(),
        Cell::Count(count) => words::count(*count),
        Cell::Rate(rate) => words::rate(*rate),
        Cell::Share(share) => words::share(*share),
        Cell::Trend(rates) => words::bars(rates, width.into(), theme.unicode),
    }
}

fn aligned(text: &str, width: u16, column: &Column, unicode: bool) -> String {
    let width = usize::from(width);
    let text = words::cut(text, width, unicode);
    if column.text { format!("{text:<width$}") } else { format!("{text:>width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("A", 4, 0),
        Column::number("B", 3, 2),
        Column::number("C", 3, 1),
        Column::text("D", 4, 0),
    ];

    fn widths(width: u16) -> Vec<(usize, u16)> {
        let cells = vec![Cell::text("a long name"), Cell::Count(1), Cell::Count(2), Cell::text("d")];
        let rows = vec![Row { key: String::new(), tone: super::super::super::table::Tone::Good, cells }];
        let table = Table { columns: COLUMNS, rows, none: String::new() };
        places(&table, width).iter().map(|place| (place.index, place.width)).collect()
    }

    #[test]
    fn what_matters_least_goes_first_and_names_take_what_is_left() {
        assert_eq!(widths(80), [(0, 11), (1, 3), (2, 3), (3, 4)]);
        assert_eq!(widths(19), [(0, 6), (1, 3), (2, 3), (3, 4)]);
        assert_eq!(widths(16), [(0, 7), (2, 3), (3, 4)]);
        assert_eq!(widths(12), [(0, 7), (3, 4)]);
        assert_eq!(widths(5), [(0, 4), (3, 4)], "these stay, cut off by the edge");
    }

    #[test]
    fn the_marked_row_is_in_the_middle_where_it_can_be() {
        assert_eq!(first_row(100, 0, 10), 0);
        assert_eq!(first_row(100, 50, 10), 45);
        assert_eq!(first_row(100, 99, 10), 90);
        assert_eq!(first_row(5, 4, 10), 0);
    }
}
