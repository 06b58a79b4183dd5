//! The BPF maps: names, keys, values and default sizes. `docs/architecture.md` says who writes them.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use lb_common::{
    abi::{
        AclData, AclRule, Admission, Affinity, AffinityKey, Answer, Backend, BackendLimits, BackendSignals,
        Buckets, CAPTURES as MOST_CAPTURES, CaptureCounters, CaptureFilter, CapturedPacket, Cookie,
        DropReason, Event, Floating, Flow, FlowEvent, FlowKey, FragmentKey, FragmentPorts, Interface,
        InterfaceCounters, Latencies, NextHop, Origin, Places, Refusals, Relay, Service, ServiceKey,
        Settings, Source, SourceKey, Stamp, SynCookies, TrafficCounters, VirtualMacs,
    },
    maps as sizes,
};

use super::{Scratch, capture::Copies};

pub(super) type V6 = [u32; 4];
type Fragments<A> = LruHashMap<FragmentKey<A>, FragmentPorts, { sizes::DEFAULT_FRAGMENTS as usize }>;
type Services<A> = HashMap<ServiceKey<A>, Service, { 2 * sizes::DEFAULT_SERVICES as usize }>;
type Origins<A> = HashMap<ServiceKey<A>, Origin<A>, { sizes::DEFAULT_BACKENDS as usize }>;
type Cookies<A> = HashMap<
    FlowKey<A>,
    Cookie,
    { (sizes::DEFAULT_FLOWS_V4 / 2) as usize },
    { sizes::NO_PREALLOC_FLAG as usize },
>;
type Acl<A> = LpmTrie<AclData<A>, AclRule, { 2 * sizes::DEFAULT_PREFIXES as usize }>;
type Ports = Array<
    u64,
    { (sizes::DEFAULT_PORT_POOLS * sizes::PORT_WORDS) as usize },
    { sizes::MMAPABLE_FLAG as usize },
>;
type Signals = Array<BackendSignals, { sizes::DEFAULT_BACKENDS as usize }, { sizes::MMAPABLE_FLAG as usize }>;
type SlotTable = Array<[u32; 2], 2, { sizes::INNER_MAP_FLAG as usize }>;

#[btf_map]
pub(super) static FLOWS_V4: LruHashMap<FlowKey<u32>, Flow<u32>, { sizes::DEFAULT_FLOWS_V4 as usize }> =
    LruHashMap::new();
#[btf_map]
pub(super) static FLOWS_V6: LruHashMap<FlowKey<V6>, Flow<V6>, { sizes::DEFAULT_FLOWS_V6 as usize }> =
    LruHashMap::new();
#[btf_map]
pub(super) static EMBRYONIC_V4: LruHashMap<FlowKey<u32>, Flow<u32>, { sizes::DEFAULT_EMBRYONIC as usize }> =
    LruHashMap::new();
#[btf_map]
pub(super) static EMBRYONIC_V6: LruHashMap<FlowKey<V6>, Flow<V6>, { sizes::DEFAULT_EMBRYONIC as usize }> =
    LruHashMap::new();
#[btf_map]
pub(super) static FULL_AT: Array<u32, 2> = Array::new();
#[btf_map]
pub(super) static FRAGMENTS_V4: Fragments<u32> = Fragments::new();
#[btf_map]
pub(super) static FRAGMENTS_V6: Fragments<V6> = Fragments::new();
#[btf_map]
pub(super) static SERVICES_V4: Services<u32> = Services::new();
#[btf_map]
pub(super) static SERVICES_V6: Services<V6> = Services::new();
#[btf_map]
pub(super) static ORIGINS_V4: Origins<u32> = Origins::new();
#[btf_map]
pub(super) static ORIGINS_V6: Origins<V6> = Origins::new();
#[btf_map]
pub(super) static ACL_V4: Acl<u32> = Acl::new();
#[btf_map]
pub(super) static ACL_V6: Acl<V6> = Acl::new();
#[btf_map]
pub(super) static ADMISSION: Array<Admission, { sizes::DEFAULT_SERVICES as usize }> = Array::new();
#[btf_map]
pub(super) static SERVICE_BUCKETS: Array<Buckets, { sizes::DEFAULT_SERVICES as usize }> = Array::new();
#[btf_map]
pub(super) static SOURCES: LruHashMap<SourceKey, Source, { sizes::DEFAULT_SOURCES as usize }> =
    LruHashMap::new();
#[btf_map]
pub(super) static SERVICE_REFUSALS: PerCpuArray<Refusals, { sizes::DEFAULT_SERVICES as usize }> =
    PerCpuArray::new();
