//! The tables: BPF maps, and what else the kernel gives (clock, chance, routing).

mod definitions;

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_and, atomic_or, atomic_xadd},
    mem::{offset_of, zeroed},
    ptr::{self, NonNull},
};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_ANY, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, BPF_NOEXIST, bpf_fib_lookup},
    helpers::{
        bpf_get_prandom_u32,
        generated::{bpf_fib_lookup as fib_lookup, bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    },
    programs::XdpContext,
};
use lb_common::{
    Action, AddressTables, Tables, Workspace,
    abi::{
        Address, Affinity, AffinityKey, Backend, BackendLimits, Event, Floating, Flow, FlowFlags, FlowKey,
        FragmentKey, FragmentPorts, Interface, InterfaceCounters, NextHop, Origin, Places, Service,
        ServiceKey, Settings, SettingsFlags, Signal, TrafficCounters, ticks_from_nanos,
    },
    maps as sizes,
    tables::{FibQuery, FibResult, FlowEntry, Holder, Insert, Tier, Traffic},
};

use definitions::*;

/// Interface from whose view routes are looked up: the loopback device, as for packets of the host's own. Its forwarding sysctl
/// must be on (`lbd` sees to it); those of the attached interfaces need not.
const LOOPBACK_IFINDEX: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The maps, with what is the same for the whole packet.
pub(crate) struct Maps {
    /// The XDP context, for helpers that want it.
    ctx: *mut c_void,
    settings: &'static Settings,
    /// For [`Tables::opaque`].
    word: *mut u64,
    now: u32,
}

impl Maps {
    /// The maps at this moment, and memory to work in; `None` never happens, but the verifier wants it handled.
    #[inline(always)]
    pub(crate) fn open(ctx: &XdpContext) -> Option<(Self, &'static mut Workspace)> {
        let settings = SETTINGS.get(0)?;
        // SAFETY: this CPU's element, never unmapped; only this run of the program has it, and hands it out once.
        let scratch = unsafe { &mut *SCRATCH.get_ptr_mut(0)? };
        let now = scratch.clock.tick();
        Some((Self { ctx: ctx.as_ptr(), settings, word: &raw mut scratch.word, now }, &mut scratch.workspace))
    }
}

/// The coarse clock, which is asked only once a jiffy: reading that counter is one load (the helper is inlined), the clock a call.
#[repr(C)]
struct Clock {
    jiffies: u64,
    tick: u64,
}

impl Clock {
    #[inline(always)]
    fn tick(&mut self) -> u32 {
        // SAFETY: the helpers take nothing.
        let jiffies = unsafe { bpf_jiffies64() };
        if self.jiffies != jiffies {
            self.jiffies = jiffies;
            // SAFETY: as above.
            self.tick = ticks_from_nanos(unsafe { bpf_ktime_get_coarse_ns() }).into();
        }
        self.tick as u32
    }
}

/// Memory that is not stack.
#[repr(C)]
struct Scratch {
    clock: Clock,
    word: u64,
    workspace: Workspace,
}

/// A flow entry: a pointer into a preallocated map element, valid until the program returns.
///
/// The LRU may give the element to another flow meanwhile; the packet then goes a wrong way, as it could in any NAT without locks,
/// but no memory outside the map is touched.
pub(crate) struct Entry<A>(NonNull<Flow<A>>);

impl<A: Copy> FlowEntry<A> for Entry<A> {
    #[inline(always)]
    fn load(&self) -> Flow<A> {
        // SAFETY: the pointer comes from a lookup; elements are never unmapped while the program runs.
        unsafe { ptr::read(self.0.as_ptr()) }
    }

    #[inline(always)]
    fn link(&self) -> u64 {
        const { assert!(offset_of!(Flow<A>, next_hop) % 8 == 0 && offset_of!(NextHop, ifindex) == 6) }
        // SAFETY: as in `load`; the 8 bytes begin at a multiple of 8 in an element that does, and belong to `next_hop`.
        u64::from_le(unsafe { ptr::read((&raw const (*self.0.as_ptr()).next_hop).cast()) })
    }

    #[inline(always)]
    fn set_last_seen(&self, tick: u32) {
        // SAFETY: as in `load`; an aligned 4-byte store is not torn.
        unsafe { ptr::write_volatile(&raw mut (*self.0.as_ptr()).last_seen, tick) }
    }

