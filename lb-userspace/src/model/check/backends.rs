//! Rules of backends.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Found;
use super::services::{same_family, unicast};
use crate::model::{Path, Problem, Service};

pub(super) fn check_backends(
    service: &Service,
    service_path: &Path,
    vips: &BTreeMap<IpAddr, Path>,
    found: &mut Found,
) {
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for (index, backend) in service.backends.iter().enumerate() {
        let path = service_path.key("backends").index(index);
        if let Some(first) = names.get(&backend.name) {
            let problem = Problem::Duplicate { first: Path::clone(first), expected: "a name of its own" };
            found.add(path.key("name"), &backend.name, problem);
        } else {
            names.insert(&backend.name, path.key("name"));
        }
        let at = SocketAddr::new(backend.address, backend.port);
        if let Some(first) = addresses.get(&at) {
            let expected = "each address and port once in a service";
            found.add(path.key("address"), at, Problem::Duplicate { first: Path::clone(first), expected });
        } else {
            addresses.insert(at, path.clone());
        }
        if unicast(backend.address, path.key("address"), found) {
            same_family(backend.address, service.address, path.key("address"), found);
        }
        if let Some(vip) = vips.get(&backend.address) {
            found.add(path.key("address"), backend.address, Problem::IsVip { vip: vip.clone() });
        }
        if backend.port == 0 && service.port != 0 {
            found.add(path.key("port"), 0, Problem::PortZero);
        }
    }
}
