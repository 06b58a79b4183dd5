//! The rules of what virtual routers track.

use std::time::Duration;

use super::{Found, absolute, within};
use crate::model::{
    Path, Problem, Quorum, RouterName, ScriptProbe, ServiceName, Track, TrackedScript, VirtualRouter,
};

/// keepalived's bounds.
const MAX_WEIGHT: u16 = 253;

/// All that is wrong with what `routers[index]` tracks.
pub(super) fn check(routers: &[VirtualRouter], index: usize, services: &[&ServiceName], found: &mut Found) {
    let root = Path::root().key("vrrp");
    let (router, path) = (&routers[index], root.index(index));
    let Track { interfaces, services: tracked, scripts, files, .. } = &router.track;
    for (at, tracked) in interfaces.iter().enumerate() {
        let path = path.key("track_interfaces").index(at);
        weight(tracked.weight, &path, found);
        let is_known = |other: &_| *other == tracked.interface;
        if is_known(&router.interface) || interfaces[..at].iter().any(|other| is_known(&other.interface)) {
            let expected = "each interface once, and not that of the virtual router, which it needs anyway";
            found.add(path, &tracked.interface, Problem::Not { what: "new", expected: expected.to_owned() });
        }
    }
    for (at, one) in tracked.iter().enumerate() {
        let path = path.key("track_services").index(at);
        weight(one.weight, &path, found);
        if !services.contains(&&one.service) {
            let expected = "the name of one in [[services]]".to_owned();
            found.add(path.key("service"), &one.service, Problem::Not { what: "a service", expected });
        }
        match one.quorum {
            Quorum::Backends(least) => {
                found.range(path.key("min_healthy"), least, (1, 1 << 20), "a number of backends");
            }
            Quorum::Percent(percent) => {
                found.range(path.key("min_healthy_percent"), percent, (1, 100), "a percentage of backends");
            }
        }
        let is_same = |other: &crate::model::TrackedService| {
            (&other.service, other.quorum) == (&one.service, one.quorum)
        };
        if tracked[..at].iter().any(is_same) {
            let expected = "each service once with the same number of backends".to_owned();
            found.add(path, &one.service, Problem::Not { what: "new", expected });
        }
    }
    for (at, tracked) in scripts.iter().enumerate() {
        let path = path.key("track_scripts").index(at);
        weight(tracked.weight, &path, found);
        script(tracked, &path, found);
        one_script(routers, (index, at), &tracked.name, &path, found);
    }
    for (at, tracked) in files.iter().enumerate() {
        let path = path.key("track_files").index(at);
        if tracked.weight.unsigned_abs() > MAX_WEIGHT + 1 {
            let expected = "-254 to 254".to_owned();
            found.add(path.key("weight"), tracked.weight, Problem::Not { what: "a weight", expected });
        }
        absolute(&tracked.path, path.key("path"), found);
        if files[..at].iter().any(|other| other.path == tracked.path) {
            let expected = "each file once".to_owned();
            found.add(path.key("path"), tracked.path.display(), Problem::Not { what: "new", expected });
        }
    }
}

fn weight(weight: i16, path: &Path, found: &mut Found) {
    if weight.unsigned_abs() > MAX_WEIGHT {
        let expected = "-253 to 253".to_owned();
        found.add(path.key("weight"), weight, Problem::Not { what: "a weight", expected });
    }
}

fn script(tracked: &TrackedScript, path: &Path, found: &mut Found) {
    program(&tracked.program, path, found);
    within(tracked.interval, (100, 3_600_000), "\"100ms\" to \"1h\"", path.key("interval"), found);
    if tracked.timeout > tracked.interval || tracked.timeout < Duration::from_millis(10) {
        let expected = "\"10ms\" up to the interval".to_owned();
        let problem = Problem::Not { what: "a usable duration here", expected };
        found.add(path.key("timeout"), format_args!("{:?}", tracked.timeout), problem);
    }
    found.range(path.key("rise"), tracked.rise, (1, 1000), "a number of successes").range(
        path.key("fall"),
        tracked.fall,
        (1, 1000),
        "a number of failures",
    );
}

fn program(program: &ScriptProbe, path: &Path, found: &mut Found) {
    absolute(&program.path, path.key("script"), found);
    user(&program.user, path.key("user"), found);
    arguments(&program.args, &path.key("args"), found);
}

/// What is wrong with the name of a user that a program is to run as.
pub(super) fn user(user: &str, path: Path, found: &mut Found) {
    if user.is_empty() || user == "root" || user.contains(['\0', ':', '/']) {
        let expected = "the name of an unprivileged user such as \"nobody\"".to_owned();
        let problem = Problem::Not { what: "a user", expected };
        found.add(path, format_args!("{user:?}"), problem);
    }
}

/// What is wrong with arguments.
pub(super) fn arguments(arguments: &[String], path: &Path, found: &mut Found) {
    if let Some(wrong) = arguments.iter().find(|argument| argument.contains('\0')) {
        let problem = Problem::Not { what: "an argument", expected: "a text without NUL".to_owned() };
        found.add(path.clone(), format_args!("{wrong:?}"), problem);
    }
}

/// A script's name stands for one thing.
fn one_script(
    routers: &[VirtualRouter],
    (index, at): (usize, usize),
    name: &RouterName,
    path: &Path,
    found: &mut Found,
) {
    let here = &routers[index].track.scripts;
    if here[..at].iter().any(|other| other.name == *name) {
        let expected = "each script once".to_owned();
        found.add(path.key("name"), name, Problem::Not { what: "new", expected });
    }
    let elsewhere = routers[..index].iter().enumerate().find_map(|(router, other)| {
        let position = other.track.scripts.iter().position(|other| other.name == *name)?;
        (!other.track.scripts[position].runs_as(&here[at])).then_some((router, position))
    });
    if let Some((router, position)) = elsewhere {
        let first = Path::root().key("vrrp").index(router).key("track_scripts").index(position).key("name");
        let expected = "another name, or the same in everything but the weight";
        found.add(path.key("name"), name, Problem::Duplicate { first, expected });
    }
}
