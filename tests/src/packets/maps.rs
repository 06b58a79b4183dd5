//! The kernel's maps: written from the model's tables, and compared with them.

use std::{collections::HashMap, fmt::Debug, hash::Hash, io, path::Path};

use anyhow::{Context, Result};
use lb_common::{
    abi::{
        Abi, AclKey, AclRule, Affinity, AffinityKey, Backend, BackendSignals, Buckets, CookieSecret,
        Floating, Flow, FlowKey, FragmentKey, FragmentPorts, Interface, InterfaceCounters, Latencies, Mode,
        NextHop, Origin, Places, Refusals, Service, ServiceKey, SettingsFlags, Source, SourceKey, Stamp,
        SynCookies, TICK_SHIFT, TrafficCounters,
    },
    host::{self, HostEntry, HostTables},
    maps as names,
};
use lb_userspace::sys::bpf::{Map, MapShape};

use nix::time::{ClockId, clock_gettime};

use super::world::PORT_WORDS;

const SERVICES: u32 = 8;
const BACKENDS: u32 = 32;
const INTERFACES: u32 = 32;
const SNAT_ADDRESSES: u32 = 8;
const FLOWS: u32 = 512;

/// Sizes of the maps: small, as all of them are written for every frame.
pub(super) const SIZES: [(&str, u32); 40] = [
    (names::SERVICES_V4, 2 * SERVICES),
    (names::SERVICES_V6, 2 * SERVICES),
    (names::ORIGINS_V4, BACKENDS),
    (names::ORIGINS_V6, BACKENDS),
    (names::ACL_V4, BACKENDS),
    (names::ACL_V6, BACKENDS),
    (names::ADMISSION, SERVICES),
    (names::SERVICE_BUCKETS, SERVICES),
    (names::SERVICE_REFUSALS, SERVICES),
    (names::SOURCES, FLOWS),
    (names::SLOTS, SERVICES),
    (names::ROTATION, SERVICES),
    (names::SERVICE_COUNTERS, SERVICES),
    (names::BACKENDS, BACKENDS),
    (names::BACKEND_FLOWS, BACKENDS),
    (names::BACKEND_LIMITS, BACKENDS),
    (names::BACKEND_PLACES, BACKENDS),
    (names::SERVICE_PLACES, SERVICES),
    (names::AFFINITY, FLOWS),
    (names::COOKIES_V4, FLOWS),
    (names::COOKIES_V6, FLOWS),
    (names::SYN_COOKIES, SERVICES),
    (names::BACKEND_HOPS, BACKENDS),
    (names::BACKEND_SIGNALS, BACKENDS),
    (names::BACKEND_LATENCIES, BACKENDS),
    (names::CLIENT_HOPS, INTERFACES),
    (names::BACKEND_COUNTERS, BACKENDS),
    (names::INTERFACES, INTERFACES),
    (names::VIRTUAL_MACS, INTERFACES),
    (names::INTERFACE_COUNTERS, INTERFACES),
    (names::SNAT_ADDRESSES, SNAT_ADDRESSES),
    (names::PORTS, PORT_WORDS),
    (names::FLOATING, BACKENDS),
    (names::RELAYS, BACKENDS),
    (names::FLOWS_V4, FLOWS),
    (names::FLOWS_V6, FLOWS),
    (names::EMBRYONIC_V4, FLOWS),
    (names::EMBRYONIC_V6, FLOWS),
    (names::FRAGMENTS_V4, FLOWS),
    (names::FRAGMENTS_V6, FLOWS),
];

/// All maps, open.
#[derive(Debug)]
pub(super) struct Maps {
    v4: Family,
    v6: Family,
    others: HashMap<&'static str, Map>,
    /// The slot tables in place: to replace one takes long.
    slots: HashMap<u16, Vec<[u32; 2]>>,
    /// The bits of the port pools in place; `None`: not known.
    ports: Option<HashMap<u32, u64>>,
    /// How far the kernel's clock is ahead of the model's, in the unit of stamps.
    ahead: u32,
}

