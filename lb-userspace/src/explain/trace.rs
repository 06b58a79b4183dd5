//! What became of a packet, read from a trial after it ran.

use std::{collections::BTreeSet, io, net::SocketAddr};

use lb_common::{
    abi::{
        Abi, Address, DropReason, Flow, FlowKey, InterfaceCounters, Service, ServiceKey, TICK_SHIFT,
        TrafficCounters,
    },
    host::Side,
    maps,
};

use super::{
    Headers, Trial,
    copy::{Copy, Key, Part},
};
use crate::{
    model::keyword::keyword,
    plan::{address_of, address_words},
};

/// The XDP action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The program failed: a defect.
    Aborted,
    /// Dropped.
    Drop,
    /// Handed to the host.
    Pass,
    /// Sent out of the interface that it came in at.
    Transmit,
    /// Sent out of another one.
    Redirect,
}

keyword!(Fate {
    Aborted = "aborted",
    Drop = "drop",
    Pass = "pass",
    Transmit = "transmit",
    Redirect = "redirect"
});

/// Which way a packet of a service goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client to a backend.
    ToBackend,
    /// From a backend to a client.
    ToClient,
}

keyword!(Direction { ToBackend = "to-backend", ToClient = "to-client" });

/// What the flow tables had to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowUse {
    /// No entry was there, none was made.
    None,
    /// It went by an entry.
    Hit,
    /// It began a flow.
    Begun,
}

keyword!(FlowUse { None = "none", Hit = "hit", Begun = "begun" });

/// An entry of a flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In `FLOWS_*`; else in `EMBRYONIC_*`.
    pub established: bool,
    /// A [`lb_common::abi::FlowState`].
    pub state: u8,
    /// Seconds since the last packet.
    pub idle_seconds: u64,
    /// Service id.
    pub service: u16,
    /// Backend id.
    pub backend: u32,
    /// Whether it is for packets from the backend.
    pub reverse: bool,
    /// Source that packets leave with.
    pub source: SocketAddr,
    /// Destination that they leave with.
    pub destination: SocketAddr,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The verdict.
    pub fate: Fate,
    /// The interface it leaves by.
    pub egress: Option<u32>,
    /// Why it was dropped, or what its sender is told.
    pub reason: Option<DropReason>,
    /// The service it was for.
    pub service: Option<u16>,
    /// That service's selector, a [`lb_common::abi::Selector`].
    pub selector: Option<u8>,
    /// The backend of its flow.
    pub backend: Option<u32>,
    /// Which way it goes.
    pub direction: Option<Direction>,
    /// What the flow tables had to do with it.
    pub flow: FlowUse,
    /// The entry of the packet's addresses before.
    pub before: Option<Entry>,
    /// The entry afterwards.
    pub after: Option<Entry>,
    /// As it arrived.
    pub arrived: Headers,
    /// The frame afterwards, whatever becomes of it.
    pub frame: Vec<u8>,
}

/// Reads what a run left behind.
pub(super) fn read(
    trial: &Trial,
    copy: &Copy,
    (ingress, arrived): (u32, &[u8]),
    (action, frame): (u32, Vec<u8>),
) -> io::Result<Trace> {
    let fate = match action {
        1 => Fate::Drop,
        2 => Fate::Pass,
        3 => Fate::Transmit,
        4 => Fate::Redirect,
        _ => Fate::Aborted,
    };
    let arrived = Headers::of(arrived);
    let (before, after) = match copy.key {
        Some(Key::V4(key)) => entries::<u32>(trial, copy, &key)?,
        Some(Key::V6(key)) => entries::<[u32; 4]>(trial, copy, &key)?,
        None => (None, None),
    };
    let of_service = traffic(trial, maps::SERVICE_COUNTERS)?;
    let of_backend = traffic(trial, maps::BACKEND_COUNTERS)?;
    let counters =
        of_backend.as_ref().or(of_service.as_ref()).map(|(_, counters)| *counters).unwrap_or_default();
    let entry = after.or(before);
    let named = service_of(copy, &arrived);
    let service = of_service.map(|(id, _)| id as u16).or(entry.map(|entry| entry.service));
    let service = service.or(named.map(|service| service.id));
    let begun = counters.flows > 0;
    let flow = match (begun, before) {
        (true, _) => FlowUse::Begun,
        (false, Some(_)) => FlowUse::Hit,
        (false, None) => FlowUse::None,
    };
    let direction = match (counters.packets_in, counters.packets_out, entry) {
        (1.., ..) => Some(Direction::ToBackend),
        (_, 1.., _) => Some(Direction::ToClient),
        (.., Some(entry)) if entry.reverse => Some(Direction::ToClient),
        (.., Some(_)) => Some(Direction::ToBackend),
        _ => named.map(|_| Direction::ToBackend),
    };
    Ok(Trace {
        fate,
        egress: egress(trial, fate, ingress)?,
        reason: reason(trial)?,
        service,
        selector: selector(copy, service),
        backend: of_backend.map(|(id, _)| id).or(entry.map(|entry| entry.backend)),
        direction,
        flow,
        before,
        after,
        arrived,
        frame,
    })
}

