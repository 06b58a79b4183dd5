//! Replication: from a table and back.

use std::net::IpAddr;

use toml_edit::Value;

use super::duration::format_duration;
use super::parse::set;
use super::reader::TableReader;
use super::render::Entry;
use super::scalar;
use crate::model::Replication;

/// `[replication]`; `None` if it has a mistake that leaves nothing to be checked.
pub(super) fn replication(table: TableReader<'_>) -> Option<Replication> {
    let local_address = table.required("local_address", &scalar::address());
    let peer_address = table.required("peer_address", &scalar::address());
    let port = table.value("port", &scalar::port());
    let interface = table.value("interface", &scalar::interface());
    let key_file = table.required("key_file", &scalar::path());
    let sync_deadline = table.value("sync_deadline", &scalar::duration());
    table.end();
    let mut replication = Replication {
        local_address: local_address?,
        peer_address: peer_address?,
        port: Replication::DEFAULT_PORT,
        interface,
        key_file: key_file?,
        sync_deadline: Replication::DEFAULT_SYNC_DEADLINE,
    };
    set(&mut replication.port, port);
    set(&mut replication.sync_deadline, sync_deadline);
    Some(replication)
}

/// The keys of `[replication]`.
pub(super) fn entries(replication: Option<&Replication>) -> Vec<Entry> {
    let address = |of: fn(&Replication) -> IpAddr| replication.map(|all| Value::from(of(all).to_string()));
    let port = replication.map(|all| all.port).filter(|port| *port != Replication::DEFAULT_PORT);
    let deadline = replication.map(|all| all.sync_deadline);
    let deadline = deadline.filter(|deadline| *deadline != Replication::DEFAULT_SYNC_DEADLINE);
    let interface = replication.and_then(|all| all.interface.as_ref());
    let file = replication.map(|all| all.key_file.to_string_lossy().into_owned());
    vec![
        (&["replication", "local_address"], address(|all| all.local_address)),
        (&["replication", "peer_address"], address(|all| all.peer_address)),
        (&["replication", "port"], port.map(|port| i64::from(port).into())),
        (&["replication", "interface"], interface.map(|name| name.as_str().into())),
        (&["replication", "key_file"], file.map(Value::from)),
        (&["replication", "sync_deadline"], deadline.map(|deadline| format_duration(deadline).into())),
    ]
}
