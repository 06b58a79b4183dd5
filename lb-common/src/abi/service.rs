//! Services: what clients connect to.

/// Key of the service tables.
///
/// `proto` 1 (ICMP) or 58 (ICMPv6) with port 0 says that the address is a VIP: such an entry exists for every VIP. [`Self::SNAT`] with port 0
/// says that it is a SNAT address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceKey<A> {
    /// The VIP, wire order.
    pub addr: A,
    /// Port, wire order; 0: every port without an entry of its own.
    pub port: u16,
    /// IP protocol number.
    pub proto: u8,
    /// 0.
    pub pad: u8,
}

impl<A> ServiceKey<A> {
    /// Not a protocol (IANA: reserved).
    pub const SNAT: u8 = 255;
}

/// A service as the data path sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Index into `SLOTS`, `ROTATION` and `SERVICE_COUNTERS`; 0 is never a service.
    pub id: u16,
    /// A [`Mode`].
    pub mode: u8,
    /// A [`Selector`].
    pub selector: u8,
    /// [`ServiceFlags`] bits.
    pub flags: u8,
    /// Bits of the client's address that [`Selector::SourceHash`] hashes, and by which `AFFINITY` knows it.
    pub affinity_prefix: u8,
    /// Number of SNAT addresses (`full-nat`).
    pub snat_count: u16,
    /// Index of the first SNAT address in `SNAT_ADDRESSES`.
    pub snat_base: u32,
    /// Ticks after the beginning of a client's last flow for which it gets the same backend; 0: no affinity is kept.
    pub affinity_timeout: u32,
}

/// Whose backend an address and port is: element of `ORIGINS`, by the address, port and protocol that the backend's packets come from.
/// Only for services of mode `nat` with a port of their own and backends with one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<A> {
    /// The VIP, wire order.
    pub vip: A,
    /// Port of the service, wire order.
    pub port: u16,
    /// Id of the service.
    pub service: u16,
    /// Id of the backend.
    pub backend: u32,
}

/// How packets of a service are forwarded.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Destination NAT: the backend sees the client's address, answers return through us.
    Nat = 1,
    /// Destination and source NAT: the backend sees a SNAT address.
    FullNat = 2,
}

/// How the index into the slot table is found. What the slots hold is user space's business.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Keyed hash of the 5-tuple.
    FlowHash = 1,
    /// Keyed hash of the client's address (its first [`Service::affinity_prefix`] bits).
    SourceHash = 2,
    /// A counter that rotates through the slots.
    Rotation = 3,
    /// A random slot.
    Random = 4,
    /// Of two random slots, the one whose backend has fewer flows for its weight.
    LeastFlows = 5,
}

/// Bits of [`Service::flags`].
#[derive(Debug)]
pub struct ServiceFlags;

impl ServiceFlags {
    /// TCP packets that would begin a flow while no backend has a place for it are answered by a RST.
    pub const RESET_WHEN_FULL: u8 = 1;
    /// SYNs are answered by cookies while too many connections are half-open.
    pub const COOKIES_AUTO: u8 = 2;
    /// SYNs are always answered by cookies.
    pub const COOKIES_ALWAYS: u8 = 4;
    /// SYNs may be answered by cookies.
    pub const COOKIES: u8 = Self::COOKIES_AUTO | Self::COOKIES_ALWAYS;
}
