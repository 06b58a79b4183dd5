//! The tables: BPF maps, and what else the kernel gives (clock, chance, routing). All that is unsafe about them is in this file.

pub(crate) mod capture;
mod definitions;
mod families;
mod tables;

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_and, atomic_or, atomic_xadd},
    mem::{offset_of, zeroed},
    ptr::{self, NonNull},
};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup},
    btf_maps::lpm_trie::Key,
    helpers::{
        bpf_get_prandom_u32,
        generated::{bpf_fib_lookup as fib_lookup, bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    },
    maps::ring_buf::RingBufEntry,
    programs::XdpContext,
};
use lb_common::{
    Workspace,
    abi::{
        AclData, AclKey, Address, Affinity, BackendSignals, Buckets, CookieCount, CookieSecret, Floating,
        Flow, Histogram, Latencies, Latency, NextHop, Places, Settings, Signal, Source, Stamp, SynCookies,
        ticks_from_nanos,
    },
    tables::{FibQuery, FibResult, FlowEntry, Gone, Metered, SourceEntry},
};

use definitions::{SCRATCH, SETTINGS};

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

    /// A value that the verifier knows nothing of: what is loaded from a map can be anything.
    #[inline(always)]
    fn by_way_of_a_map(&self, value: u64) -> u64 {
        // SAFETY: this CPU's element, never unmapped.
        unsafe {
            ptr::write_volatile(self.word, value);
            ptr::read_volatile(self.word)
        }
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

impl<A> Entry<A> {
    /// The entry that a look-up found.
    #[inline(always)]
    fn found(element: *mut Flow<A>) -> Option<Self> {
        NonNull::new(element).map(Self)
    }
}

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
    fn clear_flags(&self, bits: u8) -> u8 {
        const { assert!(offset_of!(Flow<A>, service) % 4 == 0) }
        const { assert!(offset_of!(Flow<A>, flags) == offset_of!(Flow<A>, service) + 3) }
        let mask = !u32::from_ne_bytes([0, 0, 0, bits]);
        // SAFETY: as in `load`; an aligned word of service, state and flags. Not relaxed: the value it had is used.
        let before = unsafe {
            let word = (&raw mut (*self.0.as_ptr()).service).cast::<u32>();
            atomic_and::<u32, u32, { AtomicOrdering::AcqRel }>(word, mask)
        };
        before.to_ne_bytes()[3]
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

// The functions below take what a look-up returned: elements of arrays and of preallocated maps, never unmapped while the program runs.

/// A copy of an element, as it is at this moment: `lbd` replaces elements as a whole.
#[inline(always)]
fn copy<T: Copy>(element: Option<*const T>) -> Option<T> {
    // SAFETY: a look-up returned it.
    element.map(|element| unsafe { ptr::read(element) })
}

/// A key as the trie has it, where it is.
#[inline(always)]
fn trie_key<A>(key: &AclKey<A>) -> &Key<AclData<A>> {
    const { assert!(size_of::<AclKey<A>>() == size_of::<Key<AclData<A>>>()) }
    // SAFETY: both are a number of bits and then the data, without padding; the trie's may lie anywhere.
    unsafe { &*ptr::from_ref(key).cast() }
}

/// Sets one of two buckets that all CPUs share.
#[inline(always)]
fn set_bucket<T>(buckets: *mut T, of: Metered, full_at: u64) {
    const { assert!(offset_of!(Source, packets_full_at) == 8 && offset_of!(Buckets, packets_full_at) == 8) }
    // SAFETY: a look-up returned it: a `Source` or `Buckets`, which begin with both; an aligned 8-byte store is not torn.
    unsafe { ptr::write_volatile(buckets.cast::<u64>().add(of as usize), full_at) }
}

/// What a source has: a pointer into a preallocated map element, as [`Entry`] is.
struct SourceAt(NonNull<Source>);

impl SourceAt {
    /// Both kinds of places: flows, and those that nobody answered.
    #[inline(always)]
    fn places(&self) -> (*mut Places, *mut Places) {
        let source = self.0.as_ptr();
        // SAFETY: a look-up returned it.
        unsafe { (&raw mut (*source).flows, &raw mut (*source).embryonic) }
    }
}

impl SourceEntry for SourceAt {
    #[inline(always)]
    fn load(&self) -> Source {
        // SAFETY: a look-up returned it.
        unsafe { ptr::read(self.0.as_ptr()) }
    }

    #[inline(always)]
    fn set_full_at(&self, of: Metered, full_at: u64) {
        set_bucket(self.0.as_ptr(), of, full_at);
    }

    #[inline(always)]
    fn take(&self) -> Source {
        let (flows, embryonic) = self.places();
        Source { flows: take_place(flows), embryonic: take_place(embryonic), ..Source::default() }
    }

    #[inline(always)]
    fn untake(&self) {
        let (flows, embryonic) = self.places();
        untake_place(flows);
        untake_place(embryonic);
    }

    #[inline(always)]
    fn give_back(&self, gone: Gone) {
        let (flows, embryonic) = self.places();
        if gone != Gone::Answered {
            return_place(flows);
        }
        if gone != Gone::Ended {
            return_place(embryonic);
        }
    }
}

/// Changes this CPU's element of a per-CPU array.
#[inline(always)]
fn update<C>(counters: *mut C, change: impl FnOnce(&mut C)) {
    // SAFETY: a look-up returned it; no other code of this CPU runs meanwhile.
    change(unsafe { &mut *counters });
}

/// Adds 1 to a count that all CPUs share.
#[inline(always)]
fn increment(count: *mut u64) {
    // SAFETY: a look-up returned it.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(count, 1) };
}

/// Adds 1 to a counter that all CPUs share; what it was. Not relaxed: LLVM then leaves the old value out, and its place holds the 1 that
/// is added.
#[inline(always)]
fn next(counter: *mut u64) -> u64 {
    // SAFETY: a look-up returned it.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(counter, 1) }
}

/// Sets bits; the word as it was.
#[inline(always)]
fn set_bits(word: *mut u64, bits: u64) -> u64 {
    // SAFETY: a look-up returned it.
    unsafe { atomic_or::<u64, u64, { AtomicOrdering::Relaxed }>(word, bits) }
}

/// Counts a signal.
#[inline(always)]
fn increment_signal(signals: *mut BackendSignals, signal: Signal) {
    // SAFETY: a look-up returned it; the number of a signal is within its counts.
    increment(unsafe { (&raw mut (*signals).counts).cast::<u64>().add(signal as usize) });
}

/// Element 0 of `SYN_COOKIES`.
#[inline(always)]
fn secret(element: *const SynCookies) -> *const CookieSecret {
    const { assert!(size_of::<CookieSecret>() == size_of::<SynCookies>()) }
    element.cast()
}

/// Counts a cookie.
#[inline(always)]
fn increment_cookie(state: *mut SynCookies, what: CookieCount) {
    // SAFETY: a look-up returned it; the number is within its counts.
    increment(unsafe { (&raw mut (*state).counts).cast::<u64>().add(what as usize) });
}

/// Overwrites the state of a service's cookies, but for the counts. What two CPUs change at the same instant may count as one.
#[inline(always)]
fn store_syn_cookies(kept: *mut SynCookies, state: &SynCookies) {
    // SAFETY: a look-up returned it; aligned stores are not torn.
    unsafe {
        ptr::write_volatile(&raw mut (*kept).full_at, state.full_at);
        ptr::write_volatile(&raw mut (*kept).cookie_at, state.cookie_at);
        ptr::write_volatile(&raw mut (*kept).on, state.on);
    }
}

/// Overwrites a stamp, by one store.
#[inline(always)]
fn store_stamp(kept: *mut Stamp, stamp: Stamp) {
    let word = u64::from(stamp.tag) | u64::from(stamp.since) << 32;
    // SAFETY: a look-up returned it; it is as large and as aligned as the word.
    unsafe { ptr::write_volatile(kept.cast::<u64>(), word.to_le()) }
}

/// Counts a latency.
#[inline(always)]
fn add_latency(latencies: *mut Latencies, what: Latency, units: u32) {
    const { assert!(size_of::<Latencies>() == 2 * size_of::<Histogram>()) }
    // SAFETY: a look-up returned it; `what` is 0 or 1, and a bucket is within the counts.
    unsafe {
        let histogram = latencies.cast::<Histogram>().add(what as usize);
        let counts = (&raw mut (*histogram).counts).cast::<u64>();
        increment(counts.add(Histogram::bucket(units)));
        let nanos = u64::from(units) << Stamp::UNIT_SHIFT;
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*histogram).nanos, nanos);
    }
}