#[derive(Debug)]
struct Family {
    flows: Map,
    embryonic: Map,
    services: Map,
    origins: Map,
    fragments: Map,
}

/// The ABI types of one address family.
macro_rules! family {
    ($write:ident, $compare:ident, $address:ty) => {
        fn $write(maps: &Family, tables: &host::Family<$address>, shift: u32) -> io::Result<()> {
            let flows = |flows: &HashMap<FlowKey<$address>, HostEntry<$address>>| {
                flows.iter().map(|(key, entry)| (*key, later(entry.0.get(), shift))).collect()
            };
            replace(&maps.flows, &flows(&tables.flows.borrow()))?;
            replace(&maps.embryonic, &flows(&tables.embryonic.borrow()))?;
            replace::<ServiceKey<$address>, Service>(&maps.services, &tables.services.borrow())?;
            replace::<ServiceKey<$address>, Origin<$address>>(&maps.origins, &tables.origins.borrow())?;
            let fragments = tables.fragments.borrow();
            let fragments = fragments
                .iter()
                .map(|(key, ports)| (*key, FragmentPorts { seen: ports.seen.wrapping_add(shift), ..*ports }));
            replace::<FragmentKey<$address>, FragmentPorts>(&maps.fragments, &fragments.collect())
        }

        fn $compare(maps: &Family, tables: &host::Family<$address>, shift: u32) -> Result<(), String> {
            let flows = |flows: &HashMap<FlowKey<$address>, HostEntry<$address>>| {
                flows.iter().map(|(key, entry)| (*key, later(entry.0.get(), shift))).collect()
            };
            same("FLOWS", &maps.flows, &flows(&tables.flows.borrow()))?;
            same("EMBRYONIC", &maps.embryonic, &flows(&tables.embryonic.borrow()))?;
            let fragments = tables.fragments.borrow();
            let fragments = fragments
                .iter()
                .map(|(key, ports)| (*key, FragmentPorts { seen: ports.seen.wrapping_add(shift), ..*ports }));
            same("FRAGMENTS", &maps.fragments, &fragments.collect())
        }
    };
}

family!(write_v4, compare_v4, u32);
family!(write_v6, compare_v6, [u32; 4]);

/// Affinities as they are when the clock is `shift` ticks ahead.
fn affinity(tables: &HostTables, shift: u32) -> HashMap<AffinityKey, Affinity> {
    let later = |affinity: &Affinity| Affinity { seen: affinity.seen.wrapping_add(shift), ..*affinity };
    tables.affinity.borrow().iter().map(|(key, affinity)| (*key, later(affinity))).collect()
}

/// The state of a service's cookies as it is when the clock is `shift` ticks ahead.
fn syn_cookies(tables: &HostTables, id: u32, shift: u32) -> SynCookies {
    let state = tables.syn_cookies.borrow().get(&id).copied().unwrap_or_default();
    let later = |tick: u32| if tick == 0 { 0 } else { tick.wrapping_add(shift) };
    let by = i64::from(shift.cast_signed()) << TICK_SHIFT;
    let full_at = if state.full_at == 0 { 0 } else { state.full_at.wrapping_add_signed(by) };
    SynCookies { full_at, cookie_at: later(state.cookie_at), ..state }
}

/// What makes the kernel's cookies those of the model.
fn cookie_secret(tables: &HostTables, shift: u32) -> CookieSecret {
    let secret = tables.cookie_secret.get();
    CookieSecret { base: secret.base.wrapping_add(shift), ..secret }
}

/// Lists of sources as they are when the clock is `shift` ticks ahead.
fn acl<A: Copy + Eq + Hash>(tables: &host::Family<A>, shift: u32) -> HashMap<AclKey<A>, AclRule> {
    let later = |rule: &AclRule| match rule.until {
        0 => *rule,
        until => AclRule { until: until.wrapping_add(shift), ..*rule },
    };
    tables.acl.borrow().iter().map(|(key, rule)| (*key, later(rule))).collect()
}

/// `CLOCK_MONOTONIC`, which the program asks.
fn nanos() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

