//! Content-based subscriptions: which events somebody wants.
//!
//! ```text
//! filter     = all-of *( "or" all-of )
//! all-of     = term *( [ "and" ] term )
//! term       = constraint | "(" filter ")"
//! constraint = attribute "=" value             equal
//!            | attribute "^=" value            begins with
//!            | attribute "in" network          an address of a network
//!            | attribute "in" number ".." number   either end may be left out
//! value      = word | '"' any text without '"' '"'
//! ```

mod parse;
mod words;

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;

use super::{Attribute, Kind, Notice, Topic, Value};
use crate::model::Keyword;

/// Most ways in which a filter may be met: alternatives of alternatives multiply.
const MOST_ALTERNATIVES: usize = 64;
/// Longest text of a filter in bytes.
const MOST_BYTES: usize = 4096;

/// What a filter is about: names of properties, each with the kind of its values.
pub trait Vocabulary: Keyword + fmt::Display {
    /// The kind of its values.
    fn shape(self) -> Shape;

    /// What a value must be beside that: words that are known, for example.
    ///
    /// # Errors
    /// A sentence without the property's name: what was expected instead.
    fn check(self, _word: &str) -> Result<(), String> {
        Ok(())
    }
}

/// What somebody wants: alternatives (or), each of which is a list of constraints that must all hold (and). One without constraints
/// wants everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter<A = Attribute> {
    pub(crate) alternatives: Vec<Vec<Constraint<A>>>,
}

impl<A> Default for Filter<A> {
    fn default() -> Self {
        Self { alternatives: vec![Vec::new()] }
    }
}

/// What an attribute has to be. What has none of it does not meet the constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constraint<A = Attribute> {
    pub(crate) attribute: A,
    pub(crate) test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// The text as it is printed; a number or an address in any of its spellings.
    Equal(Value),
    /// A text that begins with this.
    Prefix(String),
    /// An address.
    Within(IpNet),
    /// A number, both ends included.
    Range { least: u64, most: u64 },
}

/// Why a text is no filter.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("filter, column {column}: {problem}")]
pub struct FilterError {
    /// Where: characters from the begin, the first is 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub problem: String,
}

impl Filter {
    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, notice: &Notice) -> bool {
        self.alternatives.iter().any(|constraints| constraints.iter().all(|one| one.holds(notice)))
    }

    /// Events whose attribute has this value.
    #[must_use]
    pub fn equal(attribute: Attribute, value: impl Into<Value>) -> Self {
        Self::of(Constraint { attribute, test: Test::Equal(value.into()) })
    }

    /// Whether it asks for a topic by name, or for a kind of it.
    #[must_use]
    pub fn asks_for(&self, topic: Topic) -> bool {
        let kinds = || Kind::ALL.iter().filter(|kind| kind.topic() == topic).map(|kind| kind.as_str());
        let names = |constraint: &Constraint| match (constraint.attribute, &constraint.test) {
            (Attribute::Topic, Test::Equal(Value::Text(word))) => word == topic.as_str(),
            (Attribute::Kind, Test::Equal(Value::Text(word))) => kinds().any(|kind| kind == word),
            (Attribute::Kind, Test::Prefix(prefix)) => {
                !prefix.is_empty() && kinds().any(|kind| kind.starts_with(prefix.as_str()))
            }
            _ => false,
        };
        self.alternatives.iter().flatten().any(names)
    }
}

impl<A: Vocabulary> Filter<A> {
    /// Whether something is wanted whose properties have these values; `None`: it has not got it.
    pub fn accepts(&self, value: impl Fn(A) -> Option<Value>) -> bool {
        let holds = |one: &Constraint<A>| value(one.attribute).is_some_and(|value| one.test.holds(&value));
        self.alternatives.iter().any(|constraints| constraints.iter().all(holds))
    }

    /// Whether a property is in it.
    #[must_use]
    pub fn mentions(&self, attribute: A) -> bool {
        self.alternatives.iter().flatten().any(|one| one.attribute == attribute)
    }

    /// This and another.
    ///
    /// # Errors
    /// Together they have too many alternatives.
    pub fn and(self, other: &Self) -> Result<Self, FilterError> {
        let ways = self.alternatives.len() * other.alternatives.len();
        if ways > MOST_ALTERNATIVES {
            let problem = format!("it can be met in {ways} ways; expected at most {MOST_ALTERNATIVES}");
            return Err(FilterError { column: 1, problem });
        }
        let pairs =
            self.alternatives.iter().flat_map(|one| other.alternatives.iter().map(move |two| (one, two)));
        let alternatives = pairs.map(|(one, two)| [one.as_slice(), two.as_slice()].concat()).collect();
        Ok(Self { alternatives })
    }

    /// This or another.
    ///
    /// # Errors
    /// As [`Filter::and`].
    pub fn or(mut self, other: Self) -> Result<Self, FilterError> {
        self.alternatives.extend(other.alternatives);
        // Says the same of too many.
        self.and(&Self::default())
    }

    /// One that wants what meets the constraint.
    pub(super) fn of(constraint: Constraint<A>) -> Self {
        Self { alternatives: vec![vec![constraint]] }
    }
}

impl Constraint {
    /// Whether an event meets it.
    pub(super) fn holds(&self, notice: &Notice) -> bool {
        notice.value(self.attribute).is_some_and(|value| self.test.holds(value))
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Equal(wanted), value) => wanted == value,
            (Self::Prefix(prefix), Value::Text(text)) => text.starts_with(prefix.as_str()),
            (Self::Within(network), Value::Address(address)) => network.contains(address),
            (Self::Range { least, most }, Value::Number(number)) => (least..=most).contains(&number),
            _ => false,
        }
    }
}

/// The kind of values that an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Texts.
    Text,
    /// Numbers.
    Number,
    /// Addresses.
    Address,
}

impl Vocabulary for Attribute {
    fn check(self, word: &str) -> Result<(), String> {
        let known = match self {
            Self::Topic => word.parse::<Topic>().map(drop),
            Self::Kind => word.parse::<Kind>().map(drop),
            _ => Ok(()),
        };
        known.map_err(|error| error.to_string())
    }

    fn shape(self) -> Shape {
        match self {
            Self::Address | Self::Client => Shape::Address,
            Self::Healthy
            | Self::Wanted
            | Self::Flows
            | Self::Services
            | Self::Count
            | Self::Priority
            | Self::Port => Shape::Number,
            Self::Topic
            | Self::Kind
            | Self::Service
            | Self::Backend
            | Self::From
            | Self::To
            | Self::Reason
            | Self::Unsaved
            | Self::Until
            | Self::Router
            | Self::Protocol
            | Self::State
            | Self::Prefix
            | Self::Who => Shape::Text,
        }
    }
}

impl Shape {
    /// The value that a word means.
    pub(super) fn value(self, word: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::from(word.to_owned())),
            Self::Number => word.parse().ok().map(Value::Number),
            Self::Address => word.parse::<IpAddr>().ok().map(Value::Address),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Address => "an address",
        }
    }
}
