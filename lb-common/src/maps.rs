//! Names of the maps and their default sizes. The kernel keeps 15 characters of a name.

/// Established IPv4 flows: `LRU_HASH`, or `HASH` where none may be pushed out, of [`crate::abi::FlowKey<u32>`] to [`crate::abi::Flow<u32>`].
pub const FLOWS_V4: &str = "FLOWS_V4";
/// Established IPv6 flows.
pub const FLOWS_V6: &str = "FLOWS_V6";
/// IPv4 flows without an answer yet; same types as `FLOWS_V4`.
pub const EMBRYONIC_V4: &str = "EMBRYONIC_V4";
/// IPv6 flows without an answer yet.
pub const EMBRYONIC_V6: &str = "EMBRYONIC_V6";
/// `ARRAY` of u32 by address family ([`FULL_V4`], [`FULL_V6`]): the last tick at which a flow was answered that `FLOWS` had no room for; 0: never.
pub const FULL_AT: &str = "FULL_AT";
/// `LRU_HASH` of [`crate::abi::FragmentKey<u32>`] to [`crate::abi::FragmentPorts`].
pub const FRAGMENTS_V4: &str = "FRAGMENTS_V4";
/// IPv6 fragments.
pub const FRAGMENTS_V6: &str = "FRAGMENTS_V6";
/// `HASH` of [`crate::abi::ServiceKey<u32>`] to [`crate::abi::Service`].
pub const SERVICES_V4: &str = "SERVICES_V4";
/// IPv6 services.
pub const SERVICES_V6: &str = "SERVICES_V6";
/// `HASH` of a [`crate::abi::ServiceKey<u32>`] with a backend's address and port to [`crate::abi::Origin<u32>`].
pub const ORIGINS_V4: &str = "ORIGINS_V4";
/// IPv6 origins.
pub const ORIGINS_V6: &str = "ORIGINS_V6";
/// `LPM_TRIE` of [`crate::abi::AclKey<u32>`] to [`crate::abi::AclRule`]: all lists of sources.
pub const ACL_V4: &str = "ACL_V4";
/// IPv6 sources.
pub const ACL_V6: &str = "ACL_V6";
/// `ARRAY` of [`crate::abi::Admission`] by service id; element 0 is for all services.
pub const ADMISSION: &str = "ADMISSION";
/// `ARRAY` of [`crate::abi::Buckets`] by service id.
pub const SERVICE_BUCKETS: &str = "SERVICE_BUCKETS";
/// `LRU_HASH` of [`crate::abi::SourceKey`] to [`crate::abi::Source`].
pub const SOURCES: &str = "SOURCES";
/// `PERCPU_ARRAY` of [`crate::abi::Refusals`] by service id.
pub const SERVICE_REFUSALS: &str = "SERVICE_REFUSALS";
/// `ARRAY` of u64: bit [`address_bit`] is set for every VIP, SNAT address and backend. Where neither a packet's source nor its
/// destination has its bit set, the packet is not for us.
pub const OWN_ADDRESSES: &str = "OWN_ADDRESSES";
/// `ARRAY_OF_MAPS` by service id; inner: `ARRAY` of `[u32; 2]`, see [`slot_position`].
pub const SLOTS: &str = "SLOTS";
/// `ARRAY` of u64 by service id: the counter of `Selector::Rotation`.
pub const ROTATION: &str = "ROTATION";
/// `ARRAY` of [`crate::abi::Backend`] by backend id; 0 is never a backend.
pub const BACKENDS: &str = "BACKENDS";
/// `ARRAY` of u64 by backend id: live flows, counted up by the data path and set by every expiry scan.
pub const BACKEND_FLOWS: &str = "BACKEND_FLOWS";
/// `ARRAY` of [`crate::abi::BackendLimits`] by backend id.
pub const BACKEND_LIMITS: &str = "BACKEND_LIMITS";
/// `ARRAY` of [`crate::abi::Places`] by backend id: counted by the data path, put right by every expiry scan.
pub const BACKEND_PLACES: &str = "BACKEND_PLACES";
/// `ARRAY` of [`crate::abi::Places`] by service id.
pub const SERVICE_PLACES: &str = "SERVICE_PLACES";
/// `LRU_HASH` of [`crate::abi::AffinityKey`] to [`crate::abi::Affinity`].
pub const AFFINITY: &str = "AFFINITY";
/// `HASH` of the [`crate::abi::FlowKey<u32>`] of a client's packets to [`crate::abi::Cookie`].
pub const COOKIES_V4: &str = "COOKIES_V4";
/// IPv6 cookies.
pub const COOKIES_V6: &str = "COOKIES_V6";
/// `ARRAY` of [`crate::abi::SynCookies`] by service id; element 0 is a [`crate::abi::CookieSecret`].
pub const SYN_COOKIES: &str = "SYN_COOKIES";
/// `ARRAY` of [`crate::abi::NextHop`] by backend id: where the last SYN went that took no entry. A cache of the data path.
pub const BACKEND_HOPS: &str = "BACKEND_HOPS";
/// `ARRAY` of [`crate::abi::BackendSignals`] by backend id, which `lbd` maps into its memory.
pub const BACKEND_SIGNALS: &str = "BACKEND_SIGNALS";
/// `ARRAY` of [`crate::abi::Latencies`] by backend id, which `lbd` maps into its memory.
pub const BACKEND_LATENCIES: &str = "BACKEND_LATENCIES";
/// `ARRAY` of [`crate::abi::Stamp`] by the hash of a flow.
pub const HANDSHAKES: &str = "HANDSHAKES";
/// `ARRAY` of [`crate::abi::NextHop`] by ifindex: the router that was found last for a client whose SYN came in there. A cache of the
/// data path.
pub const CLIENT_HOPS: &str = "CLIENT_HOPS";
/// `ARRAY` of `[u32; 4]` (wire order): the SNAT addresses of all services.
pub const SNAT_ADDRESSES: &str = "SNAT_ADDRESSES";
/// `ARRAY` of u64: bit `p % 64` of element `pool * 1024 + p / 64` says that port `p` of the pool is in use or out of range.
pub const PORTS: &str = "PORTS";
/// `ARRAY` of [`crate::abi::Interface`] by ifindex.
pub const INTERFACES: &str = "INTERFACES";
/// `ARRAY` of [`crate::abi::VirtualMacs`] by ifindex. Written by VRRP's thread, not by reconciliation.
pub const VIRTUAL_MACS: &str = "VIRTUAL_MACS";
/// `HASH` of an address (as [`crate::abi::Address::words`] gives it) to [`crate::abi::Floating`]: VIPs that are held by VRRP. Written by its
/// thread, not by reconciliation.
pub const FLOATING: &str = "FLOATING";
/// `HASH` of an address (as for `FLOATING`) to [`crate::abi::Relay`]: addresses that came here a moment ago. Written by VRRP's thread.
pub const RELAYS: &str = "RELAYS";
/// `ARRAY` with one [`crate::abi::Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// `PERCPU_ARRAY` of [`crate::abi::TrafficCounters`] by service id.
pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
/// `PERCPU_ARRAY` of [`crate::abi::TrafficCounters`] by backend id.
pub const BACKEND_COUNTERS: &str = "BACKEND_COUNTERS";
/// `PERCPU_ARRAY` of [`crate::abi::InterfaceCounters`] by ifindex.
pub const INTERFACE_COUNTERS: &str = "INTERFACE_COUNTERS";
/// `PERCPU_ARRAY` of u64 by [`crate::abi::DropReason`].
pub const DROPS: &str = "DROPS";
/// `PERCPU_ARRAY` of u64 by [`crate::abi::Answer`]: the [bucket](crate::bucket) of packets that the program sends on its own.
pub const ANSWERS: &str = "ANSWERS";
/// `PERCPU_ARRAY` of one element: memory of the program within a packet.
pub const SCRATCH: &str = "SCRATCH";
/// `RINGBUF` of [`crate::abi::Event`].
pub const EVENTS: &str = "EVENTS";
/// `RINGBUF` of [`crate::abi::FlowEvent`].
pub const FLOW_EVENTS: &str = "FLOW_EVENTS";

