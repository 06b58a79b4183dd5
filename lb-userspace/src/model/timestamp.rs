//! Moments in wall-clock time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use thiserror::Error;

/// A moment in wall-clock time: milliseconds since 1970-01-01 00:00:00 UTC. Written as in RFC 3339, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment so long after 1970-01-01 00:00:00 UTC; less than a millisecond is dropped.
    #[must_use]
    pub fn since_epoch(time: Duration) -> Self {
        Self(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// Time since 1970-01-01 00:00:00 UTC.
    #[must_use]
    pub const fn to_epoch(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The moment so much later; a part of a millisecond counts as one.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        let milliseconds = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }

    /// Time from `earlier` to this; 0 if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// `2026-11-22T23:10:00Z`, with milliseconds where there are some.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = SystemTime::UNIX_EPOCH + self.to_epoch();
        if self.0.is_multiple_of(1000) {
            humantime::format_rfc3339_seconds(time).fmt(f)
        } else {
            humantime::format_rfc3339_millis(time).fmt(f)
        }
    }
}

/// A text that is no time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a time; expected one in UTC such as 2026-11-22T23:10:00Z")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let wrong = || TimestampError(text.to_owned());
        let time = humantime::parse_rfc3339(text).map_err(|_| wrong())?;
        time.duration_since(SystemTime::UNIX_EPOCH).map(Self::since_epoch).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_389_000_000, "2026-11-22T23:10:00Z"),
            (1_795_389_000_250, "2026-11-22T23:10:00.250Z"),
        ] {
            let time = Timestamp::since_epoch(Duration::from_millis(milliseconds));
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
        for text in ["", "2026-11-22", "2026-11-22T23:10:00+01:00", "1969-12-31T23:59:59Z", "soon"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_never_written_as_an_earlier_one_than_it_was_asked_for() {
        let begin = Timestamp::since_epoch(Duration::from_secs(1));
        assert_eq!(begin.after(Duration::from_nanos(1)).since(begin), Duration::from_millis(1));
        assert_eq!(begin.since(begin.after(Duration::from_secs(9))), Duration::ZERO);
    }
}
