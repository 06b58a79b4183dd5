//! Settings: the one element of `SETTINGS`.

/// A tick is 2^30 ns (1.07 s): `CLOCK_MONOTONIC` in nanoseconds shifted right by this.
pub const TICK_SHIFT: u32 = 30;

/// The tick of a `CLOCK_MONOTONIC` time in nanoseconds.
#[inline(always)]
#[must_use]
pub fn ticks_from_nanos(nanos: u64) -> u32 {
    (nanos >> TICK_SHIFT) as u32
}

/// What `lbd` tells the data path.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Key of the flow hash. The same on all nodes of a cluster.
    pub seed: [u32; 2],
    /// Raised (never 0) whenever something changed that a flow was forwarded by: a route, a neighbour, a link, an address, the state
    /// of a backend. Flows look at all of it again when theirs is another.
    pub fib_generation: u32,
    /// [`SettingsFlags`] bits.
    pub flags: u32,
    /// Lowest source port that `full-nat` allocates, native order.
    pub port_min: u16,
    /// Highest source port that `full-nat` allocates, native order.
    pub port_max: u16,
    /// Most packets of its own that the data path sends in a second on each CPU, by [`super::Answer`]; 0: any number.
    pub answer_rates: [u32; 3],
    /// Idle time in ticks after which a flow is dead, by [`super::FlowState`].
    pub timeouts: [u32; 16],
}

/// Bits of [`Settings::flags`].
#[derive(Debug)]
pub struct SettingsFlags;

impl SettingsFlags {
    /// Flows that are answered and flows that end are written to `FLOW_EVENTS`.
    pub const TELL_FLOWS: u32 = 1;
    /// Of two machines that replicate their flows, this one gives even SNAT ports away, and others only where those near by are used up.
    pub const EVEN_PORTS: u32 = 2;
    /// The other one of these machines: odd ports.
    pub const ODD_PORTS: u32 = 4;
    /// Handshakes are timed, in `HANDSHAKES` and `BACKEND_LATENCIES`.
    pub const TIME_HANDSHAKES: u32 = 8;
    /// There are elements in `ADMISSION`.
    pub const ADMISSION: u32 = 16;
    /// No flow begins while the table of established flows of its family is full.
    pub const REFUSE_WHEN_FULL: u32 = 32;
    /// Some of them have rates of packets.
    pub const PACKET_RATES: u32 = 64;
}

impl Settings {
    /// Bits of a word of `PORTS` whose ports are this machine's: those that it gives away first.
    #[inline(always)]
    #[must_use]
    pub const fn own_ports(&self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        match self.flags & (SettingsFlags::EVEN_PORTS | SettingsFlags::ODD_PORTS) {
            SettingsFlags::EVEN_PORTS => EVEN,
            SettingsFlags::ODD_PORTS => !EVEN,
            _ => u64::MAX,
        }
    }
}
