//! Words, quotes and comments of a line.

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
}
