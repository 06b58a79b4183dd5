//! A second opinion on the data path: what `docs/datapath.md` says is to become of a packet, in standard collections, slow and without any code of the
//! pipeline.
//!
//! The reference is told what happened to each frame and says whether that is right. Where the documentation leaves a choice (which backend, which SNAT address and
//! port, which of several reasons to drop a packet) it takes the one that was made, if that was among those allowed, and goes by it from then on.
//!
//! What it does not model, where it answers [`Known::No`] or accepts both:
//! - the order of a selection: any active backend of the slot table will do (the packet table and `translation.rs` say more);
//! - limits of connections, affinity, floating addresses, relays, limits of answers, LRU tables that are full, ports that are used up;
//! - flows that are idle for about as long as their time-out, as entries are touched once in 16 ticks only;
//! - whether a connection with a FIN or RST in it is over: a SYN on it may go on or begin another, and so may each packet once another VIP's flow
//!   has its address and port towards the backend;
//! - whether an answer of an exclusive backend that is dropped begins a flow; for which reason an error is dropped that cannot leave;
//! - a second backend that answers a client which talks to another one; packets of exclusive backends to addresses of ours, or while they are down;
//! - fragments of ICMP messages and of flows that are not known; ICMP errors about packets of exclusive backends without a flow; quotes with options or
//!   extension headers;
//! - counters, events and signals.

mod begin;
mod flows;
pub(crate) mod frame;
mod icmp;
mod outcome;

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use lb_common::{Action, Verdict, abi::DropReason};

use flows::Flow;
use frame::{Packet, Read};

/// An interface.
#[derive(Clone, Debug)]
pub struct Port {
    /// MAC addresses that are ours.
    pub macs: Vec<[u8; 6]>,
    /// Largest packet.
    pub mtu: usize,
    /// Our IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Our IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Whether frames may leave by it.
    pub attached: bool,
}

/// Where packets to an address go.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// MAC address of the next hop, if it is known.
    pub mac: Option<[u8; 6]>,
    /// Interface.
    pub ifindex: u32,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// VIP and port; port 0: every port.
    pub vip: SocketAddr,
    /// IP protocol number.
    pub proto: u8,
    /// SNAT addresses; none with `nat`.
    pub snat: Vec<IpAddr>,
    /// Ids of the backends in its slot table.
    pub slots: Vec<u32>,
    /// Whether its backends belong to no other service.
    pub exclusive: bool,
}

/// State of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Takes flows.
    Active,
    /// Keeps those it has.
    Draining,
    /// Takes no packets.
    Down,
}

/// A backend.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Address and port; port 0: the one that the client used.
    pub address: SocketAddr,
    /// State.
    pub health: Health,
    /// Whether its connections are reset while it takes no packets.
    pub resets: bool,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Interface it arrived at.
    pub ingress: u32,
    /// The frame.
    pub before: &'a [u8],
    /// The verdict.
    pub verdict: Verdict,
    /// The frame afterwards.
    pub after: &'a [u8],
    /// Reasons that were counted.
    pub drops: &'a [DropReason],
}

/// Whether the reference knows the state of the flows after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It does.
    Yes,
    /// What happened is allowed, but it can say nothing about later frames.
    No,
}

/// What judging a frame says, or what is wrong.
pub type Judgement = Result<Known, String>;

/// The model.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// Present tick.
    pub now: u32,
    /// Ticks after which every idle flow is dead.
    pub timeout: u32,
    /// Interfaces by their numbers.
    pub ports: BTreeMap<u32, Port>,
    /// Routes by destination.
    pub routes: BTreeMap<IpAddr, Route>,
    /// Services.
    pub services: Vec<Service>,
    /// Backends by id.
    pub backends: BTreeMap<u32, Backend>,
    /// Source ports that may be allocated.
    pub snat_ports: (u16, u16),
    pub(crate) flows: Vec<Flow>,
    /// Ports that were ever taken from the pool of an address and a backend.
    pub(crate) used_ports: HashSet<(IpAddr, u32, u16)>,
    pub(crate) fragments: Vec<flows::Fragments>,
}

