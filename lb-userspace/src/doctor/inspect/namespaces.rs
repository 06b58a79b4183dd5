//! Other network namespaces: where the far end of a veth is.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::{collections::HashSet, thread};

use nix::sched::{CloneFlags, setns};
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use super::genl::Generic;
use super::netlink::{Netlink, attribute, push, u32_at};
use crate::doctor::facts::{Offloads, Peer};

/// `RTM_GETNSID` and its attributes.
const GET_NSID: u16 = 90;
const NSID: u16 = 1;
const NSID_FD: u16 = 3;
/// Most namespaces of processes that are looked at.
const MOST: usize = 512;

/// A network namespace that can be entered.
#[derive(Debug)]
struct Namespace {
    file: File,
    /// What to put before a command.
    prefix: String,
}

/// The far end of a veth: its index there, and the namespace's id as this one knows it (`None`: this one).
pub(super) fn peer(generic: Option<&mut Generic>, ifindex: u32, nsid: Option<i32>) -> Peer {
    let Some(nsid) = nsid else {
        let found = generic.and_then(|generic| generic.offloads(ifindex));
        return described(String::new(), found);
    };
    let Some(Namespace { file, prefix }) = find(nsid) else { return Peer::default() };
    let entered = thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).ok()?;
        Generic::open().ok()?.offloads(ifindex)
    });
    described(prefix, entered.join().ok().flatten())
}

fn described(prefix: String, found: Option<(String, Offloads)>) -> Peer {
    let (name, offloads) = found.unzip();
    Peer { name, prefix, offloads }
}

/// The namespace of an id: one with a name, else one that a process is in.
fn find(nsid: i32) -> Option<Namespace> {
    let mut netlink = Netlink::open(NETLINK_ROUTE).ok()?;
    let named = fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.path(), format!("ip netns exec {} ", entry.file_name().to_string_lossy())));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((entry.path().join("ns/net"), format!("nsenter -t {process} -n ")))
    });
    let mut seen = HashSet::new();
    for (path, prefix) in named.chain(processes) {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if seen.len() >= MOST || !seen.insert(metadata.ino()) {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        if id_of(&mut netlink, &file) == Some(nsid) {
            return Some(Namespace { file, prefix });
        }
    }
    None
}

fn id_of(netlink: &mut Netlink, namespace: &File) -> Option<i32> {
    let mut body = vec![0; 4];
    push(&mut body, NSID_FD, &namespace.as_raw_fd().to_ne_bytes());
    let answers = netlink.request(GET_NSID, false, &body).ok()?;
    let id = attribute(answers.first()?.get(4..)?, NSID)?;
    u32_at(id, 0).map(u32::cast_signed)
}
