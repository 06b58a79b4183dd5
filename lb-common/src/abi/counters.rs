//! Counters.

/// Traffic of a service or a backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounters {
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients, L3 length (without the Ethernet header).
    pub bytes_in: u64,
    /// Packets from backends.
    pub packets_out: u64,
    /// Bytes from backends, L3 length.
    pub bytes_out: u64,
    /// Flows begun.
    pub flows: u64,
}

impl core::ops::AddAssign for TrafficCounters {
    fn add_assign(&mut self, more: Self) {
        self.packets_in += more.packets_in;
        self.bytes_in += more.bytes_in;
        self.packets_out += more.packets_out;
        self.bytes_out += more.bytes_out;
        self.flows += more.flows;
    }
}

/// What the data path saw of a backend's health: one cache line, counted by all CPUs, so that it is read at once and its size does not
/// depend on their number. Only the first packets of a connection and ICMP errors count here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendSignals {
    /// Counts by [`Signal`]; the rest is 0.
    pub counts: [u64; 8],
}

impl BackendSignals {
    /// How often a signal was seen.
    #[inline(always)]
    #[must_use]
    pub const fn of(&self, signal: Signal) -> u64 {
        self.counts[signal as usize]
    }
}

/// What is counted in [`BackendSignals`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A SYN was sent to the backend, which had not answered this connection yet: repeated ones count again.
    Syn = 0,
    /// It answered a SYN with a SYN-ACK; repeated ones do not count.
    SynAck = 1,
    /// It answered a SYN with a RST.
    Reset = 2,
    /// It said by ICMP that a packet to it leads nowhere: port, protocol or host unreachable, administratively prohibited.
    Unreachable = 3,
    /// A router said so.
    RouterUnreachable = 4,
}

impl Signal {
    /// Every signal, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Syn, Self::SynAck, Self::Reset, Self::Unreachable, Self::RouterUnreachable];
}

/// Traffic of an interface, indexed by its ifindex.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Frames that arrived.
    pub rx_packets: u64,
    /// Bytes of them, frame length.
    pub rx_bytes: u64,
    /// Frames sent out of this interface by the data path.
    pub tx_packets: u64,
    /// Bytes of them, frame length.
    pub tx_bytes: u64,
    /// Frames handed to the host.
    pub passed: u64,
    /// Frames dropped.
    pub dropped: u64,
}
