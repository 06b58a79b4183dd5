//! Programs of the operator that are not run for a backend.

use super::{Preparer, Rights, Unusable};
use crate::model::{Path, VirtualRouter};

/// A program that cannot be used on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableProgram {
    /// What is wrong, and where in the configuration.
    pub path: Path,
    /// The same in words.
    pub what: Unusable,
}

/// All programs that virtual routers need and that cannot be used.
#[must_use]
pub fn unusable_programs(routers: &[VirtualRouter], rights: Rights) -> Vec<UnusableProgram> {
    let (preparer, root) = (Preparer::new(rights), Path::root().key("vrrp"));
    let mut found = Vec::new();
    for (index, router) in routers.iter().enumerate() {
        let path = root.index(index).key("track_scripts");
        for (at, tracked) in router.track.scripts.iter().enumerate() {
            if let Err(what) = preparer.program(&tracked.program) {
                found.push(UnusableProgram { path: path.index(at).key(what.key), what });
            }
        }
        let notify = router.notify.as_ref().map(|notify| preparer.program(&notify.program));
        if let Some(Err(what)) = notify {
            let path = root.index(index);
            let path = if what.key == "user" { path.key("notify_user") } else { path.key("notify").index(0) };
            found.push(UnusableProgram { path, what });
        }
    }
    found
}
