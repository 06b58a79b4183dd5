//! Tables in `HashMap`s. Time, chance and routes are what the test says.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::HashMap,
    ops::Deref,
    rc::Rc,
};

use super::Asked;
use crate::{
    Action, AddressTables, Tables,
    abi::{
        AclData, AclKey, AclRule, Address, Admission, Affinity, AffinityKey, Answer, Backend, BackendLimits,
        BackendSignals, Buckets, Cookie, CookieCount, CookieSecret, Event, Floating, Flow, FlowEvent,
        FlowKey, FragmentKey, FragmentPorts, Interface, InterfaceCounters, Latencies, Latency, Mac, NextHop,
        Origin, Places, Refusals, Relay, Service, ServiceKey, Settings, SettingsFlags, Signal, Source,
        SourceKey, Stamp, SynCookies, TrafficCounters, VirtualMacs,
    },
    maps::address_bit,
    tables::{FibQuery, FibResult, FlowEntry, Gone, Holder, Insert, Metered, SourceEntry, Tier, Traffic},
};

/// The tables of one address family.
#[derive(Debug, Default)]
pub struct Family<A: Copy> {
    /// `FLOWS`.
    pub flows: RefCell<HashMap<FlowKey<A>, HostEntry<A>>>,
    /// `EMBRYONIC`.
    pub embryonic: RefCell<HashMap<FlowKey<A>, HostEntry<A>>>,
    /// Its element of `FULL_AT`.
    pub full_at: Cell<u32>,
    /// `SERVICES`.
    pub services: RefCell<HashMap<ServiceKey<A>, Service>>,
    /// `ACL`.
    pub acl: RefCell<HashMap<AclKey<A>, AclRule>>,
    /// `ORIGINS`.
    pub origins: RefCell<HashMap<ServiceKey<A>, Origin<A>>>,
    /// `COOKIES`.
    pub cookies: RefCell<HashMap<FlowKey<A>, Cookie>>,
    /// `FRAGMENTS`.
    pub fragments: RefCell<HashMap<FragmentKey<A>, FragmentPorts>>,
    /// Routes by destination; others are [`HostTables::default_route`].
    pub routes: RefCell<HashMap<A, FibResult>>,
}