/// Floating addresses as they are when the clock is `shift` ticks ahead.
fn floating(tables: &HostTables, shift: u32) -> HashMap<[u32; 4], Floating> {
    let later = |floating: &Floating| match floating.fenced_at {
        0 => *floating,
        tick => Floating { fenced_at: tick.wrapping_add(shift), ..*floating },
    };
    tables.floating.borrow().iter().map(|(address, floating)| (*address, later(floating))).collect()
}

/// When the tables of established flows were full, when the clock is `shift` ticks ahead.
fn full_at(tables: &HostTables, shift: u32) -> [(u32, u32); 2] {
    let later = |tick: u32| if tick == 0 { 0 } else { tick.wrapping_add(shift) };
    [(names::FULL_V4, later(tables.v4.full_at.get())), (names::FULL_V6, later(tables.v6.full_at.get()))]
}

/// A flow as it is when the clock is `shift` ticks ahead.
fn later<A: Copy>(flow: Flow<A>, shift: u32) -> Flow<A> {
    Flow { last_seen: flow.last_seen.wrapping_add(shift), ..flow }
}

impl Maps {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let open =
            |name: &str| Map::open(&directory.join(name)).with_context(|| format!("cannot open {name}"));
        let mut others = HashMap::new();
        for name in names::ALL {
            others.insert(*name, open(name)?);
        }
        Ok(Self {
            v4: Family {
                flows: open(names::FLOWS_V4)?,
                embryonic: open(names::EMBRYONIC_V4)?,
                services: open(names::SERVICES_V4)?,
                origins: open(names::ORIGINS_V4)?,
                fragments: open(names::FRAGMENTS_V4)?,
            },
            v6: Family {
                flows: open(names::FLOWS_V6)?,
                embryonic: open(names::EMBRYONIC_V6)?,
                services: open(names::SERVICES_V6)?,
                origins: open(names::ORIGINS_V6)?,
                fragments: open(names::FRAGMENTS_V6)?,
            },
            others,
            slots: HashMap::new(),
            ports: None,
            ahead: 0,
        })
    }

    /// Writes everything, as it is at `tick` of the kernel's clock.
    pub(super) fn write(&mut self, tables: &HostTables, tick: u32) -> io::Result<()> {
        let shift = tick.wrapping_sub(tables.now.get());
        write_v4(&self.v4, &tables.v4, shift)?;
        write_v6(&self.v6, &tables.v6, shift)?;
        self.write_slots(tables)?;
        for (index, full_at) in full_at(tables, shift) {
            self.others[names::FULL_AT].update(&index, &full_at)?;
        }
        self.others[names::SETTINGS].update(&0_u32, &tables.settings.get())?;
        let rotation = tables.rotation.borrow();
        self.array(names::ROTATION, SERVICES, |id| rotation.get(&(id as u16)).copied().map_or(0, u64::from))?;
        let backends = tables.backends.borrow();
        self.array(names::BACKENDS, BACKENDS, |id| backends.get(&id).copied().unwrap_or_default())?;
        let flows = tables.backend_flows.borrow();
        self.array(names::BACKEND_FLOWS, BACKENDS, |id| flows.get(&id).copied().unwrap_or(0))?;
        let limits = tables.limits.borrow();
        self.array(names::BACKEND_LIMITS, BACKENDS, |id| limits.get(&id).copied().unwrap_or_default())?;
        let places = tables.backend_places.borrow();
        self.array(names::BACKEND_PLACES, BACKENDS, |id| places.get(&id).copied().unwrap_or_default())?;
        let places = tables.service_places.borrow();
        self.array(names::SERVICE_PLACES, SERVICES, |id| places.get(&id).copied().unwrap_or_default())?;
        replace(&self.others[names::AFFINITY], &affinity(tables, shift))?;
        let hops = tables.backend_hops.borrow();
        self.array(names::BACKEND_HOPS, BACKENDS, |id| hops.get(&id).copied().unwrap_or_default())?;
        let signals = tables.backend_signals.borrow();
        self.array(names::BACKEND_SIGNALS, BACKENDS, |id| signals.get(&id).copied().unwrap_or_default())?;
        self.write_latencies(tables)?;
        let hops = tables.client_hops.borrow();
        self.array(names::CLIENT_HOPS, INTERFACES, |ifindex| {
            hops.get(&ifindex).copied().unwrap_or_default()
        })?;
        replace(&self.others[names::FLOATING], &floating(tables, shift))?;
        replace(&self.others[names::RELAYS], &tables.relays.borrow())?;
        let own = tables.own_addresses();
        self.array(names::OWN_ADDRESSES, names::OWN_ADDRESS_WORDS, |word| {
            own.get(&word).copied().unwrap_or(0)
        })?;
        let snat = tables.snat_addresses.borrow();
        self.array(names::SNAT_ADDRESSES, SNAT_ADDRESSES, |index| {
            snat.get(index as usize).copied().unwrap_or_default()
        })?;
        self.write_ports(tables)?;
        let interfaces = tables.interfaces.borrow();
        self.array(names::INTERFACES, INTERFACES, |ifindex| {
            interfaces.get(&ifindex).copied().unwrap_or_default()
        })?;
        let macs = tables.virtual_macs.borrow();
        self.array(names::VIRTUAL_MACS, INTERFACES, |at| macs.get(&at).copied().unwrap_or_default())?;
        for id in 0..SERVICES {
            self.others[names::SERVICE_COUNTERS].update(&id, &TrafficCounters::default())?;
        }
        for id in 0..BACKENDS {
            self.others[names::BACKEND_COUNTERS].update(&id, &TrafficCounters::default())?;
        }
        for ifindex in 0..INTERFACES {
            self.others[names::INTERFACE_COUNTERS].update(&ifindex, &InterfaceCounters::default())?;
        }
        self.write_answers(tables)?;
        self.write_admission(tables, shift)?;
        let drops = &self.others[names::DROPS];
        (0..drops.info().shape.max_entries).try_for_each(|reason| drops.update(&reason, &0_u64))
    }

    fn write_cookies(&self, tables: &HostTables, shift: u32) -> io::Result<()> {
        replace(&self.others[names::COOKIES_V4], &tables.v4.cookies.borrow())?;
        replace(&self.others[names::COOKIES_V6], &tables.v6.cookies.borrow())?;
        self.array(names::SYN_COOKIES, SERVICES, |id| syn_cookies(tables, id, shift))?;
        self.others[names::SYN_COOKIES].update(&0_u32, &cookie_secret(tables, shift))
    }

    fn same_cookies(&self, tables: &HostTables, shift: u32) -> Result<(), String> {
        same("COOKIES_V4", &self.others[names::COOKIES_V4], &tables.v4.cookies.borrow())?;
        same("COOKIES_V6", &self.others[names::COOKIES_V6], &tables.v6.cookies.borrow())?;
        for id in 1..SERVICES {
            let found = self.others[names::SYN_COOKIES].lookup::<u32, SynCookies>(&id);
            let found = found.map_err(|error| error.to_string())?.unwrap_or_default();
            equal(names::SYN_COOKIES, id, &found, &syn_cookies(tables, id, shift))?;
        }
        Ok(())
    }

    /// A bucket of the model that is not full is one in the kernel that will not be full for long: the model's clock stands still.
    fn write_answers(&self, tables: &HostTables) -> io::Result<()> {
        for (kind, full_at) in (0_u32..).zip(tables.answers.get()) {
            let full_at = if full_at > tables.nanos.get() { u64::MAX >> 1 } else { 0 };
            self.others[names::ANSWERS].update(&kind, &full_at)?;
        }
        Ok(())
    }

    fn write_latencies(&mut self, tables: &HostTables) -> io::Result<()> {
        let latencies = tables.latencies.borrow();
        let of = |id| latencies.get(&id).copied().unwrap_or_default();
        self.array(names::BACKEND_LATENCIES, BACKENDS, of)?;
        if times_handshakes(tables) {
            let now = nanos()?;
            self.ahead = Stamp::time(now).wrapping_sub(Stamp::time(tables.nanos.get()));
            let stamps = tables.handshakes.borrow();
            let ahead = self.ahead;
            self.array(names::HANDSHAKES, names::TIMED_HANDSHAKES, |index| {
                stamps.get(&index).map_or(Stamp::default(), |stamp| later_stamp(*stamp, ahead))
            })?;
        }
        Ok(())
    }

    /// Compares latencies and stamps, but for the time that the kernel takes.
    fn same_latencies(&self, tables: &HostTables) -> Result<(), String> {
        let latencies = tables.latencies.borrow();
        let buckets = |latencies: Latencies| (latencies.handshake.counts, latencies.rtt.counts);
        for id in 0..BACKENDS {
            let model = latencies.get(&id).copied().unwrap_or_default();
            let kernel = self.others[names::BACKEND_LATENCIES].lookup::<u32, Latencies>(&id);
            let kernel = kernel.map_err(|error| error.to_string())?.unwrap_or_default();
            equal(names::BACKEND_LATENCIES, id, &buckets(kernel), &buckets(model))?;
            let nanos = |of: Latencies| of.handshake.nanos + of.rtt.nanos;
            let handshakes = model.handshake.count() + model.rtt.count();
            if nanos(kernel).abs_diff(nanos(model)) > (handshakes * u64::from(TOLERANCE)) << Stamp::UNIT_SHIFT
            {
                return Err(format!("{}[{id}]: {kernel:?}, {model:?}", names::BACKEND_LATENCIES));
            }
        }
        if !times_handshakes(tables) {
            return Ok(());
        }
        let stamps = tables.handshakes.borrow();
        let kernel = self.others[names::HANDSHAKES].entries::<u32, Stamp>();
        for (index, kernel) in kernel.map_err(|error| error.to_string())? {
            let model = stamps.get(&index).map_or(Stamp::default(), |stamp| later_stamp(*stamp, self.ahead));
            let (earlier, later) =
                (model.since.wrapping_sub(kernel.since), kernel.since.wrapping_sub(model.since));
            if kernel.tag != model.tag || earlier.min(later) > TOLERANCE {
                return equal(names::HANDSHAKES, index, &kernel, &model);
            }
        }
        Ok(())
    }

    fn write_admission(&self, tables: &HostTables, shift: u32) -> io::Result<()> {
        self.write_cookies(tables, shift)?;
        let admissions = tables.admissions.borrow();
        self.array(names::ADMISSION, SERVICES, |id| admissions.get(&id).copied().unwrap_or_default())?;
        replace(&self.others[names::ACL_V4], &acl(&tables.v4, shift))?;
        replace(&self.others[names::ACL_V6], &acl(&tables.v6, shift))?;
        let (now, model) = (nanos()?, tables.nanos.get());
        let later = |full_at: u64| if full_at > model { now + (full_at - model) } else { full_at.min(1) };
        let buckets = tables.service_buckets.borrow();
        self.array(names::SERVICE_BUCKETS, SERVICES, |id| {
            let Buckets { flows_full_at, packets_full_at } = buckets.get(&id).copied().unwrap_or_default();
            Buckets { flows_full_at: later(flows_full_at), packets_full_at: later(packets_full_at) }
        })?;
        let sources = tables.sources.borrow();
        let sources = sources.iter().map(|(key, source)| {
            let (flows_full_at, packets_full_at) =
                (later(source.flows_full_at), later(source.packets_full_at));
            (*key, Source { flows_full_at, packets_full_at, ..*source })
        });
        replace::<SourceKey, Source>(&self.others[names::SOURCES], &sources.collect())?;
        (0..SERVICES)
            .try_for_each(|id| self.others[names::SERVICE_REFUSALS].update(&id, &Refusals::default()))
    }

    /// Compares buckets within the second that a frame takes at most, and what was refused.
    fn same_admission(&self, tables: &HostTables) -> Result<(), String> {
        let model = tables.nanos.get();
        let now = nanos().map_err(|error| error.to_string())?;
        let wait = |full_at: u64, now: u64| full_at.saturating_sub(now).div_ceil(1_000_000_000);
        let alike = |kernel: u64, of_model: u64| wait(kernel, now).abs_diff(wait(of_model, model)) <= 1;
        let buckets = tables.service_buckets.borrow();
        for id in 0..SERVICES {
            let found = self.others[names::SERVICE_BUCKETS].lookup::<u32, Buckets>(&id);
            let found = found.map_err(|error| error.to_string())?.unwrap_or_default();
            let model = buckets.get(&id).copied().unwrap_or_default();
            let same = alike(found.flows_full_at, model.flows_full_at)
                && alike(found.packets_full_at, model.packets_full_at);
            equal(names::SERVICE_BUCKETS, id, &same, &true)?;
        }
        let found = self.others[names::SOURCES].entries::<SourceKey, Source>();
        let found: HashMap<_, _> = found.map_err(|error| error.to_string())?.into_iter().collect();
        let sources = tables.sources.borrow();
        let same = |kernel: &Source, model: &Source| {
            alike(kernel.flows_full_at, model.flows_full_at)
                && alike(kernel.packets_full_at, model.packets_full_at)
                && (kernel.flows, kernel.embryonic) == (model.flows, model.embryonic)
        };
        let all = sources.iter().all(|(key, model)| found.get(key).is_some_and(|kernel| same(kernel, model)));
        if !all || found.len() != sources.len() {
            return Err(format!("SOURCES differ:\n  kernel {found:x?}\n  model  {sources:x?}"));
        }
        let refused = tables.refusals_counted.borrow();
        (0..SERVICES).try_for_each(|id| {
            let mut sum = Refusals::default();
            self.per_cpu::<Refusals>(names::SERVICE_REFUSALS, id)?.into_iter().for_each(|more| sum += more);
            equal(names::SERVICE_REFUSALS, id, &sum, &refused.get(&id).copied().unwrap_or_default())
        })
    }

    fn write_ports(&mut self, tables: &HostTables) -> io::Result<()> {
        let ports = tables.ports.borrow();
        if self.ports.as_ref() != Some(&*ports) {
            self.array(names::PORTS, PORT_WORDS, |word| ports.get(&word).copied().unwrap_or(0))?;
        }
        // Only flows of full-nat services claim ports.
        self.ports = (!allocates_ports(tables)).then(|| ports.clone());
        Ok(())
    }

    fn array<V: Abi>(&self, name: &str, length: u32, value: impl Fn(u32) -> V) -> io::Result<()> {
        let keys: Vec<u32> = (0..length).collect();
        let values: Vec<V> = keys.iter().map(|key| value(*key)).collect();
        self.others[name].update_batch(&keys, &values)
    }

    fn write_slots(&mut self, tables: &HostTables) -> io::Result<()> {
        let wanted = tables.slots.borrow();
        for service in 0..SERVICES as u16 {
            if wanted.get(&service) == self.slots.get(&service) {
                continue;
            }
            let outer = &self.others[names::SLOTS];
            match wanted.get(&service) {
                Some(elements) => {
                    let shape = MapShape {
                        map_type: 2,
                        key_size: 4,
                        value_size: 8,
                        max_entries: elements.len() as u32,
                        flags: names::INNER_MAP_FLAG,
                    };
                    let inner = Map::create(&shape, "SLOTS.test")?;
                    inner.update_batch(&(0..elements.len() as u32).collect::<Vec<_>>(), elements)?;
                    outer.update_inner(service.into(), &inner)?;
                    self.slots.insert(service, elements.clone());
                }
                None => {
                    outer.delete(&u32::from(service))?;
                    self.slots.remove(&service);
                }
            }
        }
        Ok(())
    }

    /// Compares everything that the program may change.
    pub(super) fn compare(&self, tables: &HostTables, tick: u32) -> Result<(), String> {
        let shift = tick.wrapping_sub(tables.now.get());
        compare_v4(&self.v4, &tables.v4, shift)?;
        compare_v6(&self.v6, &tables.v6, shift)?;
        self.same_array(names::ROTATION, |id| {
            tables.rotation.borrow().get(&(id as u16)).copied().map_or(0, u64::from)
        })?;
        self.same_array(names::BACKENDS, |id| -> Backend {
            tables.backends.borrow().get(&id).copied().unwrap_or_default()
        })?;
        self.same_array(names::BACKEND_FLOWS, |id| {
            tables.backend_flows.borrow().get(&id).copied().unwrap_or(0)
        })?;
        self.same_array(names::BACKEND_PLACES, |id| -> Places {
            tables.backend_places.borrow().get(&id).copied().unwrap_or_default()
        })?;
        self.same_array(names::SERVICE_PLACES, |id| -> Places {
            tables.service_places.borrow().get(&id).copied().unwrap_or_default()
        })?;
        let full_at = full_at(tables, shift);
        self.same_array(names::FULL_AT, |family| full_at[family as usize].1)?;
        same("FLOATING", &self.others[names::FLOATING], &floating(tables, shift))?;
        same("RELAYS", &self.others[names::RELAYS], &tables.relays.borrow())?;
        self.same_cookies(tables, shift)?;
        same("AFFINITY", &self.others[names::AFFINITY], &affinity(tables, shift))?;
        self.same_array(names::BACKEND_HOPS, |id| -> NextHop {
            tables.backend_hops.borrow().get(&id).copied().unwrap_or_default()
        })?;
        self.same_array(names::BACKEND_SIGNALS, |id| -> BackendSignals {
            tables.backend_signals.borrow().get(&id).copied().unwrap_or_default()
        })?;
        self.same_latencies(tables)?;
        self.same_array(names::CLIENT_HOPS, |ifindex| -> NextHop {
            tables.client_hops.borrow().get(&ifindex).copied().unwrap_or_default()
        })?;
        if allocates_ports(tables) {
            let ports = tables.ports.borrow();
            self.same_array(names::PORTS, |word| ports.get(&word).copied().unwrap_or(0))?;
        }
        self.same_array(names::INTERFACES, |ifindex| -> Interface {
            tables.interfaces.borrow().get(&ifindex).copied().unwrap_or_default()
        })?;
        for (kind, full_at) in (0_u32..).zip(tables.answers.get()) {
            let touched = self.per_cpu::<u64>(names::ANSWERS, kind)?.iter().any(|full_at| *full_at != 0);
            equal(names::ANSWERS, kind, &touched, &(full_at > tables.nanos.get()))?;
        }
        self.same_admission(tables)?;
        let services = tables.service_counters.borrow();
        self.same_counters(names::SERVICE_COUNTERS, SERVICES, |id| {
            services.get(&(id as u16)).copied().unwrap_or_default()
        })?;
        let backends = tables.backend_counters.borrow();
        self.same_counters(names::BACKEND_COUNTERS, BACKENDS, |id| {
            backends.get(&id).copied().unwrap_or_default()
        })?;
        let interfaces = tables.interface_counters.borrow();
        self.same_interfaces(|ifindex| interfaces.get(&ifindex).copied().unwrap_or_default())?;
        self.same_drops(tables)
    }

    fn same_drops(&self, tables: &HostTables) -> Result<(), String> {
        let drops = tables.drops.borrow();
        (0..self.others[names::DROPS].info().shape.max_entries).try_for_each(|reason| {
            let found: u64 = self.per_cpu::<u64>(names::DROPS, reason)?.iter().sum();
            equal(names::DROPS, reason, &found, &drops.get(&reason).copied().unwrap_or(0))
        })
    }

    /// How many packets were dropped for a reason.
    pub(super) fn dropped(&self, reason: u32) -> Result<u64, String> {
        Ok(self.per_cpu::<u64>(names::DROPS, reason)?.iter().sum())
    }

    fn same_array<V: Abi + Debug + PartialEq>(
        &self,
        name: &str,
        expected: impl Fn(u32) -> V,
    ) -> Result<(), String> {
        let entries = self.others[name].entries::<u32, V>().map_err(|error| format!("{name}: {error}"))?;
        entries.iter().try_for_each(|(index, value)| equal(name, *index, value, &expected(*index)))
    }

    fn per_cpu<V: Abi>(&self, name: &str, index: u32) -> Result<Vec<V>, String> {
        let values = self.others[name].lookup_per_cpu(&index).map_err(|error| format!("{name}: {error}"))?;
        values.ok_or_else(|| format!("{name}[{index}] is missing"))
    }

    fn same_counters(
        &self,
        name: &str,
        length: u32,
        expected: impl Fn(u32) -> TrafficCounters,
    ) -> Result<(), String> {
        (0..length).try_for_each(|index| {
            let values = self.per_cpu::<TrafficCounters>(name, index)?;
            let sum = values.iter().fold(TrafficCounters::default(), |sum, value| TrafficCounters {
                packets_in: sum.packets_in + value.packets_in,
                bytes_in: sum.bytes_in + value.bytes_in,
                packets_out: sum.packets_out + value.packets_out,
                bytes_out: sum.bytes_out + value.bytes_out,
                flows: sum.flows + value.flows,
            });
            equal(name, index, &sum, &expected(index))
        })
    }

    fn same_interfaces(&self, expected: impl Fn(u32) -> InterfaceCounters) -> Result<(), String> {
        (0..INTERFACES).try_for_each(|index| {
            let values = self.per_cpu::<InterfaceCounters>(names::INTERFACE_COUNTERS, index)?;
            let sum = values.iter().fold(InterfaceCounters::default(), |sum, value| InterfaceCounters {
                rx_packets: sum.rx_packets + value.rx_packets,
                rx_bytes: sum.rx_bytes + value.rx_bytes,
                tx_packets: sum.tx_packets + value.tx_packets,
                tx_bytes: sum.tx_bytes + value.tx_bytes,
                passed: sum.passed + value.passed,
                dropped: sum.dropped + value.dropped,
            });
            equal(names::INTERFACE_COUNTERS, index, &sum, &expected(index))
        })
    }
}

