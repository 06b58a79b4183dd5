//! Per-CPU counters.

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
