//! The maps that both address families share.

use core::{ops::Deref, ptr::NonNull};

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use lb_common::{
    Action, Tables,
    abi::{
        Admission, Affinity, AffinityKey, Answer, Backend, BackendLimits, Buckets, CookieCount, CookieSecret,
        Event, Floating, Interface, InterfaceCounters, Latency, Mac, NextHop, Places, Refusals, Relay,
        SettingsFlags, Signal, Source, SourceKey, Stamp, SynCookies, TrafficCounters,
    },
    maps as sizes,
    tables::{Holder, Metered, SourceEntry, Traffic},
};

use super::{
    Maps, SourceAt, add_latency, claim, copy, definitions::*, increment, increment_cookie, increment_signal,
    nanos, next, random, read_places, return_place, secret, set_bits, set_bucket, set_hop, store_stamp,
    store_syn_cookies, take_place, touch, untake_place, update,
};

impl Tables for Maps {
    #[inline(always)]
    fn now(&self) -> u32 {
        self.now
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        random()
    }

    #[inline(always)]
    fn opaque(&self, value: usize) -> usize {
        self.by_way_of_a_map(value as u64) as usize
    }

    #[inline(always)]
    fn nanos(&self) -> u64 {
        nanos()
    }

    #[inline(always)]
    fn floating(&self, address: &[u32; 4]) -> Option<Floating> {
        copy(FLOATING.get_ptr(address))
    }

    #[inline(always)]
    fn claim(&self, address: &[u32; 4]) {
        if let Some(floating) = FLOATING.get_ptr_mut(address) {
            claim(floating, self.nanos(), self.now);
        }
    }

    #[inline(always)]
    fn relay(&self, address: &[u32; 4]) -> Option<Relay> {
        copy(RELAYS.get_ptr(address))
    }

    #[inline(always)]
    fn fib_generation(&self) -> u32 {
        self.settings.fib_generation
    }

    #[inline(always)]
    fn refuses_when_full(&self) -> bool {
        self.settings.flags & SettingsFlags::REFUSE_WHEN_FULL != 0
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
    fn answer_rate(&self, kind: Answer) -> u32 {
        self.settings.answer_rates[kind as usize]
    }

    #[inline(always)]
    fn answers(&self, kind: Answer) -> Option<u64> {
        ANSWERS.get(kind as u32).copied()
    }

    #[inline(always)]
    fn set_answers(&self, kind: Answer, full_at: u64) {
        if let Some(kept) = ANSWERS.get_ptr_mut(kind as u32) {
            update(kept, |kept| *kept = full_at);
        }
    }

    #[inline(always)]
    fn tells_flows(&self) -> bool {
        self.settings.flags & SettingsFlags::TELL_FLOWS != 0
    }

    #[inline(always)]
    fn times_handshakes(&self) -> bool {
        self.settings.flags & SettingsFlags::TIME_HANDSHAKES != 0
    }

    #[inline(always)]
    fn has_admission(&self) -> bool {
        self.settings.flags & SettingsFlags::ADMISSION != 0
    }

    #[inline(always)]
    fn admission(&self, service: u16) -> Option<impl Deref<Target = Admission>> {
        ADMISSION.get(service.into())
    }

    #[inline(always)]
    fn has_packet_rates(&self) -> bool {
        self.settings.flags & SettingsFlags::PACKET_RATES != 0
    }

    #[inline(always)]
    fn service_buckets(&self, service: u16) -> Option<Buckets> {
        SERVICE_BUCKETS.get(service.into()).copied()
    }

    #[inline(always)]
    fn set_service_bucket(&self, service: u16, of: Metered, full_at: u64) {
        if let Some(buckets) = SERVICE_BUCKETS.get_ptr_mut(service.into()) {
            set_bucket(buckets, of, full_at);
        }
    }

    #[inline(always)]
    fn source(&self, key: &SourceKey, make: bool) -> Option<impl SourceEntry> {
        let mut found = SOURCES.get_ptr_mut(key);
        if make && found.is_none() {
            make_source(key);
            found = SOURCES.get_ptr_mut(key);
        }
        found.and_then(NonNull::new).map(SourceAt)
    }

    #[inline(always)]
    fn count_refusal(&self, service: u16, refusal: u32) {
        if let Some(refusals) = SERVICE_REFUSALS.get_ptr_mut(service.into()) {
            update(refusals, |refusals: &mut Refusals| refusals.counts[refusal as usize & 7] += 1);
        }
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
            set_hop(kept, next_hop);
        }
    }