/// `ARRAY` of [`crate::abi::CaptureFilter`]. This and what follows is only there while something captures, and is not pinned.
pub const CAPTURES: &str = "CAPTURES";
/// `ARRAY` of u64 by capture: packets that were copied in a window of time (lower half), and the window's number.
pub const CAPTURE_RATES: &str = "CAPTURE_RATES";
/// `PERCPU_ARRAY` of [`crate::abi::CaptureCounters`] by capture.
pub const CAPTURE_COUNTERS: &str = "CAPTURE_COUNTERS";
/// `PERCPU_ARRAY` of one element: memory for a packet's copies.
pub const CAPTURE_SCRATCH: &str = "CAPTURE_SCRATCH";
/// `RINGBUF` of [`crate::abi::CapturedPacket`] with the copies.
pub const CAPTURE_RING: &str = "CAPTURE_RING";

/// Every map that is pinned, in the order of the list above.
pub const ALL: &[&str] = &[
    FLOWS_V4,
    FLOWS_V6,
    EMBRYONIC_V4,
    EMBRYONIC_V6,
    FULL_AT,
    FRAGMENTS_V4,
    FRAGMENTS_V6,
    SERVICES_V4,
    SERVICES_V6,
    ORIGINS_V4,
    ORIGINS_V6,
    ACL_V4,
    ACL_V6,
    ADMISSION,
    SERVICE_BUCKETS,
    SOURCES,
    SERVICE_REFUSALS,
    OWN_ADDRESSES,
    SLOTS,
    ROTATION,
    BACKENDS,
    BACKEND_FLOWS,
    BACKEND_LIMITS,
    BACKEND_PLACES,
    SERVICE_PLACES,
    AFFINITY,
    COOKIES_V4,
    COOKIES_V6,
    SYN_COOKIES,
    BACKEND_HOPS,
    BACKEND_SIGNALS,
    BACKEND_LATENCIES,
    HANDSHAKES,
    CLIENT_HOPS,
    SNAT_ADDRESSES,
    PORTS,
    INTERFACES,
    VIRTUAL_MACS,
    FLOATING,
    RELAYS,
    SETTINGS,
    SERVICE_COUNTERS,
    BACKEND_COUNTERS,
    INTERFACE_COUNTERS,
    DROPS,
    ANSWERS,
    SCRATCH,
    EVENTS,
    FLOW_EVENTS,
];

