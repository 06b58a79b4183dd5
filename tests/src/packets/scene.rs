//! One service, one backend, one client: what most cases play in, and how packets look on both sides of the balancer.

use std::net::SocketAddr;

use lb_common::{
    abi::{FlowState, Mode, Selector},
    host::{FrameSpec, HostTables, ServiceSetup, words},
    tables::Tier,
    wire::{ACK, SYN, TCP, UDP},
};

use super::{
    case::{Case, Expect, Fact, Step, Tuple},
    world::{self, CLIENTS, SERVERS, at},
};
use crate::topology::Family;

/// Id of the service.
pub const SERVICE: u16 = 3;
/// Id of its first backend.
pub const BACKEND: u32 = 5;
/// Port pool of the first backend and first SNAT address.
pub const POOL: u32 = 1;
/// Index of the first SNAT address.
pub const SNAT: u32 = 2;

/// A combination of what changes the translation.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Address family.
    pub family: Family,
    /// [`TCP`] or [`UDP`].
    pub proto: u8,
    /// Forwarding mode.
    pub mode: Mode,
    /// Address of the backend.
    pub backend: SocketAddr,
    /// Interface towards the backend, and the neighbour there.
    pub egress: (u32, SocketAddr),
}

impl Scene {
    /// A scene with the usual backend.
    #[must_use]
    pub fn new(family: Family, proto: u8, mode: Mode) -> Self {
        let backend = at(world::server(family, 11), 8080);
        Self { family, proto, mode, backend, egress: (SERVERS, backend) }
    }