/// All tables.
#[derive(Debug, Default)]
pub struct HostTables {
    /// IPv4.
    pub v4: Family<u32>,
    /// IPv6.
    pub v6: Family<[u32; 4]>,
    /// The current tick.
    pub now: Cell<u32>,
    /// State of the random numbers: a fixed sequence (xorshift) from this on.
    pub random: Cell<u32>,
    /// `SETTINGS`.
    pub settings: Cell<Settings>,
    /// `SLOTS`: elements by service.
    pub slots: RefCell<HashMap<u16, Vec<[u32; 2]>>>,
    /// `ROTATION`.
    pub rotation: RefCell<HashMap<u16, u32>>,
    /// `BACKENDS`.
    pub backends: RefCell<HashMap<u32, Backend>>,
    /// `BACKEND_FLOWS`.
    pub backend_flows: RefCell<HashMap<u32, u64>>,
    /// `BACKEND_LIMITS`.
    pub limits: RefCell<HashMap<u32, BackendLimits>>,
    /// `BACKEND_PLACES`.
    pub backend_places: RefCell<HashMap<u32, Places>>,
    /// `SERVICE_PLACES`.
    pub service_places: RefCell<HashMap<u32, Places>>,
    /// `ADMISSION`.
    pub admissions: RefCell<HashMap<u32, Admission>>,
    /// `SERVICE_BUCKETS`.
    pub service_buckets: RefCell<HashMap<u32, Buckets>>,
    /// `SOURCES`.
    pub sources: RefCell<HashMap<SourceKey, Source>>,
    /// `SERVICE_REFUSALS`.
    pub refusals_counted: RefCell<HashMap<u32, Refusals>>,
    /// `SYN_COOKIES`.
    pub syn_cookies: RefCell<HashMap<u32, SynCookies>>,
    /// Element 0 of it.
    pub cookie_secret: Cell<CookieSecret>,
    /// `AFFINITY`.
    pub affinity: RefCell<HashMap<AffinityKey, Affinity>>,
    /// `BACKEND_HOPS`.
    pub backend_hops: RefCell<HashMap<u32, NextHop>>,
    /// `BACKEND_SIGNALS`.
    pub backend_signals: RefCell<HashMap<u32, BackendSignals>>,
    /// `BACKEND_LATENCIES`.
    pub latencies: RefCell<HashMap<u32, Latencies>>,
    /// `HANDSHAKES`.
    pub handshakes: RefCell<HashMap<u32, Stamp>>,
    /// `CLIENT_HOPS`.
    pub client_hops: RefCell<HashMap<u32, NextHop>>,
    /// `SNAT_ADDRESSES`.
    pub snat_addresses: RefCell<Vec<[u32; 4]>>,
    /// `PORTS`.
    pub ports: RefCell<HashMap<u32, u64>>,
    /// Number of words of `PORTS`.
    pub port_words: Cell<u32>,
    /// `VIRTUAL_MACS`.
    pub virtual_macs: RefCell<HashMap<u32, VirtualMacs>>,
    /// `FLOATING`.
    pub floating: RefCell<HashMap<[u32; 4], Floating>>,
    /// `RELAYS`.
    pub relays: RefCell<HashMap<[u32; 4], Relay>>,
    /// The present time in nanoseconds.
    pub nanos: Cell<u64>,
    /// `ANSWERS`.
    pub answers: Cell<[u64; Answer::COUNT]>,
    /// `INTERFACES`.
    pub interfaces: RefCell<HashMap<u32, Interface>>,
    /// `SERVICE_COUNTERS`.
    pub service_counters: RefCell<HashMap<u16, TrafficCounters>>,
    /// `BACKEND_COUNTERS`.
    pub backend_counters: RefCell<HashMap<u32, TrafficCounters>>,
    /// `INTERFACE_COUNTERS`.
    pub interface_counters: RefCell<HashMap<u32, InterfaceCounters>>,
    /// `DROPS` by number of the reason.
    pub drops: RefCell<HashMap<u32, u64>>,
    /// `EVENTS`.
    pub events: RefCell<Vec<Event>>,
    /// `FLOW_EVENTS`.
    pub flow_events: RefCell<Vec<FlowEvent>>,
    /// Where packets go whose destination has no route; `None`: nowhere ([`FibResult::NoRoute`]).
    pub default_route: Cell<Option<FibResult>>,
    /// What was looked for; nothing is noted while this is `None`.
    pub asked: RefCell<Option<Asked>>,
    /// Flow insertions to refuse: bit 0 the next one, bit 1 the one after it, and so on.
    pub refusals: Cell<u32>,
}

/// A handle of a flow entry.
#[derive(Clone, Debug)]
pub struct HostEntry<A: Copy>(pub Rc<Cell<Flow<A>>>);

impl<A: Address> HostEntry<A> {
    /// A new entry.
    #[must_use]
    pub fn new(flow: Flow<A>) -> Self {
        Self(Rc::new(Cell::new(flow)))
    }

    fn change(&self, change: impl FnOnce(&mut Flow<A>)) {
        let mut flow = self.0.get();
        change(&mut flow);
        self.0.set(flow);
    }
}

impl<A: Address> FlowEntry<A> for HostEntry<A> {
    fn link(&self) -> u64 {
        self.0.get().next_hop.link()
    }

    fn load(&self) -> Flow<A> {
        self.0.get()
    }

    fn set_last_seen(&self, tick: u32) {
        self.change(|flow| flow.last_seen = tick);
    }

    fn set_state(&self, state: u8) {
        self.change(|flow| flow.state = state);
    }

    fn set_next_hop(&self, next_hop: NextHop) {
        self.change(|flow| flow.next_hop = next_hop);
    }

    fn clear_flags(&self, bits: u8) -> u8 {
        let flags = self.0.get().flags;
        self.change(|flow| flow.flags &= !bits);
        flags
    }
}

impl<A: Address> Family<A> {
    pub(super) fn tier(&self, tier: Tier) -> &RefCell<HashMap<FlowKey<A>, HostEntry<A>>> {
        match tier {
            Tier::Established => &self.flows,
            Tier::Embryonic => &self.embryonic,
        }
    }
}

