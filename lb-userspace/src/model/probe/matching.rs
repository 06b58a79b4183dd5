//! What answers are compared with.

use std::fmt;
use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

/// Most bytes that a compiled regular expression may take.
const PATTERN_BYTES: usize = 1 << 20;

/// HTTP status codes, as in `200-299,404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Whether a code is in it.
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&code))
    }
}

impl Default for StatusSet {
    /// Every success.
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

/// A text that is no set of status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStatusSet;

impl FromStr for StatusSet {
    type Err = NotStatusSet;

    fn from_str(text: &str) -> Result<Self, NotStatusSet> {
        let code = |text: &str| text.trim().parse().ok().filter(|code| (100..=599).contains(code));
        let range = |text: &str| match text.split_once('-') {
            Some((first, last)) => Some((code(first)?, code(last)?)).filter(|(first, last)| first <= last),
            None => code(text).map(|code| (code, code)),
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>().map(Self).ok_or(NotStatusSet)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// A regular expression over bytes; two are equal if they are written alike.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it is found anywhere in `bytes`, in time linear in their number.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Pattern {
    type Err = String;

    /// The error says where the mistake is, in one line.
    fn from_str(text: &str) -> Result<Self, String> {
        RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "too large".to_owned(),
            // The parser draws the mistake on several lines; the last one is the sentence.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim().trim_start_matches("error: ").to_owned()
            }
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyMatch {
    /// This text, somewhere.
    Contains(String),
    /// Something that a regular expression matches.
    Matches(Pattern),
}

impl BodyMatch {
    /// Whether a body holds it.
    #[must_use]
    pub fn is_in(&self, body: &[u8]) -> bool {
        match self {
            Self::Contains(text) => body.windows(text.len().max(1)).any(|part| part == text.as_bytes()),
            Self::Matches(pattern) => pattern.is_in(body),
        }
    }
}

/// Bytes, with the notation they were given in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// UTF-8.
    Text(String),
    /// Given as pairs of hexadecimal digits.
    Bytes(Vec<u8>),
}

impl Payload {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Reads pairs of hexadecimal digits; space between the pairs is allowed.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let (pairs, rest) = digits.as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        rest.is_empty().then(|| bytes.collect::<Option<Vec<u8>>>()).flatten().map(Self::Bytes)
    }

    pub(super) fn to_hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a datagram that comes back must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpExpect {
    /// It begins with this.
    Prefix(Payload),
    /// It holds something that a regular expression matches.
    Matches(Pattern),
}

impl UdpExpect {
    /// Whether a datagram is what is expected.
    #[must_use]
    pub fn is_met_by(&self, datagram: &[u8]) -> bool {
        match self {
            Self::Prefix(prefix) => datagram.starts_with(prefix.as_bytes()),
            Self::Matches(pattern) => pattern.is_in(datagram),
        }
    }
}
