//! Capture: which packets are copied, and how the copies are told. The maps of this exist only while something captures.

/// Captures at once: elements of `CAPTURES`.
pub const CAPTURES: u32 = 4;
/// Most bytes of a frame that are copied: jumbo frames as a whole. Two copies and a header have to fit in 32 KiB, the largest element of a
/// per-CPU map.
pub const MAX_SNAP: u32 = 9216;
/// A window of time, in which so many packets are copied at most, is 2 to the power of this in nanoseconds: 134 ms.
pub const CAPTURE_WINDOW_SHIFT: u32 = 27;

/// Words of [`Seen`] that can be asked for bit by bit.
pub const SEEN_WORDS: usize = 13;

/// What is known of a packet when its way has ended. What is not known is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// At the places that the constants of this type name.
    pub words: [u32; SEEN_WORDS],
    /// One bit for each of the verdict, the direction, and what the flow table had to do with it.
    pub kinds: u32,
    /// Number of the [`super::DropReason`] plus 1; also of a packet that was answered instead of being forwarded.
    pub reason: u32,
}

impl Seen {
    /// The client's address, wire order, IPv4 in the first of 4 words; the source of a packet of no service.
    pub const CLIENT: usize = 0;
    /// The VIP, likewise; the destination of a packet of no service.
    pub const VIP: usize = 4;
    /// The client's port and that of the VIP, as they lie in a packet: each in wire order.
    pub const PORTS: usize = 8;
    /// Id of the service in the lower half, IP protocol number and 4 or 6 in the upper two bytes.
    pub const SERVICE: usize = 9;
    /// Id of the backend.
    pub const BACKEND: usize = 10;
    /// Ifindex of the interface that it arrived at.
    pub const INGRESS: usize = 11;
    /// Ifindex of the one that it leaves by.
    pub const EGRESS: usize = 12;

    /// The bit of a verdict, by the number of its action: pass, drop, transmit, redirect.
    #[must_use]
    pub const fn verdict_bit(action: u32) -> u32 {
        1 << (action & 3)
    }

    /// Bits of verdicts.
    pub const VERDICTS: u32 = 0xf;
    /// It belongs to no flow and no service.
    pub const NO_DIRECTION: u32 = 1 << 8;
    /// From a client to a backend.
    pub const TO_BACKEND: u32 = 1 << 9;
    /// From a backend to a client.
    pub const TO_CLIENT: u32 = 1 << 10;
    /// Bits of directions.
    pub const DIRECTIONS: u32 = 7 << 8;
    /// No entry was there, none was made.
    pub const NO_FLOW: u32 = 1 << 16;
    /// It went by an entry.
    pub const FLOW_HIT: u32 = 1 << 17;
    /// It began a flow.
    pub const FLOW_BEGUN: u32 = 1 << 18;
    /// Bits of what the flow table had to do with it.
    pub const FLOWS: u32 = 7 << 16;

    /// Two 16-bit values as they lie in memory one after the other.
    #[inline(always)]
    #[must_use]
    pub const fn pair(first: u16, second: u16) -> u32 {
        let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
        u32::from_ne_bytes([a, b, c, d])
    }

    /// The word at [`Self::SERVICE`].
    #[inline(always)]
    #[must_use]
    pub const fn service_word(service: u16, proto: u8, family: u8) -> u32 {
        service as u32 | (proto as u32) << 16 | (family as u32) << 24
    }
}

/// What one capture wants: an element of `CAPTURES`. The data path is asked for what it can tell at once; `lbd` looks at the rest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureFilter {
    /// When it ends unless `lbd` puts that off, in nanoseconds of the monotonic clock; 0: there is none.
    pub until: u64,
    /// Reasons that are wanted: bit `n` of [`Seen::reason`] `n`.
    pub reasons: u64,
    /// What the words have to be, where `mask` has bits.
    pub value: [u32; SEEN_WORDS],
    /// Bits that matter.
    pub mask: [u32; SEEN_WORDS],
    /// Bits of [`Seen::kinds`], one of each of its kinds has to be among them.
    pub kinds: u32,
    /// A packet is looked at if a random number is not above this.
    pub sample: u32,
    /// Most bytes of a frame to copy.
    pub snap: u32,
    /// Most packets in a window of time, see [`CAPTURE_WINDOW_SHIFT`].
    pub per_window: u32,
}

impl CaptureFilter {
    /// One that wants every packet, of no time yet.
    pub const EVERYTHING: Self = Self {
        until: 0,
        reasons: u64::MAX,
        value: [0; SEEN_WORDS],
        mask: [0; SEEN_WORDS],
        kinds: u32::MAX,
        sample: u32::MAX,
        snap: MAX_SNAP,
        per_window: u32::MAX,
    };

    /// Whether a packet is wanted, as far as these can tell.
    #[inline(always)]
    #[must_use]
    pub fn wants(&self, seen: &Seen) -> bool {
        let mut different = 0;
        let mut word = 0;
        while word < SEEN_WORDS {
            different |= (seen.words[word] ^ self.value[word]) & self.mask[word];
            word += 1;
        }
        let kinds = seen.kinds & self.kinds;
        different == 0
            && kinds & Seen::VERDICTS != 0
            && kinds & Seen::DIRECTIONS != 0
            && kinds & Seen::FLOWS != 0
            && self.reasons >> (seen.reason & 63) & 1 != 0
    }
}

/// What became of a capture's packets on one CPU: an element of `CAPTURE_COUNTERS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureCounters {
    /// Packets that were looked at: those that arrived, or so many of them as a sample is.
    pub looked_at: u64,
    /// Those that the data path's part of the filter wants.
    pub wanted: u64,
    /// Wanted, but not copied as there were more than may be.
    pub over_rate: u64,
    /// Wanted, but not copied as the ring had no room.
    pub no_room: u64,
}

/// The head of a record of `CAPTURE_RING`. The bytes of the frame as it arrived follow, then those of the frame as it leaves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapturedPacket {
    /// When it arrived, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// What is known of it.
    pub seen: Seen,
    /// Bit `n`: it is for the capture in element `n`.
    pub captures: u32,
    /// Length of the frame as it arrived.
    pub arrived: u32,
    /// Bytes of it that follow.
    pub arrived_copied: u32,
    /// Length of the frame as it leaves.
    pub leaves: u32,
    /// Bytes of it that follow then; 0: it does not leave.
    pub leaves_copied: u32,
    /// The CPU.
    pub cpu: u32,
    /// The receive queue.
    pub queue: u32,
    /// 0.
    pub reserved: u32,
}