impl HostTables {
    /// Changes places; what they were.
    fn change_places(&self, holder: Holder, change: impl FnOnce(&mut Places)) -> Option<Places> {
        let (map, id) = match holder {
            Holder::Backend(id) => (&self.backend_places, id),
            Holder::Service(id) => (&self.service_places, id.into()),
        };
        let mut map = map.borrow_mut();
        let places = map.entry(id).or_default();
        let before = *places;
        change(places);
        Some(before)
    }

    fn note(&self, note: impl FnOnce(&mut Asked)) {
        if let Some(asked) = self.asked.borrow_mut().as_mut() {
            note(asked);
        }
    }

    /// `OWN_ADDRESSES`, but for words of 0: the bits of all VIPs, SNAT addresses and backends.
    #[must_use]
    pub fn own_addresses(&self) -> HashMap<u32, u64> {
        let mut addresses: Vec<[u32; 4]> = self.snat_addresses.borrow().clone();
        addresses.extend(self.backends.borrow().values().map(|backend| backend.addr));
        addresses.extend(self.v4.services.borrow().keys().map(|key| key.addr.words()));
        addresses.extend(self.v6.services.borrow().keys().map(|key| key.addr.words()));
        let mut bits = HashMap::new();
        for (word, bit) in addresses.into_iter().map(address_bit) {
            *bits.entry(word).or_default() |= 1 << bit;
        }
        bits
    }
}

macro_rules! address_tables {
    ($address:ty, $family:ident, $fragments:ident, $acl:ident, $cookies:ident) => {
        impl AddressTables<$address> for HostTables {
            type Entry = HostEntry<$address>;

            fn flow(&self, tier: Tier, key: &FlowKey<$address>) -> Option<HostEntry<$address>> {
                self.note(|asked| asked.$family.push(*key));
                self.$family.tier(tier).borrow().get(key).cloned()
            }

            fn insert_flow(
                &self,
                tier: Tier,
                key: &FlowKey<$address>,
                flow: &Flow<$address>,
                how: Insert,
            ) -> bool {
                self.note(|asked| asked.$family.push(*key));
                let refusals = self.refusals.get();
                self.refusals.set(refusals >> 1);
                if refusals & 1 == 1 {
                    return false;
                }
                let mut flows = self.$family.tier(tier).borrow_mut();
                if how == Insert::IfAbsent && flows.contains_key(key) {
                    return false;
                }
                flows.insert(*key, HostEntry::new(*flow));
                true
            }

            fn remove_flow(&self, tier: Tier, key: &FlowKey<$address>) {
                self.$family.tier(tier).borrow_mut().remove(key);
            }

            fn full_at(&self) -> u32 {
                self.$family.full_at.get()
            }

            fn set_full_at(&self, tick: u32) {
                self.$family.full_at.set(tick);
            }

            fn service(&self, key: &ServiceKey<$address>) -> Option<Service> {
                self.$family.services.borrow().get(key).copied()
            }

            fn acl(&self, key: &AclKey<$address>) -> Option<AclRule> {
                self.note(|asked| asked.$acl.push(*key));
                let acl = self.$family.acl.borrow();
                let lengths = (AclData::<$address>::LIST_BITS..=key.bits).rev();
                lengths.into_iter().find_map(|bits| {
                    let addr = key.data.addr.prefix((bits - AclData::<$address>::LIST_BITS) as u8);
                    acl.get(&AclKey { bits, data: AclData { addr, ..key.data } }).copied()
                })
            }

            fn origin(&self, key: &ServiceKey<$address>) -> Option<Origin<$address>> {
                self.$family.origins.borrow().get(key).copied()
            }

            fn cookie(&self, key: &FlowKey<$address>) -> Option<Cookie> {
                self.note(|asked| asked.$cookies.push(*key));
                self.$family.cookies.borrow().get(key).copied()
            }

            fn set_cookie(&self, key: &FlowKey<$address>, cookie: &Cookie) -> bool {
                self.$family.cookies.borrow_mut().insert(*key, *cookie);
                true
            }

            fn fragment(&self, key: &FragmentKey<$address>) -> Option<FragmentPorts> {
                self.note(|asked| asked.$fragments.push(*key));
                self.$family.fragments.borrow().get(key).copied()
            }

            fn insert_fragment(&self, key: &FragmentKey<$address>, ports: &FragmentPorts) {
                self.$family.fragments.borrow_mut().insert(*key, *ports);
            }

            fn tell_flow(&self, key: &FlowKey<$address>, flow: &Flow<$address>, state: u8) {
                let event = FlowEvent::new(key, flow, state, self.now.get());
                self.flow_events.borrow_mut().push(event);
            }

            fn fib_lookup(&self, query: &FibQuery<$address>) -> FibResult {
                let known = self.$family.routes.borrow().get(&query.dst).copied();
                known.or(self.default_route.get()).unwrap_or(FibResult::NoRoute)
            }
        }
    };
}

