//! The way of a packet: parse -> flow -> service -> admit -> select -> limit -> establish -> rewrite -> forward.
//!
//! One file per stage. A stage returns a value, or `Err` with the [`Verdict`] that ends the packet's way; what the verdict means
//! to the kernel is the business of `lb-ebpf`'s entry point. What an established packet needs is inlined (most take the shortcut of
//! `established`); the slow paths are functions of their own (`inline(never)`), because all frames of a chain of calls share BPF's 512
//! bytes of stack.

mod admission;
mod admit;
mod affinity;
mod claim;
mod cookie;
mod establish;
mod established;
mod family;
mod flow;
mod forward;
mod fragment;
mod icmp;
mod latency;
mod limit;
mod parse;
mod relay;
mod reply;
mod rewrite;
mod seen;
mod select;
mod service;
mod share;
mod signals;
mod snat;
mod source;

pub use flow::{set_deltas, turn};

use crate::{
    Packet, Tables,
    abi::{Cookie, DropReason, Flow, FlowFlags, FlowKey, Service},
    packet::Head as _,
    tables::{AddressTables, Traffic},
    verdict::{Action, Step, Verdict},
    wire::{ACK, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, RST, TCP},
};
use family::Family;
use forward::Refused;
use parse::Headers;
use seen::TableUse;
use select::Selected;

/// Memory for what the stages hand on: BPF's stack is too small for it. What it holds between packets means nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Workspace {
    v4: Work<u32>,
    v6: Work<[u32; 4]>,
}

/// The part of one address family.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Work<A> {
    /// The packet's headers.
    headers: Headers<A>,
    /// Its flow.
    flow: Flow<A>,
    /// The entry of the other direction, while it is made.
    twin: Flow<A>,
    /// Its key; of an ICMP error: the key of the entry that it follows; when a handshake is timed: the key of the client's packets.
    twin_key: FlowKey<A>,
    /// The packet an ICMP error quotes.
    quote: Headers<A>,
    /// The service that a new flow is for.
    service: Service,
    /// The backend that was selected for it.
    selected: Selected,
    /// The cookie that it begins with, if it is valid; of a flow: what it began with.
    cookie: Cookie,
    /// TCP options, where cookies need them.
    options: cookie::Options,
    /// The segment that takes the packet's place.
    segment: cookie::Segment,
    /// For who wants to know afterwards: what the flow table had to do with the packet.
    table: TableUse,
    /// Likewise: number of the drop reason plus 1 that the packet's sender is told.
    told: u32,
}

/// Decides about a packet, rewrites it if it is to be forwarded, and counts it.
///
/// A BPF program calls the parts, each in a function of its own, as their stacks would add up.
pub fn process<P: Packet, T: Tables>(packet: &mut P, tables: &T, workspace: &mut Workspace) -> Verdict {
    let shortcut = match ether_type(packet) {
        Some(ETHERTYPE_IPV4) => shortcut_v4(packet, tables),
        Some(ETHERTYPE_IPV6) => shortcut_v6(packet, tables),
        _ => None,
    };
    shortcut.unwrap_or_else(|| long_way(packet, tables, workspace))
}

/// What a frame carries, wire order.
#[inline(always)]
pub fn ether_type<P: Packet>(packet: &mut P) -> Option<u16> {
    packet.head(size_of::<Ethernet>()).map(|head| head.half::<12>())
}

/// Forwards an IPv4 packet if nothing has to be decided about it, or says that it is not for us; `None`: it has to take the long way.
#[inline(always)]
pub fn shortcut_v4<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Option<Verdict> {
    established::forward::<u32, P, T>(packet, tables)
}

/// [`shortcut_v4`] for an IPv6 packet.
#[inline(always)]
pub fn shortcut_v6<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Option<Verdict> {
    established::forward::<[u32; 4], P, T>(packet, tables)
}

