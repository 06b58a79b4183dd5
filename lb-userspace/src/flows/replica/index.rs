//! Which service and backend a flow of the other machine belongs to: by their addresses, as the numbers of two machines differ.

use std::{collections::HashMap, io, net::IpAddr};

use lb_common::abi::{Address, Backend, BackendState, Mode, Service, ServiceKey, Settings};

use super::Outcome;
use crate::{
    flows::FlowMaps,
    plan::address_of,
    replication::{Flow, Phase},
};

/// Address, port (0: every one) and protocol of a service.
type At = (IpAddr, u16, u8);

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Index {
    services: HashMap<At, Service>,
    /// Ids by service, address and port (0: the client's).
    backends: HashMap<(u16, IpAddr, u16), u32>,
    settings: Settings,
}

/// Whose flow it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) service: u16,
    pub(super) backend: u32,
}

impl Index {
    pub(super) fn read(maps: &FlowMaps) -> io::Result<Self> {
        let around = maps.surroundings()?;
        let (v4, v6) = maps.services()?;
        let mut index = Self { settings: around.settings, ..Self::default() };
        v4.iter().for_each(|(key, service)| index.add_service(key, service));
        v6.iter().for_each(|(key, service)| index.add_service(key, service));
        for (id, backend) in (0..).zip(&around.backends) {
            index.add_backend(id, backend);
        }
        Ok(index)
    }

    pub(super) fn add_service<A: Address>(&mut self, key: &ServiceKey<A>, service: &Service) {
        let address = address_of(key.addr.words(), if A::IS_V6 { 6 } else { 4 });
        if let Some(address) = address.filter(|_| service.id != 0) {
            self.services.insert((address, u16::from_be(key.port), key.proto), *service);
        }
    }

    pub(super) fn add_backend(&mut self, id: u32, backend: &Backend) {
        let is_there = backend.state != BackendState::Unused as u8;
        if let Some(address) = address_of(backend.addr, backend.family).filter(|_| is_there) {
            self.backends.insert((backend.service, address, u16::from_be(backend.port)), id);
        }
    }

    /// The service and backend of a flow.
    pub(super) fn find(&self, flow: &Flow) -> Result<Found, Outcome> {
        let (vip, port) = flow.vip;
        let at = |port| self.services.get(&(vip, port, flow.protocol));
        let service = at(port).or_else(|| at(0)).ok_or(Outcome::UnknownService)?;
        // A service that keeps the client's address has no flows that do not.
        let is_nat = service.mode == Mode::Nat as u8;
        if is_nat && flow.source.0 != flow.client.0 {
            return Err(Outcome::UnknownService);
        }
        let (address, port) = flow.backend;
        let at = |port| self.backends.get(&(service.id, address, port));
        let backend = at(port).or_else(|| at(0)).ok_or(Outcome::UnknownBackend)?;
        Ok(Found { service: service.id, backend: *backend })
    }

    /// Idle ticks after which a flow is dead here.
    pub(super) fn timeout(&self, phase: Phase) -> u32 {
        self.settings.timeouts[usize::from(phase.state() & 15)]
    }
}
