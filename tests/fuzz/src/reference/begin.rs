//! Packets that may begin a flow.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::DropReason;

use super::{
    Backend, Health, Judgement, Known, Reference, Seen, Service,
    flows::{Age, Flow, arrival},
    frame::{ACK, FIN, Packet, RST, SYN, TCP},
    is_forwarded, outcome,
};

impl Reference {
    /// A packet of no flow, to a service or to nobody.
    pub(super) fn judge_first(&mut self, seen: &Seen<'_>, packet: &Packet) -> Judgement {
        let at = |port: u16| {
            let vip = SocketAddr::new(packet.src_dst.1, port);
            self.services.iter().find(|service| service.vip == vip && service.proto == packet.proto)
        };
        let Some(service) = at(packet.dport).or_else(|| at(0)).cloned() else { return outcome::passes(seen) };
        if packet.is_later() {
            // Its first fragment was forwarded, but its flow is forgotten.
            return Ok(Known::No);
        }
        let refused = self.refusals(packet, &service);
        if !refused.is_empty() {
            return self.dropped_or_answered(seen, packet, &refused);
        }
        let mut allowed = Vec::new();
        for (id, backend) in self.candidates(&service) {
            let obstacles = self.obstacles_of(packet, &service, backend);
            let is_whole = obstacles.is_empty();
            if is_forwarded(seen) && is_whole {
                match self.began(seen, packet, &service, id, backend) {
                    Ok(known) => return Ok(known),
                    Err(error) => allowed.push(error),
                }
            }
            if !is_whole && !is_forwarded(seen) && self.dropped_or_answered(seen, packet, &obstacles).is_ok()
            {
                self.note_attempt(packet, &service);
                return Ok(Known::Yes);
            }
        }
        Err(format!(
            "no backend explains that a first packet became {:?} {:?}: {}",
            seen.verdict,
            seen.drops,
            allowed.join("; ")
        ))
    }

    /// Reasons that have nothing to do with the choice of a backend.
    fn refusals(&self, packet: &Packet, service: &Service) -> Vec<DropReason> {
        let source = packet.src_dst.0;
        let all = [
            (packet.has(RST), DropReason::RstWithoutFlow),
            (packet.proto == TCP && packet.flags & (SYN | ACK) == SYN | ACK, DropReason::SynAckWithoutFlow),
            (Self::is_martian(source), DropReason::MartianSource),
            (self.is_vip(source) || self.is_snat(source), DropReason::OwnSource),
            (packet.ttl <= 1, DropReason::TtlExceeded),
            (self.candidates(service).is_empty(), DropReason::NoBackend),
        ];
        all.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect()
    }

    /// The backends that take flows.
    fn candidates(&self, service: &Service) -> Vec<(u32, Backend)> {
        let slots = service.slots.iter().filter_map(|id| Some((*id, *self.backends.get(id)?)));
        let mut found: Vec<(u32, Backend)> =
            slots.filter(|(_, backend)| backend.health == Health::Active).collect();
        found.dedup_by_key(|(id, _)| *id);
        found
    }

    /// Why a packet would be dropped if this backend were selected.
    fn obstacles_of(&self, packet: &Packet, service: &Service, backend: Backend) -> Vec<DropReason> {
        let mut reasons = self.obstacles(packet, self.hop(backend.address.ip()));
        if service.snat.is_empty() && backend.address.ip() == packet.src_dst.0 {
            reasons.push(DropReason::Hairpin);
        }
        reasons
    }

    /// Ports may have been taken though the packet was dropped.
    fn note_attempt(&mut self, packet: &Packet, service: &Service) {
        for (address, id) in
            service.snat.iter().flat_map(|address| service.slots.iter().map(move |id| (*address, *id)))
        {
            self.used_ports.insert((address, id, packet.sport));
        }
    }

