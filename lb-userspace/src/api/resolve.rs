//! What a path or a parameter names: a service or a backend, by its name or its address.

use std::net::{IpAddr, SocketAddr};

use crate::{
    control::{BackendView, Error, ServiceView, Snapshot, unknown_backend, unknown_service},
    model::{Backend, Protocol, Service},
};

/// The service of a name, or of an address such as `203.0.113.10:80/tcp`, whose port and protocol may be left out where one service has
/// the rest.
pub(super) fn service<'a>(snapshot: &'a Snapshot, text: &str) -> Result<&'a ServiceView, Error> {
    if let Some(found) = snapshot.service(text) {
        return Ok(found);
    }
    let unknown = || unknown_service(text, &snapshot.config.services);
    let place = Place::parse(text).ok_or_else(unknown)?;
    let services = snapshot.services.iter().map(|service| &**service);
    let found: Vec<&ServiceView> = services.filter(|service| place.is_service(service)).collect();
    match found[..] {
        [only] => Ok(only),
        [] => Err(unknown()),
        _ => {
            let names: Vec<String> = found.iter().map(|service| service_at(&service.desired)).collect();
            Err(several(&format!("services[{text}]"), text, "services", &names))
        }
    }
}

/// The backend of a name, or of an address such as `10.0.0.11:8080`, whose port may be left out where one backend has the address.
pub(super) fn backend<'a>(service: &'a ServiceView, text: &str) -> Result<&'a BackendView, Error> {
    if let Some(found) = service.backend(text) {
        return Ok(found);
    }
    let unknown = || unknown_backend(&service.desired, text);
    let place = Place::parse(text).filter(|place| place.protocol.is_none()).ok_or_else(unknown)?;
    let found: Vec<&BackendView> =
        service.backends.iter().filter(|backend| place.is_backend(backend)).collect();
    match found[..] {
        [only] => Ok(only),
        [] => Err(unknown()),
        _ => {
            let path = format!("services[{}].backends[{text}]", service.desired.name);
            let names: Vec<String> = found
                .iter()
                .map(|backend| {
                    let Backend { name, address, port, .. } = &backend.desired;
                    format!("{name} ({})", SocketAddr::new(*address, *port))
                })
                .collect();
            Err(several(&path, text, "backends", &names))
        }
    }
}

/// Every backend of a name or an address, in all services.
pub(super) fn backends<'a>(snapshot: &'a Snapshot, text: &str) -> Vec<&'a BackendView> {
    let all = || snapshot.backends().map(|(_, backend)| backend);
    let named: Vec<&BackendView> = all().filter(|backend| backend.desired.name.as_str() == text).collect();
    match Place::parse(text) {
        Some(place) if named.is_empty() => all().filter(|backend| place.is_backend(backend)).collect(),
        _ => named,
    }
}

/// A service's name, and its address as it may be given in place of it.
fn service_at(service: &Service) -> String {
    let Service { name, address, port, protocol, .. } = service;
    format!("{name} ({}/{protocol})", SocketAddr::new(*address, *port))
}

fn several(path: &str, text: &str, what: &str, names: &[String]) -> Error {
    Error::invalid(
        path,
        format!(
            "{text} is the address of several {what}; expected one of them by its name, or with what else it has: {}",
            names.join(", ")
        ),
    )
}

/// An address; what is left out is every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: IpAddr,
    port: Option<u16>,
    protocol: Option<Protocol>,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (text, protocol) = match text.rsplit_once('/') {
            Some((text, protocol)) => (text, Some(protocol.parse().ok()?)),
            None => (text, None),
        };
        if let Some((address, "*")) = text.rsplit_once(':') {
            return Some(Self { address: bare(address)?, port: Some(0), protocol });
        }
        match text.parse::<SocketAddr>() {
            Ok(place) => Some(Self { address: place.ip(), port: Some(place.port()), protocol }),
            Err(_) => Some(Self { address: bare(text)?, port: None, protocol }),
        }
    }

    fn is_service(&self, service: &ServiceView) -> bool {
        let desired = &service.desired;
        desired.address == self.address
            && self.port.is_none_or(|port| desired.port == port)
            && self.protocol.is_none_or(|protocol| desired.protocol == protocol)
    }

    fn is_backend(&self, backend: &BackendView) -> bool {
        let desired = &backend.desired;
        desired.address == self.address && self.port.is_none_or(|port| desired.port == port)
    }
}

/// An address, an IPv6 one with or without brackets.
fn bare(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_protocol_may_be_left_out() {
        let tcp: Protocol = "tcp".parse().unwrap();
        for (text, address, port, protocol) in [
            ("203.0.113.10:80/tcp", "203.0.113.10", Some(80), Some(tcp)),
            ("203.0.113.10:80", "203.0.113.10", Some(80), None),
            ("203.0.113.10/tcp", "203.0.113.10", None, Some(tcp)),
            ("203.0.113.10", "203.0.113.10", None, None),
            ("203.0.113.10:*", "203.0.113.10", Some(0), None),
            ("[2001:db8::1]:80/tcp", "2001:db8::1", Some(80), Some(tcp)),
            ("[2001:db8::1]", "2001:db8::1", None, None),
            ("[2001:db8::1]:*", "2001:db8::1", Some(0), None),
            ("2001:db8::1", "2001:db8::1", None, None),
        ] {
            assert_eq!(
                Place::parse(text),
                Some(Place { address: address.parse().unwrap(), port, protocol }),
                "{text}"
            );
        }
        for text in
            ["", "web", "203.0.113.10:80/sctp", "203.0.113.10:99999", "203.0.113:80", "/tcp", "[::1", ":*"]
        {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
