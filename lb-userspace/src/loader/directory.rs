//! The pin directory: where it is, that it is on a BPF file system, and that one `lbd` at a time uses it.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use lb_common::abi::ABI_VERSION;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    mount::{MsFlags, mount},
    sys::{
        stat::{major, minor},
        statfs::{BPF_FS_MAGIC, statfs},
        statvfs::{FsFlags, statvfs},
    },
};

use super::{LoaderError, error::Holder};
use crate::sys::bpf::pin_again;

/// Where a BPF file system is expected, and mounted if it is missing.
const USUAL_MOUNT_POINT: &str = "/sys/fs/bpf";

/// Held as long as this `lbd` uses the pin directory.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
}

impl Lock {
    /// Whether what is found at the directory's path is still what was locked; not if its file system was unmounted.
    #[must_use]
    pub fn is_of(&self, directory: &PinDirectory) -> bool {
        let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (self.file.metadata(), fs::metadata(directory.root())) {
            (Ok(locked), Ok(found)) => place(locked) == place(found),
            _ => false,
        }
    }

    /// A way to what was locked that does not need its file system to be mounted.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// The directory that holds everything that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinDirectory {
    root: PathBuf,
}

impl PinDirectory {
    /// The pin directory at `root`; nothing is touched yet.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The configured `pin_directory`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where this version of the ABI pins.
    #[must_use]
    pub fn versioned(&self) -> PathBuf {
        self.version(ABI_VERSION)
    }

    /// Where a version of the ABI pins.
    #[must_use]
    pub(super) fn version(&self, version: u32) -> PathBuf {
        self.root.join(format!("v{version}"))
    }

    /// Where a map is pinned.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.versioned().join(name)
    }

    /// Where a map is kept while its contents move to one of another size.
    #[must_use]
    pub fn replaced_map(&self, name: &str) -> PathBuf {
        self.versioned().join(format!("{name}_old"))
    }

    /// Where the XDP link of an interface is pinned.
    #[must_use]
    pub fn link(&self, interface: &str) -> PathBuf {
        // A BPF file system refuses dots; a colon cannot be part of an interface's name.
        self.versioned().join(format!("{LINK_PREFIX}{}", interface.replace('.', ":")))
    }

    /// The interfaces whose links are pinned, in no particular order. None if there is no directory.
    ///
    /// # Errors
    /// [`LoaderError::Path`] if the directory cannot be read.
    pub fn linked_interfaces(&self) -> Result<Vec<String>, LoaderError> {
        let names = file_names(&self.versioned())?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_prefix(LINK_PREFIX))
            .map(|name| name.replace(':', "."))
            .collect())
    }

    /// Makes the directory, on a BPF file system that is mounted at its usual place if it is missing there.
    ///
    /// # Errors
    /// [`LoaderError::NotBpfFs`], [`LoaderError::Mount`], [`LoaderError::ReadOnly`] or [`LoaderError::Path`].
    pub fn create(&self) -> Result<(), LoaderError> {
        if !on_bpf_fs(&self.root)? {
            if !self.root.starts_with(USUAL_MOUNT_POINT) {
                let mount_point = self.root.parent().unwrap_or(&self.root).to_owned();
                return Err(LoaderError::NotBpfFs { directory: self.root.clone(), mount_point });
            }
            mount_bpf_fs(Path::new(USUAL_MOUNT_POINT))?;
        }
        fs::create_dir_all(&self.root).map_err(LoaderError::path(&self.root, "create this directory"))?;
        let mounted = statvfs(&self.root)
            .map_err(|errno| LoaderError::path(&self.root, "examine this directory")(errno.into()))?;
        if mounted.flags().contains(FsFlags::ST_RDONLY) {
            return Err(LoaderError::ReadOnly { directory: self.root.clone() });
        }
        Ok(())
    }

    /// Takes the lock on the directory, which exists.
    ///
    /// # Errors
    /// [`LoaderError::Locked`] if another process holds it, [`LoaderError::Path`].
    pub fn lock(&self) -> Result<Lock, LoaderError> {
        let directory =
            File::open(&self.root).map_err(LoaderError::path(&self.root, "open this directory"))?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Lock { file }),
            Err((file, Errno::EWOULDBLOCK)) => {
                Err(LoaderError::Locked { directory: self.root.clone(), holder: Holder(lock_holder(&file)) })
            }
            Err((_, errno)) => Err(LoaderError::path(&self.root, "lock this directory")(errno.into())),
        }
    }
}

/// Pins everything of this version that is below what `lock` holds, whose file system was unmounted, where the directory is found now; the
/// lock on that.
///
/// # Errors
/// As [`PinDirectory::create`] and [`PinDirectory::lock`]; [`LoaderError::Path`].
pub fn pin_anew(directory: &PinDirectory, lock: &Lock) -> Result<Lock, LoaderError> {
    directory.create()?;
    let fresh = directory.lock()?;
    let (from, to) = (lock.path().join(format!("v{ABI_VERSION}")), directory.versioned());
    fs::create_dir_all(&to).map_err(LoaderError::path(&to, "create this directory"))?;
    for name in file_names(&from)? {
        match pin_again(&from.join(&name), &to.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(LoaderError::path(to.join(name), "pin here again")(error));
            }
            _ => {}
        }
    }
    Ok(fresh)
}

/// What the names of pinned links begin with.
pub(super) const LINK_PREFIX: &str = "link-";

/// The process that has `file` locked by flock(2), which tells nobody: /proc/locks has a line for each lock (proc(5)).
fn lock_holder(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (device, inode) = (metadata.dev(), metadata.ino());
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let words = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let held = words.filter(|words| words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&place.as_str()));
    // 0 or -1: a process of another PID namespace.
    held.filter_map(|words| words.get(4)?.parse().ok()).find(|process| *process != 0)
}

/// The names in a directory; none if it does not exist.
pub(super) fn file_names(directory: &Path) -> Result<Vec<String>, LoaderError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(LoaderError::path(directory, "read this directory"))?,
    };
    entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()
        .map_err(LoaderError::path(directory, "read this directory"))
}

/// Removes a file; no error if it is not there.
pub(super) fn remove_file(path: &Path) -> Result<(), LoaderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LoaderError::path(path, "remove this pin")(error))
        }
        _ => Ok(()),
    }
}

/// Whether `path`, or the nearest directory above it that exists, is on a BPF file system.
fn on_bpf_fs(path: &Path) -> Result<bool, LoaderError> {
    for ancestor in path.ancestors() {
        match statfs(ancestor) {
            Ok(found) => return Ok(found.filesystem_type() == BPF_FS_MAGIC),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(LoaderError::path(ancestor, "examine this directory")(errno.into())),
        }
    }
    Ok(false)
}

fn mount_bpf_fs(path: &Path) -> Result<(), LoaderError> {
    tracing::info!(path = %path.display(), "mounting a BPF file system");
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .map_err(|errno| LoaderError::Mount { path: path.to_owned(), error: errno.into() })
}
