//! Flows and fragments that are known, and packets of them.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::DropReason;

use super::{
    Health, Judgement, Known, Reference, Route, Seen,
    frame::{ACK, FIN, Packet, Piece, RST, TCP},
    is_forwarded, outcome,
};

/// For so many ticks a flow is alive after a packet whatever its time-out is, and ports of a fragment are remembered.
const SURELY_ALIVE: u32 = 20;
pub(super) const FRAGMENTS_LIVE: u32 = 5;

/// A connection or exchange.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(super) proto: u8,
    pub(super) client: SocketAddr,
    pub(super) vip: SocketAddr,
    /// Who the backend sees.
    pub(super) seen: SocketAddr,
    pub(super) backend: SocketAddr,
    pub(super) id: u32,
    /// Where the client's packets came from.
    pub(super) from: Vec<Route>,
    /// Tick of the last packet that was forwarded, and of the last one that came.
    pub(super) forwarded: u32,
    pub(super) came: u32,
    /// There was a FIN or RST.
    pub(super) may_be_over: bool,
}

/// The ports of a fragmented packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragments {
    src_dst: (IpAddr, IpAddr),
    proto: u8,
    id: u32,
    pub(super) ports: (u16, u16),
    pub(super) tick: u32,
}

/// How a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Alive,
    /// Idle for about as long as its time-out.
    Unsure,
    Dead,
}

impl Reference {
    pub(super) fn age(&self, flow: &Flow) -> Age {
        if self.now - flow.came > self.timeout {
            Age::Dead
        } else if self.now - flow.forwarded <= SURELY_ALIVE {
            Age::Alive
        } else {
            Age::Unsure
        }
    }

    pub(super) fn recorded(&self, packet: &Packet) -> Option<Fragments> {
        let is_of = |record: &&Fragments| {
            record.src_dst == packet.src_dst && record.proto == packet.proto && record.id == packet.id
        };
        self.fragments.iter().rev().find(is_of).copied()
    }

    fn record(&mut self, packet: &Packet) {
        let Packet { src_dst, proto, id, sport, dport, .. } = *packet;
        if packet.piece == Piece::First {
            self.fragments.push(Fragments { src_dst, proto, id, ports: (sport, dport), tick: self.now });
        }
    }

    /// A packet with ports.
    pub(super) fn judge_of_flow(&mut self, seen: &Seen<'_>, packet: &Packet) -> Judgement {
        let result = self.judge_by_flow(seen, packet);
        if is_forwarded(seen) {
            self.record(packet);
        }
        result
    }

    fn judge_by_flow(&mut self, seen: &Seen<'_>, packet: &Packet) -> Judgement {
        let now = (self.now, self.timeout);
        self.flows.retain(|flow| now.0 - flow.came <= now.1);
        let of_client = |flow: &Flow| flow.client == packet.src() && flow.vip == packet.dst();
        let of_backend = |flow: &Flow| flow.backend == packet.src() && flow.seen == packet.dst();
        let same = |flow: &Flow| flow.proto == packet.proto && (of_client(flow) || of_backend(flow));
        let Some(place) = self.flows.iter().rposition(same) else { return self.judge_unknown(seen, packet) };
        let flow = self.flows[place].clone();
        if self.age(&flow) != Age::Alive {
            return Ok(Known::No);
        }
        self.flows[place].came = self.now;
        self.flows[place].may_be_over |= packet.has(FIN | RST);
        let from_client = of_client(&flow);
        let backend = self.backends.get(&flow.id).copied();
        let is_out = backend.is_none_or(|backend| backend.health == Health::Down);
        if is_out && packet.proto == TCP && backend.is_some_and(|backend| backend.resets) {
            return self.judge_reset(seen, packet, place);
        }
        if from_client && is_out {
            return self.judge_next(seen, packet, place);
        }
        let (src, dst) = if from_client { (flow.seen, flow.backend) } else { (flow.vip, flow.client) };
        let hops = self.hops(dst.ip(), if from_client { &[] } else { &flow.from });
        let result = self.deliver(seen, packet, (src, dst), &hops);
        if result.is_ok() && is_forwarded(seen) {
            self.flows[place].forwarded = self.now;
            if from_client {
                self.flows[place].from.push(arrival(seen));
            }
        } else if from_client && flow.may_be_over && (packet.is_syn() || self.lost_its_answers(place)) {
            return self.judge_next(seen, packet, place);
        }
        result
    }

    /// Whether another VIP's flow took over the client's address and port towards the backend.
    fn lost_its_answers(&self, place: usize) -> bool {
        let flow = &self.flows[place];
        let took =
            |other: &Flow| (other.proto, other.seen, other.backend) == (flow.proto, flow.seen, flow.backend);
        self.flows[place + 1..].iter().any(took)
    }

