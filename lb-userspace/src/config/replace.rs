//! The whole file replaced by another text, and brought back.
//!
//! Beside `lb.toml` are then `lb.toml.previous`, which is what it was before, and after a rollback `lb.toml.rejected`, which is what was
//! taken back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::notes::{sync_directory, with_suffix};
use super::{Document, WriteError};

/// Where the file was kept that an apply replaced.
pub(super) const PREVIOUS: &str = ".previous";
/// Where the file is kept that a rollback replaced.
pub(super) const REJECTED: &str = ".rejected";

/// Files that are written and synced, to take the places of others in this order. Dropped, those that did not are removed.
#[derive(Debug)]
pub(super) struct Replacement {
    path: PathBuf,
    steps: Vec<(PathBuf, PathBuf)>,
    /// Whether the last step's file was there before, and stays if it is not done.
    keep_last: bool,
}

impl Replacement {
    /// Puts `text` in the place of what `document` was read from, and that into `lb.toml.previous`.
    pub(super) fn by_text(document: &Document, text: &str) -> Result<Self, WriteError> {
        let target = writable(document)?;
        let mut replacement = Self { path: document.path().to_owned(), steps: Vec::new(), keep_last: false };
        replacement.write(&target, with_suffix(&target, PREVIOUS), document.text())?;
        replacement.write(&target, target.clone(), text)?;
        Ok(replacement)
    }

    /// Puts `lb.toml.previous` in the place of what `document` was read from, and that into `lb.toml.rejected`.
    pub(super) fn by_previous(document: &Document) -> Result<Self, WriteError> {
        let target = writable(document)?;
        let mut replacement = Self { path: document.path().to_owned(), steps: Vec::new(), keep_last: false };
        replacement.write(&target, with_suffix(&target, REJECTED), document.text())?;
        replacement.steps.push((with_suffix(&target, PREVIOUS), target));
        replacement.keep_last = true;
        Ok(replacement)
    }

    /// Does it. The last step is the one that counts: what comes before it is harmless without it.
    pub(super) fn commit(mut self) -> Result<(), WriteError> {
        while let Some((from, to)) = self.steps.first() {
            fs::rename(from, to).map_err(|source| failed(&self.path, "put the new file in place", source))?;
            self.steps.remove(0);
        }
        if let Err(error) = fs::canonicalize(&self.path).and_then(|target| sync_directory(&target)) {
            tracing::warn!(path = %self.path.display(), %error, "cannot sync the directory");
        }
        Ok(())
    }

    /// Writes a file beside `like`, with its owner and mode, that is to become `to`.
    fn write(&mut self, like: &Path, to: PathBuf, text: &str) -> Result<(), WriteError> {
        let temporary = with_suffix(&to, ".new");
        let written = fs::metadata(like).and_then(|metadata| {
            drop(fs::remove_file(&temporary));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            // Not everybody may give files away; then it belongs to whoever runs this.
            let (uid, gid) = owner(&metadata);
            drop(fchown(&file, Some(uid), Some(gid)));
            file.set_permissions(metadata.permissions())?;
            File::sync_all(&file)
        });
        self.steps.push((temporary, to));
        written.map_err(|source| failed(&self.path, "write a new file beside it", source))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.keep_last {
            self.steps.pop();
        }
        self.steps.iter().for_each(|(temporary, _)| drop(fs::remove_file(temporary)));
    }
}

fn owner(metadata: &fs::Metadata) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.uid(), metadata.gid())
}

/// The file itself where the path is a link; it may be replaced.
fn writable(document: &Document) -> Result<PathBuf, WriteError> {
    let path = document.path();
    let target = fs::canonicalize(path).map_err(|source| failed(path, "find the file", source))?;
    let metadata =
        fs::metadata(&target).map_err(|source| failed(path, "read the file's permissions", source))?;
    if metadata.permissions().readonly() {
        let reason = format!("is read-only (mode {:04o})", metadata.permissions().mode() & 0o7777);
        return Err(WriteError::ReadOnly { path: path.to_owned(), reason });
    }
    Ok(target)
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> WriteError {
    Document::new(path, "").io(action, source)
}
