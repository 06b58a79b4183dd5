//! Virtual routers.

use super::parse::set;
use super::parse_track;
use super::reader::TableReader;
use super::scalar;
use crate::model::{Notify, Path, SCRIPT_USER, ScriptProbe, VirtualRouter};

/// A virtual router; `None` if it has a mistake that leaves nothing to be checked.
pub(super) fn virtual_router(table: TableReader<'_>) -> Option<VirtualRouter> {
    let byte = scalar::byte();
    let name = table.required("name", &scalar::router_name());
    let interface = table.required("interface", &scalar::interface());
    let number = table.required("virtual_router_id", &byte);
    let priority = table.value("priority", &byte);
    let advert_interval = table.value("advert_interval", &scalar::duration());
    let versions = table.list("versions", &byte);
    let auth_pass = table.value("auth_pass", &scalar::text());
    let addresses = table.list("virtual_addresses", &scalar::network());
    let virtual_mac = table.value("virtual_mac", &scalar::boolean());
    let preempt = table.value("preempt", &scalar::boolean());
    let preempt_delay = table.value("preempt_delay", &scalar::duration());
    let checksum = table.value("checksum", &scalar::keyword("a checksum"));
    let unicast_peers = table.list("unicast_peers", &scalar::address());
    let min_ttl = table.value("min_ttl", &byte);
    let track = parse_track::track(&table);
    let notify = notify(&table);
    let sync_group = table.value("sync_group", &scalar::router_name());
    table.end();
    let mut router = VirtualRouter::new(name?, interface?, number?);
    set(&mut router.priority, priority);
    set(&mut router.advert_interval, advert_interval);
    set(&mut router.versions, versions);
    router.auth_pass = auth_pass;
    set(&mut router.virtual_addresses, addresses);
    set(&mut router.virtual_mac, virtual_mac);
    set(&mut router.preempt, preempt);
    set(&mut router.preempt_delay, preempt_delay);
    set(&mut router.checksum, checksum);
    set(&mut router.unicast_peers, unicast_peers);
    set(&mut router.min_ttl, min_ttl);
    router.track = track;
    router.notify = notify;
    router.sync_group = sync_group;
    Some(router)
}

fn notify(table: &TableReader<'_>) -> Option<Notify> {
    let command = table.list("notify", &scalar::text());
    let user = table.value("notify_user", &scalar::text());
    let timeout = table.value("notify_timeout", &scalar::duration());
    let mut words = command.unwrap_or_default().into_iter();
    let Some(path) = words.next() else {
        for (key, is_given) in [("notify_user", user.is_some()), ("notify_timeout", timeout.is_some())] {
            if is_given {
                let message = "has no meaning without `notify`; expected it to be left out".to_owned();
                table.wrong(&Path::root().key(key), message);
            }
        }
        return None;
    };
    let user = user.unwrap_or_else(|| SCRIPT_USER.to_owned());
    let program = ScriptProbe { path: path.into(), args: words.collect(), user };
    Some(Notify { program, timeout: timeout.unwrap_or(Notify::TIMEOUT) })
}
