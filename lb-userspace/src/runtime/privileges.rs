//! Capabilities (`capabilities(7)`): what `lbd` needs is asked for by name, everything else is given up.
//!
//! They belong to threads. Those of the runtime give them up when they start; the first thread does so when all that needs
//! more is done (a BPF file system to mount, a low port, the group of a socket), before it starts other threads.

use std::{fmt, fs};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;

use super::Failure;
use crate::model::{Config, ProbeKind};

/// What the daemon cannot do without.
const NEEDED: [Need; 3] = [
    Need { capability: Capability::CAP_BPF, purpose: "make BPF maps and load the program" },
    Need { capability: Capability::CAP_PERFMON, purpose: "have the kernel's verifier accept the program" },
    Need { capability: Capability::CAP_NET_ADMIN, purpose: "attach to interfaces and resolve neighbours" },
];

/// What only some features want: kept if it is there.
const WANTED: [Need; 1] =
    [Need { capability: Capability::CAP_NET_RAW, purpose: "send ICMP probes and resets" }];

/// What scripts need that run as another user: kept only where there are any.
const FOR_SCRIPTS: [Capability; 3] = [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_KILL];

/// A capability, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    capability: Capability,
    purpose: &'static str,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.capability, self.purpose)
    }
}

/// What the daemon's threads keep.
#[derive(Clone, Debug)]
pub(super) struct Privileges {
    keep: CapsHashSet,
}

impl Privileges {
    /// Finds out what this process may do, and keeps what this configuration needs.
    ///
    /// # Errors
    /// [`Failure::Capabilities`] with all that is missing, [`Failure::UserNamespace`], [`Failure::Privileges`].
    pub(super) fn check(config: &Config) -> Result<Self, Failure> {
        let permitted = caps::read(None, CapSet::Permitted)?;
        let is_missing = |need: &&Need| !permitted.contains(&need.capability);
        let missing: Vec<Need> = NEEDED.iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            return Err(Failure::Capabilities(Missing(missing)));
        }
        if !in_first_user_namespace() {
            return Err(Failure::UserNamespace);
        }
        for need in WANTED.iter().filter(is_missing) {
            tracing::warn!("missing: {need}");
        }
        let mut keep: CapsHashSet = NEEDED.iter().chain(&WANTED).map(|need| need.capability).collect();
        if has_scripts(config) {
            keep.extend(FOR_SCRIPTS);
        }
        keep.retain(|capability| permitted.contains(capability));
        Ok(Self { keep })
    }

    /// Gives up everything else in the calling thread, and the means to get it back.
    ///
    /// # Errors
    /// [`Failure::Privileges`].
    pub(super) fn limit(&self) -> Result<(), Failure> {
        set_no_new_privs().map_err(|errno| Failure::system("set no_new_privs")(errno.into()))?;
        let effective = caps::read(None, CapSet::Effective)?;
        // Without this right the rest of the bounding set stays, which no_new_privs makes useless.
        if effective.contains(&Capability::CAP_SETPCAP) {
            for capability in caps::read(None, CapSet::Bounding)?.difference(&self.keep) {
                caps::drop(None, CapSet::Bounding, *capability)?;
            }
        }
        caps::clear(None, CapSet::Ambient)?;
        caps::clear(None, CapSet::Inheritable)?;
        // What is not permitted cannot be effective: first the one that shrinks, then the other, then what was missing.
        caps::set(None, CapSet::Effective, &effective.intersection(&self.keep).copied().collect())?;
        caps::set(None, CapSet::Permitted, &self.keep)?;
        caps::set(None, CapSet::Effective, &self.keep)?;
        Ok(())
    }

    /// The same in a thread that cannot fail: the first thread will, as it tries the same.
    pub(super) fn limit_thread(&self) {
        if let Err(error) = self.limit() {
            tracing::error!(%error, "a thread keeps privileges that it does not need");
        }
    }
}

fn has_scripts(config: &Config) -> bool {
    let mut checks = config.services.iter().filter_map(|service| service.health.as_ref());
    checks.any(|check| matches!(check.probe.kind, ProbeKind::Script(_)))
        || config.vrrp.iter().any(|router| router.notify.is_some() || !router.track.scripts.is_empty())
}

/// Capabilities that are missing.
#[derive(Debug)]
pub struct Missing(Vec<Need>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, need) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", and " };
            write!(f, "{separator}{need}")?;
        }
        Ok(())
    }
}

/// Capabilities in another user namespace than the first are not those that bpf(2) asks for.
fn in_first_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.is_empty() || map.split_whitespace().eq(["0", "0", "4294967295"])
}
