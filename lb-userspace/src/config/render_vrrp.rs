//! Virtual routers as keys and values.

use toml_edit::{Array, InlineTable, Value};

use super::duration::format_duration;
use super::render::list;
use super::render_track;
use crate::model::{Keyword as _, Notify, SCRIPT_USER, VirtualRouter};

/// The value of `vrrp`: tables in a list; `None` if there are no virtual routers.
pub(super) fn virtual_routers(routers: &[VirtualRouter]) -> Option<Value> {
    if routers.is_empty() {
        return None;
    }
    Some(Value::Array(routers.iter().map(|router| Value::InlineTable(table(router))).collect::<Array>()))
}

/// The keys that are needed, or differ from the default.
fn table(router: &VirtualRouter) -> InlineTable {
    let default = VirtualRouter::new(router.name.clone(), router.interface.clone(), router.virtual_router_id);
    let mut table = InlineTable::new();
    for ((key, value), (_, default)) in entries(router).into_iter().zip(entries(&default)) {
        let is_needed = matches!(key, "name" | "interface" | "virtual_router_id");
        if let Some(value) = value
            && (is_needed || default.is_none_or(|default| default.to_string() != value.to_string()))
        {
            table.insert(key, value);
        }
    }
    table
}

fn entries(router: &VirtualRouter) -> Vec<(&'static str, Option<Value>)> {
    let number = |number: u8| Some(Value::from(i64::from(number)));
    let some = |list: Value| Some(list).filter(|list| list.as_array().is_some_and(|array| !array.is_empty()));
    let versions = router.versions.iter().map(|version| i64::from(*version)).collect::<Array>();
    let mut entries = vec![
        ("name", Some(router.name.as_str().into())),
        ("interface", Some(router.interface.as_str().into())),
        ("virtual_router_id", number(router.virtual_router_id)),
        ("priority", number(router.priority)),
        ("advert_interval", Some(format_duration(router.advert_interval).into())),
        ("versions", Some(versions.into())),
        ("auth_pass", router.auth_pass.as_deref().map(Value::from)),
        ("virtual_addresses", some(list(&router.virtual_addresses))),
        ("virtual_mac", Some(router.virtual_mac.into())),
        ("preempt", Some(router.preempt.into())),
        ("preempt_delay", Some(format_duration(router.preempt_delay).into())),
        ("checksum", Some(router.checksum.as_str().into())),
        ("unicast_peers", some(list(&router.unicast_peers))),
        ("min_ttl", number(router.min_ttl)),
    ];
    entries.extend(render_track::entries(&router.track));
    let notify = router.notify.as_ref();
    let command = |notify: &Notify| {
        let words = std::iter::once(notify.program.path.to_string_lossy().into_owned());
        words.chain(notify.program.args.iter().cloned()).collect::<Vec<_>>()
    };
    entries.extend([
        ("notify", notify.map(|notify| list(&command(notify)))),
        (
            "notify_user",
            notify
                .map(|notify| notify.program.user.as_str())
                .filter(|user| *user != SCRIPT_USER)
                .map(Value::from),
        ),
        (
            "notify_timeout",
            notify
                .map(|notify| notify.timeout)
                .filter(|timeout| *timeout != Notify::TIMEOUT)
                .map(|timeout| format_duration(timeout).into()),
        ),
    ]);
    entries.push(("sync_group", router.sync_group.as_ref().map(|group| group.as_str().into())));
    entries
}
