//! The binary interface between `lbd` and the BPF program: every key and value of every map.
//!
//! All types are `repr(C)`, hold integers only, and have no padding; `size_of` asserts beside each type pin the layout.
//! Fields called "wire order" hold the bytes of the packet as they are, loaded as a native integer (RFC 1071 arithmetic does
//! not mind, and nothing has to be swapped per packet). Every other field is native.

mod address;
mod admission;
mod affinity;
mod answer;
mod backend;
mod capture;
mod cookie;
mod counters;
mod drop_reason;
mod event;
mod floating;
mod flow;
pub mod former;
mod interface;
mod latency;
mod limit;
mod relay;
mod service;
mod settings;
mod virtual_mac;

pub use address::Address;
pub use admission::{
    AclData, AclKey, AclRule, Admission, AdmissionFlags, Buckets, Refusal, Refusals, Source, SourceKey,
};
pub use affinity::{Affinity, AffinityKey};
pub use answer::Answer;
pub use backend::{Backend, BackendFlags, BackendState};
pub use capture::{
    CAPTURE_WINDOW_SHIFT, CAPTURES, CaptureCounters, CaptureFilter, CapturedPacket, MAX_SNAP, SEEN_WORDS,
    Seen,
};
pub use cookie::{Cookie, CookieCount, CookieFlags, CookieSecret, SynCookies};
pub use counters::{BackendSignals, InterfaceCounters, Signal, TrafficCounters};
pub use drop_reason::DropReason;
pub use event::{Event, EventKind, FlowEvent};
pub use floating::Floating;
pub use flow::{Flow, FlowFlags, FlowKey, FlowState, FragmentKey, FragmentPorts, NextHop};
pub use interface::{Interface, InterfaceFlags, Mac};
pub use latency::{Histogram, Latencies, Latency, Stamp};
pub use limit::{BackendLimits, Places};
pub use relay::Relay;
pub use service::{Mode, Origin, Selector, Service, ServiceFlags, ServiceKey};
pub use settings::{Settings, SettingsFlags, TICK_SHIFT, ticks_from_nanos};
pub use virtual_mac::VirtualMacs;

/// Version of the layout of the pinned maps; part of the pin directory's name. Raised with every incompatible change.
pub const ABI_VERSION: u32 = 2;

/// A map key or value: `repr(C)`, integers only, no padding, every bit pattern valid, at most 8-byte aligned.
///
/// Sealed: only the types of this module, whose layout is asserted here, have it; code that copies map bytes relies on that.
pub trait Abi: Copy + Send + Sync + sealed::Sealed + 'static {}

mod sealed {
    /// Keeps [`super::Abi`] to the types listed below.
    pub trait Sealed {}
}

macro_rules! abi {
    ($($type:ty = $size:literal),+ $(,)?) => {$(
        const _: () = assert!(size_of::<$type>() == $size);
        impl sealed::Sealed for $type {}
        impl Abi for $type {}
    )+};
}

abi! {
    FlowKey<u32> = 16,
    FlowKey<[u32; 4]> = 40,
    Flow<u32> = 40,
    Flow<[u32; 4]> = 64,
    FragmentKey<u32> = 16,
    FragmentKey<[u32; 4]> = 40,
    FragmentPorts = 8,
    ServiceKey<u32> = 8,
    ServiceKey<[u32; 4]> = 20,
    Service = 16,
    Origin<u32> = 12,
    Origin<[u32; 4]> = 24,
    AclData<u32> = 8,
    AclData<[u32; 4]> = 20,
    AclKey<u32> = 12,
    AclKey<[u32; 4]> = 24,
    AclRule = 8,
    Admission = 56,
    SourceKey = 20,
    Source = 48,
    Buckets = 16,
    Refusals = 64,
    Backend = 32,
    BackendLimits = 16,
    Places = 16,
    Cookie = 24,
    SynCookies = 48,
    CookieSecret = 48,
    AffinityKey = 20,
    Affinity = 16,
    NextHop = 12,
    Interface = 40,
    VirtualMacs = 64,
    Floating = 24,
    Relay = 24,
    Settings = 96,
    TrafficCounters = 40,
    BackendSignals = 64,
    Latencies = 352,
    Stamp = 8,
    InterfaceCounters = 48,
    Event = 32,
    FlowEvent = 80,
    Seen = 60,
    CaptureFilter = 136,
    CaptureCounters = 32,
    CapturedPacket = 104,
    former::Flow<u32> = 48,
    former::Flow<[u32; 4]> = 72,
    u32 = 4,
    u64 = 8,
    [u32; 2] = 8,
    [u32; 4] = 16,
}