/// The way of every other packet.
#[inline(always)]
pub fn long_way<P: Packet, T: Tables>(packet: &mut P, tables: &T, workspace: &mut Workspace) -> Verdict {
    let (ingress, length) = (packet.ingress(), packet.length());
    let verdict = match parse::ethernet(packet, tables) {
        Ok(frame) if frame.is_v6 => balance(packet, tables, &mut workspace.v6, frame.network),
        Ok(frame) => balance(packet, tables, &mut workspace.v4, frame.network),
        Err(verdict) => verdict,
    };
    match verdict.action() {
        Action::Pass => {}
        Action::Drop => tables.count_drop(verdict.argument()),
        Action::Transmit => tables.count_sent(ingress, packet.length() as u32),
        Action::Redirect => tables.count_sent(verdict.argument(), packet.length() as u32),
    }
    tables.count_received(ingress, length as u32, verdict.action());
    verdict
}

/// The way of a packet of one address family, whose network header begins at `offset`.
#[inline(always)]
fn balance<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>, offset: usize) -> Verdict
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let mut step = established(packet, tables, work, offset);
    if step == Step::ICMP {
        step = icmp::handle(packet, tables, work);
    } else if step == Step::DONE {
        step = deliver_slowly(packet, tables, work);
    } else if step == Step::ABSENT {
        step = flow::find_embryonic(tables, work);
        if step == Step::ABSENT && is_answer(&work.headers) {
            step = establish::answered(packet, tables, work);
        }
        if step == Step::ABSENT {
            step = ask(tables, work);
            if step == Step::end(Verdict::PASS) {
                step = relay::pass_on(packet, tables, &work.headers);
            }
            if step == Step::ABSENT && cookie::concerns(&work.headers, &work.service) {
                step = cookie::meet(packet, tables, work);
            }
            if step == Step::ABSENT && tables.has_admission() {
                step = admission::check(tables, work);
            }
            if step == Step::ABSENT {
                step = choose(tables, work);
            }
            if step == Step::ABSENT {
                step = settle(packet, tables, work);
            }
            if step == Step::ABSENT {
                step = share::take(tables, work);
            }
            if step == Step::ABSENT {
                step = establish::flow(packet, tables, work);
            }
        }
        if step == Step::DONE {
            step = deliver_slowly(packet, tables, work);
        }
    }
    if let Some(reason) = step.reset_reason() {
        work.told = reason + 1;
        reply::reset(packet, tables, &work.headers, reason)
    } else if step == Step::TIME_EXCEEDED {
        work.told = DropReason::TtlExceeded as u32 + 1;
        reply::time_exceeded(packet, tables, &work.headers)
    } else if let Some(mtu) = step.exceeded_mtu() {
        work.told = DropReason::PacketTooBig as u32 + 1;
        reply::too_big(packet, tables, &work.headers, mtu)
    } else {
        step.verdict()
    }
}

/// Whether a packet can be what a backend sends to a client: a datagram, or every segment but the first of a connection.
#[inline(always)]
fn is_answer<A>(headers: &Headers<A>) -> bool {
    headers.key.proto != TCP || headers.flags & (ACK | RST) != 0
}

/// The stages of an established packet; `ABSENT` if it is none, `RESET` if its connection is ended, `DONE` if it began with a cookie.
#[inline(never)]
fn established<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>, offset: usize) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let mut stages = || {
        A::parse(packet, tables.opaque(offset), &mut work.headers)?;
        work.headers.transport = tables.opaque(work.headers.transport);
        if work.headers.key.proto == A::ICMP {
            return Ok(Step::ICMP);
        }
        parse::transport(packet, tables, &mut work.headers)?;
        let step = flow::find(tables, work)?;
        if step != Step::DONE || work.flow.flags & FlowFlags::COOKIE != 0 {
            return Ok(step);
        }
        deliver::<_, _, _, false>(packet, tables, work)
    };
    stages().unwrap_or_else(Step::end)
}