    #[inline(always)]
    fn set_state(&self, state: u8) {
        // SAFETY: as in `load`.
        unsafe { ptr::write_volatile(&raw mut (*self.0.as_ptr()).state, state) }
    }

    #[inline(always)]
    fn set_next_hop(&self, next_hop: NextHop) {
        // SAFETY: as in `load`.
        unsafe { store_next_hop(&raw mut (*self.0.as_ptr()).next_hop, next_hop) }
    }

    #[inline(always)]
    fn clear_counted(&self) -> bool {
        const { assert!(offset_of!(Flow<A>, service) % 4 == 0) }
        const { assert!(offset_of!(Flow<A>, flags) == offset_of!(Flow<A>, service) + 3) }
        let bit = u32::from_ne_bytes([0, 0, 0, FlowFlags::COUNTED]);
        // SAFETY: as in `load`; an aligned word of service, state and flags. Not relaxed: the value it had is used.
        let before = unsafe {
            let word = (&raw mut (*self.0.as_ptr()).service).cast::<u32>();
            atomic_and::<u32, u32, { AtomicOrdering::AcqRel }>(word, !bit)
        };
        before & bit != 0
    }
}

/// Overwrites a next hop in a map. Its generation is invalid while the rest is written: a reader on another CPU then looks it up itself.
///
/// # Safety
///
/// The pointer is to an element of a map.
#[inline(always)]
unsafe fn store_next_hop(kept: *mut NextHop, next_hop: NextHop) {
    // SAFETY: passed on to the caller.
    unsafe {
        ptr::write_volatile(&raw mut (*kept).generation, 0);
        ptr::write_volatile(&raw mut (*kept).dmac, next_hop.dmac);
        ptr::write_volatile(&raw mut (*kept).ifindex, next_hop.ifindex);
        ptr::write_volatile(&raw mut (*kept).generation, next_hop.generation);
    }
}

macro_rules! address_tables {
    ($address:ty, $flows:ident, $embryonic:ident, $services:ident, $origins:ident, $fragments:ident, $family:ident) => {
        impl AddressTables<$address> for Maps {
            type Entry = Entry<$address>;

            #[inline(always)]
            fn flow(&self, tier: Tier, key: &FlowKey<$address>) -> Option<Entry<$address>> {
                match tier {
                    Tier::Established => $flows.get_ptr_mut(key),
                    Tier::Embryonic => $embryonic.get_ptr_mut(key),
                }
                .and_then(NonNull::new)
                .map(Entry)
            }

            #[inline(always)]
            fn insert_flow(
                &self,
                tier: Tier,
                key: &FlowKey<$address>,
                flow: &Flow<$address>,
                how: Insert,
            ) -> bool {
                let flags = match how {
                    Insert::Any => BPF_ANY,
                    Insert::IfAbsent => BPF_NOEXIST,
                };
                match tier {
                    Tier::Established => $flows.insert(key, flow, flags.into()),
                    Tier::Embryonic => $embryonic.insert(key, flow, flags.into()),
                }
                .is_ok()
            }

            #[inline(always)]
            fn remove_flow(&self, tier: Tier, key: &FlowKey<$address>) {
                // A missing entry is what is wanted.
                let _ = match tier {
                    Tier::Established => $flows.remove(key),
                    Tier::Embryonic => $embryonic.remove(key),
                };
            }

            #[inline(always)]
            fn service(&self, key: &ServiceKey<$address>) -> Option<Service> {
                // SAFETY: copied at once; `lbd` replaces elements as a whole.
                unsafe { $services.get(key).copied() }
            }

            #[inline(always)]
            fn origin(&self, key: &ServiceKey<$address>) -> Option<Origin<$address>> {
                // SAFETY: copied at once; `lbd` replaces elements as a whole.
                unsafe { $origins.get(key).copied() }
            }

            #[inline(always)]
            fn fragment(&self, key: &FragmentKey<$address>) -> Option<FragmentPorts> {
                // SAFETY: copied at once.
                unsafe { $fragments.get(key).copied() }
            }

            #[inline(always)]
            fn insert_fragment(&self, key: &FragmentKey<$address>, ports: &FragmentPorts) {
                // Without room the later fragments are dropped, and counted then.
                let _ = $fragments.insert(key, ports, BPF_ANY.into());
            }

            #[inline(always)]
            fn tell_flow(&self, key: &FlowKey<$address>, flow: &Flow<$address>, state: u8) {
                // What a full ring loses, the next sweep of all flows brings.
                if let Some(mut record) = FLOW_EVENTS.reserve(0) {
                    // SAFETY: memory of the ring, this record's alone until it is submitted; integers only, and all of them are written.
                    let event = unsafe { &mut *record.as_mut_ptr() };
                    event.fill(key, flow, state, self.now);
                    record.submit(0);
                }
            }

            #[inline(always)]
            fn fib_lookup(&self, query: &FibQuery<$address>) -> FibResult {
                fib::<$address>(self.ctx, query, $family)
            }
        }
    };
}