#[btf_map]
pub(super) static OWN_ADDRESSES: Array<u64, { sizes::OWN_ADDRESS_WORDS as usize }> = Array::new();
#[btf_map]
pub(super) static SLOTS: ArrayOfMaps<SlotTable, { sizes::DEFAULT_SERVICES as usize }> = ArrayOfMaps::new();
#[btf_map]
pub(super) static ROTATION: Array<u64, { sizes::DEFAULT_SERVICES as usize }> = Array::new();
#[btf_map]
pub(super) static BACKENDS: Array<Backend, { sizes::DEFAULT_BACKENDS as usize }> = Array::new();
#[btf_map]
pub(super) static BACKEND_FLOWS: Array<u64, { sizes::DEFAULT_BACKENDS as usize }> = Array::new();
#[btf_map]
pub(super) static BACKEND_LIMITS: Array<BackendLimits, { sizes::DEFAULT_BACKENDS as usize }> = Array::new();
#[btf_map]
pub(super) static BACKEND_PLACES: Array<
    Places,
    { sizes::DEFAULT_BACKENDS as usize },
    { sizes::MMAPABLE_FLAG as usize },
> = Array::new();
#[btf_map]
pub(super) static SERVICE_PLACES: Array<
    Places,
    { sizes::DEFAULT_SERVICES as usize },
    { sizes::MMAPABLE_FLAG as usize },
> = Array::new();
#[btf_map]
pub(super) static AFFINITY: LruHashMap<AffinityKey, Affinity, { sizes::DEFAULT_AFFINITY as usize }> =
    LruHashMap::new();
#[btf_map]
pub(super) static COOKIES_V4: Cookies<u32> = Cookies::new();
#[btf_map]
pub(super) static COOKIES_V6: Cookies<V6> = Cookies::new();
#[btf_map]
pub(super) static SYN_COOKIES: Array<SynCookies, { sizes::DEFAULT_SERVICES as usize }> = Array::new();
#[btf_map]
pub(super) static BACKEND_HOPS: Array<NextHop, { sizes::DEFAULT_BACKENDS as usize }> = Array::new();
#[btf_map]
pub(super) static BACKEND_SIGNALS: Signals = Signals::new();
#[btf_map]
pub(super) static BACKEND_LATENCIES: Array<
    Latencies,
    { sizes::DEFAULT_BACKENDS as usize },
    { sizes::MMAPABLE_FLAG as usize },
> = Array::new();
#[btf_map]
pub(super) static HANDSHAKES: Array<Stamp, { sizes::TIMED_HANDSHAKES as usize }> = Array::new();
#[btf_map]
pub(super) static CLIENT_HOPS: Array<NextHop, { sizes::DEFAULT_INTERFACES as usize }> = Array::new();
#[btf_map]
pub(super) static SNAT_ADDRESSES: Array<[u32; 4], { sizes::DEFAULT_SNAT_ADDRESSES as usize }> = Array::new();
#[btf_map]
pub(super) static PORTS: Ports = Ports::new();
#[btf_map]
pub(super) static INTERFACES: Array<Interface, { sizes::DEFAULT_INTERFACES as usize }> = Array::new();
#[btf_map]
pub(super) static VIRTUAL_MACS: Array<VirtualMacs, { sizes::DEFAULT_INTERFACES as usize }> = Array::new();
#[btf_map]
pub(super) static FLOATING: HashMap<V6, Floating, { sizes::MAX_FLOATING as usize }> = HashMap::new();
#[btf_map]
pub(super) static RELAYS: HashMap<V6, Relay, { sizes::MAX_FLOATING as usize }> = HashMap::new();
#[btf_map]
pub(super) static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
pub(super) static SERVICE_COUNTERS: PerCpuArray<TrafficCounters, { sizes::DEFAULT_SERVICES as usize }> =
    PerCpuArray::new();
#[btf_map]
pub(super) static BACKEND_COUNTERS: PerCpuArray<TrafficCounters, { sizes::DEFAULT_BACKENDS as usize }> =
    PerCpuArray::new();
#[btf_map]
pub(super) static INTERFACE_COUNTERS: PerCpuArray<InterfaceCounters, { sizes::DEFAULT_INTERFACES as usize }> =
    PerCpuArray::new();
#[btf_map]
pub(super) static DROPS: PerCpuArray<u64, { DropReason::ALL.len() }> = PerCpuArray::new();
#[btf_map]
pub(super) static ANSWERS: PerCpuArray<u64, { Answer::COUNT }> = PerCpuArray::new();
#[btf_map]
pub(super) static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();
#[btf_map]
pub(super) static EVENTS: RingBuf<Event, { sizes::EVENTS_BYTES as usize }> = RingBuf::new();
#[btf_map]
pub(super) static FLOW_EVENTS: RingBuf<FlowEvent, { sizes::FLOW_EVENTS_BYTES as usize }> = RingBuf::new();
#[btf_map]
pub(super) static CAPTURES: Array<CaptureFilter, { MOST_CAPTURES as usize }> = Array::new();
#[btf_map]
pub(super) static CAPTURE_RATES: Array<u64, { MOST_CAPTURES as usize }> = Array::new();
#[btf_map]
pub(super) static CAPTURE_COUNTERS: PerCpuArray<CaptureCounters, { MOST_CAPTURES as usize }> =
    PerCpuArray::new();
#[btf_map]
pub(super) static CAPTURE_SCRATCH: PerCpuArray<Copies, 1> = PerCpuArray::new();
#[btf_map]
pub(super) static CAPTURE_RING: RingBuf<CapturedPacket, { sizes::CAPTURE_RING_BYTES as usize }> =
    RingBuf::new();
