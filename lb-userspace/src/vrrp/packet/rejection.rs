//! Why a packet is not taken.

use thiserror::Error;

/// What is wrong with a packet. It is counted by its [label](Rejection::label), and has no other effect: no state and no timer
/// changes (RFC 9568 section 7.1).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It was forwarded by a router, or somebody far away pretends to be near (RFC 5082).
    #[error("hop limit {found}; expected at least {least}")]
    HopLimit {
        /// What arrived.
        found: u8,
        /// 255, unless unicast peers are configured to be farther away.
        least: u8,
    },
    /// It is shorter or longer than its count of addresses says.
    #[error("{found} bytes; expected {expected}")]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there have to be.
        expected: usize,
    },
    /// Neither 2 nor 3, or 2 over IPv6.
    #[error("version {found}; expected 3, or 2 over IPv4")]
    UnknownVersion {
        /// The number.
        found: u8,
    },
    /// A version that this virtual router is not configured for.
    #[error("version {found}, which is not configured here; expected {expected}")]
    OtherVersion {
        /// The number.
        found: u8,
        /// The other number.
        expected: u8,
    },
    /// Not an advert.
    #[error("type {found}; expected 1")]
    Type {
        /// The number.
        found: u8,
    },
    /// Neither with nor without a pseudo-header right.
    #[error("checksum {found:#06x}; expected {expected:#06x}")]
    Checksum {
        /// What arrived.
        found: u16,
        /// What its bytes sum up to.
        expected: u16,
    },
    /// 0, or a virtual router that is not configured on this interface.
    #[error("virtual router {found}, which is not configured here")]
    Vrid {
        /// The number.
        found: u8,
    },
    /// The count is 0 (erratum 8299).
    #[error("no address")]
    NoAddress,
    /// The interval is 0 (erratum 8301).
    #[error("interval 0; expected at least 1")]
    NoInterval,
    /// Authentication of version 2 that is not what is configured (RFC 3768 section 7.1).
    #[error("authentication is of another type or has another password than is configured")]
    Authentication,
    /// In version 2 the interval has to be the same everywhere (RFC 3768 section 7.1).
    #[error("interval {found} s; version 2 needs what is configured here: {expected} s")]
    OtherInterval {
        /// What arrived.
        found: u8,
        /// What is configured.
        expected: u8,
    },
    /// The sender has our address: our own packet came back, or the address is there twice.
    #[error("it comes from the address of this machine")]
    OwnAddress,
    /// Not one of the unicast peers.
    #[error("the sender is not a configured peer")]
    UnknownSource,
    /// Multicast where peers are configured, or unicast where none are.
    #[error("it was not sent to where adverts are expected")]
    Destination,
}

impl Rejection {
    /// Every label, in the order of the checks.
    pub const LABELS: [&'static str; 14] = [
        "length",
        "hop-limit",
        "destination",
        "own-address",
        "unknown-source",
        "unknown-version",
        "type",
        "checksum",
        "vrid",
        "no-address",
        "no-interval",
        "other-version",
        "authentication",
        "other-interval",
    ];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::HopLimit { .. } => "hop-limit",
            Self::Length { .. } => "length",
            Self::UnknownVersion { .. } => "unknown-version",
            Self::OtherVersion { .. } => "other-version",
            Self::Type { .. } => "type",
            Self::Checksum { .. } => "checksum",
            Self::Vrid { .. } => "vrid",
            Self::NoAddress => "no-address",
            Self::NoInterval => "no-interval",
            Self::Authentication => "authentication",
            Self::OtherInterval { .. } => "other-interval",
            Self::OwnAddress => "own-address",
            Self::UnknownSource => "unknown-source",
            Self::Destination => "destination",
        }
    }
}
