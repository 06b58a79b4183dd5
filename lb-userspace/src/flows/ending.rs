//! Connections that are to be reset, see [`BackendFlags::RESET`]: their ends are made to send something.
//!
//! The data path answers every packet of such a connection with a RST that its sender has to take. An idle connection has no packets: each
//! end is sent ACKs with numbers from nowhere, which it answers with one that has its own (RFC 9293 §3.10.7.4, RFC 5961 §5); that one
//! meets the data path.

use std::collections::HashMap;

use lb_common::{
    abi::{Address, Backend, BackendFlags, BackendState, Flow, FlowFlags, FlowKey, FlowState, NextHop},
    checksum,
    wire::{ACK, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, Ipv4, Ipv6, TCP, Tcp},
};
use zerocopy::{Immutable, IntoBytes};

use super::Tier;

/// Ticks for which each scan asks the ends of a connection. What nobody answered for is then forgotten.
const PATIENCE: u32 = 3;
/// Most entries that one scan asks about; a connection has two.
pub const MOST_ENDINGS: usize = 1 << 18;
/// Sequence numbers, half of all numbers apart: no window is larger than a quarter of them (RFC 7323 §2.3), so that one is outside.
const NUMBERS: [u32; 2] = [0x1000_0000, 0x9000_0000];
/// Two no-operations and a timestamp (RFC 7323 §3.2): without one, some ends would not answer where both agreed on timestamps.
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0];
const HOP_LIMIT: u8 = 64;

/// Whether the connections of a backend are to be reset.
#[must_use]
pub fn is_reset(backend: &Backend) -> bool {
    let takes = [BackendState::Active as u8, BackendState::Draining as u8].contains(&backend.state);
    backend.flags & BackendFlags::RESET != 0 && !takes
}

/// One end of a connection that is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The address that the end knows as the other one; wire order, IPv4 in the first word.
    src: [u32; 4],
    /// The end's address, likewise.
    dst: [u32; 4],
    /// Ports of both, wire order.
    ports: (u16, u16),
    next_hop: NextHop,
    is_v6: bool,
}

impl Ending {
    /// The end that an entry leads to, unless it got its RST or knows by itself that the connection is over, or nobody knows where it is.
    pub(super) fn of<A: Address>(tier: Tier, key: &FlowKey<A>, flow: &Flow<A>) -> Option<Self> {
        let over = [FlowState::Closing as u8, FlowState::Closed as u8].contains(&flow.state);
        // Half-open connections repeat their packets anyway.
        let concerned = tier == Tier::Established && key.proto == TCP && !over;
        // Without an interface it is not known, or the flow is kept for another machine.
        (concerned && flow.next_hop.dmac != [0; 6] && flow.next_hop.ifindex != 0).then(|| Self {
            src: flow.src.words(),
            dst: flow.dst.words(),
            ports: (flow.sport, flow.dport),
            next_hop: flow.next_hop,
            is_v6: A::IS_V6,
        })
    }

    /// The interface that leads there.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.next_hop.ifindex.into()
    }

    /// The frames that make it send something, from an interface with this MAC address.
    #[must_use]
    pub fn frames(&self, smac: [u8; 6]) -> [Vec<u8>; 2] {
        NUMBERS.map(|number| self.frame(smac, number))
    }

    fn frame(&self, smac: [u8; 6], number: u32) -> Vec<u8> {
        let length = size_of::<Tcp>() + OPTIONS.len();
        let mut segment = Tcp {
            sport: self.ports.0,
            dport: self.ports.1,
            seq: number.to_be(),
            ack: number.to_be(),
            offset: ((length / 4) as u8) << 4,
            flags: ACK,
            window: 0,
            check: 0,
            urgent: 0,
        };
        let pseudo = checksum::sum_words(self.src)
            + checksum::sum_words(self.dst)
            + u32::from((length as u16).to_be())
            + u32::from(u16::from_ne_bytes([0, TCP]));
        segment.check = folded(pseudo + checksum::sum(segment.as_bytes()) + checksum::sum(&OPTIONS));
        let ether_type = if self.is_v6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
        let mut frame = bytes(&Ethernet { dmac: self.next_hop.dmac, smac, ether_type });
        frame.extend(if self.is_v6 { self.ipv6(length) } else { self.ipv4(length) });
        frame.extend(bytes(&segment));
        frame.extend(OPTIONS);
        frame
    }

    fn ipv4(&self, length: usize) -> Vec<u8> {
        let mut ip = Ipv4 {
            version_ihl: 0x45,
            tos: 0,
            total_length: ((size_of::<Ipv4>() + length) as u16).to_be(),
            id: 0,
            fragment: 0,
            ttl: HOP_LIMIT,
            proto: TCP,
            check: 0,
            src: self.src[0],
            dst: self.dst[0],
        };
        ip.check = folded(checksum::sum(ip.as_bytes()));
        bytes(&ip)
    }

    fn ipv6(&self, length: usize) -> Vec<u8> {
        bytes(&Ipv6 {
            version_class_label: u32::from_ne_bytes([0x60, 0, 0, 0]),
            payload_length: (length as u16).to_be(),
            next_header: TCP,
            hop_limit: HOP_LIMIT,
            src: self.src,
            dst: self.dst,
        })
    }
}

fn bytes<T: IntoBytes + Immutable>(header: &T) -> Vec<u8> {
    header.as_bytes().to_vec()
}

fn folded(sum: u32) -> u16 {
    !checksum::fold(sum)
}

/// Since which tick the connections of backends are to be reset.
#[derive(Clone, Debug, Default)]
pub(super) struct ResetSince(HashMap<u32, u32>);