/// The stages that only a packet without a flow goes through: the service that it is for, if it may begin one; `ABSENT`: it may.
#[inline(never)]
fn ask<A, T>(tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let mut stages = || {
        work.service = service::find(tables, &work.headers)?;
        admit::new_flow(&work.headers)?;
        source::check(tables, &work.headers).result()?;
        admit::has_room::<A, T>(tables)?;
        work.cookie.flags = 0;
        Ok(Step::ABSENT)
    };
    stages().unwrap_or_else(Step::end)
}

/// The choice of a backend; `ABSENT` if there is one.
#[inline(never)]
fn choose<A, T>(tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    T: Tables + AddressTables<A>,
{
    let mut stages = || {
        if work.headers.hop_limit <= 1 {
            return Ok(Step::TIME_EXCEEDED);
        }
        if affinity::recall(tables, work) == Step::ABSENT {
            work.selected = select::backend(tables, &work.service, &work.headers.key)?;
        }
        source::is_not_backend(&work.service, &work.selected, work.headers.key.src)?;
        Ok(Step::ABSENT)
    };
    stages().unwrap_or_else(Step::end)
}

/// Sees to it that the backend that was chosen has a place, and remembers it; `ABSENT` if the flow is to be stored.
#[inline(never)]
fn settle<A, P, T>(packet: &P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let step = limit::check(tables, work);
    if step != Step::DONE {
        return step;
    }
    affinity::remember(tables, work);
    let Work { headers, flow, service, selected, .. } = work;
    if establish::is_stateless(tables, headers, service, &selected.backend)
        && establish::knows_way_back(packet, tables, headers.key.src)
    {
        return match establish::syn(tables, headers, selected, service.id, flow) {
            Ok(()) => Step::DONE,
            Err(verdict) => Step::end(verdict),
        };
    }
    Step::ABSENT
}

/// [`deliver`] as a function of its own, for flows that were not answered yet, of which what they say of their backends is counted, and for those
/// that began with a cookie.
#[inline(never)]
fn deliver_slowly<A, P, T>(packet: &mut P, tables: &T, work: &mut Work<A>) -> Step
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let step = deliver::<_, _, _, true>(packet, tables, work).unwrap_or_else(Step::end);
    if step.is_sent() {
        signals::count(tables, work);
    }
    step
}

/// The last stages, when the flow is known: check the egress, rewrite, forward.
#[inline(always)]
fn deliver<A, P, T, const COOKIES: bool>(
    packet: &mut P,
    tables: &T,
    work: &mut Work<A>,
) -> Result<Step, Verdict>
where
    A: Family,
    P: Packet,
    T: Tables + AddressTables<A>,
{
    let (headers, flow) = (&work.headers, &work.flow);
    if headers.hop_limit <= 1 {
        return Ok(Step::TIME_EXCEEDED);
    }
    let smac = match forward::check_egress(tables, &flow.next_hop, headers.length) {
        Ok(smac) => smac,
        Err(Refused::TooBig { mtu }) => return Ok(Step::too_big(mtu)),
        Err(Refused::NotAttached) => return drop(DropReason::EgressNotAttached),
    };
    if COOKIES && flow.flags & FlowFlags::COOKIE != 0 {
        let step = cookie::translate(packet, tables, work);
        if step != Step::DONE {
            return Ok(step);
        }
    }
    let (headers, flow) = (&work.headers, &work.flow);
    fragment::remember(tables, headers);
    rewrite::packet(packet, headers, flow).ok_or(Verdict::drop(DropReason::WriteFailed))?;
    tables.count_traffic(&Traffic {
        service: flow.service,
        backend: flow.backend,
        reverse: flow.is_reverse(),
        bytes: headers.length as u32,
    });
    Ok(Step::end(forward::send(packet, &flow.next_hop, smac)))
}

/// Ends a packet's way because it is not for us.
#[inline(always)]
fn pass<V>() -> Result<V, Verdict> {
    Err(Verdict::PASS)
}

/// Ends a packet's way with a reason.
#[inline(always)]
fn drop<V>(reason: DropReason) -> Result<V, Verdict> {
    Err(Verdict::drop(reason))
}
