//! Flows: one tracked connection or exchange, as two entries, one per direction.

use zerocopy::{FromBytes, transmute};

use super::Address;

/// The 5-tuple of a packet as seen on the wire: key of the flow tables.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes)]
pub struct FlowKey<A> {
    /// Source address, wire order.
    pub src: A,
    /// Destination address, wire order.
    pub dst: A,
    /// Source port, wire order.
    pub sport: u16,
    /// Destination port, wire order.
    pub dport: u16,
    /// IP protocol number: 6 (TCP) or 17 (UDP).
    pub proto: u8,
    /// 0.
    pub pad: [u8; 3],
}

impl<A: Address> FlowKey<A> {
    /// The key of the packet's answer, before any translation.
    #[inline(always)]
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport, ..*self }
    }

    /// Writes [`Self::reversed`] to where it is needed, which saves its place on the stack.
    #[inline(always)]
    pub fn write_reversed(&self, key: &mut Self) {
        key.src = self.dst;
        key.dst = self.src;
        key.sport = self.dport;
        key.dport = self.sport;
        key.proto = self.proto;
        key.pad = [0; 3];
    }
}

impl FlowKey<u32> {
    /// A key of whole words, as the packet has them: the kernel hashes words, and a word that was stored in parts is not there yet when
    /// it is loaded (store-to-load forwarding fails).
    #[inline(always)]
    #[must_use]
    pub fn from_words(src: u32, dst: u32, ports: u32, proto: u8) -> Self {
        transmute!([src, dst, ports, u32::from(proto).to_le()])
    }
}

impl FlowKey<[u32; 4]> {
    /// As for IPv4.
    #[inline(always)]
    #[must_use]
    pub fn from_words(src: [u32; 4], dst: [u32; 4], ports: u32, proto: u8) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (src, dst);
        transmute!([a, b, c, d, e, f, g, h, ports, u32::from(proto).to_le()])
    }
}

/// One direction of a flow: all that forwarding a packet needs.
///
/// 40 bytes for IPv4, so that a map element (48 bytes of kernel header, 16 of key) is 104 bytes and a connection takes
/// 2 * (104 + 16 for the bucket) = 240 bytes. Aligned like the elements of a map, so that it is copied in words of 8 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow<A> {
    /// Source address after translation, wire order.
    pub src: A,
    /// Destination address after translation, wire order.
    pub dst: A,
    /// Source port after translation, wire order.
    pub sport: u16,
    /// Destination port after translation, wire order.
    pub dport: u16,
    /// What to add to the IPv4 header checksum: addresses and the TTL's decrement. See [`crate::checksum`].
    pub l3_delta: u16,
    /// What to add to the TCP or UDP checksum: addresses and ports.
    pub l4_delta: u16,
    /// Where the packet goes.
    pub next_hop: NextHop,
    /// Id of the backend: index into `BACKENDS`.
    pub backend: u32,
    /// Tick ([`super::Settings`]) of the last packet, in either direction.
    pub last_seen: u32,
    /// Id of the service: index into the counters.
    pub service: u16,
    /// A [`FlowState`].
    pub state: u8,
    /// [`FlowFlags`] bits.
    pub flags: u8,
}

impl<A: Address> Flow<A> {
    /// The key of the other direction's entry: the answer to the packet as it leaves us.
    #[inline(always)]
    #[must_use]
    pub fn twin_key(&self, proto: u8) -> FlowKey<A> {
        FlowKey { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport, proto, pad: [0; 3] }
    }

    /// Writes [`Self::twin_key`] to where it is needed, which saves its place on the stack.
    #[inline(always)]
    pub fn write_twin_key(&self, proto: u8, key: &mut FlowKey<A>) {
        key.src = self.dst;
        key.dst = self.src;
        key.sport = self.dport;
        key.dport = self.sport;
        key.proto = proto;
        key.pad = [0; 3];
    }

    /// Whether the twin key is `key`. Without branches, and without a copy of the key.
    #[inline(always)]
    #[must_use]
    pub fn leads_to(&self, key: &FlowKey<A>) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.dst.words(), self.src.words());
        let ([i, j, k, l], [m, n, o, p]) = (key.src.words(), key.dst.words());
        let addresses = (a ^ i) | (b ^ j) | (c ^ k) | (d ^ l) | (e ^ m) | (f ^ n) | (g ^ o) | (h ^ p);
        let ports = (self.dport ^ key.sport) | (self.sport ^ key.dport);
        addresses | u32::from(ports) == 0
    }

    /// Whether the entry is for packets from the backend.
    #[inline(always)]
    #[must_use]
    pub fn is_reverse(&self) -> bool {
        self.flags & FlowFlags::REVERSE != 0
    }
}

