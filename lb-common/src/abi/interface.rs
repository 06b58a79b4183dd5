//! Interfaces the program is attached to.

/// Element of `INTERFACES`, indexed by ifindex.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// [`InterfaceFlags`] bits.
    pub flags: u32,
    /// MTU in bytes (L3).
    pub mtu: u32,
    /// First global IPv6 address, wire order: source of ICMPv6 errors; all 0: none.
    pub addr6: [u32; 4],
    /// Primary IPv4 address, wire order: source of ICMP errors; 0: none.
    pub addr4: u32,
    /// MAC address.
    pub mac: [u8; 6],
    /// Second MAC address that is ours (VRRP); all 0: none.
    pub virtual_mac: [u8; 6],
    /// 0.
    pub reserved: u64,
}

/// Bits of [`Interface::flags`].
#[derive(Debug)]
pub struct InterfaceFlags;

impl InterfaceFlags {
    /// The program is attached here: frames may be forwarded from and to it.
    pub const ATTACHED: u32 = 1;
}
