//! What doctor found.

use crate::cli::render::Style;
use crate::doctor::{Finding, Severity};

/// Widest line of prose, in characters.
const WIDTH: usize = 110;
const INDENT: &str = "         ";

/// Findings as text: the bad ones, or all; then how many there are of each severity.
pub(in crate::cli) fn findings(findings: &[Finding], all: bool, style: Style) -> String {
    let mut text = String::new();
    for finding in findings.iter().filter(|finding| all || finding.severity > Severity::Ok) {
        let subject =
            if finding.subject.is_empty() { String::new() } else { format!("{}: ", finding.subject) };
        let severity = coloured(finding.severity, style);
        text.push_str(&format!("{severity} {}: {subject}{}\n", finding.id, finding.found));
        if finding.severity == Severity::Ok {
            continue;
        }
        for line in wrapped(finding.breaks) {
            text.push_str(&format!("{INDENT}{line}\n"));
        }
        if !finding.fix.is_empty() {
            text.push_str(&format!("{INDENT}fix: {}\n", finding.fix));
        }
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    text.push_str(&format!(
        "errors: {}, warnings: {}, notes: {}, ok: {}\n",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
        count(Severity::Ok)
    ));
    text
}

fn coloured(severity: Severity, style: Style) -> String {
    let word = format!("{severity:8}");
    let colour = match severity {
        Severity::Ok => "32",
        Severity::Note => "36",
        Severity::Warning => "33",
        Severity::Error => "31",
    };
    if style.coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word }
}

/// Prose in lines.
fn wrapped(prose: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in prose.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
