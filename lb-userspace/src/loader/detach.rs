//! Takes the data path out: links, maps, directories.

use std::{fs, io, path::Path};

use super::{
    LoaderError, PinDirectory,
    directory::{LINK_PREFIX, file_names, remove_file},
    versions::version_of,
};

/// Removes everything below the pin directory, of every version, and the directory itself. Links go first: forwarding ends
/// there, and packets are the host's again. No error if nothing is there.
///
/// # Errors
/// [`LoaderError::Locked`] while an `lbd` runs on it, [`LoaderError::Path`].
pub fn detach(directory: &PinDirectory) -> Result<(), LoaderError> {
    if !directory.root().exists() {
        return Ok(());
    }
    let lock = directory.lock()?;
    let versions = file_names(directory.root())?;
    for version in versions.iter().filter(|name| version_of(name).is_some()) {
        remove_version(&directory.root().join(version))?;
    }
    drop(lock);
    remove_directory(directory.root())
}

/// Removes all that is pinned in the directory of a version, links first, and the directory.
pub(super) fn remove_version(path: &Path) -> Result<(), LoaderError> {
    let (links, others): (Vec<_>, Vec<_>) =
        file_names(path)?.into_iter().partition(|name| name.starts_with(LINK_PREFIX));
    for name in links.iter().chain(&others) {
        remove_file(&path.join(name))?;
    }
    remove_directory(path)
}

/// Removes a directory, unless it is gone, a mount point, or somebody else keeps things in it.
fn remove_directory(path: &Path) -> Result<(), LoaderError> {
    match fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(LoaderError::path(path, "remove this directory")(error))
        }
        _ => Ok(()),
    }
}
