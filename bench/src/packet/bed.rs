//! The test bed: the balancer's program with maps of chosen sizes, filled by hand for the network of the packet cases. `lbd` has no
//! part in it.

use std::{fmt, os::fd::AsFd, path::Path};

use anyhow::{Context, Result};
use aya::{Ebpf, EbpfLoader, programs::Xdp};
use lb_common::{
    abi::{
        Abi, Backend, BackendFlags, BackendState, Flow, FlowFlags, FlowKey, FlowState, Mode, NextHop,
        Selector, Service, ServiceKey, TrafficCounters, ticks_from_nanos,
    },
    host::words,
    maps::{self as names, INNER_MAP_FLAG, address_bit, slot_elements, slot_position},
};
use lb_tests::{
    packets::world::{self, CLIENTS, GENERATION, SERVERS},
    temporary::BpfFs,
};
use lb_userspace::sys::{
    bpf::{Map, MapShape},
    clock::monotonic_nanos,
};

use super::programs::{Template, Wrapped};

/// Slots of every service.
const SLOTS: u32 = 1009;
/// Backend ids; the service's id is 1.
pub(super) const NEAR: u32 = 1;
pub(super) const FAR: u32 = 2;
/// Id of the service.
pub(super) const SERVICE: u16 = 1;

/// The program with its maps.
pub(super) struct Bed {
    pins: BpfFs,
    ebpf: Ebpf,
}

impl fmt::Debug for Bed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bed").field("pins", &self.pins).finish_non_exhaustive()
    }
}

/// The ABI types of an address family, and the tables they are in.
pub(super) trait Tables: lb_common::abi::Address {
    const FLOWS: &'static str;
    const SERVICES: &'static str;
}

impl Tables for u32 {
    const FLOWS: &'static str = names::FLOWS_V4;
    const SERVICES: &'static str = names::SERVICES_V4;
}

impl Tables for [u32; 4] {
    const FLOWS: &'static str = names::FLOWS_V6;
    const SERVICES: &'static str = names::SERVICES_V6;
}

impl Bed {
    /// Loads the program with default sizes but for `sizes`, and tells it of the network of the packet cases.
    pub(super) fn new(sizes: &[(&str, u32)]) -> Result<Self> {
        let pins = BpfFs::mount()?;
        let mut loader = EbpfLoader::new();
        for name in names::ALL {
            loader.map_pin_path(name, pins.path().join(name));
        }
        for (name, entries) in sizes {
            loader.map_max_entries(name, *entries);
        }
        loader.override_global("AYA_LOG_LEVEL", &0_u8, false);
        let ebpf = loader.load(lb_userspace::loader::OBJECT).context("cannot load the object")?;
        let mut bed = Self { pins, ebpf };
        bed.program()?.load().context("the kernel refuses the program")?;
        bed.write_world()?;
        Ok(bed)
    }

    fn program(&mut self) -> Result<&mut Xdp> {
        Ok(self.ebpf.program_mut("lb").context("the object has no program named lb")?.try_into()?)
    }

    /// The program in the wrapper of a frame.
    pub(super) fn wrap(&mut self, template: &Template) -> Result<Wrapped> {
        let program = self.program()?;
        Ok(Wrapped::new(template, program.fd()?.as_fd())?)
    }

    /// One of its maps.
    pub(super) fn map(&self, name: &str) -> Result<Map> {
        open(self.pins.path(), name)
    }

    fn write_world(&self) -> Result<()> {
        let tables = world::tables();
        let mut settings = tables.settings.get();
        // No flow of a measurement dies of old age.
        settings.timeouts = [1 << 20; 16];
        self.map(names::SETTINGS)?.update(&0_u32, &settings)?;
        let interfaces = self.map(names::INTERFACES)?;
        for (ifindex, interface) in tables.interfaces.borrow().iter() {
            interfaces.update(ifindex, interface)?;
        }
        Ok(())
    }

    /// Adds a service whose flows all go to one backend.
    pub(super) fn add_service<A: Tables>(&self, keys: &[ServiceKey<A>], id: u16, mode: Mode) -> Result<()>
    where
        ServiceKey<A>: Abi,
    {
        let service = Service {
            id,
            mode: mode as u8,
            selector: Selector::FlowHash as u8,
            affinity_prefix: 128,
            snat_count: 1,
            ..Service::default()
        };
        let services = self.map(A::SERVICES)?;
        for key in keys {
            services.update(key, &service)?;
        }
        Ok(())
    }

    /// Points the slots of services at a backend; each gets a table of its own.
    pub(super) fn fill_slots(&self, services: impl Iterator<Item = u16>, backend: u32) -> Result<()> {
        /// Tables that are open at a time.
        const AT_ONCE: usize = 512;
        let (outer, services) = (self.map(names::SLOTS)?, services.collect::<Vec<_>>());
        for services in services.chunks(AT_ONCE) {
            let tables = services.iter().map(|_| slot_table(backend)).collect::<Result<Vec<_>>>()?;
            let entries: Vec<_> = services.iter().map(|id| u32::from(*id)).zip(&tables).collect();
            outer.update_inner_batch(&entries)?;
        }
        Ok(())
    }

