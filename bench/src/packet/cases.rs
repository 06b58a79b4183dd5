//! What is timed: one subject per row of the table.

use std::{collections::BTreeMap, net::SocketAddr, os::fd::AsFd};

use anyhow::Result;
use lb_common::{
    abi::{Backend, FlowKey, Mode, ServiceKey},
    host::{FrameSpec, Side, flow_key},
    maps as names,
    wire::{ACK, SYN, TCP, UDP},
};
use lb_tests::{
    packets::world::{self, CLIENTS, at, client, server, snat, vip},
    topology::Family,
};
use lb_userspace::sys::bpf::{Map, MapShape};

use super::{
    asm::Code,
    bed::{Bed, FAR, NEAR, Tables, backend_at, established},
    programs::{DROP, PASS, REDIRECT, TX, Template, Wrapped, insert, one_lookup, pass, tx},
    timing::Subject,
};

/// Offset of an IPv4 source and destination address, and of the last word of the IPv6 ones, in an untagged frame.
const V4_SRC: usize = 26;
const V4_DST: usize = 30;
const V6_SRC_END: usize = 34;
const V6_DST_END: usize = 50;

/// The subjects of a bed by name, and the services by which their packets are counted.
#[derive(Debug, Default)]
pub(super) struct Cases {
    pub(super) subjects: BTreeMap<String, Subject>,
    /// Names of subjects whose packets all have a flow, with the service that counts them.
    pub(super) services: Vec<(String, u16)>,
}

/// Which side the timed packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    FromClient,
    FromBackend,
}

/// An established flow, or many of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flows {
    pub(super) mode: Mode,
    pub(super) family: Family,
    pub(super) proto: u8,
    pub(super) direction: Direction,
    pub(super) backend: u32,
    pub(super) flows_log2: u32,
}

impl Flows {
    /// One IPv4 TCP connection.
    pub(super) const ONE: Self = Self {
        mode: Mode::Nat,
        family: Family::V4,
        proto: TCP,
        direction: Direction::FromClient,
        backend: NEAR,
        flows_log2: 0,
    };
}

impl Cases {
    fn add(&mut self, name: &str, subject: Subject) {
        self.subjects.insert(name.to_owned(), subject);
    }

    /// A program that is no balancer.
    pub(super) fn add_floor(&mut self, name: &str, code: &Code, action: u32, repeat: u32) -> Result<()> {
        let template = template(&tcp_frame(Family::V4, ACK), V4_SRC, 0);
        let program = code.load()?;
        let wrapped = Wrapped::new(&template, program.as_fd())?;
        self.add(name, Subject::new(template, wrapped, action, repeat)?);
        Ok(())
    }

    /// The floors that do not depend on the number of flows.
    pub(super) fn add_floors(&mut self, repeat: u32) -> Result<()> {
        self.add_floor("pass", &pass(), PASS, repeat)?;
        self.add_floor("tx", &tx(), TX, repeat)
    }

    /// The floor of one look-up in a table with as many flows, each of which has one entry, or two, as ours have.
    pub(super) fn add_one_lookup(
        &mut self,
        name: &str,
        (flows_log2, entries): (u32, u32),
        repeat: u32,
    ) -> Result<()> {
        let count = 1 << flows_log2;
        let table = flow_table((count * entries).max(1024))?;
        let template = template(&tcp_frame(Family::V4, ACK), V4_SRC, flows_log2);
        let key = flow_key::<u32>(client_at(Family::V4, 0), vip_at(Family::V4), TCP);
        let keys_of = |number| {
            let key = FlowKey { src: template.field_of(number), ..key };
            [key, key.reversed()].into_iter().take(entries as usize)
        };
        for first in (0..count).step_by(1 << 14) {
            let keys: Vec<_> = (first..count.min(first + (1 << 14))).flat_map(keys_of).collect();
            table.update_batch(&keys, &vec![lb_common::abi::Flow::<u32>::default(); keys.len()])?;
        }
        let program = one_lookup(table.as_fd()).load()?;
        let wrapped = Wrapped::new(&template, program.as_fd())?;
        self.add(name, Subject::new(template, wrapped, TX, repeat)?);
        Ok(())
    }

    /// The floor of a new flow: entries stored in a table with room for all, each packet from another client.
    pub(super) fn add_insertions(&mut self, name: &str, entries: u8, repeat: u32) -> Result<()> {
        let table = flow_table(1 << 21)?;
        let template = template(&tcp_frame(Family::V4, SYN), V4_SRC, 24);
        let program = insert(table.as_fd(), entries).load()?;
        let wrapped = Wrapped::new(&template, program.as_fd())?;
        self.add(name, Subject::new(template, wrapped, TX, repeat)?);
        Ok(())
    }

