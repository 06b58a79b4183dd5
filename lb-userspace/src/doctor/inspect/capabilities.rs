//! Capabilities of processes and of the systemd unit.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// What lbd needs, by name and number.
const NEEDED: [(&str, u32); 4] =
    [("CAP_BPF", 39), ("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_PERFMON", 38)];
/// Includes CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;

/// What a process (`self` or an id) lacks.
pub(super) fn missing(process: &str) -> Option<Vec<String>> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    Some(lacking(u64::from_str_radix(line.trim(), 16).ok()?))
}

fn lacking(effective: u64) -> Vec<String> {
    let has = |number: u32| effective >> number & 1 == 1;
    let has = |number: u32| has(number) || matches!(number, 38 | 39) && has(SYS_ADMIN);
    NEEDED.iter().filter(|(_, number)| !has(*number)).map(|(name, _)| (*name).to_owned()).collect()
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
    NEEDED.iter().map(|(name, _)| *name).filter(|name| lacks(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_includes_bpf_and_perfmon() {
        assert_eq!(lacking(u64::MAX), [""; 0]);
        assert_eq!(lacking(1 << 21 | 1 << 12), ["CAP_NET_RAW"]);
        assert_eq!(lacking(1 << 39 | 1 << 12 | 1 << 13), ["CAP_PERFMON"]);
        assert_eq!(lacking(0).len(), 4);
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
