//! Words, quotes, comments and parameters of a line.

use std::collections::HashMap;

/// Most substitutions in one line, and the longest line after them: a parameter can contain itself.
const MOST_STEPS: usize = 64;
const MOST_BYTES: usize = 1 << 16;

/// Part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Open,
    Close,
}

/// A line without its comment, which begins at `#` or `!` outside quotes.
pub(super) fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#' | '!') => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}

/// The words of a line, quotes taken off, and its braces.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            // A parameter that is not defined.
            (None, '$') if chars.peek() == Some(&'{') => {
                let word = word.get_or_insert_default();
                word.push('$');
                for c in chars.by_ref() {
                    word.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
            (None, '{' | '}') => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(if c == '{' { Token::Open } else { Token::Close });
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
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

/// A line with its parameters replaced; those that are not defined stay. May have several lines then.
pub(super) fn substitute(line: &str, parameters: &HashMap<String, String>) -> String {
    let mut line = line.to_owned();
    for _ in 0..MOST_STEPS {
        let Some((start, end, value)) = first_parameter(&line, parameters) else { break };
        if line.len() + value.len() > MOST_BYTES {
            break;
        }
        line.replace_range(start..end, value);
    }
    line
}

fn first_parameter<'a>(
    line: &str,
    parameters: &'a HashMap<String, String>,
) -> Option<(usize, usize, &'a str)> {
    line.match_indices('$').find_map(|(start, _)| {
        let rest = &line[start + 1..];
        let (name, length) = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map(|(name, _)| (name, name.len() + 2))?,
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let ends_word = rest[end..].chars().next().is_none_or(|c| c.is_whitespace() || c == '}');
                (rest.get(..end).filter(|_| ends_word)?, end)
            }
        };
        parameters.get(name).map(|value| (start, start + 1 + length, value.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        tokens(line)
            .into_iter()
            .map(|token| match token {
                Token::Word(word) => word,
                Token::Open => "{".to_owned(),
                Token::Close => "}".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_line_has_words_quotes_and_braces() {
        for (line, expected) in [
            ("real_server 10.0.0.1 80{", vec!["real_server", "10.0.0.1", "80", "{"]),
            ("url { path / }", vec!["url", "{", "path", "/", "}"]),
            (r#"misc_path "/bin/check -a 'b c'" x"#, vec!["misc_path", "/bin/check -a 'b c'", "x"]),
            (r#"abcd" efg h jkl "mnop"#, vec!["abcd efg h jkl mnop"]),
            (r#"a "" b\ c"#, vec!["a", "", "b c"]),
            ("ip ${UNKNOWN}.1", vec!["ip", "${UNKNOWN}.1"]),
            (r#"open "to the end"#, vec!["open", "to the end"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn a_comment_begins_outside_quotes() {
        for (line, expected) in [
            ("a b # c", "a b"),
            ("  ! all of it", ""),
            ("a \"b # c\" ! d", "a \"b # c\""),
            (r"a \# b", r"a \# b"),
        ] {
            assert_eq!(without_comment(line), expected, "{line}");
        }
    }

    #[test]
    fn parameters_are_replaced_when_they_are_used() {
        let parameters: HashMap<String, String> =
            [("BASE", "10.2.${SUB}"), ("SUB", "0"), ("SELF", "x $SELF")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        assert_eq!(substitute("${BASE}.100/32 $SUB", &parameters), "10.2.0.100/32 0");
        assert_eq!(substitute("$SUB.1 $UNKNOWN ${UNKNOWN} $", &parameters), "$SUB.1 $UNKNOWN ${UNKNOWN} $");
        assert!(substitute("$SELF", &parameters).len() < MOST_BYTES);
        assert_eq!(definition("$A=b c"), Some(("A", "b c")));
        assert_eq!(definition("$1A=b"), None);
        assert_eq!(definition("$A =b"), None);
    }
}
