//! Flows as the machines tell each other, and entries of the tables.

use std::net::IpAddr;

use lb_common::abi::{Address, Flow, FlowEvent, FlowFlags, FlowKey};

use super::index::Found;
use crate::{
    plan::{address_of, address_words},
    replication::{self, Phase},
};

/// What the data path told, as the other machine is to be told; `None` if it has no meaning.
#[must_use]
pub fn told(event: &FlowEvent) -> Option<replication::Flow> {
    let end = |words, port: u16| Some((address_of(words, event.family)?, u16::from_be(port)));
    let (from, to) = (end(event.src, event.sport)?, end(event.dst, event.dport)?);
    let (new_from, new_to) = (end(event.new_src, event.new_sport)?, end(event.new_dst, event.new_dport)?);
    // The backend's packets come from the backend to the source, and leave from the VIP to the client.
    let (client, vip, source, backend) = if event.flags & FlowFlags::REVERSE == 0 {
        (from, to, new_from, new_to)
    } else {
        (new_to, new_from, to, from)
    };
    Some(replication::Flow {
        protocol: event.proto,
        client,
        vip,
        source,
        backend,
        phase: Phase::of(event.state)?,
        is_port_allocated: event.flags & FlowFlags::PORT_ALLOCATED != 0,
        began_with_cookie: event.flags & FlowFlags::COOKIE != 0,
        last_seen: event.last_seen,
    })
}

/// The client's entry of a flow, without deltas and next hop.
pub(super) fn entry<A: Address>(flow: &replication::Flow, found: Found) -> (FlowKey<A>, Flow<A>) {
    let address = |address: IpAddr| A::from_words(address_words(address));
    let key = FlowKey {
        src: address(flow.client.0),
        dst: address(flow.vip.0),
        sport: flow.client.1.to_be(),
        dport: flow.vip.1.to_be(),
        proto: flow.protocol,
        pad: [0; 3],
    };
    let mut flags = if flow.is_port_allocated { FlowFlags::PORT_ALLOCATED } else { 0 };
    if flow.began_with_cookie {
        flags |= FlowFlags::COOKIE;
    }
    let entry = Flow {
        src: address(flow.source.0),
        dst: address(flow.backend.0),
        sport: flow.source.1.to_be(),
        dport: flow.backend.1.to_be(),
        backend: found.backend,
        service: found.service,
        last_seen: flow.last_seen.max(1),
        state: flow.phase.state(),
        flags,
        ..Flow::default()
    };
    (key, entry)
}

/// What the client's entry says; `None` for flows without an answer.
pub(super) fn flow_of<A: Address>(key: &FlowKey<A>, flow: &Flow<A>) -> Option<replication::Flow> {
    told(&FlowEvent::new(key, flow, flow.state, flow.last_seen))
}