address_tables!(u32, v4, fragments_v4, acl_v4, cookies_v4);
address_tables!([u32; 4], v6, fragments_v6, acl_v6, cookies_v6);

/// An element of [`HostTables::sources`].
struct HostSource<'a> {
    sources: &'a RefCell<HashMap<SourceKey, Source>>,
    key: SourceKey,
}

impl HostSource<'_> {
    /// Changes it; as it was before.
    fn change(&self, change: impl FnOnce(&mut Source)) -> Source {
        let mut sources = self.sources.borrow_mut();
        let source = sources.entry(self.key).or_default();
        let before = *source;
        change(source);
        before
    }
}

impl SourceEntry for HostSource<'_> {
    fn load(&self) -> Source {
        self.change(|_| {})
    }

    fn set_full_at(&self, of: Metered, full_at: u64) {
        self.change(|source| match of {
            Metered::Flows => source.flows_full_at = full_at,
            Metered::Packets => source.packets_full_at = full_at,
        });
    }

    fn take(&self) -> Source {
        self.change(|source| {
            source.flows.taken += 1;
            source.embryonic.taken += 1;
        })
    }

    fn untake(&self) {
        self.change(|source| {
            source.flows.taken -= 1;
            source.embryonic.taken -= 1;
        });
    }

    fn give_back(&self, gone: Gone) {
        self.change(|source| {
            source.flows.returned += u64::from(gone != Gone::Answered);
            source.embryonic.returned += u64::from(gone != Gone::Ended);
        });
    }
}

impl Tables for HostTables {
    fn now(&self) -> u32 {
        self.now.get()
    }

    fn random(&self) -> u32 {
        let mut state = self.random.get().max(1);
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        self.random.set(state);
        state
    }

    fn opaque(&self, value: usize) -> usize {
        value
    }

    fn fib_generation(&self) -> u32 {
        self.settings.get().fib_generation
    }

    fn refuses_when_full(&self) -> bool {
        self.settings.get().flags & SettingsFlags::REFUSE_WHEN_FULL != 0
    }

    fn seed(&self) -> [u32; 2] {
        self.settings.get().seed
    }

    fn timeout(&self, state: u8) -> u32 {
        self.settings.get().timeouts[usize::from(state & 15)]
    }

    fn answer_rate(&self, kind: Answer) -> u32 {
        self.settings.get().answer_rates[kind as usize]
    }

    fn answers(&self, kind: Answer) -> Option<u64> {
        Some(self.answers.get()[kind as usize])
    }

    fn set_answers(&self, kind: Answer, full_at: u64) {
        let mut answers = self.answers.get();
        answers[kind as usize] = full_at;
        self.answers.set(answers);
    }

    fn tells_flows(&self) -> bool {
        self.settings.get().flags & SettingsFlags::TELL_FLOWS != 0
    }

    fn times_handshakes(&self) -> bool {
        self.settings.get().flags & SettingsFlags::TIME_HANDSHAKES != 0
    }

    fn has_admission(&self) -> bool {
        self.settings.get().flags & SettingsFlags::ADMISSION != 0
    }

    fn admission(&self, service: u16) -> Option<impl Deref<Target = Admission>> {
        const NONE: &Admission = &Admission::NONE;
        Some(Ref::map(self.admissions.borrow(), |admissions| admissions.get(&service.into()).unwrap_or(NONE)))
    }

    fn has_packet_rates(&self) -> bool {
        self.settings.get().flags & SettingsFlags::PACKET_RATES != 0
    }

    fn service_buckets(&self, service: u16) -> Option<Buckets> {
        Some(self.service_buckets.borrow().get(&service.into()).copied().unwrap_or_default())
    }

    fn set_service_bucket(&self, service: u16, of: Metered, full_at: u64) {
        let mut buckets = self.service_buckets.borrow_mut();
        let buckets = buckets.entry(service.into()).or_default();
        match of {
            Metered::Flows => buckets.flows_full_at = full_at,
            Metered::Packets => buckets.packets_full_at = full_at,
        }
    }

