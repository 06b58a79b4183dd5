//! The rules of replication.

use super::{Found, absolute, within};
use crate::model::{AddressKind, Path, Problem, Replication, address_kind};

/// All that is wrong.
pub(super) fn check(replication: &Replication, found: &mut Found) {
    let path = |key: &str| Path::root().key("replication").key(key);
    let Replication { local_address, peer_address, .. } = replication;
    for (key, address) in [("local_address", local_address), ("peer_address", peer_address)] {
        let kind = address_kind(*address);
        if !matches!(kind, AddressKind::Unicast | AddressKind::Loopback) {
            found.add(path(key), address, Problem::AddressKind { kind });
        }
    }
    if local_address.is_ipv4() != peer_address.is_ipv4() {
        let family = if local_address.is_ipv4() { "IPv4" } else { "IPv6" };
        let expected = format!("an address of the family of `local_address` ({family})");
        found.add(
            path("peer_address"),
            peer_address,
            Problem::Not { what: "reached from `local_address`", expected },
        );
    } else if local_address == peer_address {
        let expected = "the address of the other machine".to_owned();
        found.add(
            path("peer_address"),
            peer_address,
            Problem::Not { what: "another machine's address", expected },
        );
    }
    absolute(&replication.key_file, path("key_file"), found);
    within(replication.sync_deadline, (0, 3_600_000), "\"0s\" to \"1h\"", path("sync_deadline"), found);
}
