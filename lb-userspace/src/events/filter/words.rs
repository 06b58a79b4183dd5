//! The words of a filter.

use super::FilterError;

/// A word or sign, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) column: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `=`
    Equal,
    /// `^=`
    Prefix,
    /// A name, a keyword or a value.
    Bare(String),
    /// A value in quotation marks.
    Quoted(String),
}

/// Takes a text apart.
pub(super) fn split(text: &str) -> Result<Vec<Word>, FilterError> {
    let mut words = Vec::new();
    let mut rest = text.chars().zip(1..).peekable();
    while let Some((first, column)) = rest.next() {
        let what = match first {
            ' ' | '\t' | '\r' | '\n' => continue,
            '(' => What::Open,
            ')' => What::Close,
            '=' => What::Equal,
            '^' => match rest.next() {
                Some(('=', _)) => What::Prefix,
                _ => return Err(wrong(column, "`^` stands alone; expected `^=` (begins with)")),
            },
            '"' => What::Quoted(
                quoted(&mut rest).ok_or_else(|| wrong(column, "the text is not closed by `\"`"))?,
            ),
            _ => {
                let mut word = String::from(first);
                while let Some((next, _)) = rest.next_if(|(next, _)| is_of_word(*next)) {
                    word.push(next);
                }
                What::Bare(word)
            }
        };
        words.push(Word { column, what });
    }
    Ok(words)
}

fn quoted(rest: &mut impl Iterator<Item = (char, usize)>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()?.0 {
            '"' => return Some(text),
            next => text.push(next),
        }
    }
}

fn is_of_word(letter: char) -> bool {
    !letter.is_whitespace() && !matches!(letter, '(' | ')' | '=' | '^' | '"')
}

pub(super) fn wrong(column: usize, problem: impl Into<String>) -> FilterError {
    FilterError { column, problem: problem.into() }
}
