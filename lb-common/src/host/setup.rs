//! Filling the tables of the model, and reading flows from them, by standard addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{HostEntry, HostTables, tables::Family};
use crate::{
    Tables as _,
    abi::{
        Address, Backend, BackendFlags, BackendLimits, BackendState, Flow, FlowFlags, FlowKey, FlowState,
        Mode, NextHop, Origin, Selector, Service, ServiceKey,
    },
    maps::{slot_elements, slot_position},
    tables::{FibResult, Holder, Tier},
    wire::{ICMP, ICMPV6},
};

/// A service to add.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSetup<'a> {
    /// Its id.
    pub id: u16,
    /// VIP and port (0: every port).
    pub address: SocketAddr,
    /// IP protocol number.
    pub proto: u8,
    /// How packets are forwarded.
    pub mode: Mode,
    /// How the slot is found.
    pub selector: Selector,
    /// Ids of the backends by slot.
    pub slots: &'a [u32],
    /// SNAT addresses: index of the first, and number.
    pub snat: (u32, u16),
}

/// A flow entry of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowView {
    /// Source after translation.
    pub src: SocketAddr,
    /// Destination after translation.
    pub dst: SocketAddr,
    /// State; `None` for a number that is no state.
    pub state: Option<FlowState>,
    /// Flags.
    pub flags: u8,
    /// Backend id.
    pub backend: u32,
    /// Tick of the last packet.
    pub last_seen: u32,
    /// Egress interface, and FIB generation of the next hop.
    pub egress: (u32, u32),
}

/// An address family of the model.
pub trait Side: Address {
    /// Its tables.
    fn side(tables: &HostTables) -> &Family<Self>;
    /// An address; the other family's is a mistake of the test.
    fn of(address: IpAddr) -> Self;
}

impl Side for u32 {
    fn side(tables: &HostTables) -> &Family<Self> {
        &tables.v4
    }

    fn of(address: IpAddr) -> Self {
        Self::from_words(words(address))
    }
}

impl Side for [u32; 4] {
    fn side(tables: &HostTables) -> &Family<Self> {
        &tables.v6
    }

    fn of(address: IpAddr) -> Self {
        words(address)
    }
}

/// An address as the ABI has it.
#[must_use]
pub fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [u32::from_ne_bytes(address.octets()), 0, 0, 0],
        IpAddr::V6(address) => {
            let octets = address.octets();
            std::array::from_fn(|word| {
                u32::from_ne_bytes(std::array::from_fn(|byte| octets[word * 4 + byte]))
            })
        }
    }
}

/// An address and port from the ABI's form.
fn endpoint<A: Address>(address: A, port: u16) -> SocketAddr {
    let words = address.words();
    let ip = if A::IS_V6 {
        let mut octets = [0; 16];
        for (chunk, word) in octets.chunks_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        IpAddr::from(Ipv6Addr::from(octets))
    } else {
        IpAddr::from(Ipv4Addr::from(words[0].to_ne_bytes()))
    };
    SocketAddr::new(ip, u16::from_be(port))
}

/// The key of a packet's flow.
#[must_use]
pub fn flow_key<A: Side>(src: SocketAddr, dst: SocketAddr, proto: u8) -> FlowKey<A> {
    FlowKey {
        src: A::of(src.ip()),
        dst: A::of(dst.ip()),
        sport: src.port().to_be(),
        dport: dst.port().to_be(),
        proto,
        pad: [0; 3],
    }
}

impl HostTables {
    /// Adds a service, and its VIP.
    pub fn add_service(&self, setup: &ServiceSetup<'_>) {
        let service = Service {
            id: setup.id,
            mode: setup.mode as u8,
            selector: setup.selector as u8,
            flags: 0,
            affinity_prefix: 128,
            snat_base: setup.snat.0,
            snat_count: setup.snat.1,
            affinity_timeout: 0,
        };
        match setup.address {
            SocketAddr::V4(_) => self.add_service_keys::<u32>(setup, service, ICMP),
            SocketAddr::V6(_) => self.add_service_keys::<[u32; 4]>(setup, service, ICMPV6),
        }
        self.set_slots(setup.id, setup.slots);
    }

    fn add_service_keys<A: Side>(&self, setup: &ServiceSetup<'_>, service: Service, icmp: u8) {
        let addr = A::of(setup.address.ip());
        let mut services = A::side(self).services.borrow_mut();
        let port = setup.address.port().to_be();
        services.insert(ServiceKey { addr, port, proto: setup.proto, pad: 0 }, service);
        services.insert(ServiceKey { addr, port: 0, proto: icmp, pad: 0 }, Service::default());
        let (base, count) = (setup.snat.0 as usize, usize::from(setup.snat.1));
        for words in self.snat_addresses.borrow().iter().skip(base).take(count) {
            let key =
                ServiceKey { addr: A::from_words(*words), port: 0, proto: ServiceKey::<A>::SNAT, pad: 0 };
            services.insert(key, Service::default());
        }
    }

