//! SYN cookies: connections of which nothing is stored before the client's ACK.

/// What a connection that began with a cookie differs by between its two ends; element of `COOKIES`, by the key of the client's packets.
/// All numbers are native.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// Our initial sequence number: the cookie.
    pub isn: u32,
    /// The client's initial sequence number.
    pub client_isn: u32,
    /// The timestamp of our SYN-ACK; 0 without [`CookieFlags::TIMESTAMPS`].
    pub timestamp: u32,
    /// What a backend's sequence numbers are less than those that the client knows.
    pub sequence_delta: u32,
    /// What a backend's timestamps are less than those that the client knows.
    pub timestamp_delta: u32,
    /// Largest segment that the client takes, in bytes of data.
    pub mss: u16,
    /// [`CookieFlags`] bits.
    pub flags: u8,
    /// Window scales (RFC 7323 §2): the client's in the lower half, the backend's in the upper one.
    pub scales: u8,
}

/// Bits of [`Cookie::flags`].
#[derive(Debug)]
pub struct CookieFlags;

impl CookieFlags {
    /// There is a cookie.
    pub const VALID: u8 = 1;
    /// The client uses timestamps (RFC 7323 §3).
    pub const TIMESTAMPS: u8 = 2;
    /// The client takes selective acknowledgements (RFC 2018).
    pub const SACK: u8 = 4;
    /// The client scales windows.
    pub const SCALES: u8 = 8;
    /// The backend answered: the differences are known.
    pub const ANSWERED: u8 = 16;
    /// The backend scales windows.
    pub const BACKEND_SCALES: u8 = 32;
}

/// A service's SYN cookies: element of `SYN_COOKIES` by service id; element 0 is a [`CookieSecret`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynCookies {
    /// When half-open connections and SYNs that were answered by cookies will have drained, see [`crate::half_open`].
    pub full_at: u64,
    /// Tick of the last cookie; 0: there was none.
    pub cookie_at: u32,
    /// 1 while SYNs are answered by cookies (`auto`).
    pub on: u32,
    /// Counts by [`CookieCount`]; the rest is 0.
    pub counts: [u64; 4],
}

impl SynCookies {
    /// How often something was counted.
    #[must_use]
    pub const fn of(&self, what: CookieCount) -> u64 {
        self.counts[what as usize]
    }
}

/// What is counted in [`SynCookies`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieCount {
    /// A SYN was answered by a cookie.
    Sent = 0,
    /// A cookie came back: a connection begins.
    Accepted = 1,
    /// An ACK without a flow brought no cookie that is valid.
    Invalid = 2,
}

/// What all services' cookies have in common: element 0 of `SYN_COOKIES`. Written by `lbd` at its start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieSecret {
    /// Key of the hash.
    pub key: [u64; 2],
    /// Tick from which periods are counted.
    pub base: u32,
    /// Half-open connections of a service at which its SYNs begin to be answered by cookies (`auto`); 0: never.
    pub limit: u32,
    /// 0.
    pub reserved: [u64; 3],
}