impl Reference {
    /// Whether what became of a frame is right.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&mut self, seen: &Seen<'_>) -> Judgement {
        outcome::sanity(seen)?;
        let Some(port) = self.ports.get(&seen.ingress) else { return Ok(Known::No) };
        match frame::read(seen.before, port) {
            Read::Foreign => outcome::passes(seen),
            Read::Broken => outcome::refused(seen, outcome::MALFORMED),
            Read::Packet(packet) if packet.is_icmp() => self.judge_icmp(seen, &packet),
            Read::Packet(packet) => self.judge_packet(seen, packet),
        }
    }

    fn judge_packet(&mut self, seen: &Seen<'_>, mut packet: Packet) -> Judgement {
        if packet.is_later() {
            match self.recorded(&packet) {
                None if self.is_vip(packet.src_dst.1) => {
                    return outcome::dropped(seen, &[DropReason::FragmentWithoutFirst]);
                }
                None => return outcome::passes(seen),
                Some(record) if self.now - record.tick > flows::FRAGMENTS_LIVE => return Ok(Known::No),
                Some(record) => (packet.sport, packet.dport) = record.ports,
            }
        }
        self.judge_of_flow(seen, &packet)
    }

    fn is_vip(&self, address: IpAddr) -> bool {
        self.services.iter().any(|service| service.vip.ip() == address)
    }

    /// Whether it is the address of a pool.
    fn is_snat(&self, address: IpAddr) -> bool {
        self.services.iter().any(|service| service.snat.contains(&address))
    }

    /// Whether it is the address of a VIP, a backend or a pool.
    fn is_own(&self, address: IpAddr) -> bool {
        self.is_vip(address)
            || self.is_snat(address)
            || self.backends.values().any(|backend| backend.address.ip() == address)
    }

    /// The next hop to an address, or the reasons for which packets to it are dropped.
    fn hop(&self, to: IpAddr) -> Result<Route, DropReason> {
        match self.routes.get(&to) {
            None => Err(DropReason::NoRoute),
            Some(Route { mac: None, .. }) => Err(DropReason::NeighbourMissing),
            Some(route) => Ok(*route),
        }
    }

    /// Why a packet cannot leave by a hop.
    fn obstacles(&self, packet: &Packet, hop: Result<Route, DropReason>) -> Vec<DropReason> {
        let mut reasons = Vec::new();
        if packet.ttl <= 1 {
            reasons.push(DropReason::TtlExceeded);
        }
        match hop.map(|route| self.ports.get(&route.ifindex)) {
            Err(reason) => reasons.push(reason),
            Ok(None) => reasons.push(DropReason::EgressNotAttached),
            Ok(Some(port)) => {
                if !port.attached {
                    reasons.push(DropReason::EgressNotAttached);
                }
                if packet.length() > port.mtu {
                    reasons.push(DropReason::PacketTooBig);
                }
            }
        }
        reasons
    }

    /// Whether a host can send from an address (RFC 1812 section 5.3.7, RFC 4291).
    fn is_martian(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                a == 0 || a == 127 || (a == 169 && b == 254) || a >= 224
            }
            IpAddr::V6(address) => {
                let segments = address.segments();
                let is_mapped = segments[..5] == [0; 5] && segments[5] == 0xffff;
                segments[..6] == [0; 6]
                    || is_mapped
                    || segments[0] & 0xffc0 == 0xfe80
                    || segments[0] >> 8 == 0xff
            }
        }
    }
}

/// Whether a frame was sent as what it is, or as an answer.
fn is_forwarded(seen: &Seen<'_>) -> bool {
    matches!(seen.verdict.action(), Action::Transmit | Action::Redirect) && seen.drops.is_empty()
}
