//! A second instance of the program.

use std::{collections::HashMap, io, os::fd::AsFd as _};

use aya::{Ebpf, EbpfLoader, maps::MapData, programs::Xdp};
use lb_common::{
    abi::{Abi, Flow, FlowKey, FragmentKey, InterfaceCounters, Refusals, TrafficCounters},
    host::{HostEntry, Side},
    maps,
};

use super::{Live, copy::Copy, live::find};
use crate::sys::bpf::{Map, MapShape, run_frame};

/// Elements of the tables that hold single keys only.
const FEW: u32 = 4096;
/// Name of the program in the object.
const PROGRAM: &str = "lb";
const ARRAY: u32 = 2;

/// How large the maps have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Highest id of a service, plus 1.
    pub services: u32,
    /// Highest id of a backend, plus 1.
    pub backends: u32,
    /// Words of port pools.
    pub port_words: u32,
}

impl Extent {
    /// As large as the live maps are.
    #[must_use]
    pub fn of(live: &Live) -> Self {
        Self {
            services: live.entries(maps::SLOTS),
            backends: live.entries(maps::BACKENDS),
            port_words: live.entries(maps::PORTS),
        }
    }

    fn entries(&self, live: &Live, name: &str) -> u32 {
        match name {
            maps::SLOTS
            | maps::ROTATION
            | maps::SERVICE_COUNTERS
            | maps::SERVICE_PLACES
            | maps::ADMISSION
            | maps::SERVICE_BUCKETS
            | maps::SERVICE_REFUSALS
            | maps::SYN_COOKIES => self.services,
            maps::BACKENDS
            | maps::BACKEND_FLOWS
            | maps::BACKEND_LIMITS
            | maps::BACKEND_PLACES
            | maps::BACKEND_HOPS
            | maps::BACKEND_SIGNALS
            | maps::BACKEND_LATENCIES
            | maps::BACKEND_COUNTERS => self.backends,
            maps::PORTS => self.port_words,
            maps::FLOWS_V4
            | maps::FLOWS_V6
            | maps::EMBRYONIC_V4
            | maps::EMBRYONIC_V6
            | maps::FRAGMENTS_V4
            | maps::FRAGMENTS_V6
            | maps::ACL_V4
            | maps::ACL_V6
            | maps::SOURCES
            | maps::AFFINITY
            | maps::COOKIES_V4
            | maps::COOKIES_V6 => FEW,
            _ => live.entries(name),
        }
    }
}

/// The program with maps of its own, which nothing else knows.
#[derive(Debug)]
pub struct Trial {
    ebpf: Ebpf,
    maps: HashMap<&'static str, Map>,
    /// Slot tables in place.
    held: HashMap<u16, Vec<[u32; 2]>>,
    /// Whether the maps hold nothing yet.
    fresh: bool,
}