    /// The routes by which packets may go there: the table's; where packets came from, if its next hop is silent.
    pub(super) fn hops(&self, to: IpAddr, came_from: &[Route]) -> Vec<Result<Route, DropReason>> {
        match self.hop(to) {
            Err(DropReason::NeighbourMissing) if !came_from.is_empty() => {
                came_from.iter().map(|route| Ok(*route)).collect()
            }
            hop => vec![hop],
        }
    }

    /// A packet that is to be sent on as another one, by one of some hops.
    pub(super) fn deliver(
        &self,
        seen: &Seen<'_>,
        packet: &Packet,
        ends: (SocketAddr, SocketAddr),
        hops: &[Result<Route, DropReason>],
    ) -> Judgement {
        let mut failure = String::new();
        for hop in hops {
            let obstacles = self.obstacles(packet, *hop);
            let judgement = match hop {
                Ok(route) if obstacles.is_empty() => self.translated(seen, packet, ends, *route),
                _ => self.dropped_or_answered(seen, packet, &obstacles),
            };
            match judgement {
                Err(error) => failure = error,
                right => return right,
            }
        }
        Err(failure)
    }

    /// A packet of a connection that is ended.
    fn judge_reset(&mut self, seen: &Seen<'_>, packet: &Packet, place: usize) -> Judgement {
        let flow = self.flows[place].clone();
        self.flows[place].forwarded = self.now;
        if seen.drops == [DropReason::FlowReset] {
            self.flows[place].may_be_over = true;
            return self.dropped_or_answered(seen, packet, &[DropReason::FlowReset]);
        }
        // A SYN begins another flow if the end knows of the reset, or the handshake was not complete.
        if packet.is_syn() && flow.client == packet.src() {
            return self.judge_next(seen, packet, place);
        }
        Err(format!(
            "its backend is out and resets connections, but it became {:?} {:?}",
            seen.verdict, seen.drops
        ))
    }

    /// The first packet of a flow in the place of another one, which is still there if this one is dropped; what becomes of that is not known then.
    fn judge_next(&mut self, seen: &Seen<'_>, packet: &Packet, place: usize) -> Judgement {
        self.flows.remove(place);
        let known = self.judge_first(seen, packet)?;
        Ok(if is_forwarded(seen) { known } else { Known::No })
    }

    /// A packet without a flow: of an exclusive backend, or of a client.
    fn judge_unknown(&mut self, seen: &Seen<'_>, packet: &Packet) -> Judgement {
        let is_origin =
            |id: &u32| self.backends.get(id).is_some_and(|backend| backend.address == packet.src());
        let found = self.services.iter().find_map(|service| {
            let id = service.slots.iter().find(|id| is_origin(id)).filter(|_| service.exclusive)?;
            (service.proto == packet.proto).then_some((service.vip, *id))
        });
        let is_answer = packet.proto != TCP || packet.is_later() || packet.has(ACK | RST);
        let Some((vip, id)) = found.filter(|_| is_answer && packet.sport != 0) else {
            return self.judge_first(seen, packet);
        };
        let client = packet.dst();
        let talks_to_another = self
            .flows
            .iter()
            .any(|flow| flow.proto == packet.proto && flow.client == client && flow.vip == vip);
        let is_active = self.backends[&id].health != Health::Down;
        if self.is_own(client.ip()) || talks_to_another || !is_active || packet.is_later() {
            return Ok(Known::No);
        }
        let hop = self.hop(client.ip());
        // Addresses of the host have none.
        if matches!(hop, Err(DropReason::NoRoute)) {
            return outcome::passes(seen);
        }
        let result = self.deliver(seen, packet, (vip, client), &[hop]);
        if result.is_ok() && !is_forwarded(seen) {
            // Whether it began a flow before there was an obstacle.
            return Ok(Known::No);
        }
        if result.is_ok() && !packet.has(RST) {
            self.flows.push(Flow {
                proto: packet.proto,
                client,
                vip,
                seen: client,
                backend: packet.src(),
                id,
                from: Vec::new(),
                forwarded: self.now,
                came: self.now,
                may_be_over: packet.has(FIN),
            });
        }
        result
    }
}

/// Where a frame came from, as the way back.
pub(super) fn arrival(seen: &Seen<'_>) -> Route {
    Route { mac: seen.before.get(6..12).and_then(|mac| mac.try_into().ok()), ifindex: seen.ingress }
}

impl Reference {
    /// [`outcome::dropped`], or answered where a reason is told the sender.
    pub(super) fn dropped_or_answered(
        &self,
        seen: &Seen<'_>,
        packet: &Packet,
        reasons: &[DropReason],
    ) -> Judgement {
        let (src, port) = (packet.src_dst.0, &self.ports[&seen.ingress]);
        let has_address = if packet.is_v4() { port.v4.is_some() } else { port.v6.is_some() };
        let may_know = !Self::is_martian(src) && !self.is_vip(src) && !packet.is_later();
        outcome::dropped_or_answered(seen, packet, reasons, port, may_know && has_address)
    }
}
