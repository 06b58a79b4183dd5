//! Counts of tests, read from what the test runners print at their end.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// Those of `passed` that failed before they passed.
    pub(crate) flaky: usize,
}

impl Summary {
    /// Reads a summary line of nextest or of libtest; any other line is none. An indented one of libtest is none either: nextest
    /// shows it as part of a failed test's output, and counts that test itself.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = without_colours(line);
        if let Some(rest) = line.strip_prefix("test result: ") {
            let (_, counts) = rest.split_once(". ")?;
            return Some(Self::from_counts(counts, ';'));
        }
        let (_, rest) = line.trim().strip_prefix("Summary [")?.split_once(" run: ")?;
        let flaky =
            rest.split(['(', ',', ')']).find_map(|remark| remark.trim().strip_suffix(" flaky")?.parse().ok());
        Some(Self { flaky: flaky.unwrap_or_default(), ..Self::from_counts(&without_remarks(rest), ',') })
    }

    fn from_counts(counts: &str, separator: char) -> Self {
        let mut summary = Self::default();
        for count in counts.split(separator) {
            let mut words = count.trim().splitn(2, ' ');
            let Some(number) = words.next().and_then(|word| word.parse::<usize>().ok()) else { continue };
            match words.next() {
                Some("passed") => summary.passed += number,
                Some("failed" | "timed out" | "exec failed") => summary.failed += number,
                Some("skipped" | "ignored") => summary.skipped += number,
                _ => {}
            }
        }
        summary
    }

    /// Counts tests as skipped that the runner saw pass.
    pub(crate) fn passed_but_skipped(&mut self, tests: usize) {
        self.passed = self.passed.saturating_sub(tests);
        self.skipped += tests;
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.flaky += other.flaky;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Removes the escape sequences for colours, `ESC [ … m`.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// Removes what nextest says in parentheses, such as `5 passed (1 slow, 1 leaky)`: it is part of the count before it.
fn without_remarks(line: &str) -> String {
    let mut parts = line.split('(');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(passed: usize, failed: usize, skipped: usize) -> Option<Summary> {
        Some(Summary { passed, failed, skipped, flaky: 0 })
    }

    #[test]
    fn libtest_is_read() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        assert_eq!(Summary::parse(line), summary(3, 1, 2));
        assert_eq!(Summary::parse("test result: ok. 9 passed; 0 failed; 0 ignored"), summary(9, 0, 0));
    }

    #[test]
    fn nextest_is_read() {
        let line = "     Summary [   0.012s] 12 tests run: 12 passed, 0 skipped";
        assert_eq!(Summary::parse(line), summary(12, 0, 0));
        let line = "     Summary [   1.250s] 3/9 tests run: 1 passed (1 slow, 1 leaky), 1 failed, 1 timed out, 6 skipped";
        assert_eq!(Summary::parse(line), summary(1, 2, 6));
        let line = "     Summary [   0.002s] 1 test run: 1 passed, 8 skipped";
        assert_eq!(Summary::parse(line), summary(1, 0, 8));
    }

    #[test]
    fn those_that_passed_when_they_were_repeated_are_counted() {
        let line =
            "     Summary [   1.250s] 9 tests run: 8 passed (1 slow, 2 flaky, 1 leaky), 1 failed, 0 skipped";
        assert_eq!(Summary::parse(line), Some(Summary { passed: 8, failed: 1, skipped: 0, flaky: 2 }));
        let line = "     Summary [   1.250s] 9 tests run: 9 passed (1 flaky), 0 skipped";
        assert_eq!(Summary::parse(line).map(|summary| summary.flaky), Some(1));
    }

    #[test]
    fn colours_are_ignored() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.01s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped";
        assert_eq!(Summary::parse(line), summary(2, 0, 0));
    }

    #[test]
    fn other_lines_are_no_summary() {
        assert_eq!(Summary::parse("test tests::a ... ok"), None);
        assert_eq!(Summary::parse("    test result: FAILED. 0 passed; 1 failed; 0 ignored"), None);
        assert_eq!(Summary::parse(""), None);
        assert_eq!(Summary::parse("Summary of changes"), None);
    }

    #[test]
    fn skipped_at_run_time_does_not_count_as_passed() {
        let mut total = Summary { passed: 5, failed: 0, skipped: 1, flaky: 0 };
        total.passed_but_skipped(2);
        assert_eq!(total.to_string(), "3 passed, 0 failed, 3 skipped");
    }
}
