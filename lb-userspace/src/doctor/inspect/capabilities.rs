//! Capabilities of processes and of the systemd unit.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// What lbd needs.
const NEEDED: [Capability; 4] =
    [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW, Capability::CAP_PERFMON];
/// Those of them that CAP_SYS_ADMIN includes.
const OF_SYS_ADMIN: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_PERFMON];

/// What a process (by its id) or this thread (`None`) lacks.
pub(super) fn missing(process: Option<i32>) -> Option<Vec<String>> {
    caps::read(process, CapSet::Effective).ok().map(|effective| lacking(&effective))
}

fn lacking(effective: &CapsHashSet) -> Vec<String> {
    let is_admin = effective.contains(&Capability::CAP_SYS_ADMIN);
    let has = |one: &Capability| effective.contains(one) || is_admin && OF_SYS_ADMIN.contains(one);
    NEEDED.iter().filter(|one| !has(one)).map(ToString::to_string).collect()
}

/// The process that listens on a socket.
pub(super) fn behind(socket: &Path) -> Option<i32> {
    let stream = UnixStream::connect(socket).ok()?;
    getsockopt(&stream, PeerCredentials).ok().map(|peer| peer.pid()).filter(|pid| *pid > 0)
}

/// How many files a process may open.
pub(super) fn open_files(process: i32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    // lbd raises the soft limit to the hard one, which is the second.
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a unit, with its drop-ins, does not give.
pub(super) fn unit_lacks(texts: &[String]) -> Vec<String> {
    let mut bounding: Option<BTreeSet<String>> = None;
    let (mut ambient, mut user) = (BTreeSet::new(), String::new());
    for line in texts.iter().flat_map(|text| text.lines()) {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let words = || value.split_whitespace().map(str::to_owned);
        match key.trim() {
            "User" => value.trim().clone_into(&mut user),
            "CapabilityBoundingSet" if value.trim().is_empty() => bounding = Some(BTreeSet::new()),
            // All but these: they are not ours.
            "CapabilityBoundingSet" if value.trim().starts_with('~') => {}
            "CapabilityBoundingSet" => bounding.get_or_insert_default().extend(words()),
            "AmbientCapabilities" if value.trim().is_empty() => ambient.clear(),
            "AmbientCapabilities" => ambient.extend(words()),
            _ => {}
        }
    }
    let as_root = matches!(user.as_str(), "" | "root" | "0");
    let lacks = |name: &str| {
        bounding.as_ref().is_some_and(|set| !set.contains(name)) || !as_root && !ambient.contains(name)
    };
    NEEDED.iter().map(ToString::to_string).filter(|name| lacks(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_includes_bpf_and_perfmon() {
        let lacking = |effective: &[Capability]| lacking(&effective.iter().copied().collect());
        let [bpf, admin, raw, perfmon] = NEEDED;
        assert_eq!(lacking(&NEEDED), [""; 0]);
        assert_eq!(lacking(&[Capability::CAP_SYS_ADMIN, admin]), [raw.to_string()]);
        assert_eq!(lacking(&[bpf, admin, raw]), [perfmon.to_string()]);
        assert_eq!(lacking(&[]).len(), 4);
    }

    #[test]
    fn a_unit_gives_what_its_bounding_set_and_ambient_set_name() {
        let all = "CAP_BPF CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON";
        for (text, expected) in [
            ("[Service]\nExecStart=/usr/sbin/lbd\n".to_owned(), vec![]),
            (format!("CapabilityBoundingSet={all}\n"), vec![]),
            ("CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n".to_owned(), vec!["CAP_NET_RAW"]),
            (format!("User=lb\nAmbientCapabilities={all}\n"), vec![]),
            ("User=lb\n".to_owned(), vec!["CAP_BPF", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_PERFMON"]),
            (
                format!("CapabilityBoundingSet={all}\nCapabilityBoundingSet=\nCapabilityBoundingSet={all}"),
                vec![],
            ),
        ] {
            assert_eq!(unit_lacks(std::slice::from_ref(&text)), expected, "{text}");
        }
    }
}
