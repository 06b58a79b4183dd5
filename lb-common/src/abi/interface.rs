//! Interfaces the program is attached to.

use core::fmt;

/// A MAC address as one number: its 6 octets as they lie in memory, then two octets of 0.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mac(u64);

impl Mac {
    /// From octets.
    #[inline(always)]
    #[must_use]
    pub const fn new([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]).to_le())
    }

    /// From its first four octets and its last two, loaded natively.
    #[inline(always)]
    #[must_use]
    pub fn from_parts(start: u32, end: u16) -> Self {
        Self((u64::from(start.to_le()) | u64::from(end.to_le()) << 32).to_le())
    }

    /// The inverse of [`Mac::from_parts`].
    #[inline(always)]
    #[must_use]
    pub fn parts(self) -> (u32, u16) {
        let number = u64::from_le(self.0);
        ((number as u32).to_le(), ((number >> 32) as u16).to_le())
    }

    /// The octets.
    #[inline(always)]
    #[must_use]
    pub fn octets(self) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = self.0.to_ne_bytes();
        [a, b, c, d, e, f]
    }

    /// Whether there is an address: not all octets are 0.
    #[inline(always)]
    #[must_use]
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.octets();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self::new(octets)
    }
}

/// Element of `INTERFACES`, indexed by ifindex.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// MAC address.
    pub mac: Mac,
    /// [`InterfaceFlags`] bits.
    pub flags: u32,
    /// MTU in bytes (L3).
    pub mtu: u32,
    /// First global IPv6 address, wire order: source of ICMPv6 errors; all 0: none.
    pub addr6: [u32; 4],
    /// Primary IPv4 address, wire order: source of ICMP errors; 0: none.
    pub addr4: u32,
    /// 0.
    pub reserved: u32,
}

/// Bits of [`Interface::flags`].
#[derive(Debug)]
pub struct InterfaceFlags;

impl InterfaceFlags {
    /// The program is attached here: frames may be forwarded from and to it.
    pub const ATTACHED: u32 = 1;
}
