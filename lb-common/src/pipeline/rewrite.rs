//! Stage 7, rewrite: addresses, ports, TTL and checksums, by the flow's constants.

use super::{
    family::{Family, Header},
    parse::Headers,
};
use crate::{
    Packet,
    abi::Flow,
    checksum,
    wire::{Ports, TCP, Tcp, Udp},
};

/// Rewrites a packet by its flow; `None` if a header is out of reach, which parsing rules out.
#[inline(always)]
pub(super) fn packet<A: Family, P: Packet>(
    packet: &mut P,
    headers: &Headers<A>,
    flow: &Flow<A>,
) -> Option<()> {
    let header = Header {
        src: flow.src,
        dst: flow.dst,
        hop_limit: headers.hop_limit.wrapping_sub(1),
        l3_delta: flow.l3_delta,
    };
    A::rewrite(packet, headers.offset, &header)?;
    if !headers.has_transport {
        return Some(());
    }
    packet.write(headers.transport, Ports { sport: flow.sport, dport: flow.dport })?;
    if headers.key.proto == TCP {
        packet.write(headers.transport + Tcp::CHECK, checksum::update(headers.check, flow.l4_delta))
    } else {
        packet.write(headers.transport + Udp::CHECK, checksum::update_udp(headers.check, flow.l4_delta))
    }
}
