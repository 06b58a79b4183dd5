//! Directories that appear when they are complete, and not before.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use xtask::{Context, Result};

use super::say;

/// Waits until no other setup installs something into a directory.
pub(super) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(".lock");
    let file = File::create(&path).context(path.display())?;
    file.lock().context(path.display())?;
    Ok(file)
}

/// A directory that is removed unless it was renamed; so is one that a killed setup left behind.
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        remove_dir(&path)?;
        fs::create_dir_all(&path).context(path.display())?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts it in its place; what was there goes.
    pub(super) fn publish(&self, destination: &Path) -> Result<()> {
        remove_dir(destination)?;
        fs::rename(&self.0, destination).context(destination.display())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = remove_dir(&self.0) {
            say(&error.to_string());
        }
    }
}

pub(super) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context(path.display()),
        _ => Ok(()),
    }
}
