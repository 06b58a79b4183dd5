//! The Unix socket: made with its final mode, replaced when stale, never taken from a living daemon.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
        net::{UnixListener as StdListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::unistd::Gid;
use tokio::net::UnixListener;

use super::access::{Access, GroupError};

/// Mode of the socket: its owner and its group may use the API.
const MODE: u32 = 0o660;

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    pub(super) access: Access,
    path: PathBuf,
    inode: u64,
}

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon answers there.
    #[error("{0}: another `lbd` serves this socket; stop it first, or set `api.socket` to another path")]
    Live(PathBuf),
    /// Something else is there.
    #[error("{0}: is not a socket; remove it, or set `api.socket` to another path")]
    NotASocket(PathBuf),
    /// The group that may use it is not there.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The system refused.
    #[error("{path}: {action}: {source}; check `api.socket` and the rights on its directory")]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Socket {
    /// Makes the socket, its directory too, in place of one that nobody serves any more. It belongs to `group`, or to `lb` if there is
    /// such a group. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(path: &Path, group: Option<&str>) -> Result<Self, SocketError> {
        let access = Access::new(group)?;
        let failed = |action| move |source| SocketError::Io { path: path.to_owned(), action, source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("making its directory"))?;
        }
        refuse_occupied(path)?;
        // Under another name first: it appears at its path with its final mode, and the stale one goes in the same step.
        // The name is short, since the length of a socket's path is limited.
        let staged = path.with_file_name(format!(".{}", std::process::id()));
        remove_if_there(&staged).map_err(failed("removing the remains of an earlier start"))?;
        let listener = StdListener::bind(&staged).map_err(failed("making the socket"))?;
        let moved = give(&staged, access.group, group.is_some())
            .and_then(|()| fs::set_permissions(&staged, fs::Permissions::from_mode(MODE)))
            .and_then(|()| fs::rename(&staged, path))
            .and_then(|()| fs::symlink_metadata(path));
        let inode = match moved {
            Ok(metadata) => metadata.ino(),
            Err(source) => {
                // The first error is the one to tell.
                let _ = fs::remove_file(&staged);
                return Err(failed("setting its group, mode and name")(source));
            }
        };
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener))
            .map_err(failed("listening"))?;
        Ok(Self { listener, access, path: path.to_owned(), inode })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another daemon may have replaced it meanwhile.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a socket to a group. Where nobody asked for that, it may fail: root can use the socket all the same.
fn give(path: &Path, group: Option<Gid>, wanted: bool) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    match chown(path, None, Some(group.as_raw())) {
        Err(error) if !wanted => {
            tracing::warn!(%error, "the API's socket cannot be given to the group `lb`: only root can use it");
            Ok(())
        }
        outcome => outcome,
    }
}

/// Refuses a path where something else is, or where a daemon answers.
fn refuse_occupied(path: &Path) -> Result<(), SocketError> {
    let failed = |action| move |source| SocketError::Io { path: path.to_owned(), action, source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("looking at it")(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Live(path.to_owned())),
        // A full queue is a sign of life, too.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SocketError::Live(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(failed("asking whether it is in use")(error)),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_has_its_mode_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/lb/lbd.sock");
        let socket = Socket::bind(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_socket_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        let _socket = Socket::bind(&path, None).unwrap();
        let error = Socket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::Live(_)), "{error}");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = Socket::bind(&path, None).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn another_file_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        fs::write(&path, "precious").unwrap();
        let error = Socket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_successor_keeps_its_socket_when_the_predecessor_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        let first = Socket::bind(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = Socket::bind(&path, None).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }
}
