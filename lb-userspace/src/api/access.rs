//! Who may use the Unix socket. The file's mode is the first barrier; this holds even where it was loosened.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid};
use tokio::net::UnixStream;

use crate::sys::peer::peer_groups;

/// The group that is used where none is configured, if the system has it.
const DEFAULT_GROUP: &str = "lb";

/// Who may use the API: root, the daemon's own user, and the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    own: Uid,
    pub(super) group: Option<Gid>,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: Uid,
    gid: Gid,
    groups: Vec<u32>,
    pub(super) pid: Option<i32>,
}

/// Who makes a request, for those who are told of it: part of every request.
#[derive(Clone, Debug)]
pub(super) struct Who(Arc<str>);

impl Who {
    /// By the Unix socket.
    pub(super) fn local(peer: &Peer) -> Self {
        let pid = peer.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
        Self(format!("uid {}{pid}", peer.uid).into())
    }

    /// By TCP.
    pub(super) fn remote(address: SocketAddr) -> Self {
        Self(address.to_string().into())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why the group cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// There is none of this name.
    #[error(
        "api.group: there is no group `{0}` on this system; make it (`groupadd --system {0}`) or take another"
    )]
    Unknown(String),
    /// The system cannot tell.
    #[error("api.group: cannot look up the group `{group}`: {error}")]
    System {
        /// Its name.
        group: String,
        /// Why.
        error: nix::Error,
    },
}

impl Access {
    /// For the members of the configured group, or of `lb` if there is one.
    ///
    /// # Errors
    /// The configured group is not there.
    pub(super) fn new(group: Option<&str>) -> Result<Self, GroupError> {
        let name = group.unwrap_or(DEFAULT_GROUP);
        let found = match Group::from_name(name) {
            // As getgrnam(3) has it, these say that there is none; a system without /etc/group is an example.
            Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => None,
            found => found.map_err(|error| GroupError::System { group: name.to_owned(), error })?,
        };
        if found.is_none() && group.is_some() {
            return Err(GroupError::Unknown(name.to_owned()));
        }
        Ok(Self { own: Uid::effective(), group: found.map(|group| group.gid) })
    }

    /// Whether a peer may use the API.
    pub(super) fn admits(&self, peer: &Peer) -> bool {
        let member = |group: Gid| peer.gid == group || peer.groups.contains(&group.as_raw());
        peer.uid.is_root() || peer.uid == self.own || self.group.is_some_and(member)
    }
}

impl Peer {
    /// Who connected (`SO_PEERCRED`, `SO_PEERGROUPS`): the kernel knows, the peer cannot lie.
    ///
    /// # Errors
    /// The connection is gone already.
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self {
            uid: Uid::from_raw(credentials.uid()),
            gid: Gid::from_raw(credentials.gid()),
            groups: peer_groups(stream)?,
            pid: credentials.pid(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Peer {
        Peer { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups: groups.to_vec(), pid: None }
    }

    #[test]
    fn root_the_own_user_and_members_are_admitted_and_nobody_else() {
        let access = Access { own: Uid::from_raw(500), group: Some(Gid::from_raw(42)) };
        for (admitted, uid, gid, groups) in [
            (true, 0, 0, &[][..]),
            (true, 0, 7, &[]),
            (true, 500, 7, &[]),
            (true, 1000, 42, &[]),
            (true, 1000, 7, &[4, 42]),
            (false, 1000, 7, &[4, 41]),
            (false, 42, 500, &[]),
            (false, 65534, 65534, &[]),
            (false, 1000, 0, &[0]),
        ] {
            assert_eq!(access.admits(&peer(uid, gid, groups)), admitted, "{uid} {gid} {groups:?}");
        }
    }

    #[test]
    fn without_a_group_no_group_is_admitted() {
        let access = Access { own: Uid::from_raw(0), group: None };
        assert!(!access.admits(&peer(1000, 0, &[0, 42])));
        assert!(access.admits(&peer(0, 0, &[])));
    }

    #[test]
    fn a_configured_group_must_exist() {
        let error = Access::new(Some("no-such-group")).unwrap_err();
        assert!(error.to_string().contains("groupadd --system no-such-group"), "{error}");
        assert!(Access::new(Some("root")).unwrap().group.is_some());
        Access::new(None).unwrap();
    }
}