/// The entries of a key before and after the run.
fn entries<A: Part>(
    trial: &Trial,
    copy: &Copy,
    key: &FlowKey<A>,
) -> io::Result<(Option<Entry>, Option<Entry>)>
where
    FlowKey<A>: Abi,
    Flow<A>: Abi,
{
    let now = copy.tables.now.get();
    let family = A::side(&copy.tables);
    let known = |table: &std::cell::RefCell<std::collections::HashMap<_, lb_common::host::HostEntry<A>>>| {
        table.borrow().get(key).map(|entry| entry.0.get())
    };
    let established = known(&family.flows).map(|flow| entry(now, true, &flow));
    let before = established.or_else(|| known(&family.embryonic).map(|flow| entry(now, false, &flow)));
    let mut after = None;
    for (name, established) in [(A::MAPS[0], true), (A::MAPS[1], false)] {
        let found = trial.map(name)?.lookup::<FlowKey<A>, Flow<A>>(key)?;
        after = after.or(found.map(|flow| entry(now, established, &flow)));
    }
    Ok((before, after))
}

fn entry<A: Address>(now: u32, established: bool, flow: &Flow<A>) -> Entry {
    let socket = |address: A, port: u16| {
        let address = address_of(address.words(), if A::IS_V6 { 6 } else { 4 });
        SocketAddr::new(address.unwrap_or([0, 0, 0, 0].into()), u16::from_be(port))
    };
    let idle = now.saturating_sub(flow.last_seen);
    Entry {
        established,
        state: flow.state,
        idle_seconds: (u64::from(idle) << TICK_SHIFT) / 1_000_000_000,
        service: flow.service,
        backend: flow.backend,
        reverse: flow.is_reverse(),
        source: socket(flow.src, flow.sport),
        destination: socket(flow.dst, flow.dport),
    }
}

/// The one element of traffic counters that counted, with its index.
fn traffic(trial: &Trial, name: &str) -> io::Result<Option<(u32, TrafficCounters)>> {
    let mut found = None;
    trial.map(name)?.scan::<u32, TrafficCounters>(|chunk| {
        chunk.each_value(|index: u32, counters: TrafficCounters| {
            if counters != TrafficCounters::default() {
                found = Some((index, counters));
            }
        });
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn egress(trial: &Trial, fate: Fate, ingress: u32) -> io::Result<Option<u32>> {
    let mut sent = BTreeSet::new();
    trial.map(maps::INTERFACE_COUNTERS)?.scan::<u32, InterfaceCounters>(|chunk| {
        chunk.each_value(|index: u32, counters: InterfaceCounters| {
            if counters.tx_packets != 0 {
                sent.insert(index);
            }
        });
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(match fate {
        Fate::Transmit => Some(ingress),
        Fate::Redirect => sent.first().copied(),
        _ => None,
    })
}

fn reason(trial: &Trial) -> io::Result<Option<DropReason>> {
    let mut counted = None;
    trial.map(maps::DROPS)?.scan::<u32, u64>(|chunk| {
        chunk.each_value(|index: u32, count: u64| {
            if count != 0 {
                counted = DropReason::ALL.get(index as usize).copied();
            }
        });
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(counted)
}

/// The service of a packet's destination.
fn service_of(copy: &Copy, headers: &Headers) -> Option<Service> {
    let (_, destination) = headers.addresses?;
    let (_, port) = headers.ports?;
    let find = |port: u16| {
        let words = address_words(destination);
        if destination.is_ipv4() {
            find::<u32>(copy, words, port, headers.protocol)
        } else {
            find::<[u32; 4]>(copy, words, port, headers.protocol)
        }
    };
    find(port).or_else(|| find(0))
}

fn find<A: Side>(copy: &Copy, words: [u32; 4], port: u16, proto: u8) -> Option<Service> {
    let key = ServiceKey { addr: A::from_words(words), port: port.to_be(), proto, pad: 0 };
    A::side(&copy.tables).services.borrow().get(&key).copied()
}

fn selector(copy: &Copy, service: Option<u16>) -> Option<u8> {
    let (v4, v6) = (copy.tables.v4.services.borrow(), copy.tables.v6.services.borrow());
    let mut all = v4.values().chain(v6.values());
    all.find(|candidate| Some(candidate.id) == service).map(|service| service.selector)
}
