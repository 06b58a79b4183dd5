//! What is said of a flow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::FlowState;

/// A flow, as both machines understand it: no ids, no next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// IP protocol number.
    pub protocol: u8,
    /// Who began it.
    pub client: (IpAddr, u16),
    /// Where the client sends to.
    pub vip: (IpAddr, u16),
    /// Where its packets come from, for the backend: the client's with `nat`.
    pub source: (IpAddr, u16),
    /// Where they go.
    pub backend: (IpAddr, u16),
    /// How far it is.
    pub phase: Phase,
    /// Whether the source's port was taken from a pool.
    pub is_port_allocated: bool,
    /// Whether its two ends count differently, in a way that the other machine does not know: there it is reset.
    pub began_with_cookie: bool,
    /// Tick of the last packet.
    pub last_seen: u32,
}

/// The state of an established flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phase(u8);

impl Phase {
    /// Both sides know each other.
    pub const ESTABLISHED: Self = Self(FlowState::Established as u8);
    /// Both sides are done.
    pub const CLOSING: Self = Self(FlowState::Closing as u8);

    /// `None` for embryonic flows, which are not replicated.
    #[must_use]
    pub fn of(state: u8) -> Option<Self> {
        let state = FlowState::from_number(state)?;
        let established = FlowState::Established as u8..=FlowState::UdpEstablished as u8;
        established.contains(&(state as u8)).then_some(Self(state as u8))
    }

    /// A [`FlowState`].
    #[must_use]
    pub fn state(self) -> u8 {
        self.0
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.0 == FlowState::Closing as u8 || self.0 == FlowState::Closed as u8
    }
}

impl Flow {
    /// Bytes that [`Self::write`] takes.
    pub(super) fn bytes(&self) -> usize {
        if self.client.0.is_ipv4() { 32 } else { 80 }
    }

    /// Appends it: kind (1 byte: 4 or 6), state (1), protocol (1), flags (1), last tick (4), the addresses of client, VIP, source and backend
    /// (4 or 16 each), their ports (2 each). The addresses of one flow are of one family.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let kind = if self.client.0.is_ipv4() { 4 } else { 6 };
        let flags = u8::from(self.is_port_allocated) | u8::from(self.began_with_cookie) << 1;
        out.extend_from_slice(&[kind, self.phase.0, self.protocol, flags]);
        out.extend_from_slice(&self.last_seen.to_be_bytes());
        let ends = [self.client, self.vip, self.source, self.backend];
        for (address, _) in ends {
            match address {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            }
        }
        for (_, port) in ends {
            out.extend_from_slice(&port.to_be_bytes());
        }
    }

    /// Reads one and moves `bytes` behind it.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let is_v4 = *bytes.first()? == 4;
        let (head, rest) = bytes.split_at_checked(if is_v4 { 32 } else { 80 })?;
        let flags = head[3];
        let address = |index: usize| -> IpAddr {
            if is_v4 {
                let mut octets = [0; 4];
                octets.copy_from_slice(&head[8 + 4 * index..12 + 4 * index]);
                Ipv4Addr::from(octets).into()
            } else {
                let mut octets = [0; 16];
                octets.copy_from_slice(&head[8 + 16 * index..24 + 16 * index]);
                Ipv6Addr::from(octets).into()
            }
        };
        let ports = if is_v4 { 24 } else { 72 };
        let port = |index: usize| u16::from_be_bytes([head[ports + 2 * index], head[ports + 2 * index + 1]]);
        let end = |index| (address(index), port(index));
        let flow = Self {
            phase: Phase::of(head[1])?,
            protocol: head[2],
            is_port_allocated: flags & 1 != 0,
            began_with_cookie: flags & 2 != 0,
            last_seen: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            client: end(0),
            vip: end(1),
            source: end(2),
            backend: end(3),
        };
        *bytes = rest;
        Some(flow)
    }
}