    /// Whether a flow with this backend began as it should.
    fn began(
        &mut self,
        seen: &Seen<'_>,
        packet: &Packet,
        service: &Service,
        id: u32,
        backend: Backend,
    ) -> Judgement {
        let port = if backend.address.port() == 0 { packet.dport } else { backend.address.port() };
        let to = SocketAddr::new(backend.address.ip(), port);
        let from =
            outcome::source(seen.after, packet).ok_or("there is no packet in the frame that was sent")?;
        if service.snat.is_empty() {
            self.is_right_port(packet, from, to)?;
        } else {
            self.is_right_source(packet, service, (from, to), id)?;
        }
        let hop = self.hop(to.ip());
        self.deliver(seen, packet, (from, to), &[hop])?;
        if self.takes_no_entry(packet, service) {
            return Ok(Known::Yes);
        }
        self.used_ports.insert((from.ip(), id, from.port()));
        self.flows.push(Flow {
            proto: packet.proto,
            client: packet.src(),
            vip: packet.dst(),
            seen: from,
            backend: to,
            id,
            from: vec![arrival(seen)],
            forwarded: self.now,
            came: self.now,
            may_be_over: packet.has(FIN),
        });
        Ok(Known::Yes)
    }

    /// A SYN that is translated without an entry.
    fn takes_no_entry(&self, packet: &Packet, service: &Service) -> bool {
        let knows_way_back = self.hop(packet.src_dst.0).is_ok();
        let is_plain = packet.is_syn() && !packet.has(FIN | RST) && !self.is_own(packet.src_dst.0);
        service.exclusive && service.snat.is_empty() && is_plain && knows_way_back
    }

    /// How sure it is that a flow has these ends on the backend's side.
    fn use_of(&self, proto: u8, from: SocketAddr, to: SocketAddr) -> Age {
        let same = |flow: &&Flow| flow.proto == proto && flow.seen == from && flow.backend == to;
        match self
            .flows
            .iter()
            .filter(same)
            .map(|flow| if flow.may_be_over { Age::Unsure } else { self.age(flow) })
            .max_by_key(|age| *age == Age::Alive)
        {
            None => Age::Dead,
            Some(age) => age,
        }
    }

    /// In `nat` mode the client's address stays, and its port unless another VIP's flow has it.
    fn is_right_port(&self, packet: &Packet, from: SocketAddr, to: SocketAddr) -> Result<(), String> {
        if from.ip() != packet.src_dst.0 {
            return Err(format!("the client's address became {from}"));
        }
        let own = self.use_of(packet.proto, packet.src(), to);
        let kept = from.port() == packet.sport;
        match own {
            Age::Dead if !kept => Err(format!("port {} is free, but became {}", packet.sport, from.port())),
            Age::Alive if kept => Err(format!("port {} belongs to another VIP's flow", packet.sport)),
            _ if !kept && self.use_of(packet.proto, from, to) == Age::Alive => {
                Err(format!("{from} belongs to another flow"))
            }
            _ => Ok(()),
        }
    }

    /// In `full-nat` mode there is an address of the pool and a port of the range, the client's if it is free.
    fn is_right_source(
        &self,
        packet: &Packet,
        service: &Service,
        ends: (SocketAddr, SocketAddr),
        id: u32,
    ) -> Result<(), String> {
        let (from, to) = ends;
        let (lowest, highest) = self.snat_ports;
        let was_used = |address: IpAddr, port: u16| self.used_ports.contains(&(address, id, port));
        if !service.snat.contains(&from.ip()) {
            return Err(format!("{from} is no SNAT address of the service"));
        }
        if !(lowest..=highest).contains(&from.port()) {
            return Err(format!("{from} is outside of the range of ports"));
        }
        if self.use_of(packet.proto, from, to) == Age::Alive {
            return Err(format!("{from} belongs to another flow"));
        }
        let may_keep = (lowest..=highest).contains(&packet.sport) && !was_used(from.ip(), packet.sport);
        if may_keep && from.port() != packet.sport {
            return Err(format!("port {} is free, but became {}", packet.sport, from.port()));
        }
        Ok(())
    }
}
