//! What a packet may meet, taken from the live maps.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use lb_common::{
    abi::{
        Abi, AclData, AclKey, AclRule, Admission, Affinity, Answer, Backend, BackendLimits, Buckets, Cookie,
        Floating, Flow, FlowKey, FragmentKey, FragmentPorts, Interface, Mode, NextHop, Origin, Places, Relay,
        Service, ServiceKey, Settings, Source, SynCookies, TICK_SHIFT, VirtualMacs,
    },
    host::{self, HostEntry, HostTables, Side},
    maps,
    tables::{FibResult, Tier},
};

use super::{Extent, Live, SlotTables, Trial};
use crate::plan::NO_POOL;

/// A copy of the tables, as far as packets need it, at one tick.
#[derive(Debug)]
pub(super) struct Copy {
    /// In the form of the host model.
    pub(super) tables: HostTables,
    v4: HashSet<FlowKey<u32>>,
    v6: HashSet<FlowKey<[u32; 4]>>,
    /// The key under which the packet's flow was looked for.
    pub(super) key: Option<Key>,
}

/// A key of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    V4(FlowKey<u32>),
    V6(FlowKey<[u32; 4]>),
}

/// The part of one address family.
pub(super) trait Part: Side
where
    FlowKey<Self>: Abi,
    Flow<Self>: Abi,
{
    /// Names of the maps: established, embryonic, fragments, cookies.
    const MAPS: [&'static str; 4];
    /// The keys that were looked up already.
    fn known(copy: &mut Copy) -> &mut HashSet<FlowKey<Self>>;
}

impl Part for u32 {
    const MAPS: [&'static str; 4] =
        [maps::FLOWS_V4, maps::EMBRYONIC_V4, maps::FRAGMENTS_V4, maps::COOKIES_V4];

    fn known(copy: &mut Copy) -> &mut HashSet<FlowKey<Self>> {
        &mut copy.v4
    }
}

impl Part for [u32; 4] {
    const MAPS: [&'static str; 4] =
        [maps::FLOWS_V6, maps::EMBRYONIC_V6, maps::FRAGMENTS_V6, maps::COOKIES_V6];

    fn known(copy: &mut Copy) -> &mut HashSet<FlowKey<Self>> {
        &mut copy.v6
    }
}

impl Copy {
    /// Copies everything but what is found by the addresses of packets.
    pub(super) fn take(live: &Live, now: u32) -> io::Result<Self> {
        let tables = HostTables::default();
        tables.now.set(now);
        // The end of the tick: what a bucket may let in is brought.
        tables.nanos.set((u64::from(now) + 1) << TICK_SHIFT);
        tables.settings.set(live.map(maps::SETTINGS)?.lookup(&0_u32)?.unwrap_or_else(Settings::default));
        family::<u32>(live, &tables, [maps::SERVICES_V4, maps::ORIGINS_V4])?;
        family::<[u32; 4]>(live, &tables, [maps::SERVICES_V6, maps::ORIGINS_V6])?;
        array::<Backend>(live, maps::BACKENDS, &mut tables.backends.borrow_mut())?;
        array::<u64>(live, maps::BACKEND_FLOWS, &mut tables.backend_flows.borrow_mut())?;
        array::<BackendLimits>(live, maps::BACKEND_LIMITS, &mut tables.limits.borrow_mut())?;
        array::<Places>(live, maps::BACKEND_PLACES, &mut tables.backend_places.borrow_mut())?;
        array::<Places>(live, maps::SERVICE_PLACES, &mut tables.service_places.borrow_mut())?;
        array::<Admission>(live, maps::ADMISSION, &mut tables.admissions.borrow_mut())?;
        array::<Buckets>(live, maps::SERVICE_BUCKETS, &mut tables.service_buckets.borrow_mut())?;
        array::<SynCookies>(live, maps::SYN_COOKIES, &mut tables.syn_cookies.borrow_mut())?;
        tables.syn_cookies.borrow_mut().remove(&0);
        tables.cookie_secret.set(live.map(maps::SYN_COOKIES)?.lookup(&0_u32)?.unwrap_or_default());
        array::<NextHop>(live, maps::BACKEND_HOPS, &mut tables.backend_hops.borrow_mut())?;
        array::<NextHop>(live, maps::CLIENT_HOPS, &mut tables.client_hops.borrow_mut())?;
        array::<Interface>(live, maps::INTERFACES, &mut tables.interfaces.borrow_mut())?;
        array::<VirtualMacs>(live, maps::VIRTUAL_MACS, &mut tables.virtual_macs.borrow_mut())?;
        let addresses = live.map(maps::SNAT_ADDRESSES)?.entries::<u32, [u32; 4]>()?;
        tables.snat_addresses.replace(addresses.into_iter().map(|(_, address)| address).collect());
        tables.port_words.set(live.entries(maps::PORTS));
        tables.answers.set(answers(live)?);
        for (index, full_at) in [(maps::FULL_V4, &tables.v4.full_at), (maps::FULL_V6, &tables.v6.full_at)] {
            full_at.set(live.map(maps::FULL_AT)?.lookup(&index)?.unwrap_or_default());
        }
        tables.floating.borrow_mut().extend(live.map(maps::FLOATING)?.entries::<[u32; 4], Floating>()?);
        tables.relays.borrow_mut().extend(live.map(maps::RELAYS)?.entries::<[u32; 4], Relay>()?);
        let copy = Self { tables, v4: HashSet::new(), v6: HashSet::new(), key: None };
        copy.rotations(live)?;
        Ok(copy)
    }

    /// Brings what a frame may meet, as the host model finds its way: where routes lead does not matter to it, so that a new flow gets
    /// as far as its entries.
    pub(super) fn follow(
        &mut self,
        live: &Live,
        slots: SlotTables<'_>,
        (ingress, frame): (u32, &[u8]),
    ) -> io::Result<()> {
        for _ in 0..super::MOST_ROUNDS {
            let trial = self.duplicate(ingress);
            let _ = host::run(frame, ingress, &trial);
            let asked = trial.asked.take().unwrap_or_default();
            self.key = self.key.or_else(|| {
                let v4 = asked.v4.first().map(|key| Key::V4(*key));
                v4.or_else(|| asked.v6.first().map(|key| Key::V6(*key)))
            });
            let mut more = self.slot_tables(slots, &asked.slots);
            for key in asked.affinities {
                if !self.tables.affinity.borrow().contains_key(&key)
                    && let Some(found) = live.map(maps::AFFINITY)?.lookup::<_, Affinity>(&key)?
                {
                    self.tables.affinity.borrow_mut().insert(key, found);
                    more = true;
                }
            }
            for key in asked.sources {
                if !self.tables.sources.borrow().contains_key(&key)
                    && let Some(found) = live.map(maps::SOURCES)?.lookup::<_, Source>(&key)?
                {
                    self.tables.sources.borrow_mut().insert(key, found);
                    more = true;
                }
            }
            more |= self.rules(live, maps::ACL_V4, &asked.acl_v4)?;
            more |= self.rules(live, maps::ACL_V6, &asked.acl_v6)?;
            more |= self.fragments(live, &asked.fragments_v4)?;
            more |= self.fragments(live, &asked.fragments_v6)?;
            more |= self.cookies(live, &asked.cookies_v4)?;
            more |= self.cookies(live, &asked.cookies_v6)?;
            more |= self.flows(live, &asked.v4)?;
            more |= self.flows(live, &asked.v6)?;
            more |= self.ports(live, &asked.port_words)?;
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Whether the program met keys that nobody looked up in the live tables, and that are there; they are brought.
    pub(super) fn lacks(&mut self, live: &Live, trial: &Trial) -> io::Result<bool> {
        let mut lacks = false;
        for name in [maps::FLOWS_V4, maps::EMBRYONIC_V4] {
            let keys: Vec<_> =
                trial.entries::<FlowKey<u32>, Flow<u32>>(name)?.into_iter().map(|entry| entry.0).collect();
            lacks |= self.flows(live, &keys)?;
        }
        for name in [maps::FLOWS_V6, maps::EMBRYONIC_V6] {
            let keys: Vec<_> = trial
                .entries::<FlowKey<[u32; 4]>, Flow<[u32; 4]>>(name)?
                .into_iter()
                .map(|entry| entry.0)
                .collect();
            lacks |= self.flows(live, &keys)?;
        }
        Ok(lacks)
    }

    /// How large the maps of a trial have to be.
    pub(super) fn extent(&self) -> Extent {
        let tables = &self.tables;
        let highest = |ids: Option<u32>| ids.unwrap_or(0) + 1;
        let services = tables.v4.services.borrow().values().map(|service| service.id).max();
        let services = services.max(tables.v6.services.borrow().values().map(|service| service.id).max());
        Extent {
            services: highest(services.map(u32::from)),
            backends: highest(tables.backends.borrow().keys().max().copied()),
            port_words: highest(tables.ports.borrow().keys().max().copied()),
        }
    }

    /// The live entries of flows with these keys and their other directions; whether there were some that the copy did not have.
    fn flows<A: Part>(&mut self, live: &Live, keys: &[FlowKey<A>]) -> io::Result<bool>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        let mut keys = keys.to_vec();
        let mut more = false;
        while let Some(key) = keys.pop() {
            if !A::known(self).insert(key) {
                continue;
            }
            for (name, tier) in [(A::MAPS[0], Tier::Established), (A::MAPS[1], Tier::Embryonic)] {
                let Some(flow) = live.map(name)?.lookup::<FlowKey<A>, Flow<A>>(&key)? else { continue };
                let family = A::side(&self.tables);
                let table = if tier == Tier::Established { &family.flows } else { &family.embryonic };
                table.borrow_mut().insert(key, HostEntry::new(flow));
                keys.push(flow.twin_key(key.proto));
                more = true;
            }
        }
        Ok(more)
    }

    /// The rules of lists that were asked for.
    fn rules<A: Part>(&self, live: &Live, name: &str, keys: &[AclKey<A>]) -> io::Result<bool>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
        AclKey<A>: Abi,
    {
        let mut more = false;
        for key in keys {
            let Some(rule) = live.map(name)?.lookup::<_, AclRule>(key)? else { continue };
            let addr = key.data.addr.prefix(rule.bits as u8);
            let found = AclKey {
                bits: AclData::<A>::LIST_BITS + u32::from(rule.bits),
                data: AclData { addr, ..key.data },
            };
            more |= A::side(&self.tables).acl.borrow_mut().insert(found, rule).is_none();
        }
        Ok(more)
    }

    fn fragments<A: Part>(&mut self, live: &Live, keys: &[FragmentKey<A>]) -> io::Result<bool>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
        FragmentKey<A>: Abi,
    {
        let mut more = false;
        let fragments = &A::side(&self.tables).fragments;
        for key in keys {
            if fragments.borrow().contains_key(key) {
                continue;
            }
            if let Some(ports) = live.map(A::MAPS[2])?.lookup::<_, FragmentPorts>(key)? {
                fragments.borrow_mut().insert(*key, ports);
                more = true;
            }
        }
        Ok(more)
    }

    fn cookies<A: Part>(&mut self, live: &Live, keys: &[FlowKey<A>]) -> io::Result<bool>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        let mut more = false;
        let cookies = &A::side(&self.tables).cookies;
        for key in keys {
            if !cookies.borrow().contains_key(key)
                && let Some(cookie) = live.map(A::MAPS[3])?.lookup::<_, Cookie>(key)?
            {
                cookies.borrow_mut().insert(*key, cookie);
                more = true;
            }
        }
        Ok(more)
    }

    /// The port pools of the backends whose ports were asked for.
    fn ports(&mut self, live: &Live, words: &[u32]) -> io::Result<bool> {
        let map = live.map(maps::PORTS)?;
        let mut more = false;
        let mut ports = self.tables.ports.borrow_mut();
        let services: Vec<Service> = self.full_nat();
        for word in words {
            let pool = word / maps::PORT_WORDS;
            let backends = self.tables.backends.borrow();
            let of = backends.values().find(|backend| {
                let of = services.iter().find(|service| service.id == backend.service);
                of.is_some_and(|service| {
                    backend.pool_base != NO_POOL
                        && (backend.pool_base..backend.pool_base + u32::from(service.snat_count))
                            .contains(&pool)
                })
            });
            let count = of.and_then(|backend| services.iter().find(|service| service.id == backend.service));
            let first = of.map_or(pool, |backend| backend.pool_base);
            let pools = first..first + count.map_or(1, |service| u32::from(service.snat_count));
            for index in pools.start * maps::PORT_WORDS..pools.end * maps::PORT_WORDS {
                if ports.contains_key(&index) {
                    break;
                }
                ports.insert(index, map.lookup::<u32, u64>(&index)?.unwrap_or(u64::MAX));
                more = true;
            }
        }
        Ok(more)
    }

    fn full_nat(&self) -> Vec<Service> {
        let (v4, v6) = (self.tables.v4.services.borrow(), self.tables.v6.services.borrow());
        let all = v4.values().chain(v6.values());
        all.filter(|service| service.mode == Mode::FullNat as u8).copied().collect()
    }

    fn rotations(&self, live: &Live) -> io::Result<()> {
        let counters = live.map(maps::ROTATION)?.entries::<u32, u64>()?;
        let counters = counters.into_iter().filter(|(_, counter)| *counter != 0);
        self.tables.rotation.borrow_mut().extend(counters.map(|(id, counter)| (id as u16, counter as u32)));
        Ok(())
    }

    fn slot_tables(&mut self, slots: SlotTables<'_>, services: &[u16]) -> bool {
        let mut more = false;
        for id in services {
            if !self.tables.slots.borrow().contains_key(id)
                && let Some(table) = slots(*id)
            {
                self.tables.set_slots(*id, &table);
                more = true;
            }
        }
        more
    }

    /// Tables for the host model to change, with what it asks for noted, and every route leading back out of `ingress`.
    fn duplicate(&self, ingress: u32) -> HostTables {
        let from = &self.tables;
        let to = HostTables::default();
        to.asked.replace(Some(host::Asked::default()));
        to.now.set(from.now.get());
        to.nanos.set(from.nanos.get());
        to.settings.set(from.settings.get());
        to.port_words.set(from.port_words.get());
        to.answers.set(from.answers.get());
        to.cookie_secret.set(from.cookie_secret.get());
        macro_rules! same {
            ($($field:ident),+) => { $(to.$field.replace(from.$field.borrow().clone());)+ };
        }
        same!(
            slots,
            rotation,
            backends,
            backend_flows,
            limits,
            backend_places,
            service_places,
            affinity,
            admissions,
            service_buckets,
            sources,
            syn_cookies,
            backend_hops,
            client_hops,
            floating,
            relays,
            snat_addresses,
            ports,
            interfaces,
            virtual_macs
        );
        duplicate_family::<u32>(from, &to);
        duplicate_family::<[u32; 4]>(from, &to);
        let ifindex = u16::try_from(ingress).unwrap_or(u16::MAX);
        to.default_route.set(Some(FibResult::NextHop(NextHop { dmac: [2; 6], ifindex, generation: 0 })));
        to
    }
}

fn duplicate_family<A: Side>(from: &HostTables, to: &HostTables) {
    let (from, to) = (A::side(from), A::side(to));
    to.full_at.set(from.full_at.get());
    to.services.replace(from.services.borrow().clone());
    to.origins.replace(from.origins.borrow().clone());
    to.acl.replace(from.acl.borrow().clone());
    to.cookies.replace(from.cookies.borrow().clone());
    to.fragments.replace(from.fragments.borrow().clone());
    for (from, to) in [(&from.flows, &to.flows), (&from.embryonic, &to.embryonic)] {
        let flows = from.borrow();
        to.replace(flows.iter().map(|(key, entry)| (*key, HostEntry::new(entry.0.get()))).collect());
    }
}

fn family<A: Side>(live: &Live, tables: &HostTables, [services, origins]: [&str; 2]) -> io::Result<()>
where
    ServiceKey<A>: Abi,
    Origin<A>: Abi,
{
    let family = A::side(tables);
    family.services.borrow_mut().extend(live.map(services)?.entries::<ServiceKey<A>, Service>()?);
    family.origins.borrow_mut().extend(live.map(origins)?.entries::<ServiceKey<A>, Origin<A>>()?);
    Ok(())
}

/// The buckets of what the program sends on its own, as on the CPU where they are fullest.
fn answers(live: &Live) -> io::Result<[u64; Answer::COUNT]> {
    let map = live.map(maps::ANSWERS)?;
    let mut fullest = [0; Answer::COUNT];
    for (kind, full_at) in (0_u32..).zip(&mut fullest) {
        *full_at = map.lookup_per_cpu(&kind)?.unwrap_or_default().into_iter().min().unwrap_or_default();
    }
    Ok(fullest)
}

/// The elements of an array that are not all 0.
fn array<V: Abi + Default + PartialEq>(live: &Live, name: &str, to: &mut HashMap<u32, V>) -> io::Result<()> {
    let entries = live.map(name)?.entries::<u32, V>()?;
    to.extend(entries.into_iter().filter(|(_, value)| *value != V::default()));
    Ok(())
}