    /// Established flows, all packets of which are counted for `service`.
    pub(super) fn add_flows(
        &mut self,
        bed: &mut Bed,
        (name, service): (&str, u16),
        flows: Flows,
        repeat: u32,
    ) -> Result<()> {
        let (source, destination) = match (flows.direction, flows.mode) {
            (Direction::FromClient, _) => (client_at(flows.family, service), vip_at(flows.family)),
            (Direction::FromBackend, Mode::Nat) => (backend_addr(flows), client_at(flows.family, service)),
            (Direction::FromBackend, Mode::FullNat) => (backend_addr(flows), snat_at(flows.family, service)),
        };
        let spec = match flows.proto {
            TCP => FrameSpec::tcp(source, destination, ACK),
            _ => FrameSpec::udp(source, destination),
        };
        let field = match (flows.family, flows.direction) {
            (Family::V4, Direction::FromClient) => V4_SRC,
            (Family::V4, Direction::FromBackend) => V4_DST,
            (Family::V6, Direction::FromClient) => V6_SRC_END,
            (Family::V6, Direction::FromBackend) => V6_DST_END,
        };
        let template = template(&spec, field, flows.flows_log2);
        match flows.family {
            Family::V4 => {
                add_entries::<u32>(bed, service, flows, |key, number| key.src = template.field_of(number))
            }
            Family::V6 => add_entries::<[u32; 4]>(bed, service, flows, |key, number| {
                key.src[3] = template.field_of(number);
            }),
        }?;
        let to_far = flows.backend == FAR && flows.direction == Direction::FromClient;
        let wrapped = bed.wrap(&template)?;
        let action = if to_far { REDIRECT } else { TX };
        self.add(name, Subject::new(template, wrapped, action, repeat)?);
        self.services.push((name.to_owned(), service));
        Ok(())
    }

    /// SYNs to a service's port, each of another client.
    pub(super) fn add_syns(&mut self, bed: &mut Bed, name: &str, port: u16, repeat: u32) -> Result<()> {
        let destination = at(vip(Family::V4, 1), port);
        let frame = FrameSpec::tcp(client_at(Family::V4, 0), destination, SYN);
        // 16 million clients: none comes twice in a measurement.
        let template = template(&frame, V4_SRC, 24);
        let wrapped = bed.wrap(&template)?;
        self.add(name, Subject::new(template, wrapped, TX, repeat)?);
        Ok(())
    }

    /// SYNs to random ones of 2^k services with a VIP each, all of which have the same backend.
    pub(super) fn add_services(&mut self, bed: &mut Bed, name: &str, log2: u32, repeat: u32) -> Result<()> {
        const FIRST: u16 = 100;
        // Behind the router, as most clients are.
        let client = SocketAddr::from(([100, 64, 0, 1], 40_000));
        let frame = FrameSpec::tcp(client, at(vip(Family::V4, 1), SCATTERED), SYN);
        let template = template(&frame, V4_DST, log2);
        for number in 0..1_u16 << log2 {
            let addr = template.field_of(number.into());
            let key = ServiceKey { addr, port: SCATTERED.to_be(), proto: TCP, pad: 0 };
            bed.add_service(&[key], FIRST + number, Mode::Nat)?;
        }
        bed.fill_slots(FIRST..FIRST + (1 << log2), NEAR)?;
        bed.own_addresses_words((0..1 << log2).map(|number| [template.field_of(number), 0, 0, 0]))?;
        let wrapped = bed.wrap(&template)?;
        self.add(name, Subject::new(template, wrapped, TX, repeat)?);
        Ok(())
    }

    /// A frame of which the program is to say `action`.
    pub(super) fn add_frame(
        &mut self,
        bed: &mut Bed,
        name: &str,
        (frame, action): (&FrameSpec, u32),
        repeat: u32,
    ) -> Result<()> {
        let template = template(frame, V4_SRC, 0);
        let wrapped = bed.wrap(&template)?;
        self.add(name, Subject::new(template, wrapped, action, repeat)?);
        Ok(())
    }

    /// A TCP packet between others.
    pub(super) fn add_foreign(&mut self, bed: &mut Bed, name: &str, repeat: u32) -> Result<()> {
        let frame =
            FrameSpec::tcp(client_at(Family::V4, 0), at(world::own_address(Family::V4, CLIENTS), 22), ACK);
        self.add_frame(bed, name, (&frame, PASS), repeat)
    }

    /// An ICMP error for an IPv4 TCP flow of `service`.
    pub(super) fn add_icmp_error(
        &mut self,
        bed: &mut Bed,
        (name, service): (&str, u16),
        repeat: u32,
    ) -> Result<()> {
        add_entries::<u32>(bed, service, Flows::ONE, |_, _| {})?;
        self.services.push((name.to_owned(), service));
        let quoted = FrameSpec::tcp(vip_at(Family::V4), client_at(Family::V4, service), ACK);
        let mut frame =
            FrameSpec::icmp(client(Family::V4, world::ROUTER), vip(Family::V4, 1), 3, 4, 1400_u32.to_be());
        frame.payload = quoted.packet();
        self.add_frame(bed, name, (&frame, TX), repeat)
    }

