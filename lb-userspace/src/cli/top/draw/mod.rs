//! Draws what is shown. Pure: the same state and size give the same characters.

mod grid;
mod head;
mod theme;
mod words;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::Line,
    widgets::{Clear, Paragraph, Widget as _, Wrap},
};

use self::grid::Grid;
pub(super) use self::theme::Theme;
use super::{keys, rows::details, screen::Screen, state::State, table::Table};

/// Least size of a terminal that something useful fits on.
const LEAST: (u16, u16) = (40, 8);
/// Lines of the head: server, screens, rates, trends.
const HEAD: u16 = 4;

/// Draws everything onto a terminal.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!(
            "{} columns and {} lines are too few: {} and {} are needed",
            area.width, area.height, LEAST.0, LEAST.1
        );
        return Paragraph::new(text).wrap(Wrap { trim: true }).render(area, buffer);
    }
    let table = state.table();
    let marked = table.position(state.view().marked.as_deref()).unwrap_or(0);
    let lines = detail_lines(state, &table, marked, area.width);
    let alerts = head::alerts(state);
    let alert_lines = u16::try_from(alerts.len()).unwrap_or(u16::MAX).min(3);
    let room = area.height - HEAD - alert_lines - 1;
    let rows = u16::try_from(table.rows.len().max(1)).unwrap_or(u16::MAX).saturating_add(1);
    // What is said below the table has half of the room at least, if the table does not leave more.
    let wanted = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let details = wanted.min((room / 2).max(room.saturating_sub(rows)));
    let areas: [Rect; 5] = Layout::vertical([
        Constraint::Length(HEAD),
        Constraint::Length(alert_lines),
        Constraint::Fill(1),
        Constraint::Length(details),
        Constraint::Length(1),
    ])
    .areas(area);
    head::draw(state, theme, areas[0], buffer);
    for (line, alert) in areas[1].rows().zip(&alerts) {
        put(alert, line, theme.tone(super::table::Tone::Bad), theme, buffer);
    }
    let grid = Grid { table: &table, sort: state.view().sort, marked: Some(marked), theme };
    grid.draw(areas[2], buffer);
    for (line, text) in areas[3].rows().zip(&lines) {
        put(text, line, Style::new(), theme, buffer);
    }
    head::foot(state, theme, areas[4], buffer);
    if state.help {
        help(theme, area, buffer);
    }
}

/// The whole screen as text: all rows, and nothing that only makes sense on a terminal.
pub(super) fn text(state: &State, theme: Theme, width: u16) -> String {
    let table = state.table();
    let lines: Vec<String> = match table.rows.first() {
        Some(_) if state.view().marked.is_none() && state.screen != Screen::Vrrp => Vec::new(),
        _ => detail_lines(state, &table, table.position(state.view().marked.as_deref()).unwrap_or(0), width),
    };
    let alerts = head::alerts(state);
    let height = usize::from(HEAD) + alerts.len() + table.rows.len().max(1) + 1 + lines.len();
    let area = Rect::new(0, 0, width, u16::try_from(height).unwrap_or(u16::MAX));
    let mut buffer = Buffer::empty(area);
    let mut rest = area.rows();
    head::draw(state, theme, Rect { height: HEAD, ..area }, &mut buffer);
    for (line, alert) in rest.by_ref().skip(HEAD.into()).zip(&alerts) {
        put(alert, line, Style::new(), theme, &mut buffer);
    }
    let below = HEAD + u16::try_from(alerts.len()).unwrap_or(u16::MAX);
    let rows = u16::try_from(table.rows.len().max(1) + 1).unwrap_or(u16::MAX);
    let grid = Grid { table: &table, sort: state.view().sort, marked: None, theme };
    grid.draw(Rect { y: below, height: rows.min(area.height - below), ..area }, &mut buffer);
    for (line, text) in area.rows().skip(usize::from(below) + usize::from(rows)).zip(&lines) {
        put(text, line, Style::new(), theme, &mut buffer);
    }
    characters(&buffer)
}

/// The characters of a buffer, a line for each of its rows, without spaces at the ends.
pub(super) fn characters(buffer: &Buffer) -> String {
    let line = |row: Rect| {
        let symbols: String = row.columns().map(|cell| buffer[(cell.x, cell.y)].symbol()).collect();
        symbols.trim_end().to_owned() + "\n"
    };
    buffer.area.rows().map(line).collect()
}

/// What is said below the table, wrapped.
fn detail_lines(state: &State, table: &Table, marked: usize, width: u16) -> Vec<String> {
    let key = table.rows.get(marked).map(|row| row.key.as_str());
    details(state, key).iter().flat_map(|line| wrapped(line, width.into())).collect()
}

/// Breaks a line where it has spaces; what goes on is indented.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut words = line.split(' ');
    let (mut lines, mut last) = (Vec::new(), words.next().unwrap_or_default().to_owned());
    for word in words {
        let is_begun = !last.trim().is_empty();
        if is_begun && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut last, format!("  {word}")));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.push(last);
    lines
}

/// Puts a text on a line, as much of it as fits.
fn put(text: &str, line: Rect, style: Style, theme: Theme, buffer: &mut Buffer) {
    buffer.set_string(line.x, line.y, words::cut(text, line.width.into(), theme.unicode), style);
}

fn help(theme: Theme, area: Rect, buffer: &mut Buffer) {
    let lines = keys::HELP.iter().map(|(keys, what)| Line::from(format!(" {keys:<17}{what}")));
    let mut text = vec![Line::from(" Keys").style(theme.title()), Line::default()];
    text.extend(lines);
    let notes = [
        "",
        " Packets, bits and flows are per second; ACTIVE counts flows, a second ago.",
        " HEALTHY: backends that take flows and are healthy, of all. ! in trouble,",
        " ~ worth a look, ? suspect. SHARE is by weight, TOOK of the flows that began.",
        "",
        " any key goes back",
    ];
    text.extend(notes.map(Line::from));
    let height = u16::try_from(text.len()).unwrap_or(u16::MAX).min(area.height);
    let area = Rect { height, ..area };
    Clear.render(area, buffer);
    Paragraph::new(text).render(area, buffer);
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn a_long_line_is_broken_at_spaces_and_goes_on_indented() {
        assert_eq!(wrapped("short", 10), ["short"]);
        assert_eq!(wrapped("one two three four", 9), ["one two", "  three", "  four"]);
        assert_eq!(wrapped("  indented already", 30), ["  indented already"]);
        assert_eq!(wrapped("- a-word-without-an-end", 8), ["-", "  a-word-without-an-end"]);
    }
}