address_tables!(u32, FLOWS_V4, EMBRYONIC_V4, SERVICES_V4, ORIGINS_V4, FRAGMENTS_V4, AF_INET);
address_tables!(V6, FLOWS_V6, EMBRYONIC_V6, SERVICES_V6, ORIGINS_V6, FRAGMENTS_V6, AF_INET6);

#[inline(always)]
fn fib<A: Address>(ctx: *mut c_void, query: &FibQuery<A>, family: u8) -> FibResult {
    // SAFETY: integers and unions of them; all 0 is valid.
    let mut params: bpf_fib_lookup = unsafe { zeroed() };
    params.family = family;
    params.l4_protocol = query.proto;
    params.ifindex = LOOPBACK_IFINDEX;
    params.__bindgen_anon_3.ipv6_src = query.src.words();
    params.__bindgen_anon_4.ipv6_dst = query.dst.words();
    // SAFETY: the context is the one the kernel gave us, the parameters and their size are ours.
    let result = unsafe { fib_lookup(ctx, &raw mut params, size_of::<bpf_fib_lookup>() as i32, 0) };
    match result as u32 {
        BPF_FIB_LKUP_RET_SUCCESS => {
            // Interface 0 is never attached.
            let ifindex = u16::try_from(params.ifindex).unwrap_or(0);
            let next_hop = NextHop { dmac: params.dmac, ifindex, generation: 0 };
            // SAFETY: integers; the kernel left the router's address, or the destination, in this field of the union.
            let neighbour = A::from_words(unsafe { params.__bindgen_anon_4.ipv6_dst });
            if neighbour == query.dst { FibResult::NextHop(next_hop) } else { FibResult::Router(next_hop) }
        }
        BPF_FIB_LKUP_RET_NO_NEIGH => {
            // SAFETY: integers; the kernel left the gateway's address, or the destination, in this field of the union.
            let gateway = unsafe { params.__bindgen_anon_4.ipv6_dst };
            FibResult::NeighbourMissing { ifindex: params.ifindex, gateway: A::from_words(gateway).words() }
        }
        _ => FibResult::NoRoute,
    }
}

impl Tables for Maps {
    #[inline(always)]
    fn now(&self) -> u32 {
        self.now
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: the helper takes nothing.
        unsafe { bpf_get_prandom_u32() as u32 }
    }

    #[inline(always)]
    fn opaque(&self, value: usize) -> usize {
        // SAFETY: this CPU's element, never unmapped. What is loaded from a map is unknown to the verifier.
        unsafe {
            ptr::write_volatile(self.word, value as u64);
            ptr::read_volatile(self.word) as usize
        }
    }

    #[inline(always)]
    fn nanos(&self) -> u64 {
        // SAFETY: the helper takes nothing.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn floating(&self, address: &[u32; 4]) -> Option<Floating> {
        // SAFETY: copied at once; `lbd` replaces elements as a whole.
        unsafe { FLOATING.get(address).copied() }
    }

    #[inline(always)]
    fn claim(&self, address: &[u32; 4]) {
        let Some(floating) = FLOATING.get_ptr_mut(address) else { return };
        // SAFETY: the pointer comes from a lookup, and elements are never unmapped while the program runs; aligned stores are not torn.
        unsafe {
            let claimed = ptr::read(floating).claimed(self.nanos(), self.now);
            ptr::write_volatile(&raw mut (*floating).fenced_at, claimed.fenced_at);
            ptr::write_volatile(&raw mut (*floating).claims, claimed.claims);
        }
    }

    #[inline(always)]
    fn fib_generation(&self) -> u32 {
        self.settings.fib_generation
    }

    #[inline(always)]
    fn seed(&self) -> [u32; 2] {
        self.settings.seed
    }

    #[inline(always)]
    fn timeout(&self, state: u8) -> u32 {
        self.settings.timeouts[usize::from(state & 15)]
    }