    /// A SYN for a service without backends.
    pub(super) fn add_drop(&mut self, bed: &mut Bed, name: &str, repeat: u32) -> Result<()> {
        let frame = FrameSpec::tcp(client_at(Family::V4, 0), at(vip(Family::V4, 1), EMPTY), SYN);
        self.add_frame(bed, name, (&frame, DROP), repeat)
    }
}

/// Ports of the services: `nat`, `full-nat`, `nat` without backends, `nat` with a backend that others have, too.
pub(super) const NAT: u16 = 80;
pub(super) const FULL_NAT: u16 = 81;
const EMPTY: u16 = 82;
pub(super) const SHARED: u16 = 83;
/// Port of many services, see [`Cases::add_services`].
const SCATTERED: u16 = 84;

/// Backend id; see [`SHARED`].
const SHARED_BACKEND: u32 = 9;

/// Makes the bed ready for the cases: VIP, backends, services.
pub(super) fn furnish(bed: &Bed) -> Result<()> {
    for family in Family::ALL {
        for (id, number) in [(NEAR, 10), (FAR, 11)] {
            let address = if id == NEAR { client(family, number) } else { server(family, number) };
            let offset = if family == Family::V4 { 0 } else { 2 };
            bed.add_backend(id + offset, backend_at(at(address, 8080)))?;
            bed.own_addresses(&[address])?;
        }
        bed.own_addresses(&[vip(family, 1), snat(family, 1)])?;
    }
    let addr = u32::of(vip(Family::V4, 1));
    let key = |port: u16, proto| ServiceKey { addr, port: port.to_be(), proto, pad: 0 };
    let services =
        [(1, NAT, Mode::Nat), (2, FULL_NAT, Mode::FullNat), (3, EMPTY, Mode::Nat), (4, SHARED, Mode::Nat)];
    for (id, port, mode) in services {
        bed.add_service(&[key(port, TCP), key(port, UDP), key(0, 1)], id, mode)?;
    }
    bed.map(names::SNAT_ADDRESSES)?.update(&0_u32, &lb_common::host::words(snat(Family::V4, 1)))?;
    bed.fill_slots(1..3, NEAR)?;
    let shared = at(client(Family::V4, 10), 8081);
    bed.add_backend(SHARED_BACKEND, Backend { flags: 0, ..backend_at(shared) })?;
    bed.fill_slots(4..5, SHARED_BACKEND)
}

/// A table like those of the floors: keys of 16 bytes, values of 40.
fn flow_table(max_entries: u32) -> Result<Map> {
    const LRU_HASH: u32 = 9;
    let shape = MapShape { map_type: LRU_HASH, key_size: 16, value_size: 40, max_entries, flags: 0 };
    Ok(Map::create(&shape, "bench_flows")?)
}

fn add_entries<A: Tables + Side>(
    bed: &Bed,
    service: u16,
    flows: Flows,
    set_client: impl Fn(&mut FlowKey<A>, u32),
) -> Result<()>
where
    FlowKey<A>: lb_common::abi::Abi,
    lb_common::abi::Flow<A>: lb_common::abi::Abi,
{
    let outside = flow_key::<A>(client_at(flows.family, service), vip_at(flows.family), flows.proto);
    let source = if flows.mode == Mode::Nat {
        client_at(flows.family, service)
    } else {
        snat_at(flows.family, service)
    };
    let inside = flow_key::<A>(source, backend_addr(flows), flows.proto);
    bed.add_flows(1 << flows.flows_log2, |number| {
        let (mut outside, mut inside) = (outside, inside);
        set_client(&mut outside, number);
        if flows.mode == Mode::Nat {
            set_client(&mut inside, number);
        }
        established(outside, inside, (service, flows.backend))
    })
}

fn template(spec: &FrameSpec, field: usize, flows_log2: u32) -> Template {
    let mut spec = spec.clone();
    let router = client(Family::V4, world::ROUTER);
    (spec.dmac, spec.smac) = (world::mac(CLIENTS), world::host_mac(router));
    let headers = spec.build().len().next_multiple_of(8);
    spec.trailer = vec![0; headers.max(64) - spec.build().len()];
    let frame = spec.build();
    Template { restored: headers.min(frame.len()), frame, field, flows_log2 }
}

fn tcp_frame(family: Family, flags: u8) -> FrameSpec {
    FrameSpec::tcp(client_at(family, 0), vip_at(family), flags)
}

/// The client of a service's flow; each has a port of its own.
fn client_at(family: Family, service: u16) -> SocketAddr {
    at(client(family, 80), 40_000 + service)
}

fn vip_at(family: Family) -> SocketAddr {
    at(vip(family, 1), 80)
}

fn snat_at(family: Family, service: u16) -> SocketAddr {
    at(snat(family, 1), 40_000 + service)
}

fn backend_addr(flows: Flows) -> SocketAddr {
    match flows.backend {
        NEAR => at(client(flows.family, 10), 8080),
        _ => at(server(flows.family, 11), 8080),
    }
}