/// The maps of captures.
pub const OF_CAPTURES: &[&str] = &[CAPTURES, CAPTURE_RATES, CAPTURE_COUNTERS, CAPTURE_SCRATCH, CAPTURE_RING];

/// Element of `FULL_AT` for IPv4.
pub const FULL_V4: u32 = 0;
/// Element of `FULL_AT` for IPv6.
pub const FULL_V6: u32 = 1;

/// Default number of entries of `FLOWS_V4` (two per connection).
pub const DEFAULT_FLOWS_V4: u32 = 1 << 17;
/// Default number of entries of `FLOWS_V6` (two per connection).
pub const DEFAULT_FLOWS_V6: u32 = 1 << 16;
/// Default number of entries of each `EMBRYONIC` map.
pub const DEFAULT_EMBRYONIC: u32 = 1 << 15;
/// Number of entries of each `FRAGMENTS` map.
pub const DEFAULT_FRAGMENTS: u32 = 1 << 12;
/// Default number of services.
pub const DEFAULT_SERVICES: u32 = 1024;
/// Default number of backends, all services together.
pub const DEFAULT_BACKENDS: u32 = 8192;
/// Default number of clients whose backend is remembered, all services together.
pub const DEFAULT_AFFINITY: u32 = 1 << 15;
/// Default number of prefixes of all lists of one family.
pub const DEFAULT_PREFIXES: u32 = 1 << 16;
/// Default number of sources whose flows or packets are counted.
pub const DEFAULT_SOURCES: u32 = 1 << 15;
/// Words of `OWN_ADDRESSES`.
pub const OWN_ADDRESS_WORDS: u32 = 1024;
/// Default number of port pools: (SNAT address, backend) pairs. 8 KiB each.
pub const DEFAULT_PORT_POOLS: u32 = 256;
/// Default size of `SNAT_ADDRESSES`.
pub const DEFAULT_SNAT_ADDRESSES: u32 = 256;
/// Default size of `INTERFACES`: the highest ifindex that can be attached, plus 1.
pub const DEFAULT_INTERFACES: u32 = 1024;
/// Number of elements of `HANDSHAKES`, a power of 2: handshakes that can be timed at once.
pub const TIMED_HANDSHAKES: u32 = 1 << 14;
/// Most addresses that are held by VRRP.
pub const MAX_FLOATING: u32 = 1024;
/// Size of `EVENTS` in bytes.
pub const EVENTS_BYTES: u32 = 1 << 16;
/// Size of `FLOW_EVENTS` in bytes where nothing is written to it: the least there is.
pub const FLOW_EVENTS_BYTES: u32 = 1 << 12;
/// Size of `CAPTURE_RING` in bytes where nothing captures: the least there is.
pub const CAPTURE_RING_BYTES: u32 = 1 << 12;

/// `BPF_F_NO_PREALLOC`: elements take memory when they are there.
pub const NO_PREALLOC_FLAG: u32 = 1;
/// `BPF_F_INNER_MAP`: inner maps may differ in size (Linux 5.10).
pub const INNER_MAP_FLAG: u32 = 0x1000;
/// `BPF_F_MMAPABLE`: `lbd` has the elements in its memory. It changes `PORTS` and places atomically, as the data path does.
pub const MMAPABLE_FLAG: u32 = 0x400;
/// u64 words of `PORTS` per pool: one bit per port.
pub const PORT_WORDS: u32 = 1024;
/// Most SNAT addresses of one service.
pub const MAX_SNAT_PER_SERVICE: u16 = 16;

/// Where an address (as [`crate::abi::Address::words`] gives it) has its bit in `OWN_ADDRESSES`: (word, bit). Addresses may share one.
#[inline(always)]
#[must_use]
pub const fn address_bit(words: [u32; 4]) -> (u32, u32) {
    let [a, b, c, d] = words;
    // Fibonacci hashing (Knuth, The Art of Computer Programming 6.4): the upper bits depend on all.
    let folded = (a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24)).wrapping_mul(0x9e37_79b1);
    (folded >> 22 & (OWN_ADDRESS_WORDS - 1), folded >> 16 & 63)
}

/// Where slot `slot` stands in the inner map: (element, half).
///
/// Element 0 is the header `[number of slots, 0]`, so that the number is swapped together with the slots; two slots (backend
/// ids, 0 = none) share each further element, because the kernel gives every element 8 bytes.
#[inline(always)]
#[must_use]
pub const fn slot_position(slot: u32) -> (u32, usize) {
    (1 + slot / 2, (slot & 1) as usize)
}

/// Elements of the inner map for a number of slots.
#[must_use]
pub const fn slot_elements(slots: u32) -> u32 {
    1 + slots.div_ceil(2)
}
