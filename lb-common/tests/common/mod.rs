//! One client, some backends, and frames between them, with everything chosen at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::{
    abi::{Interface, InterfaceFlags, Mode, NextHop, Selector, Settings},
    host::{Extension, FrameSpec, HostTables, ServiceSetup, Transport, words},
    maps::PORT_WORDS,
    tables::FibResult,
    wire::{DESTINATION_OPTIONS, HOP_BY_HOP, TCP, UDP},
};
use proptest::prelude::*;

/// Interface to the clients.
pub(crate) const CLIENTS: u32 = 1;
/// Interface to the backends.
pub(crate) const SERVERS: u32 = 2;
/// Id of the service.
pub(crate) const SERVICE: u16 = 1;

/// A flow to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) client: SocketAddr,
    pub(crate) vip: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
    pub(crate) snat: IpAddr,
    pub(crate) proto: u8,
    pub(crate) mode: Mode,
    pub(crate) selector: Selector,
    pub(crate) seed: [u32; 2],
    /// Whether the backends belong to no other service, so that SYNs take no entry (`nat`, TCP).
    pub(crate) exclusive: bool,
}

/// How a packet of it looks.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) payload: Vec<u8>,
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) options: usize,
    pub hop_limit: u8,
    pub(crate) checksum: bool,
}

pub(crate) fn mac(ifindex: u32) -> [u8; 6] {
    [2, 0, 0, 0, 0, ifindex as u8]
}

fn address(v6: bool, network: u8, host: u16) -> IpAddr {
    let [high, low] = host.to_be_bytes();
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, network.into(), host, 0xffff, 0, host, host).into()
    } else {
        Ipv4Addr::new(10, network, high, low).into()
    }
}

prop_compose! {
    pub(crate) fn plan()(
        v6 in any::<bool>(),
        proto in prop::sample::select(vec![6, UDP]),
        mode in prop::sample::select(vec![Mode::Nat, Mode::FullNat]),
        selector in prop::sample::select(vec![
            Selector::FlowHash, Selector::SourceHash, Selector::Rotation, Selector::Random, Selector::LeastFlows,
        ]),
        client in any::<(u16, u16)>(),
        vip in any::<(u16, u16)>(),
        snat in any::<u16>(),
        backends in prop::collection::btree_set(any::<u16>(), 1..6),
        backend_port in any::<u16>(),
        seed in any::<[u32; 2]>(),
        exclusive in any::<bool>(),
    ) -> Plan {
        let backends =
            backends.into_iter().map(|host| SocketAddr::new(address(v6, 3, host), backend_port)).collect();
        Plan {
            client: SocketAddr::new(address(v6, 1, client.0), client.1.max(1)),
            vip: SocketAddr::new(address(v6, 2, vip.0), vip.1.max(1)),
            backends,
            snat: address(v6, 4, snat),
            proto,
            mode,
            selector,
            seed,
            exclusive: exclusive && mode == Mode::Nat && proto == TCP && backend_port != 0,
        }
    }
}

prop_compose! {
    pub(crate) fn look()(
        payload in prop::collection::vec(any::<u8>(), 0..1400),
        tags in prop::collection::vec((prop::sample::select(vec![0x8100, 0x88a8]), any::<u16>()), 0..3),
        options in 0usize..6,
        hop_limit in 2u8..,
        checksum in any::<bool>(),
    ) -> Look {
        Look { payload, tags, options, hop_limit, checksum }
    }
}

impl Plan {
    pub(crate) fn tables(&self) -> HostTables {
        let tables = HostTables::default();
        tables.now.set(1000);
        tables.random.set(self.seed[0]);
        tables.port_words.set(PORT_WORDS * self.backends.len() as u32);
        let mut settings = Settings { seed: self.seed, fib_generation: 1, ..Settings::default() };
        (settings.port_min, settings.port_max) = (1024, 65535);
        settings.timeouts = [60; 16];
        tables.settings.set(settings);
        for ifindex in [CLIENTS, SERVERS] {
            let interface = Interface {
                flags: InterfaceFlags::ATTACHED,
                mtu: 1600,
                mac: mac(ifindex).into(),
                addr4: words(address(false, 9, ifindex as u16))[0],
                addr6: words(address(true, 9, ifindex as u16)),
                ..Interface::default()
            };
            tables.interfaces.borrow_mut().insert(ifindex, interface);
        }
        let ids: Vec<u32> = (1..=self.backends.len() as u32).collect();
        for (id, backend) in ids.iter().zip(&self.backends) {
            tables.add_backend(*id, *backend, SERVICE, id - 1);
            add_host(&tables, backend.ip(), SERVERS);
        }
        add_host(&tables, self.client.ip(), CLIENTS);
        tables.snat_addresses.borrow_mut().push(words(self.snat));
        self.add_service(&tables, SERVICE, self.vip, &ids);
        if self.exclusive {
            tables.make_exclusive(SERVICE, self.vip, self.proto);
        }
        tables
    }

    pub(crate) fn add_service(&self, tables: &HostTables, id: u16, vip: SocketAddr, slots: &[u32]) {
        tables.add_service(&ServiceSetup {
            id,
            address: vip,
            proto: self.proto,
            mode: self.mode,
            selector: self.selector,
            slots,
            snat: (0, if self.mode == Mode::FullNat { 1 } else { 0 }),
        });
    }

    pub(crate) fn frame(&self, src: SocketAddr, dst: SocketAddr, flags: u8, look: &Look) -> FrameSpec {
        let mut frame =
            if self.proto == UDP { FrameSpec::udp(src, dst) } else { FrameSpec::tcp(src, dst, flags) };
        if let Transport::Udp { checksum, .. } = &mut frame.transport {
            *checksum = look.checksum || src.is_ipv6();
        }
        frame.payload.clone_from(&look.payload);
        frame.tags.clone_from(&look.tags);
        frame.hop_limit = look.hop_limit;
        frame.options = vec![1; look.options * 4];
        frame.extensions = (0..look.options)
            .map(|number| match number {
                0 => Extension::options(HOP_BY_HOP, 1),
                _ => Extension::options(DESTINATION_OPTIONS, 0),
            })
            .collect();
        frame.smac = [6; 6];
        frame
    }

    /// A frame of the client.
    pub(crate) fn request(&self, flags: u8, look: &Look) -> FrameSpec {
        let mut frame = self.frame(self.client, self.vip, flags, look);
        frame.dmac = mac(CLIENTS);
        frame
    }
}

pub(crate) fn add_host(tables: &HostTables, address: IpAddr, ifindex: u32) {
    let next_hop = NextHop { dmac: [8; 6], ifindex: ifindex as u16, generation: 0 };
    tables.add_route(address, FibResult::NextHop(next_hop));
}

/// Source and destination of a frame that was built like `spec`.
pub(crate) fn endpoints(frame: &[u8], spec: &FrameSpec) -> (SocketAddr, SocketAddr) {
    let (network, transport) = (spec.network_offset(), spec.transport_offset());
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let ip = |at: usize| -> IpAddr {
        if spec.src.is_ipv4() {
            Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).expect("4 bytes")).into()
        } else {
            Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).expect("16 bytes")).into()
        }
    };
    let (src, dst) = if spec.src.is_ipv4() { (12, 16) } else { (8, 24) };
    (
        SocketAddr::new(ip(network + src), port(transport)),
        SocketAddr::new(ip(network + dst), port(transport + 2)),
    )
}