/// A resolved next hop.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Destination MAC address; all 0: not known.
    pub dmac: [u8; 6],
    /// Egress interface; its MAC address is the source. Interfaces beyond 65535 can't be attached to.
    pub ifindex: u16,
    /// [`super::Settings::fib_generation`] when it was resolved; 0: never by a FIB lookup (learned from a packet).
    pub generation: u32,
}

impl NextHop {
    /// Bit of the generation: the flow's packets are counted, or have other numbers at the other end, and take the long way. No generation of [`super::Settings`] has it.
    pub const METERED: u32 = 1 << 31;

    /// Whether it was found under a generation.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(&self, generation: u32) -> bool {
        self.generation & !Self::METERED == generation
    }

    /// MAC address (6 octets) and interface (2) as they lie in memory, as one number in little-endian order.
    #[inline(always)]
    #[must_use]
    pub fn link(&self) -> u64 {
        let ([a, b, c, d, e, f], [g, h]) = (self.dmac, self.ifindex.to_le_bytes());
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// State of a flow; also the index of its timeout in [`super::Settings::timeouts`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// A SYN was forwarded. In `EMBRYONIC`.
    SynSent = 1,
    /// The SYN-ACK passed. In `EMBRYONIC`.
    SynReceived = 2,
    /// First seen in the middle of a connection; no answer yet. In `EMBRYONIC`.
    PickedUp = 3,
    /// UDP without an answer yet. In `EMBRYONIC`.
    UdpNew = 4,
    /// Handshake complete. This one and those that follow are in `FLOWS`, but for `UdpAnswered`.
    Established = 5,
    /// The client sent FIN.
    FinClient = 6,
    /// The backend sent FIN.
    FinBackend = 7,
    /// Both sent FIN.
    Closing = 8,
    /// RST passed.
    Closed = 9,
    /// UDP whose client spoke after an answer, or whose backend went on in a later tick.
    UdpEstablished = 10,
    /// UDP with an answer, after which the client was silent: anybody could have forged the question. In `EMBRYONIC`.
    UdpAnswered = 11,
}

impl FlowState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::SynSent,
        Self::SynReceived,
        Self::PickedUp,
        Self::UdpNew,
        Self::Established,
        Self::FinClient,
        Self::FinBackend,
        Self::Closing,
        Self::Closed,
        Self::UdpEstablished,
        Self::UdpAnswered,
    ];

    /// The state of a number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// The name in the API and the CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::PickedUp => "picked-up",
            Self::UdpNew => "udp-new",
            Self::Established => "established",
            Self::FinClient => "fin-client",
            Self::FinBackend => "fin-backend",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::UdpEstablished => "udp-established",
            Self::UdpAnswered => "udp-answered",
        }
    }
}

/// Bits of [`Flow::flags`].
#[derive(Debug)]
pub struct FlowFlags;

impl FlowFlags {
    /// The entry is for packets from the backend to the client.
    pub const REVERSE: u8 = 1;
    /// The source address and port were allocated from a port pool, to be given back at the end.
    pub const PORT_ALLOCATED: u8 = 2;
    /// It has a place of its backend's and its service's limit, see [`super::Places`]. The client's entry says whether it was given
    /// back.
    pub const COUNTED: u8 = 4;
    /// Both ends of the TCP connection get a RST, as if its backend were [`super::BackendFlags::RESET`] and taken out. Set by `lbd`, together
    /// with [`NextHop::generation`] 0, so that no packet takes the shortcut.
    pub const RESET: u8 = 8;
    /// It has a place of its source's limits, see [`super::Source`], while it is embryonic one of those, too. The client's entry says whether
    /// it was given back.
    pub const SOURCE_COUNTED: u8 = 16;
    /// All of those that say of a place that the flow has it.
    pub const PLACES: u8 = Self::COUNTED | Self::SOURCE_COUNTED;
    /// The connection began with a SYN cookie: its two ends count differently, see [`super::Cookie`]. No packet of it takes the shortcut
    /// ([`NextHop::METERED`]).
    pub const COOKIE: u8 = 32;
}

/// Key of the fragment tables (RFC 791 §3.2, RFC 8200 §4.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey<A> {
    /// Source address, wire order.
    pub src: A,
    /// Destination address, wire order.
    pub dst: A,
    /// Identification, wire order; IPv4's 16 bits are zero-extended.
    pub id: u32,
    /// IP protocol number.
    pub proto: u8,
    /// 0.
    pub pad: [u8; 3],
}

/// What the first fragment tells the later ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentPorts {
    /// Source port, wire order.
    pub sport: u16,
    /// Destination port, wire order.
    pub dport: u16,
    /// Tick of the first fragment.
    pub seen: u32,
}
