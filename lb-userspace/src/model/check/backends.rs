//! Rules of backends.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::Found;
use super::services::{same_family, unicast};
use crate::model::{AdminState, Path, Problem, Service};

pub(super) fn check_backends(
    service: &Service,
    service_path: &Path,
    vip: impl Fn(IpAddr) -> Option<Path>,
    found: &mut Found,
) {
    let mut names = HashMap::new();
    let mut addresses = HashMap::new();
    for (index, backend) in service.backends.iter().enumerate() {
        let path_of = |index| service_path.key("backends").index(index);
        let path = |key| path_of(index).key(key);
        let first = *names.entry(&backend.name).or_insert(index);
        if first != index {
            let problem =
                Problem::Duplicate { first: path_of(first).key("name"), expected: "a name of its own" };
            found.add(path("name"), &backend.name, problem);
        }
        let at = SocketAddr::new(backend.address, backend.port);
        let first = *addresses.entry(at).or_insert(index);
        if first != index {
            let expected = "each address and port once in a service";
            found.add(path("address"), at, Problem::Duplicate { first: path_of(first), expected });
        }
        if unicast(backend.address, || path("address"), found) {
            same_family(backend.address, service.address, || path("address"), found);
        }
        if let Some(vip) = vip(backend.address) {
            found.add(path("address"), backend.address, Problem::IsVip { vip });
        }
        if let Some(drain) = backend.drain.filter(|_| backend.state != AdminState::Draining) {
            let when = format!("for a backend whose state is {}", backend.state);
            found.add(path("drain_until"), drain.until, Problem::Meaningless { when });
        }
        if backend.port == 0 && service.port != 0 {
            found.add(path("port"), 0, Problem::PortZero);
        }
    }
}
