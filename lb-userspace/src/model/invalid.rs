//! What is wrong with a draft.

use std::fmt;

use thiserror::Error;

use super::{AddressKind, Path};

/// One wrong value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct Invalid {
    /// Where it stands.
    pub path: Path,
    /// The value as text; empty if it is missing.
    pub value: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        if !self.value.is_empty() {
            write!(f, "{} ", self.value)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// What is wrong with a value; prints as the rest of a sentence that begins with the value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say what the variants mean; fields are what they show")]
pub enum Problem {
    #[error("is not {what}; expected {min} to {max}")]
    OutOfRange { what: &'static str, min: u64, max: u64 },
    #[error("is not {what}; expected {expected}")]
    Not { what: &'static str, expected: String },
    #[error("is used by {first} already; expected {expected}")]
    Duplicate { first: Path, expected: &'static str },
    #[error("is {kind}; expected a unicast address")]
    AddressKind { kind: AddressKind },
    #[error("is a VIP (address of {vip}); expected an address of a real server")]
    IsVip { vip: Path },
    #[error("is the address of backend {backend}; expected an address that is routed to this machine")]
    IsBackend { backend: String },
    #[error("is not of the VIP's family; expected an {family} address")]
    Family { family: &'static str },
    #[error("is not a prime, which {algorithm} needs; expected one such as {nearest}")]
    NotPrime { algorithm: &'static str, nearest: u32 },
    #[error("is longer than {other} ({limit}); expected at most that")]
    LongerThan { other: &'static str, limit: String },
    #[error("is fewer than the service's {backends} backends; expected a slot for each")]
    FewSlots { backends: usize },
    #[error("missing: {why}; expected {expected}")]
    Missing { why: &'static str, expected: &'static str },
    #[error("has no meaning {when}; expected it to be left out")]
    Meaningless { when: String },
    #[error(
        "belongs to a check of type {types}, and this one is of type {given}; expected another type, or the key left out"
    )]
    OtherType { types: String, given: &'static str },
    #[error("is 0, which only a service with port 0 may have; expected 1 to 65535")]
    PortZero,
    #[error("{what} are more than {limit} allows ({allowed}); raise it or remove some")]
    OverLimit { what: &'static str, limit: &'static str, allowed: u32 },
}

/// Everything that is wrong with a draft; at least one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct InvalidDraft(pub Vec<Invalid>);

impl fmt::Display for InvalidDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, invalid) in self.0.iter().enumerate() {
            write!(f, "{}{invalid}", if position == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