#[inline(always)]
fn read_places(places: *mut Places) -> Places {
    // SAFETY: a look-up returned it; aligned 8-byte loads are not torn.
    unsafe {
        Places {
            taken: ptr::read_volatile(&raw const (*places).taken),
            returned: ptr::read_volatile(&raw const (*places).returned),
        }
    }
}

/// Takes a place; those before. What is returned meanwhile is seen, so that no place is thought taken for too long.
#[inline(always)]
fn take_place(places: *mut Places) -> Places {
    // SAFETY: a look-up returned it.
    unsafe {
        let taken = next(&raw mut (*places).taken);
        Places { taken, returned: ptr::read_volatile(&raw const (*places).returned) }
    }
}

#[inline(always)]
fn untake_place(places: *mut Places) {
    // SAFETY: a look-up returned it.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*places).taken, u64::MAX) };
}

#[inline(always)]
fn return_place(places: *mut Places) {
    // SAFETY: a look-up returned it.
    increment(unsafe { &raw mut (*places).returned });
}

/// Sets when a client was seen.
#[inline(always)]
fn touch(affinity: *mut Affinity, tick: u32) {
    // SAFETY: a look-up returned it; an aligned 4-byte store is not torn.
    unsafe { ptr::write_volatile(&raw mut (*affinity).seen, tick) }
}

/// Notes that another machine has the address.
#[inline(always)]
fn claim(floating: *mut Floating, nanos: u64, tick: u32) {
    // SAFETY: a look-up returned it; aligned stores are not torn.
    unsafe {
        let claimed = ptr::read(floating).claimed(nanos, tick);
        ptr::write_volatile(&raw mut (*floating).fenced_at, claimed.fenced_at);
        ptr::write_volatile(&raw mut (*floating).claims, claimed.claims);
    }
}

#[inline(always)]
fn set_hop(kept: *mut NextHop, next_hop: NextHop) {
    // SAFETY: a look-up returned it.
    unsafe { store_next_hop(kept, next_hop) }
}

/// Fills in a record of a ring; all of it.
#[inline(always)]
fn fill<T: 'static>(record: &mut RingBufEntry<T>, change: impl FnOnce(&mut T)) {
    // SAFETY: memory of the ring, this record's alone until it is submitted; records are integers only.
    change(unsafe { &mut *record.as_mut_ptr() });
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_get_prandom_u32() as u32 }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
#[inline(always)]
fn nanos() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}

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
