//! The keys that both machines have.

use std::fmt;

use thiserror::Error;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Most keys of a file: a rotation needs two.
const MOST_KEYS: usize = 16;

/// Keys by their ids. The first one is sent with, all are understood.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(Vec<(u8, [u8; KEY_BYTES])>);

/// What is wrong with a file of keys.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidKeys {
    /// Nothing but comments and empty lines.
    #[error(
        "there is no key in it; expected a line with 64 hexadecimal digits, as `openssl rand -hex 32` prints it"
    )]
    Empty,
    /// A line that is no key. The key itself is not shown.
    #[error(
        "line {line}: expected 64 hexadecimal digits, with a number from 0 to 255 and a space before them or not"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// Two keys of one id.
    #[error("line {line}: there is a key {id} already; expected another number before each key")]
    Twice {
        /// Its number, from 1.
        line: usize,
        /// The id.
        id: u8,
    },
    /// More than anybody needs.
    #[error("there are more than {MOST_KEYS} keys; expected one, or two while they are changed")]
    Many,
}

impl Keys {
    /// Reads the text of a file: a key in each line, its id before it (0 if there is none). `#` begins a comment.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys: Vec<(u8, [u8; KEY_BYTES])> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default();
            let words: Vec<&str> = content.split_whitespace().collect();
            let (id, digits) = match words[..] {
                [] => continue,
                [digits] => (Some(0), digits),
                [id, digits] => (id.parse().ok(), digits),
                _ => (None, ""),
            };
            let (Some(id), Some(key)) = (id, bytes(digits)) else { return Err(InvalidKeys::Line { line }) };
            if keys.iter().any(|(other, _)| *other == id) {
                return Err(InvalidKeys::Twice { line, id });
            }
            keys.push((id, key));
        }
        match keys.len() {
            0 => Err(InvalidKeys::Empty),
            1..=MOST_KEYS => Ok(Self(keys)),
            _ => Err(InvalidKeys::Many),
        }
    }

    /// What is sent with.
    pub(super) fn first(&self) -> (u8, &[u8; KEY_BYTES]) {
        let (id, key) = &self.0[0];
        (*id, key)
    }

    pub(super) fn of(&self, id: u8) -> Option<&[u8; KEY_BYTES]> {
        self.0.iter().find(|(other, _)| *other == id).map(|(_, key)| key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.0.iter().map(|(id, _)| id).collect::<Vec<_>>()).finish()
    }
}

fn bytes(digits: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |character: u8| char::from(character).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    #[test]
    fn a_line_is_a_key_and_its_id() {
        let expected: [u8; 32] = std::array::from_fn(|index| index as u8);
        assert_eq!(Keys::parse(&format!("{ONE}\n")).unwrap().first(), (0, &expected));
        let other = "f".repeat(64);
        let text = format!("# for both\n\n 7 {ONE} # since March\n6\t{other}");
        let keys = Keys::parse(&text).unwrap();
        assert_eq!(keys.first(), (7, &expected), "the first one is sent with");
        assert_eq!(keys.of(6), Some(&[0xff; 32]), "the others are understood");
        assert_eq!(keys.of(0), None);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line_and_is_not_shown() {
        for (text, expected) in [
            (String::new(), InvalidKeys::Empty),
            ("# nothing\n".to_owned(), InvalidKeys::Empty),
            (format!("{ONE}\n{}", &ONE[1..]), InvalidKeys::Line { line: 2 }),
            (format!("{}g", &ONE[1..]), InvalidKeys::Line { line: 1 }),
            (format!("256 {ONE}"), InvalidKeys::Line { line: 1 }),
            (format!("1 {ONE} {ONE}"), InvalidKeys::Line { line: 1 }),
            (format!("{ONE}\n0 {ONE}"), InvalidKeys::Twice { line: 2, id: 0 }),
            ((0..17).map(|id| format!("{id} {ONE}\n")).collect(), InvalidKeys::Many),
        ] {
            let error = Keys::parse(&text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains(&ONE[2..20]));
        }
        assert_eq!(format!("{:?}", Keys::parse(ONE).unwrap()), "Keys([0])");
    }
}