/// What the kernel may take for a frame, in the unit of stamps: 1.6 seconds.
const TOLERANCE: u32 = 3 << 19;

fn times_handshakes(tables: &HostTables) -> bool {
    tables.settings.get().flags & SettingsFlags::TIME_HANDSHAKES != 0
}

/// A stamp as it is when the clock is `ahead`.
fn later_stamp(stamp: Stamp, ahead: u32) -> Stamp {
    if stamp.tag == 0 { stamp } else { Stamp { since: stamp.since.wrapping_add(ahead), ..stamp } }
}

fn allocates_ports(tables: &HostTables) -> bool {
    let full_nat = |service: &Service| service.mode == Mode::FullNat as u8;
    tables.v4.services.borrow().values().any(full_nat) || tables.v6.services.borrow().values().any(full_nat)
}

fn equal<V: Debug + PartialEq>(name: &str, index: u32, kernel: &V, model: &V) -> Result<(), String> {
    if kernel == model {
        return Ok(());
    }
    Err(format!("{name}[{index}] differs:\n  kernel {kernel:?}\n  model  {model:?}"))
}

/// Makes a hash map hold these elements and no others.
fn replace<K: Abi + Eq + Hash, V: Abi>(map: &Map, wanted: &HashMap<K, V>) -> io::Result<()> {
    let present: Vec<K> = map.entries::<K, V>()?.into_iter().map(|(key, _)| key).collect();
    map.delete_batch(&present)?;
    wanted.iter().try_for_each(|(key, value)| map.update(key, value))
}

fn same<K, V>(name: &str, map: &Map, model: &HashMap<K, V>) -> Result<(), String>
where
    K: Abi + Debug + Eq + Hash,
    V: Abi + Debug + PartialEq,
{
    let entries = map.entries::<K, V>().map_err(|error| format!("{name}: {error}"))?;
    let kernel: HashMap<K, V> = entries.into_iter().collect();
    if kernel == *model {
        return Ok(());
    }
    let mut text = format!("{name} differs:");
    for (key, value) in kernel.iter().filter(|(key, value)| model.get(key) != Some(value)) {
        text.push_str(&format!("\n  kernel {key:x?}\n      {value:x?}"));
    }
    for (key, value) in model.iter().filter(|(key, value)| kernel.get(key) != Some(value)) {
        text.push_str(&format!("\n  model  {key:x?}\n      {value:x?}"));
    }
    Err(text)
}
