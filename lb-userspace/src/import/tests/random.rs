//! Properties of every input.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::report::Ledger;
use super::super::{Effect, Format, Options, haproxy, ipvsadm, keepalived};
use super::{Memory, imported};
use crate::config::Document;

const FORMATS: [Format; 3] = [Format::Ipvsadm, Format::Keepalived, Format::Haproxy];

fn samples() -> Vec<String> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/tests/golden");
    let entries = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path());
    let inputs = entries.filter(|path| {
        path.extension().is_some_and(|kind| kind == "rules" || kind == "conf" || kind == "cfg")
    });
    let mut texts: Vec<String> = inputs.map(|path| fs::read_to_string(path).unwrap()).collect();
    texts.sort();
    texts
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>()).prop_map(|(vip, snat)| Options {
        vip: vip.then(|| "203.0.113.80".parse().unwrap()),
        snat_addresses: if snat { vec!["10.0.0.2".parse().unwrap()] } else { Vec::new() },
        ..Options::default()
    })
}

/// A sample with some of its words, lines and characters exchanged, repeated and left out.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (0..7_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (prop::sample::select(samples()), proptest::collection::vec(edit, 1..12)).prop_map(|(mut text, edits)| {
        for (kind, from, to) in edits {
            text = mutate(&text, kind, from, to);
        }
        text
    })
}

fn mutate(text: &str, kind: u8, from: prop::sample::Index, to: prop::sample::Index) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return "{".to_owned();
    }
    let (a, b) = (from.index(lines.len()), to.index(lines.len()));
    match kind {
        0 => drop(lines.remove(a)),
        1 => lines.swap(a, b),
        2 => lines.insert(b, lines[a].clone()),
        3 => {
            let words: Vec<&str> = lines[b].split_whitespace().collect();
            let word = words.get(to.index(words.len().max(1))).copied().unwrap_or("}").to_owned();
            let mut line: Vec<&str> = lines[a].split_whitespace().collect();
            line.insert(from.index(line.len() + 1), &word);
            lines[a] = line.join(" ");
        }
        4 => {
            let mut words: Vec<&str> = lines[a].split_whitespace().collect();
            if !words.is_empty() {
                words.remove(to.index(words.len()));
            }
            lines[a] = words.join(" ");
        }
        5 => {
            let at = to.index(lines[a].chars().count() + 1);
            let odd = [
                "{",
                "}",
                "\"",
                "'",
                "\\",
                "$",
                "@",
                "=",
                "\u{1}",
                "-1",
                "99999999999",
                "ä",
                "~SEQ(a,1,9)",
                "#",
            ];
            let mut chars: Vec<char> = lines[a].chars().collect();
            let mut rest = chars.split_off(at);
            chars.extend(odd[from.index(odd.len())].chars());
            chars.append(&mut rest);
            lines[a] = chars.into_iter().collect();
        }
        _ => lines.truncate(a + 1),
    }
    lines.join("\n")
}

fn is_valid(config: &str) -> bool {
    Document::new("lb.toml", config).config().is_ok()
}

/// The lines of an input that its reader entered into the ledger, where each is then used or reported.
fn entered(format: Format, text: &str) -> BTreeSet<usize> {
    let (mut ledger, options, name) = (Ledger::default(), Options::default(), "input".into());
    match format {
        Format::Ipvsadm => ipvsadm::read(&name, text, &options, &mut ledger),
        Format::Keepalived => keepalived::read(&name, text, &Memory(&[]), &options, &mut ledger),
        Format::Haproxy => haproxy::read(&name, text, &options, &mut ledger),
    };
    ledger.lines()
}

/// Whether a line has a word for its reader: it is not empty, not a comment, and not only braces or quotes.
fn says_something(format: Format, line: &str) -> bool {
    let line = line.trim_start();
    let is_comment = match format {
        Format::Ipvsadm | Format::Haproxy => line.starts_with('#'),
        Format::Keepalived => line.starts_with(['#', '!']),
    };
    !is_comment && line.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_gives_a_valid_configuration(text in "[^\n\0]{0,400}", options in options()) {
        for format in FORMATS {
            prop_assert!(is_valid(&imported(format, &text, &options).config));
        }
    }

    #[test]
    fn a_mutated_sample_gives_a_valid_configuration(text in mutated(), options in options()) {
        for format in FORMATS {
            prop_assert!(is_valid(&imported(format, &text, &options).config));
        }
    }

    #[test]
    fn every_line_is_entered_unless_it_is_a_comment(text in mutated()) {
        for format in FORMATS {
            let entered = entered(format, &text);
            let mut continues = false;
            for (number, line) in (1..).zip(text.lines()) {
                // A definition of keepalived goes on behind a backslash.
                let open = std::mem::replace(&mut continues, line.trim_end().ends_with('\\'));
                let missing = says_something(format, line) && !open && !entered.contains(&number);
                prop_assert!(!missing, "{:?}, line {}: {}", format, number, line);
            }
        }
    }

    #[test]
    fn a_line_that_nobody_knows_is_in_the_report(text in mutated(), at in any::<prop::sample::Index>()) {
        let mut lines: Vec<&str> = text.lines().collect();
        let at = at.index(lines.len() + 1);
        lines.insert(at, "zyxw_unknown 1 2");
        let text = lines.join("\n");
        for format in FORMATS {
            let notes = imported(format, &text, &Options::default()).notes;
            let told = notes.iter().any(|note| note.text.contains("zyxw_unknown") && note.effect == Effect::Dropped);
            // Unless it is part of a definition with several lines, whose text counts as used where it is defined.
            prop_assert!(told || lines[..at].last().is_some_and(|line| line.trim_end().ends_with('\\')), "{:?}", format);
        }
    }
}
