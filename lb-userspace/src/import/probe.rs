//! What a check does, put together from statements of the input; what the model refuses is reported and left out.

use std::net::IpAddr;

use super::report::{Id, Ledger};
use crate::model::{Invalid, Probe, ProbeSettings, ProbeType, Segment, Setting};

/// A probe that is being put together.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    kind: ProbeType,
    source: Option<IpAddr>,
    settings: ProbeSettings,
    /// The statement that a key comes from.
    origins: Vec<(&'static str, Id)>,
}

impl Wanted {
    /// A probe with nothing but its type.
    pub(super) fn new(kind: ProbeType) -> Self {
        Self { kind, source: None, settings: ProbeSettings::default(), origins: Vec::new() }
    }

    /// Sends it from an address.
    pub(super) fn send_from(&mut self, source: IpAddr) {
        self.source = Some(source);
    }

    /// Makes it one of another type; its keys stay.
    pub(super) fn of_type(&mut self, kind: ProbeType) {
        self.kind = kind;
    }

    /// Sets a key that a statement stands for.
    pub(super) fn set(&mut self, id: Id, key: &'static str, value: impl Into<String>) {
        self.put(id, key, Setting::Text(value.into()));
    }

    /// As [`Self::set`], for a flag.
    pub(super) fn flag(&mut self, id: Id, key: &'static str, value: bool) {
        self.put(id, key, Setting::Flag(value));
    }

    /// As [`Self::set`], for a list.
    pub(super) fn list(&mut self, id: Id, key: &'static str, value: Vec<String>) {
        self.put(id, key, Setting::List(value));
    }

    /// Whether a key is set.
    pub(super) fn has(&self, key: &str) -> bool {
        self.settings.value(key).is_some()
    }

    /// The value of a key that is a text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.settings.text(key)
    }

    fn put(&mut self, id: Id, key: &'static str, value: Setting) {
        self.origins.retain(|(other, _)| *other != key);
        self.origins.push((key, id));
        self.settings.set(key, Some(value));
    }

    /// The probe. `None` if it cannot do without a key that the model refuses; `statement` is then the whole check's.
    pub(super) fn build(mut self, statement: Id, ledger: &mut Ledger) -> Option<Probe> {
        loop {
            let found = match Probe::new(self.kind, self.source, &self.settings) {
                Ok(probe) => return Some(probe),
                Err(found) => found,
            };
            let mut any = false;
            for wrong in &found {
                let Some((key, id)) = self.origin(wrong).filter(|(key, _)| self.has(key)) else { continue };
                any = true;
                self.settings.set(key, None);
                ledger.dropped(id, format!("{} {}", wrong.value, wrong.problem).trim_start());
            }
            if !any {
                let reasons: Vec<String> =
                    found.iter().map(|wrong| format!("{} {}", wrong.path, wrong.problem)).collect();
                ledger.dropped(statement, format!("it cannot be imported: {}", reasons.join("; ")));
                return None;
            }
        }
    }

    /// The key that something is wrong with, and its statement.
    fn origin(&self, wrong: &Invalid) -> Option<(&'static str, Id)> {
        let Some(Segment::Key(name)) = wrong.path.segments().first() else { return None };
        self.origins.iter().find(|(key, _)| key == name).copied()
    }
}

/// A program of the operator, with arguments that may name the server's address and port: a check has the same arguments for all servers, and
/// gets these in its environment.
pub(super) fn script(id: Id, words: &[String], server: (IpAddr, u16)) -> Option<Wanted> {
    let (path, args) = words.split_first()?;
    let mut wanted = Wanted::new(ProbeType::Script);
    let (address, port) = (server.0.to_string(), server.1.to_string());
    let names_it = |arg: &String| arg.contains(&address) || *arg == port && server.1 != 0;
    if !args.iter().any(names_it) {
        wanted.set(id, "script", path);
        if !args.is_empty() {
            wanted.list(id, "args", args.to_vec());
        }
        return Some(wanted);
    }
    let mut line = format!("exec {}", quoted(path));
    for arg in args {
        line.push(' ');
        match arg {
            arg if *arg == port && server.1 != 0 => line.push_str("\"$LB_PORT\""),
            arg => line.push_str(&with_address(arg, &address)),
        }
    }
    wanted.set(id, "script", "/bin/sh");
    wanted.list(id, "args", vec!["-c".to_owned(), line]);
    Some(wanted)
}

/// An argument for the shell, with a variable for the address.
fn with_address(arg: &str, address: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut text = String::new();
    let mut rest = arg;
    while let Some(at) = rest.find(address) {
        let (before, after) = (&rest[..at], &rest[at + address.len()..]);
        // 10.0.0.1 is not a part of 10.0.0.11.
        if before.ends_with(is_part) || after.starts_with(is_part) {
            return quoted(arg);
        }
        if !before.is_empty() {
            text.push_str(&quoted(before));
        }
        text.push_str("\"$LB_ADDRESS\"");
        rest = after;
    }
    if !rest.is_empty() || text.is_empty() {
        text.push_str(&quoted(rest));
    }
    text
}

/// A word as the shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The status codes from 100 to 599 for which `is_in` holds, as in `200-299,404`; `None` if there are none.
pub(super) fn status_set(is_in: impl Fn(u16) -> bool) -> Option<String> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for code in (100..600).filter(|code| is_in(*code)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == code => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    let shown = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    (!ranges.is_empty()).then(|| ranges.iter().map(shown).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_are_written_as_ranges() {
        assert_eq!(status_set(|code| code / 100 == 2 || code == 404).as_deref(), Some("200-299,404"));
        assert_eq!(status_set(|code| code != 500).as_deref(), Some("100-499,501-599"));
        assert_eq!(status_set(|_| false), None);
    }

    #[test]
    fn a_word_survives_the_shell() {
        for (word, expected) in
            [("a-b", "a-b"), ("", "''"), ("the secret", "'the secret'"), ("it's $x", r"'it'\''s $x'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn an_address_within_an_argument_becomes_a_variable_and_a_longer_one_does_not() {
        for (arg, expected) in [
            ("10.0.0.1", r#""$LB_ADDRESS""#),
            ("http://10.0.0.1:80/x y", r#"http://"$LB_ADDRESS"':80/x y'"#),
            ("10.0.0.11", "10.0.0.11"),
            ("110.0.0.1", "110.0.0.1"),
        ] {
            assert_eq!(with_address(arg, "10.0.0.1"), expected, "{arg}");
        }
    }
}