impl ResetSince {
    /// Takes in how the backends are at the tick `now`.
    pub(super) fn update(&mut self, now: u32, backends: &[Backend]) {
        let reset = (0_u32..).zip(backends).filter(|(_, backend)| is_reset(backend)).map(|(id, _)| id);
        self.0 = reset.map(|id| (id, self.0.get(&id).copied().unwrap_or(now))).collect();
    }

    /// Whether the ends of a flow were asked long enough at the tick `now`. A flow that saw a packet since then belongs to a time in
    /// which the backend was back. One that was ended itself saw its last packet, as it were, when that was done.
    pub(super) fn is_over<A>(&self, now: u32, flow: &Flow<A>) -> bool {
        if flow.flags & FlowFlags::RESET != 0 {
            return now.saturating_sub(flow.last_seen) > PATIENCE;
        }
        let since = self.0.get(&flow.backend).map(|since| flow.last_seen.max(*since));
        since.is_some_and(|since| now.saturating_sub(since) > PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use lb_common::host::{self, FrameSpec, Transport};

    use super::*;

    const DMAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn flow(state: FlowState) -> (FlowKey<u32>, Flow<u32>) {
        let word = |octets| u32::from_ne_bytes(octets);
        let key = FlowKey {
            src: word([198, 51, 100, 7]),
            dst: word([203, 0, 113, 10]),
            sport: 40000_u16.to_be(),
            dport: 80_u16.to_be(),
            proto: TCP,
            pad: [0; 3],
        };
        let flow = Flow {
            src: word([192, 0, 2, 1]),
            dst: word([10, 0, 0, 1]),
            sport: 1025_u16.to_be(),
            dport: 8080_u16.to_be(),
            next_hop: NextHop { dmac: DMAC, ifindex: 3, generation: 1 },
            state: state as u8,
            ..Flow::default()
        };
        (key, flow)
    }

    #[test]
    fn an_established_tcp_entry_asks_the_end_it_leads_to() {
        let (key, flow) = flow(FlowState::Established);
        let ending = Ending::of(Tier::Established, &key, &flow).unwrap();
        assert_eq!(ending.ifindex(), 3);
        let [first, second] = ending.frames([2, 0, 0, 0, 0, 1]);
        let mut expected =
            FrameSpec::tcp("192.0.2.1:1025".parse().unwrap(), "10.0.0.1:8080".parse().unwrap(), ACK);
        (expected.dmac, expected.smac, expected.id) = (DMAC, [2, 0, 0, 0, 0, 1], 0);
        for (frame, number) in [(first, 0x1000_0000), (second, 0x9000_0000)] {
            if let Transport::Tcp { options, numbers, .. } = &mut expected.transport {
                (*options, *numbers) = (OPTIONS.to_vec(), (number, number, 0));
            }
            assert_eq!(frame, expected.build());
        }
    }

    #[test]
    fn checksums_of_both_families_are_right() {
        let words = [0x2001_0db8_u32.to_be(), 0, 0, 1_u32.to_be()];
        let next_hop = NextHop { dmac: DMAC, ifindex: 3, generation: 1 };
        let key = FlowKey::<[u32; 4]> { proto: TCP, ..FlowKey::default() };
        let v6 = Flow { src: words, dst: words, sport: 7, dport: 9, next_hop, ..Flow::default() };
        let (key4, v4) = flow(FlowState::FinClient);
        let endings = [Ending::of(Tier::Established, &key, &v6), Ending::of(Tier::Established, &key4, &v4)];
        for ending in endings.into_iter().flatten() {
            ending.frames([6; 6]).iter().for_each(|frame| host::checksums(frame).unwrap());
        }
    }

    #[test]
    fn what_is_over_or_half_open_or_nowhere_is_not_asked() {
        let asked = |tier, (key, flow): (FlowKey<u32>, Flow<u32>)| Ending::of(tier, &key, &flow).is_some();
        for state in [FlowState::Closed, FlowState::Closing] {
            assert!(!asked(Tier::Established, flow(state)));
        }
        let (key, open) = flow(FlowState::Established);
        assert!(!asked(Tier::Embryonic, (key, open)));
        assert!(!asked(Tier::Established, (key, Flow { next_hop: NextHop::default(), ..open })));
        assert!(!asked(Tier::Established, (FlowKey { proto: 17, ..key }, open)));
        assert!(asked(Tier::Established, (key, open)));
    }

    #[test]
    fn ends_are_asked_for_three_ticks_since_the_backend_was_taken_out_or_the_last_packet() {
        let out =
            Backend { flags: BackendFlags::RESET, state: BackendState::Disabled as u8, ..Backend::default() };
        let back = Backend { state: BackendState::Active as u8, ..out };
        let mut since = ResetSince::default();
        let flow = |last_seen| Flow::<u32> { backend: 1, last_seen, ..Flow::default() };
        for tick in 100..=103 {
            since.update(tick, &[Backend::default(), out]);
            assert!(!since.is_over(tick, &flow(5)));
        }
        since.update(104, &[Backend::default(), out]);
        assert!(since.is_over(104, &flow(5)) && !since.is_over(104, &flow(101)));
        assert!(!since.is_over(104, &Flow { backend: 0, ..flow(5) }));
        since.update(105, &[Backend::default(), back]);
        assert!(!since.is_over(105, &flow(5)));
        since.update(106, &[Backend::default(), out]);
        assert!(!since.is_over(109, &flow(5)) && since.is_over(110, &flow(5)));
    }
}