    /// All combinations.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for family in Family::ALL {
            for proto in [TCP, UDP] {
                for mode in [Mode::Nat, Mode::FullNat] {
                    all.push(Self::new(family, proto, mode));
                }
            }
        }
        all
    }

    /// Those of one protocol.
    #[must_use]
    pub fn of(proto: u8) -> Vec<Self> {
        Self::all().into_iter().filter(|scene| scene.proto == proto).collect()
    }

    /// For the names of cases.
    #[must_use]
    pub fn label(&self) -> String {
        let proto = if self.proto == TCP { "TCP" } else { "UDP" };
        let mode = if self.mode == Mode::Nat { "nat" } else { "full-nat" };
        format!("{} {proto} {mode}", self.family.name())
    }

    /// The same with a backend elsewhere.
    #[must_use]
    pub fn with_backend(mut self, backend: SocketAddr, ifindex: u32, neighbour: SocketAddr) -> Self {
        self.backend = backend;
        self.egress = (ifindex, neighbour);
        self
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        at(world::client(self.family, 10), 40000)
    }

    /// The VIP and port.
    #[must_use]
    pub fn vip(&self) -> SocketAddr {
        at(world::vip(self.family, 100), 80)
    }

    /// Who the backend sees.
    #[must_use]
    pub fn seen(&self) -> SocketAddr {
        match self.mode {
            Mode::Nat => self.client(),
            Mode::FullNat => at(world::snat(self.family, 1), 40000),
        }
    }

    /// The packet of a client, as the key of its flow.
    #[must_use]
    pub fn forward(&self) -> Tuple {
        (self.client(), self.vip(), self.proto)
    }

    /// The packet of the backend, as the key of its flow.
    #[must_use]
    pub fn reverse(&self) -> Tuple {
        (self.backend, self.seen(), self.proto)
    }

    /// The network with the service and its backend.
    #[must_use]
    pub fn tables(&self) -> HostTables {
        self.tables_with(Selector::FlowHash, &[BACKEND])
    }

    /// The same with another selector and slots.
    #[must_use]
    pub fn tables_with(&self, selector: Selector, slots: &[u32]) -> HostTables {
        let tables = world::tables();
        *tables.snat_addresses.borrow_mut() = vec![[0; 4]; SNAT as usize];
        tables.snat_addresses.borrow_mut().push(words(world::snat(self.family, 1)));
        tables.snat_addresses.borrow_mut().push(words(world::snat(self.family, 2)));
        tables.add_service(&ServiceSetup {
            id: SERVICE,
            address: self.vip(),
            proto: self.proto,
            mode: self.mode,
            selector,
            slots,
            snat: if self.mode == Mode::FullNat { (SNAT, 1) } else { (0, 0) },
        });
        tables.add_backend(BACKEND, self.backend, SERVICE, POOL);
        for other in [12, 13] {
            let address = at(world::server(self.family, other as u8), 8080);
            tables.add_backend(BACKEND + other - 11, address, SERVICE, POOL);
        }
        tables
    }

    /// A case in this scene.
    #[must_use]
    pub fn case(&self, what: &str) -> Case {
        Case::new(format!("{what} ({})", self.label()), self.tables())
    }

    /// A packet of the client. `flags` are TCP's.
    #[must_use]
    pub fn request(&self, flags: u8) -> FrameSpec {
        let mut frame = self.frame(self.client(), self.vip(), flags);
        frame.dmac = world::mac(CLIENTS);
        frame.smac = world::host_mac(self.client().ip());
        frame
    }

    /// An answer of the backend.
    #[must_use]
    pub fn answer(&self, flags: u8) -> FrameSpec {
        let mut frame = self.frame(self.backend, self.seen(), flags);
        frame.dmac = world::mac(self.egress.0);
        frame.smac = world::host_mac(self.egress.1.ip());
        frame
    }

    fn frame(&self, src: SocketAddr, dst: SocketAddr, flags: u8) -> FrameSpec {
        let mut frame =
            if self.proto == UDP { FrameSpec::udp(src, dst) } else { FrameSpec::tcp(src, dst, flags) };
        frame.payload = b"an odd payload.".to_vec();
        frame
    }

    /// A packet of the client as it is to leave towards the backend.
    #[must_use]
    pub fn forwarded(&self, frame: &FrameSpec) -> FrameSpec {
        let mut frame = frame.clone().with_source(self.seen()).with_destination(self.backend);
        frame.dmac = world::host_mac(self.egress.1.ip());
        frame.smac = world::mac(self.egress.0);
        frame.hop_limit -= 1;
        frame
    }

    /// An answer as it is to leave towards the client.
    #[must_use]
    pub fn returned(&self, frame: &FrameSpec) -> FrameSpec {
        let mut frame = frame.clone().with_source(self.vip()).with_destination(self.client());
        frame.dmac = world::host_mac(self.client().ip());
        frame.smac = world::mac(CLIENTS);
        frame.hop_limit -= 1;
        frame
    }

    /// A packet of the client that is to be forwarded.
    #[must_use]
    pub fn forwards(&self, frame: &FrameSpec) -> Step {
        let expect = Expect::Send { egress: self.egress.0, frame: self.forwarded(frame).build() };
        Step::Frame { ingress: CLIENTS, frame: frame.build(), expect }
    }

    /// An answer that is to be forwarded.
    #[must_use]
    pub fn returns(&self, frame: &FrameSpec) -> Step {
        let expect = Expect::Send { egress: CLIENTS, frame: self.returned(frame).build() };
        Step::Frame { ingress: self.egress.0, frame: frame.build(), expect }
    }

    /// What makes a flow established.
    #[must_use]
    pub fn established(&self) -> Vec<Step> {
        let mut steps = vec![
            self.forwards(&self.request(SYN)),
            self.returns(&self.answer(SYN | ACK)),
            self.forwards(&self.request(ACK)),
        ];
        steps.push(Step::Fact(Fact::Flow(Tier::Established, self.forward(), self.open())));
        steps.push(Step::Fact(Fact::Flow(Tier::Established, self.reverse(), self.open())));
        steps.push(Step::Fact(Fact::Count(0, 2)));
        steps
    }

    /// The state of an established flow.
    #[must_use]
    pub fn open(&self) -> FlowState {
        if self.proto == TCP { FlowState::Established } else { FlowState::UdpEstablished }
    }

    /// The state of a flow that was not answered.
    #[must_use]
    pub fn fresh(&self) -> FlowState {
        if self.proto == TCP { FlowState::SynSent } else { FlowState::UdpNew }
    }
}