    #[inline(always)]
    fn client_hop(&self, ifindex: u32) -> Option<NextHop> {
        CLIENT_HOPS.get(ifindex).copied()
    }

    #[inline(always)]
    fn set_client_hop(&self, ifindex: u32, next_hop: NextHop) {
        if let Some(kept) = CLIENT_HOPS.get_ptr_mut(ifindex) {
            set_hop(kept, next_hop);
        }
    }

    #[inline(always)]
    fn limits(&self, backend: u32) -> Option<BackendLimits> {
        BACKEND_LIMITS.get(backend).copied()
    }

    #[inline(always)]
    fn places(&self, holder: Holder) -> Option<Places> {
        places_of(holder).map(read_places)
    }

    #[inline(always)]
    fn take_place(&self, holder: Holder) -> Option<Places> {
        places_of(holder).map(take_place)
    }

    #[inline(always)]
    fn untake_place(&self, holder: Holder) {
        if let Some(places) = places_of(holder) {
            untake_place(places);
        }
    }

    #[inline(always)]
    fn return_place(&self, holder: Holder) {
        if let Some(places) = places_of(holder) {
            return_place(places);
        }
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        // A torn copy names a backend that is not at its place.
        copy(AFFINITY.get_ptr(key))
    }

    #[inline(always)]
    fn touch_affinity(&self, key: &AffinityKey, tick: u32) {
        if let Some(affinity) = AFFINITY.get_ptr_mut(key) {
            touch(affinity, tick);
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
            increment(flows);
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
            increment_signal(signals, signal);
        }
    }

    #[inline(always)]
    fn stamp(&self, index: u32) -> Option<Stamp> {
        HANDSHAKES.get(index).copied()
    }

    #[inline(always)]
    fn set_stamp(&self, index: u32, stamp: Stamp) {
        if let Some(kept) = HANDSHAKES.get_ptr_mut(index) {
            store_stamp(kept, stamp);
        }
    }

    #[inline(always)]
    fn count_latency(&self, backend: u32, what: Latency, units: u32) {
        if let Some(latencies) = BACKEND_LATENCIES.get_ptr_mut(backend) {
            add_latency(latencies, what, units);
        }
    }

    #[inline(always)]
    fn slot_element(&self, service: u16, index: u32) -> Option<[u32; 2]> {
        SLOTS.get_value(service.into(), &index).copied()
    }

    #[inline(always)]
    fn rotate(&self, service: u16) -> u32 {
        match ROTATION.get_ptr_mut(service.into()) {
            Some(counter) => next(counter) as u32,
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
    fn own_ports(&self) -> u64 {
        self.settings.own_ports()
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
        Some(set_bits(word, bits))
    }

    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<Interface> {
        INTERFACES.get(ifindex).copied()
    }

    #[inline(always)]
    fn is_virtual_mac(&self, ifindex: u32, mac: Mac) -> bool {
        VIRTUAL_MACS.get(ifindex).is_some_and(|macs| macs.has(mac))
    }

    #[inline(always)]
    fn syn_cookies(&self, service: u16) -> Option<SynCookies> {
        copy(SYN_COOKIES.get_ptr(service.into()))
    }

    #[inline(always)]
    fn set_syn_cookies(&self, service: u16, state: &SynCookies) {
        if let Some(kept) = SYN_COOKIES.get_ptr_mut(service.into()) {
            store_syn_cookies(kept, state);
        }
    }

    #[inline(always)]
    fn count_cookie(&self, service: u16, what: CookieCount) {
        if let Some(state) = SYN_COOKIES.get_ptr_mut(service.into()) {
            increment_cookie(state, what);
        }
    }

    #[inline(always)]
    fn cookie_secret(&self) -> Option<CookieSecret> {
        copy(SYN_COOKIES.get_ptr(0).map(secret))
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

/// Makes the element of a source, unless another CPU is faster. Without room for it there is none. A function of its own because of the stack.
#[inline(never)]
fn make_source(key: &SourceKey) {
    let _ = SOURCES.insert(key, Source::default(), BPF_NOEXIST.into());
}

/// The places of a backend or a service.
#[inline(always)]
fn places_of(holder: Holder) -> Option<*mut Places> {
    match holder {
        Holder::Backend(id) => BACKEND_PLACES.get_ptr_mut(id),
        Holder::Service(id) => SERVICE_PLACES.get_ptr_mut(id.into()),
    }
}
