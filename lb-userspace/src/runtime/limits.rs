//! What the system must allow.

use std::{fs, io, path::Path};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Forwarding must be on for the loopback device: the data path looks routes up from its point of view, so that the sysctls of the
/// real interfaces may stay as they are.
const FORWARDING: [&str; 2] =
    ["/proc/sys/net/ipv4/conf/lo/forwarding", "/proc/sys/net/ipv6/conf/lo/forwarding"];

/// Lets the data path look routes up.
pub(super) fn allow_route_lookups() {
    for path in FORWARDING.map(Path::new) {
        let done = fs::read_to_string(path).and_then(|value| match value.trim() {
            "1" => Ok(()),
            _ => fs::write(path, "1"),
        });
        match done {
            // A kernel without this family.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "cannot write 1: unless somebody else does, nothing is forwarded");
            }
            Ok(()) => {}
        }
    }
}

/// Raises the limit of open files as far as possible: each probe in flight is one.
pub(super) fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Allows the lowest real-time priority, which VRRP's thread asks for, while the process may still do so: as systemd's unit does. Who may not
/// raise the limit has it already, or goes without.
pub(super) fn allow_real_time() {
    let raised = getrlimit(Resource::RLIMIT_RTPRIO).and_then(|(present, most)| match present {
        0 => setrlimit(Resource::RLIMIT_RTPRIO, 1, most.max(1)),
        _ => Ok(()),
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "cannot raise the limit of real-time priority");
    }
}