impl Trial {
    /// Loads the program of `object`. The verifier takes the better part of a second.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn load(object: &[u8], live: &Live, extent: Extent) -> io::Result<Self> {
        let level = 0_u8;
        let mut loader = EbpfLoader::new();
        loader.override_global("AYA_LOG_LEVEL", &level, false);
        for name in maps::ALL {
            loader.map_max_entries(name, extent.entries(live, name));
        }
        let other = |error: &dyn std::error::Error| {
            io::Error::other(format!("cannot load a second program: {}", causes(error)))
        };
        let mut ebpf = loader.load(object).map_err(|error| other(&error))?;
        let mut own = HashMap::new();
        for name in maps::ALL {
            let map =
                ebpf.map(name).ok_or_else(|| io::Error::other(format!("the object has no map {name}")))?;
            let fd = data(map)?.fd().as_fd().try_clone_to_owned()?;
            own.insert(*name, Map::from_fd(fd)?);
        }
        program(&mut ebpf)?.load().map_err(|error| other(&error))?;
        Ok(Self { ebpf, maps: own, held: HashMap::new(), fresh: true })
    }

    /// Tag of its instructions: the same for the same code.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn tag(&mut self) -> io::Result<u64> {
        program(&mut self.ebpf)?.info().map(|info| info.tag()).map_err(io::Error::other)
    }

    /// Makes its maps hold the copy, and its counters 0.
    pub(super) fn fill(&mut self, live: &Live, copy: &Copy) -> io::Result<()> {
        let tables = &copy.tables;
        self.map(maps::SETTINGS)?.update(&0_u32, &tables.settings.get())?;
        for (index, full_at) in [(maps::FULL_V4, &tables.v4.full_at), (maps::FULL_V6, &tables.v6.full_at)] {
            self.map(maps::FULL_AT)?.update(&index, &full_at.get())?;
        }
        self.family::<u32>(copy, [maps::FLOWS_V4, maps::EMBRYONIC_V4, maps::FRAGMENTS_V4])?;
        self.family::<[u32; 4]>(copy, [maps::FLOWS_V6, maps::EMBRYONIC_V6, maps::FRAGMENTS_V6])?;
        self.replace(maps::SERVICES_V4, &tables.v4.services.borrow())?;
        self.replace(maps::SERVICES_V6, &tables.v6.services.borrow())?;
        self.replace(maps::ORIGINS_V4, &tables.v4.origins.borrow())?;
        self.replace(maps::ORIGINS_V6, &tables.v6.origins.borrow())?;
        self.replace(maps::AFFINITY, &tables.affinity.borrow())?;
        self.replace(maps::COOKIES_V4, &tables.v4.cookies.borrow())?;
        self.replace(maps::COOKIES_V6, &tables.v6.cookies.borrow())?;
        self.array(maps::SYN_COOKIES, &tables.syn_cookies.borrow())?;
        self.map(maps::SYN_COOKIES)?.update(&0_u32, &tables.cookie_secret.get())?;
        self.replace(maps::ACL_V4, &tables.v4.acl.borrow())?;
        self.replace(maps::ACL_V6, &tables.v6.acl.borrow())?;
        self.replace(maps::SOURCES, &tables.sources.borrow())?;
        self.array(maps::ADMISSION, &tables.admissions.borrow())?;
        self.array(maps::SERVICE_BUCKETS, &tables.service_buckets.borrow())?;
        self.replace(maps::FLOATING, &tables.floating.borrow())?;
        self.replace(maps::RELAYS, &tables.relays.borrow())?;
        self.array(maps::BACKENDS, &tables.backends.borrow())?;
        self.array(maps::BACKEND_FLOWS, &tables.backend_flows.borrow())?;
        self.array(maps::BACKEND_LIMITS, &tables.limits.borrow())?;
        self.array(maps::BACKEND_PLACES, &tables.backend_places.borrow())?;
        self.array(maps::SERVICE_PLACES, &tables.service_places.borrow())?;
        self.array(maps::BACKEND_HOPS, &tables.backend_hops.borrow())?;
        self.array(maps::CLIENT_HOPS, &tables.client_hops.borrow())?;
        self.array(maps::INTERFACES, &tables.interfaces.borrow())?;
        self.array(maps::VIRTUAL_MACS, &tables.virtual_macs.borrow())?;
        self.array(maps::PORTS, &tables.ports.borrow())?;
        let rotation = tables.rotation.borrow();
        let rotation: HashMap<u32, u64> =
            rotation.iter().map(|(id, counter)| (u32::from(*id), u64::from(*counter))).collect();
        self.array(maps::ROTATION, &rotation)?;
        let snat = tables.snat_addresses.borrow();
        self.array(maps::SNAT_ADDRESSES, &(0..).zip(snat.iter().copied()).collect())?;
        let own = live.map(maps::OWN_ADDRESSES)?.entries::<u32, u64>()?;
        self.array(maps::OWN_ADDRESSES, &own.into_iter().collect())?;
        for (kind, full_at) in (0_u32..).zip(tables.answers.get()) {
            self.map(maps::ANSWERS)?.update(&kind, &full_at)?;
        }
        self.slots(copy)?;
        self.clear::<TrafficCounters>(maps::SERVICE_COUNTERS)?;
        self.clear::<TrafficCounters>(maps::BACKEND_COUNTERS)?;
        self.clear::<InterfaceCounters>(maps::INTERFACE_COUNTERS)?;
        self.clear::<Refusals>(maps::SERVICE_REFUSALS)?;
        self.clear::<u64>(maps::DROPS)?;
        self.fresh = false;
        Ok(())
    }

    /// Runs a frame; the XDP action, and the frame afterwards.
    pub(super) fn run(&mut self, ingress: u32, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
        let fd = program(&mut self.ebpf)?.fd().map_err(io::Error::other)?.as_fd().try_clone_to_owned()?;
        run_frame(fd.as_fd(), ingress, frame)
    }

    pub(super) fn entries<K: Abi, V: Abi>(&self, name: &str) -> io::Result<Vec<(K, V)>> {
        self.map(name)?.entries()
    }

    pub(super) fn map(&self, name: &str) -> io::Result<&Map> {
        find(&self.maps, name)
    }

    fn family<A: Side>(&self, copy: &Copy, [flows, embryonic, fragments]: [&str; 3]) -> io::Result<()>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
        FragmentKey<A>: Abi,
    {
        let family = A::side(&copy.tables);
        for (name, table) in [(flows, &family.flows), (embryonic, &family.embryonic)] {
            let table = table.borrow();
            let entries = table.iter().map(|(key, HostEntry(cell))| (*key, cell.get())).collect();
            self.replace::<FlowKey<A>, Flow<A>>(name, &entries)?;
        }
        self.replace(fragments, &family.fragments.borrow())
    }

    /// Makes a hash map hold these elements and no others.
    fn replace<K: Abi, V: Abi>(&self, name: &str, wanted: &HashMap<K, V>) -> io::Result<()> {
        let map = self.map(name)?;
        if !self.fresh {
            let present: Vec<K> = map.entries::<K, V>()?.into_iter().map(|(key, _)| key).collect();
            map.delete_batch(&present)?;
        }
        wanted.iter().try_for_each(|(key, value)| map.update(key, value))
    }

    /// Makes an array hold these elements and otherwise zeros.
    fn array<V: Abi + Default + PartialEq>(&self, name: &str, wanted: &HashMap<u32, V>) -> io::Result<()> {
        let map = self.map(name)?;
        let length = map.info().shape.max_entries;
        let present = if self.fresh { Vec::new() } else { map.entries::<u32, V>()? };
        let mut values: HashMap<u32, V> = present
            .into_iter()
            .filter(|(_, value)| *value != V::default())
            .map(|(index, _)| (index, V::default()))
            .collect();
        values.extend(
            wanted.iter().filter(|(index, _)| **index < length).map(|(index, value)| (*index, *value)),
        );
        let (indexes, values): (Vec<u32>, Vec<V>) = values.into_iter().unzip();
        if indexes.is_empty() { Ok(()) } else { map.update_batch(&indexes, &values) }
    }

    fn clear<V: Abi + Default>(&self, name: &str) -> io::Result<()> {
        if self.fresh {
            return Ok(());
        }
        let map = self.map(name)?;
        (0..map.info().shape.max_entries).try_for_each(|index| map.update(&index, &V::default()))
    }

    /// Each change waits for the kernel's RCU: only what is another is changed.
    fn slots(&mut self, copy: &Copy) -> io::Result<()> {
        let outer = find(&self.maps, maps::SLOTS)?;
        let wanted = copy.tables.slots.borrow();
        let gone: Vec<u16> = self.held.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        for service in gone {
            outer.delete(&u32::from(service))?;
            self.held.remove(&service);
        }
        for (service, elements) in wanted.iter().filter(|(id, elements)| self.held.get(id) != Some(elements))
        {
            let shape = MapShape {
                map_type: ARRAY,
                key_size: 4,
                value_size: 8,
                max_entries: elements.len() as u32,
                flags: maps::INNER_MAP_FLAG,
            };
            let inner = Map::create(&shape, "SLOTS.trial")?;
            inner.update_batch(&(0..elements.len() as u32).collect::<Vec<u32>>(), elements)?;
            outer.update_inner((*service).into(), &inner)?;
        }
        self.held = wanted.clone();
        Ok(())
    }
}

/// The map that aya opened.
fn data(map: &aya::maps::Map) -> io::Result<&MapData> {
    use aya::maps::Map;
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data) => Ok(data),
        _ => Err(io::Error::other("the object has a map of another type than expected")),
    }
}

/// An error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn program(ebpf: &mut Ebpf) -> io::Result<&mut Xdp> {
    let program = ebpf.program_mut(PROGRAM).map(TryInto::try_into);
    match program {
        Some(Ok(xdp)) => Ok(xdp),
        _ => Err(io::Error::other(format!("the object has no XDP program named {PROGRAM}"))),
    }
}
