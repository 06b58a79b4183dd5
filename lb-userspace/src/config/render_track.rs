//! What a virtual router tracks, as keys and values.

use toml_edit::{Array, InlineTable, Value};

use super::duration::format_duration;
use super::render::list;
use crate::model::{
    Quorum, SCRIPT_USER, Track, TrackedFile, TrackedInterface, TrackedScript, TrackedService,
};

/// The keys that begin with `track_`.
pub(super) fn entries(track: &Track) -> [(&'static str, Option<Value>); 5] {
    [
        ("track_interfaces", values(track.interfaces.iter().map(interface))),
        ("track_services", values(track.services.iter().map(service))),
        ("track_scripts", values(track.scripts.iter().map(script))),
        ("track_files", values(track.files.iter().map(file))),
        ("track_data_path", Some(track.data_path.into())),
    ]
}

fn values(values: impl Iterator<Item = Value>) -> Option<Value> {
    let array: Array = values.collect();
    (!array.is_empty()).then_some(Value::Array(array))
}

/// The pairs that are not the defaults.
fn table(entries: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let mut table = InlineTable::new();
    for (key, value) in entries {
        if let Some(value) = value {
            table.insert(key, value);
        }
    }
    Value::InlineTable(table)
}

fn weight(weight: i16, default: i16) -> (&'static str, Option<Value>) {
    ("weight", (weight != default).then(|| i64::from(weight).into()))
}

fn interface(tracked: &TrackedInterface) -> Value {
    let name = tracked.interface.as_str();
    if tracked.weight == 0 {
        return name.into();
    }
    table([("interface", Some(name.into())), weight(tracked.weight, 0)])
}

fn service(tracked: &TrackedService) -> Value {
    let (number, percent) = match tracked.quorum {
        Quorum::Backends(1) => (None, None),
        Quorum::Backends(least) => (Some(i64::from(least).into()), None),
        Quorum::Percent(percent) => (None, Some(i64::from(percent).into())),
    };
    table([
        ("service", Some(tracked.service.as_str().into())),
        ("min_healthy", number),
        ("min_healthy_percent", percent),
        weight(tracked.weight, 0),
    ])
}

fn script(tracked: &TrackedScript) -> Value {
    let TrackedScript { name, program, interval, timeout, rise, fall, weight: number } = tracked;
    let count = |count: u32| Some(Value::from(i64::from(count)));
    table([
        ("name", Some(name.as_str().into())),
        ("script", Some(program.path.to_string_lossy().into_owned().into())),
        ("args", Some(list(&program.args)).filter(|_| !program.args.is_empty())),
        ("user", (program.user != SCRIPT_USER).then(|| program.user.as_str().into())),
        ("interval", Some(format_duration(*interval).into())),
        ("timeout", (timeout != interval).then(|| format_duration(*timeout).into())),
        ("rise", count(*rise)),
        ("fall", count(*fall)),
        weight(*number, 0),
    ])
}

fn file(tracked: &TrackedFile) -> Value {
    table([("path", Some(tracked.path.to_string_lossy().into_owned().into())), weight(tracked.weight, 1)])
}
