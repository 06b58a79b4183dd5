//! What the data path tells `lbd`: records of the ring buffer `EVENTS`.

/// A record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// An [`EventKind`].
    pub kind: u32,
    /// The interface it is about.
    pub ifindex: u32,
    /// The address it is about, wire order; IPv4 in the first word.
    pub addr: [u32; 4],
    /// 4 or 6.
    pub family: u32,
    /// 0.
    pub reserved: u32,
}

/// Kinds of records.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A packet could not be sent because its next hop's link-layer address is not known: `lbd` is to resolve `addr` on `ifindex`.
    NeighbourMissing = 1,
}
