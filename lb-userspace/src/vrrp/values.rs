//! The numbers of VRRP.

use std::{fmt, num::NonZeroU8, time::Duration};

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3768: IPv4, intervals in seconds.
    V2,
    /// RFC 9568: IPv4 and IPv6, intervals in centiseconds.
    V3,
}

impl Version {
    /// The number in the packet.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// The number of a virtual router, 1 to 255. Virtual routers of one interface and address family have different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `None` for 0.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// 1 to 255.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who is to be active: the highest wins (RFC 9568 section 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The sender is active no longer: 0, only in packets.
    pub const STOPS: Self = Self(0);
    /// The lowest of a router that backs up.
    pub const LOWEST: Self = Self(1);
    /// What a router that backs up has by default.
    pub const DEFAULT: Self = Self(100);
    /// The highest of a router that backs up.
    pub const HIGHEST: Self = Self(254);
    /// The router whose own addresses these are.
    pub const OWNER: Self = Self(255);

    /// 0 to 255.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// 0 to 255.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Between two adverts, in centiseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u16);

impl Interval {
    /// The longest of version 3: 12 bits.
    pub const LONGEST_V3: Self = Self(4095);
    /// The longest of version 2: 255 seconds.
    pub const LONGEST_V2: Self = Self(25_500);

    /// `None` for 0 and for what is longer than [`Self::LONGEST_V2`].
    #[must_use]
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Self> {
        if centiseconds == 0 || centiseconds > Self::LONGEST_V2.0 { None } else { Some(Self(centiseconds)) }
    }

    /// `None` for 0.
    #[must_use]
    pub const fn from_seconds(seconds: u8) -> Option<Self> {
        Self::from_centiseconds(seconds as u16 * 100)
    }

    /// 1 to 25500.
    #[must_use]
    pub const fn centiseconds(self) -> u16 {
        self.0
    }

    /// In whole seconds, rounded up: what version 2 says of a shorter one (RFC 9568 section 8.4.2).
    #[must_use]
    pub const fn seconds(self) -> u8 {
        self.0.div_ceil(100) as u8
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }

    /// `Skew_Time`: what makes the highest priority wait the shortest. In version 3 a part of the interval (RFC 9568 section 6.1),
    /// in version 2 of a second (RFC 3768 section 6.1). It is not rounded to centiseconds: with intervals of 10 ms, all
    /// routers would wait alike.
    #[must_use]
    pub fn skew(self, version: Version, own: Priority) -> Duration {
        let whole = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.duration(),
        };
        whole * (256 - u32::from(own.0)) / 256
    }

    /// `Active_Down_Interval`, in version 2 `Master_Down_Interval`: how long an active router may be silent.
    #[must_use]
    pub fn active_down(self, version: Version, own: Priority) -> Duration {
        self.duration() * 3 + self.skew(version, own)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.duration())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Skew and down interval in nanoseconds.
    fn nanoseconds(interval: u16, version: Version, priority: u8) -> (u128, u128) {
        let interval = Interval::from_centiseconds(interval).unwrap();
        let priority = Priority::new(priority);
        (interval.skew(version, priority).as_nanos(), interval.active_down(version, priority).as_nanos())
    }

    #[test]
    fn skew_and_down_interval_follow_the_rfc_to_the_nanosecond() {
        assert_eq!(nanoseconds(100, Version::V3, 100), (609_375_000, 3_609_375_000));
        assert_eq!(nanoseconds(10, Version::V3, 100), (60_937_500, 360_937_500));
        assert_eq!(nanoseconds(1, Version::V3, 100), (6_093_750, 36_093_750));
        assert_eq!(nanoseconds(1, Version::V3, 254), (78_125, 30_078_125));
        assert_eq!(nanoseconds(4095, Version::V3, 1), (40_790_039_062, 163_640_039_062));
    }

    #[test]
    fn the_skew_of_version_2_is_a_part_of_a_second_whatever_the_interval() {
        assert_eq!(nanoseconds(100, Version::V2, 100), (609_375_000, 3_609_375_000));
        assert_eq!(nanoseconds(1000, Version::V2, 100), (609_375_000, 30_609_375_000));
    }

    #[test]
    fn intervals_are_within_what_a_packet_can_say() {
        assert_eq!(Interval::from_centiseconds(0), None);
        assert_eq!(Interval::from_centiseconds(25_501), None);
        assert_eq!(Interval::from_seconds(255), Some(Interval::LONGEST_V2));
        assert_eq!(Interval::from_centiseconds(101).unwrap().seconds(), 2);
        assert_eq!(Interval::from_centiseconds(1).unwrap().seconds(), 1);
        assert_eq!(Interval::LONGEST_V2.seconds(), 255);
    }
}