    /// Adds an active backend.
    pub(super) fn add_backend(&self, id: u32, backend: Backend) -> Result<()> {
        let backend = Backend { state: BackendState::Active as u8, weight: 1, ..backend };
        Ok(self.map(names::BACKENDS)?.update(&id, &backend)?)
    }

    /// Says which addresses are ours.
    pub(super) fn own_addresses(&self, addresses: &[std::net::IpAddr]) -> Result<()> {
        self.own_addresses_words(addresses.iter().copied().map(words))
    }

    /// As [`Self::own_addresses`], for addresses in wire order.
    pub(super) fn own_addresses_words(&self, addresses: impl Iterator<Item = [u32; 4]>) -> Result<()> {
        let map = self.map(names::OWN_ADDRESSES)?;
        for (word, bit) in addresses.map(address_bit) {
            let bits: u64 = map.lookup(&word)?.unwrap_or(0);
            map.update(&word, &(bits | 1 << bit))?;
        }
        Ok(())
    }

    /// Stores established flows; `flow_of` makes the two entries of flow `n`.
    pub(super) fn add_flows<A: Tables>(&self, count: u32, flow_of: impl Fn(u32) -> Entries<A>) -> Result<()>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        const AT_ONCE: u32 = 1 << 14;
        let table = self.map(A::FLOWS)?;
        for first in (0..count).step_by(AT_ONCE as usize) {
            let chunk: Vec<_> = (first..count.min(first + AT_ONCE)).flat_map(&flow_of).collect();
            let (keys, values): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
            table.update_batch(&keys, &values)?;
        }
        Ok(())
    }

    /// Packets of a service's flows that were forwarded, and flows that were begun.
    pub(super) fn counted(&self, service: u16) -> Result<(u64, u64)> {
        let counters = self.map(names::SERVICE_COUNTERS)?;
        let values: Vec<TrafficCounters> =
            counters.lookup_per_cpu(&u32::from(service))?.context("no such service")?;
        let packets = values.iter().map(|value| value.packets_in + value.packets_out).sum();
        Ok((packets, values.iter().map(|value| value.flows).sum()))
    }
}

/// A slot table of one backend.
fn slot_table(backend: u32) -> Result<Map> {
    let shape = MapShape {
        map_type: 2,
        key_size: 4,
        value_size: 8,
        max_entries: slot_elements(SLOTS),
        flags: INNER_MAP_FLAG,
    };
    let inner = Map::create(&shape, "bench_slots")?;
    let mut elements = vec![[0; 2]; slot_elements(SLOTS) as usize];
    elements[0][0] = SLOTS;
    for slot in 0..SLOTS {
        let (element, half) = slot_position(slot);
        elements[element as usize][half] = backend;
    }
    let indices: Vec<u32> = (0..slot_elements(SLOTS)).collect();
    inner.update_batch(&indices, &elements)?;
    Ok(inner)
}

fn open(pins: &Path, name: &str) -> Result<Map> {
    Map::open(&pins.join(name)).with_context(|| format!("cannot open {name}"))
}

/// The entries of both directions.
pub(super) type Entries<A> = [(FlowKey<A>, Flow<A>); 2];

/// Both directions of an established flow from the tuple of the client's packets and that of the packets to the backend. The
/// checksum deltas are not right, which costs nothing.
pub(super) fn established<A: Tables>(
    outside: FlowKey<A>,
    inside: FlowKey<A>,
    (service, backend): (u16, u32),
) -> Entries<A> {
    let state = if outside.proto == 6 { FlowState::Established } else { FlowState::UdpEstablished };
    let flow = |to: FlowKey<A>, ifindex: u32, flags| Flow {
        src: to.src,
        dst: to.dst,
        sport: to.sport,
        dport: to.dport,
        l3_delta: 0x1234,
        l4_delta: 0x4321,
        next_hop: NextHop { dmac: [2, 4, 1, 2, 3, 4], ifindex: ifindex as u16, generation: GENERATION },
        backend,
        last_seen: ticks_from_nanos(monotonic_nanos()),
        service,
        state: state as u8,
        flags,
    };
    let egress = if backend == FAR { SERVERS } else { CLIENTS };
    [
        (outside, flow(inside, egress, 0)),
        (inside.reversed(), flow(outside.reversed(), CLIENTS, FlowFlags::REVERSE)),
    ]
}

/// A backend at an address, which is nobody else's.
pub(super) fn backend_at(address: std::net::SocketAddr) -> Backend {
    let family = if address.is_ipv4() { 4 } else { 6 };
    Backend {
        addr: words(address.ip()),
        port: address.port().to_be(),
        family,
        service: SERVICE,
        flags: BackendFlags::EXCLUSIVE,
        ..Backend::default()
    }
}