    /// Replaces the slot table of a service.
    pub fn set_slots(&self, service: u16, slots: &[u32]) {
        let mut elements = vec![[0; 2]; slot_elements(slots.len() as u32) as usize];
        elements[0][0] = slots.len() as u32;
        for (slot, backend) in slots.iter().enumerate() {
            let (element, half) = slot_position(slot as u32);
            elements[element as usize][half] = *backend;
        }
        self.slots.borrow_mut().insert(service, elements);
    }

    /// Adds an active backend.
    pub fn add_backend(&self, id: u32, address: SocketAddr, service: u16, pool_base: u32) {
        let backend = Backend {
            addr: words(address.ip()),
            port: address.port().to_be(),
            state: BackendState::Active as u8,
            family: if address.is_ipv4() { 4 } else { 6 },
            weight: 1,
            pool_base,
            service,
            flags: 0,
        };
        self.backends.borrow_mut().insert(id, backend);
    }

    /// Sets the state of a backend that is there, and raises the generation, as `lbd` does.
    pub fn set_backend_state(&self, id: u32, state: BackendState) {
        if let Some(backend) = self.backends.borrow_mut().get_mut(&id) {
            backend.state = state as u8;
        }
        let mut settings = self.settings.get();
        settings.fib_generation += 1;
        self.settings.set(settings);
    }

    /// Sets whether a backend's connections are reset while it takes no packets, and raises the generation.
    pub fn set_backend_reset(&self, id: u32, reset: bool) {
        if let Some(backend) = self.backends.borrow_mut().get_mut(&id) {
            backend.flags =
                backend.flags & !BackendFlags::RESET | if reset { BackendFlags::RESET } else { 0 };
        }
        let mut settings = self.settings.get();
        settings.fib_generation += 1;
        self.settings.set(settings);
    }

    /// Limits the connections of a service (0: any number) and of its backends, given in the order in which they are tried.
    pub fn set_limits(&self, service: u32, backends: &[(u32, u32)]) {
        let mut limits = self.limits.borrow_mut();
        let nexts = backends.iter().cycle().skip(1);
        for ((id, connections), (next, _)) in backends.iter().zip(nexts) {
            let element = BackendLimits {
                connections: *connections,
                service_connections: service,
                next: *next,
                reserved: 0,
            };
            limits.insert(*id, element);
            if let Some(backend) = self.backends.borrow_mut().get_mut(id) {
                backend.flags |= BackendFlags::LIMITED;
            }
        }
    }

    /// Changes a service.
    pub fn change_service(&self, id: u16, change: impl Fn(&mut Service)) {
        let (mut v4, mut v6) = (self.v4.services.borrow_mut(), self.v6.services.borrow_mut());
        v4.values_mut().chain(v6.values_mut()).filter(|service| service.id == id).for_each(change);
    }

    /// Takes (or gives back) places of backends, as flows that are not in the tables.
    pub fn change_all_places(&self, backends: &[u32], by: i64) {
        let mut places = self.backend_places.borrow_mut();
        for id in backends {
            let places = places.entry(*id).or_default();
            places.taken = places.taken.wrapping_add_signed(by);
        }
    }

    /// Places in use.
    #[must_use]
    pub fn places_in_use(&self, holder: Holder) -> i64 {
        self.places(holder).unwrap_or_default().in_use()
    }

    /// Makes the backends of a service exclusive: their addresses and ports belong to no other service.
    pub fn make_exclusive(&self, service: u16, vip: SocketAddr, proto: u8) {
        match vip {
            SocketAddr::V4(_) => self.add_origins::<u32>(service, vip, proto),
            SocketAddr::V6(_) => self.add_origins::<[u32; 4]>(service, vip, proto),
        }
    }

    /// Makes a backend one that other services have, too.
    pub fn share(&self, backend: u32) {
        if let Some(backend) = self.backends.borrow_mut().get_mut(&backend) {
            backend.flags &= !BackendFlags::EXCLUSIVE;
        }
    }

    fn add_origins<A: Side>(&self, service: u16, vip: SocketAddr, proto: u8) {
        let mut origins = A::side(self).origins.borrow_mut();
        let mut backends = self.backends.borrow_mut();
        for (id, backend) in backends.iter_mut().filter(|(_, backend)| backend.service == service) {
            backend.flags |= BackendFlags::EXCLUSIVE;
            let key = ServiceKey { addr: A::from_words(backend.addr), port: backend.port, proto, pad: 0 };
            let origin = Origin { vip: A::of(vip.ip()), port: vip.port().to_be(), service, backend: *id };
            origins.insert(key, origin);
        }
    }

