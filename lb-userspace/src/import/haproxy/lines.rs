//! Lines and sections of HAProxy's configuration.

use std::sync::Arc;

use crate::import::report::{Id, Ledger};

/// Words that begin a section.
const SECTIONS: [&str; 22] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "userlist",
    "mailers",
    "program",
    "http-errors",
    "ring",
    "log-forward",
    "log-profile",
    "cache",
    "fcgi-app",
    "crt-store",
    "traces",
    "acme",
    "dynamic-update",
    "presetenv",
    "ruleset",
];

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) id: Id,
    pub(super) words: Vec<String>,
}

impl Line {
    /// Word `index`, empty if there is none.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }
}

/// A section with its lines.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) head: Line,
    pub(super) lines: Vec<Line>,
}

impl Section {
    /// `global`, `defaults`, `frontend` and so on.
    pub(super) fn kind(&self) -> &str {
        self.head.word(0)
    }

    /// Its name; empty if it has none.
    pub(super) fn name(&self) -> &str {
        self.head.word(1)
    }

    /// The `defaults` section that it names after `from`.
    pub(super) fn from(&self) -> Option<&str> {
        let from = self.head.words.iter().position(|word| word == "from")?;
        self.head.words.get(from + 1).map(String::as_str)
    }

    /// Every line but the first.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.lines.iter().map(|line| line.id)
    }

    /// The last line that begins with these words.
    pub(super) fn last(&self, words: &[&str]) -> Option<&Line> {
        self.lines.iter().rev().find(|line| words.iter().enumerate().all(|(at, word)| line.word(at) == *word))
    }
}

/// Splits a text into sections. Lines before the first section, and those that depend on a condition, are reported.
pub(super) fn sections(file: &Arc<str>, text: &str, ledger: &mut Ledger) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut conditions = 0_u32;
    for (number, raw) in (1..).zip(text.lines()) {
        let words = words(raw);
        let Some(first) = words.first() else { continue };
        let line = Line { id: ledger.enter(file, number, raw.trim()), words: words.clone() };
        match first.as_str() {
            ".if" => conditions += 1,
            ".endif" => conditions = conditions.saturating_sub(1),
            _ => {}
        }
        if first.starts_with('.') {
            ledger.dropped(line.id, "conditions are not evaluated: what depends on them is not imported");
        } else if conditions > 0 {
            ledger.dropped(line.id, "it depends on a condition, which is not evaluated");
        } else if SECTIONS.contains(&first.as_str()) {
            sections.push(Section { head: line, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        } else {
            ledger.dropped(line.id, "it stands before the first section");
        }
    }
    sections
}

/// The words of a line: quotes and escapes taken off, comment cut.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next().map(escaped)),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What a character means after a backslash.
fn escaped(c: char) -> char {
    match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_words_quotes_escapes_and_a_comment() {
        for (line, expected) in [
            ("  server a 10.0.0.1:80 check # one", vec!["server", "a", "10.0.0.1:80", "check"]),
            (
                r#"http-check send hdr "User Agent" x\ y"#,
                vec!["http-check", "send", "hdr", "User Agent", "x y"],
            ),
            (r"a '\n #' b", vec!["a", r"\n #", "b"]),
            (r"tcp-check expect string \#OK", vec!["tcp-check", "expect", "string", "#OK"]),
            ("# all", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
