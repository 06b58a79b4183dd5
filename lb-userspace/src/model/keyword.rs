//! Enumerations that are written as one word in the file, the API and the CLI.

use thiserror::Error;

/// A set of words.
pub trait Keyword: Copy + Eq + 'static {
    /// Every value, in the order of the documentation.
    const ALL: &'static [Self];

    /// The word.
    fn as_str(self) -> &'static str;

    /// The words separated by commas, for messages.
    #[must_use]
    fn words() -> String {
        Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The value of a word.
    ///
    /// # Errors
    /// [`UnknownKeyword`] names the words that exist.
    fn from_word(word: &str) -> Result<Self, UnknownKeyword> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == word)
            .ok_or_else(|| UnknownKeyword { word: word.to_owned(), expected: Self::words() })
    }
}

/// A word that is none of its set.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{word:?} is not known; expected one of {expected}")]
pub struct UnknownKeyword {
    /// What was given.
    pub word: String,
    /// The words that exist, separated by commas.
    pub expected: String,
}

/// Implements [`Keyword`], `FromStr` and `Display` for an enumeration.
macro_rules! keyword {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $crate::model::Keyword for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::model::UnknownKeyword;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                <Self as $crate::model::Keyword>::from_word(word)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::model::Keyword::as_str(*self))
            }
        }
    };
}

pub(crate) use keyword;
