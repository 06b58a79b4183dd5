//! What became of the statements of an input: none may vanish without a word.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// What became of a statement that has no exact counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is not in the configuration.
    Dropped,
    /// It is in the configuration and means something else there.
    Changed,
    /// The input does not say what the configuration needs: this was taken.
    Assumed,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "dropped",
            Self::Changed => "changed",
            Self::Assumed => "assumed",
        })
    }
}

/// One entry of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The file of the statement, as it was named.
    pub file: String,
    /// Its line, from 1; 0: it is about the whole file.
    pub line: usize,
    /// What became of it.
    pub effect: Effect,
    /// The statement as it was written; a block has several lines.
    pub text: String,
    /// Why, and what was done instead.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.file)?,
            line => write!(f, "{}:{line}: ", self.file)?,
        }
        write!(f, "{}: ", self.effect)?;
        let mut lines = self.text.lines();
        if let Some(first) = lines.next() {
            write!(f, "`{first}`")?;
            match lines.count() {
                0 => {}
                1 => f.write_str(" and 1 more line")?,
                more => write!(f, " and {more} more lines")?,
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// A statement of the input, by its place in the [`Ledger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(usize);

#[derive(Debug)]
struct Entry {
    file: Arc<str>,
    line: usize,
    text: String,
    accounted: bool,
}

/// Every statement of the input and whether it was accounted for: used, or in the report.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    notes: Vec<(usize, Note)>,
}

impl Ledger {
    /// Enters a statement.
    pub(super) fn enter(&mut self, file: &Arc<str>, line: usize, text: impl Into<String>) -> Id {
        self.entries.push(Entry { file: file.clone(), line, text: text.into(), accounted: false });
        Id(self.entries.len() - 1)
    }

    /// Its exact meaning is in the configuration.
    pub(super) fn used(&mut self, id: Id) {
        self.entries[id.0].accounted = true;
    }

    /// It is not in the configuration.
    pub(super) fn dropped(&mut self, id: Id, message: impl Into<String>) {
        self.note(id, Effect::Dropped, message);
    }

    /// It means something else in the configuration.
    pub(super) fn changed(&mut self, id: Id, message: impl Into<String>) {
        self.note(id, Effect::Changed, message);
    }

    /// The configuration has something that it does not say.
    pub(super) fn assumed(&mut self, id: Id, message: impl Into<String>) {
        self.note(id, Effect::Assumed, message);
    }

    /// It is not in the configuration, unless it was accounted for already.
    pub(super) fn dropped_if_open(&mut self, id: Id, message: impl Into<String>) {
        if !self.entries[id.0].accounted {
            self.note(id, Effect::Dropped, message);
        }
    }

    /// A statement and what is inside it are not in the configuration; those of `inside` that are accounted for already stay so.
    pub(super) fn dropped_block(
        &mut self,
        id: Id,
        inside: impl IntoIterator<Item = Id>,
        message: impl Into<String>,
    ) {
        let mut text = self.entries[id.0].text.clone();
        for inner in inside {
            self.entries[inner.0].accounted = true;
            text.push_str("\n    ");
            text.push_str(&self.entries[inner.0].text);
        }
        self.note_as(id, text, Effect::Dropped, message);
    }

    /// About the input as a whole.
    pub(super) fn general(&mut self, file: &Arc<str>, effect: Effect, message: impl Into<String>) {
        let note =
            Note { file: file.to_string(), line: 0, effect, text: String::new(), message: message.into() };
        self.notes.push((usize::MAX, note));
    }

    /// The report in the order of the input. Statements that nobody accounted for are in it.
    pub(super) fn close(mut self, unknown: &str) -> Vec<Note> {
        for index in 0..self.entries.len() {
            if !self.entries[index].accounted {
                self.note(Id(index), Effect::Dropped, unknown);
            }
        }
        self.notes.sort_by_key(|(order, _)| *order);
        self.notes.into_iter().map(|(_, note)| note).collect()
    }

    /// The lines of which something was entered.
    #[cfg(test)]
    pub(super) fn lines(&self) -> std::collections::BTreeSet<usize> {
        self.entries.iter().map(|entry| entry.line).collect()
    }

    fn note(&mut self, id: Id, effect: Effect, message: impl Into<String>) {
        let text = self.entries[id.0].text.clone();
        self.note_as(id, text, effect, message);
    }

    /// Statements of one line of which the same is to be said are in the report once.
    fn note_as(&mut self, id: Id, text: String, effect: Effect, message: impl Into<String>) {
        let entry = &mut self.entries[id.0];
        entry.accounted = true;
        let note =
            Note { file: entry.file.to_string(), line: entry.line, effect, text, message: message.into() };
        if !self.notes.iter().rev().take(64).any(|(_, other)| *other == note) {
            self.notes.push((id.0, note));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_nobody_accounts_for_is_reported() {
        let file: Arc<str> = "a.conf".into();
        let mut ledger = Ledger::default();
        let ids: Vec<Id> = (1..=4).map(|line| ledger.enter(&file, line, format!("word {line}"))).collect();
        ledger.changed(ids[2], "another number");
        ledger.used(ids[0]);
        let told: Vec<String> = ledger.close("unknown").iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "a.conf:2: dropped: `word 2`: unknown",
                "a.conf:3: changed: `word 3`: another number",
                "a.conf:4: dropped: `word 4`: unknown"
            ]
        );
    }

    #[test]
    fn a_block_is_one_entry_with_all_its_text() {
        let file: Arc<str> = "a.conf".into();
        let mut ledger = Ledger::default();
        let ids: Vec<Id> = (1..=3).map(|line| ledger.enter(&file, line, format!("word {line}"))).collect();
        ledger.dropped_block(ids[0], ids[1..].iter().copied(), "no counterpart");
        let notes = ledger.close("unknown");
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].text, "word 1\n    word 2\n    word 3");
        assert_eq!(notes[0].to_string(), "a.conf:1: dropped: `word 1` and 2 more lines: no counterpart");
    }

    #[test]
    fn a_block_that_was_told_already_leaves_other_entries_alone() {
        let file: Arc<str> = "a.conf".into();
        let mut ledger = Ledger::default();
        let ids = [1, 2, 2].map(|line| ledger.enter(&file, line, format!("word {line}")));
        for id in [ids[1], ids[0], ids[2]] {
            ledger.dropped_block(id, [], "no counterpart");
        }
        let texts: Vec<String> = ledger.close("unknown").into_iter().map(|note| note.text).collect();
        assert_eq!(texts, ["word 1", "word 2"]);
    }
}
