//! An image as sorted lines of text, for tests and for people.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use lb_common::abi::{Admission, Backend, BackendFlags, BackendLimits, Origin, Service, ServiceFlags};

use super::{EntryKey, MapImage, NO_POOL, address_of};

impl fmt::Display for MapImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        let seed = self.seed().unwrap_or_default();
        writeln!(f, "settings: seed {seed:#x} ports {}-{}", settings.port_min, settings.port_max)?;
        writeln!(f, "timeouts: {:?} ticks", &settings.timeouts[1..=10])?;
        for (ifindex, interface) in &self.interfaces {
            writeln!(f, "interface {ifindex}: flags {} mtu {}", interface.flags, interface.mtu)?;
        }
        for (index, words) in &self.snat_addresses {
            let family = if words[1..] == [0; 3] { 4 } else { 6 };
            let address = address_of(*words, family).map(|address| address.to_string()).unwrap_or_default();
            writeln!(f, "snat {index}: {address}")?;
        }
        for (id, backend) in &self.backends {
            write_backend(f, *id, backend)?;
        }
        for (id, limits) in &self.limits {
            let BackendLimits { connections, service_connections, next, .. } = limits;
            writeln!(f, "limits {id}: {connections} of {service_connections} next {next}")?;
        }
        for (key, origin) in &self.origins {
            let Origin { vip, port, service, backend } = origin;
            let family = if key.address.is_ipv4() { 4 } else { 6 };
            write!(f, "origin {key}: {} service {service} backend {backend}", socket(*vip, family, *port))?;
            writeln!(f)?;
        }
        write_admission(f, self)?;
        let bits: u32 = self.own_addresses.values().map(|bits| bits.count_ones()).sum();
        writeln!(f, "own addresses: {bits} bits")?;
        for (id, table) in &self.slots {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for backend in table.iter() {
                *counts.entry(*backend).or_default() += 1;
            }
            write!(f, "slots {id}: {}", table.len())?;
            for (backend, count) in counts {
                write!(f, " {backend}x{count}")?;
            }
            writeln!(f)?;
        }
        self.services.iter().try_for_each(|(key, service)| write_service(f, key, service))
    }
}

fn write_admission(f: &mut fmt::Formatter<'_>, image: &MapImage) -> fmt::Result {
    for (list, rules) in &image.acls {
        write!(f, "acl {list}:")?;
        for (prefix, rule) in rules.iter() {
            write!(f, " {}{prefix}", if rule.allow == 0 { '-' } else { '+' })?;
        }
        writeln!(f)?;
    }
    for (service, admission) in &image.admissions {
        let Admission {
            list, flags, flow_rate, flow_burst, source_rate, source_burst, source_prefix, ..
        } = admission;
        write!(f, "admission {service}: list {list} flags {flags} flows {flow_rate}+{flow_burst}")?;
        writeln!(f, " of a source {source_rate}+{source_burst}/{source_prefix}")?;
    }
    Ok(())
}

fn write_backend(f: &mut fmt::Formatter<'_>, id: u32, backend: &Backend) -> fmt::Result {
    let state = match backend.state {
        0 => "removed",
        1 => "active",
        2 => "draining",
        3 => "down",
        4 => "disabled",
        _ => "?",
    };
    let address = socket(backend.addr, backend.family, backend.port);
    write!(f, "backend {id}: {address} {state} weight {} service {}", backend.weight, backend.service)?;
    if backend.pool_base != NO_POOL {
        write!(f, " pool {}", backend.pool_base)?;
    }
    if backend.flags & BackendFlags::EXCLUSIVE != 0 {
        f.write_str(" exclusive")?;
    }
    if backend.flags & BackendFlags::RESET != 0 {
        f.write_str(" reset")?;
    }
    if backend.flags & BackendFlags::LIMITED != 0 {
        f.write_str(" limited")?;
    }
    writeln!(f)
}

/// An address and port, both in wire order, as text; nothing if there is none.
fn socket(words: [u32; 4], family: u8, port: u16) -> String {
    let address = address_of(words, family).map(|address| SocketAddr::new(address, u16::from_be(port)));
    address.map(|address| address.to_string()).unwrap_or_default()
}

fn write_service(f: &mut fmt::Formatter<'_>, key: &EntryKey, service: &Service) -> fmt::Result {
    if key.service_address().is_none() {
        return writeln!(f, "{key}");
    }
    let Service { id, mode, selector, affinity_prefix, snat_count, snat_base, .. } = service;
    write!(f, "service {key}: id {id} mode {mode} selector {selector} prefix {affinity_prefix}")?;
    if *snat_count > 0 {
        write!(f, " snat {snat_base}+{snat_count}")?;
    }
    if service.affinity_timeout > 0 {
        write!(f, " affinity {} ticks", service.affinity_timeout)?;
    }
    if service.flags & ServiceFlags::RESET_WHEN_FULL != 0 {
        f.write_str(" reset-when-full")?;
    }
    match service.flags & ServiceFlags::COOKIES {
        0 => {}
        ServiceFlags::COOKIES_AUTO => f.write_str(" cookies auto")?,
        _ => f.write_str(" cookies always")?,
    }
    writeln!(f)
}