    fn source(&self, key: &SourceKey, make: bool) -> Option<impl SourceEntry> {
        self.note(|asked| asked.sources.push(*key));
        let mut sources = self.sources.borrow_mut();
        if make {
            sources.entry(*key).or_default();
        }
        sources.contains_key(key).then_some(HostSource { sources: &self.sources, key: *key })
    }

    fn count_refusal(&self, service: u16, refusal: u32) {
        let mut counted = self.refusals_counted.borrow_mut();
        counted.entry(service.into()).or_default().counts[refusal as usize & 7] += 1;
    }

    fn backend(&self, id: u32) -> Option<Backend> {
        // An element of the kernel's array is there, and all 0, before it is used.
        Some(self.backends.borrow().get(&id).copied().unwrap_or_default())
    }

    fn backend_flows(&self, id: u32) -> u64 {
        self.backend_flows.borrow().get(&id).copied().unwrap_or(0)
    }

    fn backend_hop(&self, id: u32) -> Option<NextHop> {
        Some(self.backend_hops.borrow().get(&id).copied().unwrap_or_default())
    }

    fn set_backend_hop(&self, id: u32, next_hop: NextHop) {
        self.backend_hops.borrow_mut().insert(id, next_hop);
    }

    fn nanos(&self) -> u64 {
        self.nanos.get()
    }

    fn is_virtual_mac(&self, ifindex: u32, mac: Mac) -> bool {
        self.virtual_macs.borrow().get(&ifindex).is_some_and(|macs| macs.has(mac))
    }

    fn floating(&self, address: &[u32; 4]) -> Option<Floating> {
        self.floating.borrow().get(address).copied()
    }

    fn claim(&self, address: &[u32; 4]) {
        if let Some(floating) = self.floating.borrow_mut().get_mut(address) {
            *floating = floating.claimed(self.nanos.get(), self.now.get());
        }
    }

    fn relay(&self, address: &[u32; 4]) -> Option<Relay> {
        self.relays.borrow().get(address).copied()
    }

    fn client_hop(&self, ifindex: u32) -> Option<NextHop> {
        Some(self.client_hops.borrow().get(&ifindex).copied().unwrap_or_default())
    }

    fn set_client_hop(&self, ifindex: u32, next_hop: NextHop) {
        self.client_hops.borrow_mut().insert(ifindex, next_hop);
    }

    fn limits(&self, backend: u32) -> Option<BackendLimits> {
        Some(self.limits.borrow().get(&backend).copied().unwrap_or_default())
    }

    fn places(&self, holder: Holder) -> Option<Places> {
        self.change_places(holder, |_| {})
    }

    fn take_place(&self, holder: Holder) -> Option<Places> {
        self.change_places(holder, |places| places.taken = places.taken.wrapping_add(1))
    }

    fn untake_place(&self, holder: Holder) {
        self.change_places(holder, |places| places.taken = places.taken.wrapping_sub(1));
    }

