//! Directories and a BPF file system of this run.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::netns::{PREFIX, owner_is_dead};

/// A directory that is removed on drop; its name starts with [`PREFIX`] and the process id.
///
/// # Errors
///
/// If it cannot be created.
pub fn directory(label: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-{label}-", process::id()))
        .tempdir()
        .context("cannot create a temporary directory")
}

/// A BPF file system of its own, so that runs cannot meet in `/sys/fs/bpf`. Unmounted on drop: what is pinned there goes.
#[derive(Debug)]
pub struct BpfFs {
    directory: TempDir,
}

impl BpfFs {
    /// Mounts one.
    ///
    /// # Errors
    ///
    /// If the mount is refused.
    pub fn mount() -> Result<Self> {
        let directory = directory("bpffs")?;
        let none: Option<&str> = None;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), none)
            .with_context(|| format!("cannot mount a BPF file system at {}", directory.path().display()))?;
        Ok(Self { directory })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        if let Err(error) = umount2(self.path(), MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {}: {error}", self.path().display());
        }
    }
}

/// Removes what runs that were killed left: BPF file systems and directories of processes that are gone.
pub(crate) fn sweep() {
    let mine = |name: &str| owner_is_dead(name);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from) {
        if target.file_name().and_then(|name| name.to_str()).is_some_and(mine) {
            let _ = umount2(&target, MntFlags::MNT_DETACH);
        }
    }
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(mine) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