    #[inline(always)]
    fn tells_flows(&self) -> bool {
        self.settings.flags & SettingsFlags::TELL_FLOWS != 0
    }

    #[inline(always)]
    fn backend(&self, id: u32) -> Option<Backend> {
        BACKENDS.get(id).copied()
    }

    #[inline(always)]
    fn backend_flows(&self, id: u32) -> u64 {
        BACKEND_FLOWS.get(id).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn backend_hop(&self, id: u32) -> Option<NextHop> {
        BACKEND_HOPS.get(id).copied()
    }

    #[inline(always)]
    fn set_backend_hop(&self, id: u32, next_hop: NextHop) {
        if let Some(kept) = BACKEND_HOPS.get_ptr_mut(id) {
            // SAFETY: an element of an array map, never unmapped.
            unsafe { store_next_hop(kept, next_hop) }
        }
    }

    #[inline(always)]
    fn client_hop(&self, ifindex: u32) -> Option<NextHop> {
        CLIENT_HOPS.get(ifindex).copied()
    }

    #[inline(always)]
    fn set_client_hop(&self, ifindex: u32, next_hop: NextHop) {
        if let Some(kept) = CLIENT_HOPS.get_ptr_mut(ifindex) {
            // SAFETY: an element of an array map, never unmapped.
            unsafe { store_next_hop(kept, next_hop) }
        }
    }

    #[inline(always)]
    fn limits(&self, backend: u32) -> Option<BackendLimits> {
        BACKEND_LIMITS.get(backend).copied()
    }

    #[inline(always)]
    fn places(&self, holder: Holder) -> Option<Places> {
        let places = element(holder)?;
        // SAFETY: an element of an array map, never unmapped; aligned 8-byte loads are not torn.
        unsafe {
            Some(Places {
                taken: ptr::read_volatile(&raw const (*places).taken),
                returned: ptr::read_volatile(&raw const (*places).returned),
            })
        }
    }

    #[inline(always)]
    fn take_place(&self, holder: Holder) -> Option<Places> {
        let places = element(holder)?;
        // Not relaxed: the value it had is used. What is returned meanwhile is seen, so that no place is thought taken for too long.
        // SAFETY: an element of an array map, never unmapped.
        unsafe {
            let taken = atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(&raw mut (*places).taken, 1);
            Some(Places { taken, returned: ptr::read_volatile(&raw const (*places).returned) })
        }
    }

    #[inline(always)]
    fn untake_place(&self, holder: Holder) {
        if let Some(places) = element(holder) {
            // SAFETY: as above.
            unsafe {
                atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*places).taken, u64::MAX)
            };
        }
    }

    #[inline(always)]
    fn return_place(&self, holder: Holder) {
        if let Some(places) = element(holder) {
            // SAFETY: as above.
            unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*places).returned, 1) };
        }
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        // SAFETY: copied at once; a torn copy names a backend that is not at its place.
        unsafe { AFFINITY.get(key).copied() }
    }

    #[inline(always)]
    fn touch_affinity(&self, key: &AffinityKey, tick: u32) {
        if let Some(affinity) = AFFINITY.get_ptr_mut(key) {
            // SAFETY: a preallocated element, never unmapped; an aligned 4-byte store is not torn.
            unsafe { ptr::write_volatile(&raw mut (*affinity).seen, tick) }
        }
    }

    #[inline(always)]
    fn set_affinity(&self, key: &AffinityKey, affinity: &Affinity) {
        // Without it the client's next flow is one of a client that is not known.
        let _ = AFFINITY.insert(key, affinity, BPF_ANY.into());
    }

    #[inline(always)]
    fn count_flow(&self, service: u16, backend: u32) {
        if let Some(flows) = BACKEND_FLOWS.get_ptr_mut(backend) {
            // SAFETY: an element of an array map, never unmapped.
            unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(flows, 1) };
        }
        let add = |counters: &mut TrafficCounters| counters.flows += 1;
        if let Some(counters) = SERVICE_COUNTERS.get_ptr_mut(service.into()) {
            update(counters, add);
        }
        if let Some(counters) = BACKEND_COUNTERS.get_ptr_mut(backend) {
            update(counters, add);
        }
    }

    #[inline(always)]
    fn count_signal(&self, backend: u32, signal: Signal) {
        if let Some(signals) = BACKEND_SIGNALS.get_ptr_mut(backend) {
            // SAFETY: an element of an array map, never unmapped; the number of a signal is within its counts.
            unsafe {
                let count = (&raw mut (*signals).counts).cast::<u64>().add(signal as usize);
                atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(count, 1);
            }
        }
    }

    #[inline(always)]
    fn slot_element(&self, service: u16, index: u32) -> Option<[u32; 2]> {
        SLOTS.get_value(service.into(), &index).copied()
    }

    #[inline(always)]
    fn rotate(&self, service: u16) -> u32 {
        match ROTATION.get_ptr_mut(service.into()) {
            // Not relaxed: LLVM then leaves the old value out, and its place holds the 1 that is added.
            // SAFETY: an element of an array map, never unmapped.
            Some(counter) => unsafe {
                atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(counter, 1) as u32
            },
            None => 0,
        }
    }

    #[inline(always)]
    fn may_be_own(&self, words: [u32; 4]) -> bool {
        let (word, bit) = sizes::address_bit(words);
        OWN_ADDRESSES.get(word).is_some_and(|bits| bits >> bit & 1 != 0)
    }

    #[inline(always)]
    fn snat_address(&self, index: u32) -> Option<[u32; 4]> {
        SNAT_ADDRESSES.get(index).copied()
    }

    #[inline(always)]
    fn port_range(&self) -> (u16, u16) {
        (self.settings.port_min, self.settings.port_max)
    }

    #[inline(always)]
    fn port_word(&self, index: u32) -> Option<u64> {
        PORTS.get(index).copied()
    }

    #[inline(always)]
    fn port_word_set(&self, index: u32, bits: u64) -> Option<u64> {
        let word = PORTS.get_ptr_mut(index)?;
        // SAFETY: an element of an array map, never unmapped.
        Some(unsafe { atomic_or::<u64, u64, { AtomicOrdering::Relaxed }>(word, bits) })
    }

    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<Interface> {
        INTERFACES.get(ifindex).copied()
    }

    #[inline(always)]
    fn count_traffic(&self, traffic: &Traffic) {
        let add = |counters: &mut TrafficCounters| {
            if traffic.reverse {
                counters.packets_out += 1;
                counters.bytes_out += u64::from(traffic.bytes);
            } else {
                counters.packets_in += 1;
                counters.bytes_in += u64::from(traffic.bytes);
            }
        };
        if let Some(counters) = SERVICE_COUNTERS.get_ptr_mut(traffic.service.into()) {
            update(counters, add);
        }
        if let Some(counters) = BACKEND_COUNTERS.get_ptr_mut(traffic.backend) {
            update(counters, add);
        }
    }

    #[inline(always)]
    fn count_drop(&self, reason: u32) {
        if let Some(count) = DROPS.get_ptr_mut(reason) {
            update(count, |count| *count += 1);
        }
    }

    #[inline(always)]
    fn count_received(&self, ifindex: u32, bytes: u32, action: Action) {
        if let Some(counters) = INTERFACE_COUNTERS.get_ptr_mut(ifindex) {
            update(counters, |counters: &mut InterfaceCounters| {
                counters.rx_packets += 1;
                counters.rx_bytes += u64::from(bytes);
                counters.passed += u64::from(action == Action::Pass);
                counters.dropped += u64::from(action == Action::Drop);
            });
        }
    }

    #[inline(always)]
    fn count_sent(&self, ifindex: u32, bytes: u32) {
        if let Some(counters) = INTERFACE_COUNTERS.get_ptr_mut(ifindex) {
            update(counters, |counters: &mut InterfaceCounters| {
                counters.tx_packets += 1;
                counters.tx_bytes += u64::from(bytes);
            });
        }
    }

    #[inline(always)]
    fn emit(&self, event: &Event) {
        // A full ring has many of the same already.
        let _ = EVENTS.output(event, 0);
    }
}

/// The places of a backend or a service.
#[inline(always)]
fn element(holder: Holder) -> Option<*mut Places> {
    match holder {
        Holder::Backend(id) => BACKEND_PLACES.get_ptr_mut(id),
        Holder::Service(id) => SERVICE_PLACES.get_ptr_mut(id.into()),
    }
}

/// Changes this CPU's element of a per-CPU array.
#[inline(always)]
fn update<C>(counters: *mut C, change: impl FnOnce(&mut C)) {
    // SAFETY: callers pass what a lookup returned; no other code of this CPU runs meanwhile.
    change(unsafe { &mut *counters });
}