    fn return_place(&self, holder: Holder) {
        self.change_places(holder, |places| places.returned = places.returned.wrapping_add(1));
    }

    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        self.note(|asked| asked.affinities.push(*key));
        self.affinity.borrow().get(key).copied()
    }

    fn touch_affinity(&self, key: &AffinityKey, tick: u32) {
        if let Some(affinity) = self.affinity.borrow_mut().get_mut(key) {
            affinity.seen = tick;
        }
    }

    fn set_affinity(&self, key: &AffinityKey, affinity: &Affinity) {
        self.affinity.borrow_mut().insert(*key, *affinity);
    }

    fn count_flow(&self, service: u16, backend: u32) {
        *self.backend_flows.borrow_mut().entry(backend).or_default() += 1;
        self.service_counters.borrow_mut().entry(service).or_default().flows += 1;
        self.backend_counters.borrow_mut().entry(backend).or_default().flows += 1;
    }

    fn count_signal(&self, backend: u32, signal: Signal) {
        self.backend_signals.borrow_mut().entry(backend).or_default().counts[signal as usize] += 1;
    }

    fn stamp(&self, index: u32) -> Option<Stamp> {
        Some(self.handshakes.borrow().get(&index).copied().unwrap_or_default())
    }

    fn set_stamp(&self, index: u32, stamp: Stamp) {
        self.handshakes.borrow_mut().insert(index, stamp);
    }

    fn count_latency(&self, backend: u32, what: Latency, units: u32) {
        let mut latencies = self.latencies.borrow_mut();
        let latencies = latencies.entry(backend).or_default();
        match what {
            Latency::Handshake => latencies.handshake.add(units),
            Latency::Rtt => latencies.rtt.add(units),
        }
    }

    fn slot_element(&self, service: u16, index: u32) -> Option<[u32; 2]> {
        self.note(|asked| asked.slots.push(service));
        self.slots.borrow().get(&service)?.get(index as usize).copied()
    }

    fn rotate(&self, service: u16) -> u32 {
        let mut rotation = self.rotation.borrow_mut();
        let counter = rotation.entry(service).or_default();
        *counter = counter.wrapping_add(1);
        counter.wrapping_sub(1)
    }

    fn may_be_own(&self, words: [u32; 4]) -> bool {
        let (word, bit) = address_bit(words);
        self.own_addresses().get(&word).is_some_and(|bits| bits >> bit & 1 != 0)
    }

    fn snat_address(&self, index: u32) -> Option<[u32; 4]> {
        self.snat_addresses.borrow().get(index as usize).copied()
    }

    fn own_ports(&self) -> u64 {
        self.settings.get().own_ports()
    }

    fn port_range(&self) -> (u16, u16) {
        (self.settings.get().port_min, self.settings.get().port_max)
    }

    fn port_word(&self, index: u32) -> Option<u64> {
        self.note(|asked| asked.port_words.push(index));
        (index < self.port_words.get()).then(|| self.ports.borrow().get(&index).copied().unwrap_or(0))
    }

    fn port_word_set(&self, index: u32, bits: u64) -> Option<u64> {
        let before = self.port_word(index)?;
        self.ports.borrow_mut().insert(index, before | bits);
        Some(before)
    }

    fn interface(&self, ifindex: u32) -> Option<Interface> {
        self.interfaces.borrow().get(&ifindex).copied()
    }

    fn syn_cookies(&self, service: u16) -> Option<SynCookies> {
        Some(self.syn_cookies.borrow().get(&service.into()).copied().unwrap_or_default())
    }

    fn set_syn_cookies(&self, service: u16, state: &SynCookies) {
        let mut states = self.syn_cookies.borrow_mut();
        let kept = states.entry(service.into()).or_default();
        *kept = SynCookies { counts: kept.counts, ..*state };
    }

    fn count_cookie(&self, service: u16, what: CookieCount) {
        let mut states = self.syn_cookies.borrow_mut();
        states.entry(service.into()).or_default().counts[what as usize] += 1;
    }

    fn cookie_secret(&self) -> Option<CookieSecret> {
        Some(self.cookie_secret.get())
    }

    fn count_traffic(&self, traffic: &Traffic) {
        let add = |counters: &mut TrafficCounters| {
            let (packets, bytes) = if traffic.reverse {
                (&mut counters.packets_out, &mut counters.bytes_out)
            } else {
                (&mut counters.packets_in, &mut counters.bytes_in)
            };
            *packets += 1;
            *bytes += u64::from(traffic.bytes);
        };
        add(self.service_counters.borrow_mut().entry(traffic.service).or_default());
        add(self.backend_counters.borrow_mut().entry(traffic.backend).or_default());
    }

    fn count_drop(&self, reason: u32) {
        *self.drops.borrow_mut().entry(reason).or_default() += 1;
    }

    fn count_received(&self, ifindex: u32, bytes: u32, action: Action) {
        let mut counters = self.interface_counters.borrow_mut();
        let counters = counters.entry(ifindex).or_default();
        counters.rx_packets += 1;
        counters.rx_bytes += u64::from(bytes);
        counters.passed += u64::from(action == Action::Pass);
        counters.dropped += u64::from(action == Action::Drop);
    }

    fn count_sent(&self, ifindex: u32, bytes: u32) {
        let mut counters = self.interface_counters.borrow_mut();
        let counters = counters.entry(ifindex).or_default();
        counters.tx_packets += 1;
        counters.tx_bytes += u64::from(bytes);
    }

    fn emit(&self, event: &Event) {
        self.events.borrow_mut().push(*event);
    }
}