    /// Adds a route to one address.
    pub fn add_route(&self, destination: IpAddr, answer: FibResult) {
        match destination {
            IpAddr::V4(_) => self.v4.routes.borrow_mut().insert(u32::of(destination), answer),
            IpAddr::V6(_) => self.v6.routes.borrow_mut().insert(words(destination), answer),
        };
    }

    /// Removes the route to one address.
    pub fn forget_route(&self, destination: IpAddr) {
        match destination {
            IpAddr::V4(_) => drop(self.v4.routes.borrow_mut().remove(&u32::of(destination))),
            IpAddr::V6(_) => drop(self.v6.routes.borrow_mut().remove(&words(destination))),
        }
    }

    /// The flow entry of a packet.
    #[must_use]
    pub fn flow_of(&self, tier: Tier, src: SocketAddr, dst: SocketAddr, proto: u8) -> Option<FlowView> {
        match src {
            SocketAddr::V4(_) => view(self.entry::<u32>(tier, src, dst, proto)?.0.get()),
            SocketAddr::V6(_) => view(self.entry::<[u32; 4]>(tier, src, dst, proto)?.0.get()),
        }
        .into()
    }

    fn entry<A: Side>(
        &self,
        tier: Tier,
        src: SocketAddr,
        dst: SocketAddr,
        proto: u8,
    ) -> Option<HostEntry<A>> {
        A::side(self).tier(tier).borrow().get(&flow_key(src, dst, proto)).cloned()
    }

    /// Changes the next hop in the flow entry of a packet; whether it is there.
    pub fn change_next_hop(
        &self,
        tier: Tier,
        (src, dst, proto): (SocketAddr, SocketAddr, u8),
        change: impl FnOnce(&mut NextHop),
    ) -> bool {
        match src {
            SocketAddr::V4(_) => change_entry(self.entry::<u32>(tier, src, dst, proto), change),
            SocketAddr::V6(_) => change_entry(self.entry::<[u32; 4]>(tier, src, dst, proto), change),
        }
    }

    /// Ends the established connection of a packet, as `lbd` does; whether both of its entries are there.
    pub fn reset_flow(&self, src: SocketAddr, dst: SocketAddr, proto: u8) -> bool {
        match src {
            SocketAddr::V4(_) => reset_both::<u32>(self, flow_key(src, dst, proto)),
            SocketAddr::V6(_) => reset_both::<[u32; 4]>(self, flow_key(src, dst, proto)),
        }
    }

    /// Removes the flow entry of a packet, as the LRU might; whether it was there.
    pub fn evict(&self, tier: Tier, src: SocketAddr, dst: SocketAddr, proto: u8) -> bool {
        match src {
            SocketAddr::V4(_) => self.v4.tier(tier).borrow_mut().remove(&flow_key(src, dst, proto)).is_some(),
            SocketAddr::V6(_) => self.v6.tier(tier).borrow_mut().remove(&flow_key(src, dst, proto)).is_some(),
        }
    }

    /// Number of flow entries of both families.
    #[must_use]
    pub fn flow_count(&self, tier: Tier) -> usize {
        self.v4.tier(tier).borrow().len() + self.v6.tier(tier).borrow().len()
    }
}

fn change_entry<A: Address>(entry: Option<HostEntry<A>>, change: impl FnOnce(&mut NextHop)) -> bool {
    let Some(HostEntry(cell)) = entry else { return false };
    let mut flow = cell.get();
    change(&mut flow.next_hop);
    cell.set(flow);
    true
}

fn reset_both<A: Side>(tables: &HostTables, key: FlowKey<A>) -> bool {
    let flows = A::side(tables).tier(Tier::Established).borrow();
    let reset = |HostEntry(cell): &HostEntry<A>| {
        let mut flow = cell.get();
        (flow.flags, flow.next_hop.generation) = (flow.flags | FlowFlags::RESET, 0);
        cell.set(flow);
        flow.twin_key(key.proto)
    };
    flows.get(&key).map(reset).and_then(|twin| flows.get(&twin)).map(reset).is_some()
}

fn view<A: Address>(flow: Flow<A>) -> FlowView {
    FlowView {
        src: endpoint(flow.src, flow.sport),
        dst: endpoint(flow.dst, flow.dport),
        state: FlowState::from_number(flow.state),
        flags: flow.flags,
        backend: flow.backend,
        last_seen: flow.last_seen,
        egress: (flow.next_hop.ifindex.into(), flow.next_hop.generation),
    }
}
