//! What keys do.

use crossterm::event::KeyCode;

use super::{
    pick::FlowQuery,
    screen::Screen,
    state::{Command, Draft, State},
};
use crate::{api::TopBy, model::Keyword};

/// Rows that a page has: less than any terminal shows.
const PAGE: isize = 10;

/// Keys and what they do, for the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("1 2 3 4 5 6", "overview, service, flows, drops, VRRP, interfaces"),
    ("tab, shift-tab", "next screen, screen before"),
    ("up down, k j", "mark another row; PgUp PgDn Home End too"),
    ("enter", "into a service, into the flows of a backend or of a group"),
    ("esc", "back; with a filter: clear it"),
    ("s S, r", "sort by the next column, the one before; the other way round"),
    ("/", "filter; flows: web, 10.0.0.0/8, backend=b1, protocol=udp,"),
    ("", "state=established, idle-min=5m"),
    ("b", "put flows together by client, network, service, backend"),
    ("p, space", "pause, and go on"),
    ("+ -", "read more often, less often"),
    ("^L", "draw everything anew"),
    ("?", "this help"),
    ("q, ^C", "quit"),
];

impl State {
    /// A key was pressed; `control`: together with the key of that name.
    pub(super) fn press(&mut self, key: KeyCode, control: bool) -> Command {
        if control {
            return match key {
                KeyCode::Char('c') => Command::Quit,
                KeyCode::Char('z') => Command::Suspend,
                KeyCode::Char('l') => Command::Redraw,
                _ => Command::Draw,
            };
        }
        if let Some(draft) = self.draft.take() {
            return self.write(draft, key);
        }
        if self.help {
            self.help = false;
            return if key == KeyCode::Char('q') { Command::Quit } else { Command::Draw };
        }
        match key {
            KeyCode::Char('q') => Command::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => {
                self.help = true;
                Command::Draw
            }
            KeyCode::Char('/') => {
                self.draft = Some(Draft { text: self.filter_text(), wrong: None });
                Command::Draw
            }
            KeyCode::Char('p' | ' ') => {
                self.paused = !self.paused;
                if self.paused { Command::Draw } else { Command::Read }
            }
            KeyCode::Char('+' | '=') => self.pace(true),
            KeyCode::Char('-') => self.pace(false),
            KeyCode::Tab | KeyCode::Right => self.go(self.neighbour(1)),
            KeyCode::BackTab | KeyCode::Left => self.go(self.neighbour(Screen::ALL.len() - 1)),
            KeyCode::Enter => self.enter(),
            KeyCode::Esc | KeyCode::Backspace => self.leave(),
            KeyCode::Char(digit) if digit.is_ascii_digit() => self.number(digit),
            key => self.look(key),
        }
    }

    /// What only changes how the rows are looked at.
    fn look(&mut self, key: KeyCode) -> Command {
        match key {
            KeyCode::Down | KeyCode::Char('j') => self.mark(1),
            KeyCode::Up | KeyCode::Char('k') => self.mark(-1),
            KeyCode::PageDown => self.mark(PAGE),
            KeyCode::PageUp => self.mark(-PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.mark(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.mark(isize::MAX),
            KeyCode::Char('s') => self.sort(1),
            KeyCode::Char('S') => self.sort(-1),
            KeyCode::Char('r') => {
                let sort = &mut self.view_mut().sort;
                sort.ascending = !sort.ascending;
            }
            KeyCode::Char('b') if self.screen == Screen::Flows => return self.group_by_next(),
            _ => {}
        }
        Command::Draw
    }

    /// A key for a filter that is being written.
    fn write(&mut self, mut draft: Draft, key: KeyCode) -> Command {
        draft.wrong = None;
        match key {
            KeyCode::Esc => return Command::Draw,
            KeyCode::Enter => match self.filter(&draft.text) {
                Ok(command) => return command,
                Err(wrong) => draft.wrong = Some(wrong),
            },
            KeyCode::Backspace if draft.text.is_empty() => return Command::Draw,
            KeyCode::Backspace => drop(draft.text.pop()),
            KeyCode::Char(char) => draft.text.push(char),
            _ => {}
        }
        if self.screen != Screen::Flows {
            draft.text.trim().clone_into(&mut self.view_mut().filter);
        }
        self.draft = Some(draft);
        Command::Draw
    }

    fn neighbour(&self, steps: usize) -> Screen {
        Screen::ALL[(self.screen as usize + steps) % Screen::ALL.len()]
    }

    fn number(&mut self, digit: char) -> Command {
        let number = digit.to_digit(10).and_then(|digit| (digit as usize).checked_sub(1));
        match number.and_then(|index| Screen::ALL.get(index)) {
            Some(screen) => self.go(*screen),
            None => Command::Draw,
        }
    }

    fn mark(&mut self, steps: isize) {
        let table = self.table();
        let Some(last) = table.rows.len().checked_sub(1) else { return };
        let marked = table.position(self.view().marked.as_deref()).unwrap_or(0);
        let index = marked.saturating_add_signed(steps).min(last);
        self.view_mut().marked = Some(table.rows[index].key.clone());
    }

    fn sort(&mut self, steps: isize) {
        let columns = self.table().columns.len();
        let sort = &mut self.view_mut().sort;
        let column = (sort.column as isize + steps).rem_euclid(columns.max(1) as isize);
        sort.column = column.unsigned_abs();
    }

    fn group_by_next(&mut self) -> Command {
        let place = TopBy::ALL.iter().position(|by| *by == self.query.by).unwrap_or(0);
        let by = TopBy::ALL[(place + 1) % TopBy::ALL.len()];
        self.ask(FlowQuery { by, list: false, pick: self.query.pick.clone() })
    }
}
