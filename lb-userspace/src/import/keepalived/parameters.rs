//! Parameters of `keepalived.conf`: `$NAME=VALUE`, replaced where they are used.

use std::collections::{HashMap, HashSet};

/// Most substitutions in one line, and the longest line after them, in bytes.
const MOST_STEPS: usize = 64;
const MOST_BYTES: usize = 1 << 16;

/// The values that are defined so far.
#[derive(Debug, Default)]
pub(super) struct Parameters(HashMap<String, String>);

impl Parameters {
    /// From here on `name` stands for `value`, which is kept with the parameters in it.
    pub(super) fn define(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// A line with its parameters replaced. May have several lines then. Those that are not defined or that
    /// contain themselves stay.
    pub(super) fn substitute(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for _ in 0..MOST_STEPS {
            let Some((used, value)) = self.first(&line) else { break };
            if line.len() + value.len() > MOST_BYTES {
                break;
            }
            line.replace_range(used, value);
        }
        line
    }

    /// Why a word still has a `$` after [`Self::substitute`].
    pub(super) fn reason(&self, word: &str) -> String {
        let name = uses(word).map(|used| used.name).find(|name| self.0.contains_key(*name));
        match name {
            Some(name) if self.contains_itself(name) => format!("the parameter {name} contains itself"),
            Some(_) => format!(
                "a line has more than {MOST_STEPS} parameters or would be longer than {MOST_BYTES} bytes"
            ),
            None => "it has no value here".to_owned(),
        }
    }

    fn first(&self, line: &str) -> Option<(std::ops::Range<usize>, &str)> {
        uses(line).find_map(|used| {
            let value = self.0.get(used.name)?;
            (!self.contains_itself(used.name)).then_some((used.range, value.as_str()))
        })
    }

    fn contains_itself(&self, name: &str) -> bool {
        let mut seen = HashSet::new();
        let mut left = vec![name];
        while let Some(next) = left.pop() {
            for used in self.0.get(next).into_iter().flat_map(|value| uses(value)) {
                if used.name == name {
                    return true;
                }
                if seen.insert(used.name) {
                    left.push(used.name);
                }
            }
        }
        false
    }
}

/// `$NAME` or `${NAME}` in a line.
struct Use<'a> {
    name: &'a str,
    range: std::ops::Range<usize>,
}

fn uses(line: &str) -> impl Iterator<Item = Use<'_>> {
    line.match_indices('$').filter_map(|(start, _)| {
        let rest = &line[start + 1..];
        let (name, length) = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map(|(name, _)| (name, name.len() + 2))?,
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let ends_word = rest[end..].chars().next().is_none_or(|c| c.is_whitespace() || c == '}');
                (rest.get(..end).filter(|_| ends_word)?, end)
            }
        };
        Some(Use { name, range: start..start + 1 + length })
    })
}

/// `$NAME=VALUE`.
pub(super) fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(values: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::default();
        values.iter().for_each(|(name, value)| parameters.define(name, (*value).to_owned()));
        parameters
    }

    #[test]
    fn parameters_are_replaced_when_they_are_used() {
        let parameters = parameters(&[("BASE", "10.2.${SUB}"), ("SUB", "0")]);
        assert_eq!(parameters.substitute("${BASE}.100/32 $SUB"), "10.2.0.100/32 0");
        let unknown = "$SUB.1 $UNKNOWN ${UNKNOWN} $";
        assert_eq!(parameters.substitute(unknown), unknown);
        assert_eq!(parameters.reason("$UNKNOWN"), "it has no value here");
    }

    #[test]
    fn a_definition_has_a_name() {
        assert_eq!(definition("$A=b c"), Some(("A", "b c")));
        assert_eq!(definition("$1A=b"), None);
        assert_eq!(definition("$A =b"), None);
    }

    #[test]
    fn a_parameter_that_contains_itself_stays() {
        let parameters = parameters(&[
            ("SELF", "x $SELF $SELF"),
            ("EGG", "of ${HEN}"),
            ("HEN", "\nof $EGG\n"),
            ("USER", "one\n$HEN\n"),
            ("PLAIN", "1"),
        ]);
        for (line, expected) in
            [("$SELF $PLAIN", "$SELF 1"), ("${EGG} $PLAIN", "${EGG} 1"), ("$USER", "one\n$HEN\n")]
        {
            assert_eq!(parameters.substitute(line), expected, "{line}");
        }
        for (word, name) in [("$SELF", "SELF"), ("${EGG}", "EGG"), ("$HEN", "HEN")] {
            assert_eq!(parameters.reason(word), format!("the parameter {name} contains itself"));
        }
    }

    #[test]
    fn a_name_made_of_parameters_ends_at_the_limit() {
        let parameters = parameters(&[("LOOP", "${$NAME} ${$NAME}"), ("NAME", "LOOP")]);
        let line = parameters.substitute("$LOOP");
        assert!(line.len() <= MOST_BYTES, "{}", line.len());
        assert!(parameters.reason(&line).starts_with("a line has more than 64 parameters"), "{line}");
    }

    #[test]
    fn a_line_does_not_grow_over_the_limit() {
        let half = "x".repeat(MOST_BYTES / 2);
        let parameters = parameters(&[("HALF", &half)]);
        let line = parameters.substitute("$HALF $HALF $HALF");
        assert!(line.len() <= MOST_BYTES, "{}", line.len());
        assert!(line.ends_with("$HALF"));
    }
}
