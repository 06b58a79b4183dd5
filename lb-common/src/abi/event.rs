//! What the data path tells `lbd`: records of the ring buffers `EVENTS` and `FLOW_EVENTS`.

use super::{Address, Flow, FlowKey};

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

/// A record of `FLOW_EVENTS`: an entry of a flow, of either direction, that was answered just now or has ended. Written only with
/// [`super::SettingsFlags::TELL_FLOWS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowEvent {
    /// Source address of the entry's key, wire order; IPv4 in the first word.
    pub src: [u32; 4],
    /// Destination address of the key, likewise.
    pub dst: [u32; 4],
    /// Source address after translation, likewise.
    pub new_src: [u32; 4],
    /// Destination address after translation, likewise.
    pub new_dst: [u32; 4],
    /// Source port of the key, wire order.
    pub sport: u16,
    /// Destination port of the key, wire order.
    pub dport: u16,
    /// Source port after translation, wire order.
    pub new_sport: u16,
    /// Destination port after translation, wire order.
    pub new_dport: u16,
    /// IP protocol number.
    pub proto: u8,
    /// 4 or 6.
    pub family: u8,
    /// A [`super::FlowState`].
    pub state: u8,
    /// [`super::FlowFlags`] bits.
    pub flags: u8,
    /// Tick of the packet.
    pub last_seen: u32,
}

impl FlowEvent {
    /// The record of an entry that comes to a state at a tick.
    #[must_use]
    pub fn new<A: Address>(key: &FlowKey<A>, flow: &Flow<A>, state: u8, tick: u32) -> Self {
        let mut event = Self::default();
        event.fill(key, flow, state, tick);
        event
    }

    /// Makes it the record of an entry that comes to a state at a tick. Field by field: the data path has no stack for a second one.
    #[inline(always)]
    pub fn fill<A: Address>(&mut self, key: &FlowKey<A>, flow: &Flow<A>, state: u8, tick: u32) {
        self.src = key.src.words();
        self.dst = key.dst.words();
        self.new_src = flow.src.words();
        self.new_dst = flow.dst.words();
        self.sport = key.sport;
        self.dport = key.dport;
        self.new_sport = flow.sport;
        self.new_dport = flow.dport;
        self.proto = key.proto;
        self.family = if A::IS_V6 { 6 } else { 4 };
        self.state = state;
        self.flags = flow.flags;
        self.last_seen = tick;
    }
}
