//! Prometheus' text format (version 0.0.4), written straight: a page has 100 000 samples and more.

use std::fmt::Write as _;

/// The content type of a page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's samples are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// They only grow.
    Counter,
    /// They come and go.
    Gauge,
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// A metric, and what is written of it.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut Page,
    kind: Kind,
    name: &'a str,
    help: &'static str,
    begun: bool,
}

impl Page {
    /// A page with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Begins a family; one without samples leaves no trace.
    pub(super) fn family<'a>(&'a mut self, kind: Kind, name: &'a str, help: &'static str) -> Family<'a> {
        Family { page: self, kind, name, help, begun: false }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Writes a sample. Labels are pairs of name and value, ordered by name.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        if !self.begun {
            self.begun = true;
            let kind = match self.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let Self { name, help, .. } = self;
            // Writing to a string cannot fail.
            let _ = write!(self.page.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
        let text = &mut self.page.0;
        text.push_str(self.name);
        let mut before = '{';
        for (name, value) in labels {
            text.push(before);
            text.push_str(name);
            text.push_str("=\"");
            push_escaped(text, value);
            text.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

fn push_escaped(text: &mut String, value: &str) {
    if !value.contains(['\\', '"', '\n']) {
        return text.push_str(value);
    }
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_described_once_and_values_are_escaped() {
        let mut page = Page::default();
        let mut family = page.family(Kind::Gauge, "lb_up", "Whether.");
        family.sample(&[], 1);
        family.sample(&[("a", "x\"\\\n"), ("b", "y")], 2);
        let _ = page.family(Kind::Counter, "lb_nothing_total", "Nothing.");
        let wanted =
            "# HELP lb_up Whether.\n# TYPE lb_up gauge\nlb_up 1\nlb_up{a=\"x\\\"\\\\\\n\",b=\"y\"} 2\n";
        assert_eq!(page.into_text(), wanted);
    }
}
