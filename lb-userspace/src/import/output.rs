//! The text of the configuration.

use std::fmt::Write as _;

use super::{Format, Note};
use crate::config::Document;
use crate::model::Draft;

/// The configuration with the report in comments.
pub(super) fn text(file: &str, format: Format, draft: &Draft, notes: &[Note]) -> String {
    let mut text = String::new();
    comment(&mut text, "", &format!("Imported from {file} ({}) by `lbctl config import`.", format.as_str()));
    match notes.len() {
        0 => comment(&mut text, "", "Everything in it has an exact counterpart."),
        count => comment(&mut text, "", &format!("Read the {count} remarks at the end before using it.")),
    }
    text.push('\n');
    text.push_str(Document::of("lb.toml", draft).text());
    if !notes.is_empty() {
        text.push_str("\n# What has no counterpart, changed its meaning or was assumed:\n");
    }
    for note in notes {
        text.push_str("#\n");
        let place = if note.line == 0 { note.file.clone() } else { format!("{}:{}", note.file, note.line) };
        comment(&mut text, "", &format!("{place}: {}: {}", note.effect, note.message));
        comment(&mut text, "    ", &note.text);
    }
    text
}

/// Adds comment lines. Control characters, which TOML does not allow there, become spaces.
fn comment(text: &mut String, indent: &str, lines: &str) {
    for line in lines.lines() {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // A string takes whatever is written to it.
        let _ = writeln!(text, "# {indent}{}", line.trim_end());
    }
}
