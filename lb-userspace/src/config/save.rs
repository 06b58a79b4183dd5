//! Writing a document: all that can fail first, then one rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process;

use super::edit::update;
use super::{Document, WriteError};
use crate::model::{Config, Draft};

/// With what editors on other systems begin a file: U+FEFF.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A new text beside the file, written and synced, ready to take its place. Dropped, it leaves no trace.
#[derive(Debug)]
pub struct Staged {
    document: Document,
    target: PathBuf,
    temporary: PathBuf,
    committed: bool,
}

impl Document {
    /// This document changed to mean `config`; comments, order, line ends and a byte order mark stay. If it means that already, it is the same.
    ///
    /// # Errors
    /// [`WriteError::Config`] if this document is not valid, [`WriteError::Unfaithful`].
    pub fn updated(&self, config: &Config) -> Result<Self, WriteError> {
        let old = self.config()?;
        let mut edited = self.parsed()?.into_mut();
        let before = edited.to_string();
        update(&mut edited, &old, config);
        let after = edited.to_string();
        let text = if after == before { self.text.clone() } else { self.as_other_editors_do(&after) };
        let updated = Self::new(&self.path, text);
        match updated.config() {
            Ok(found) if means_the_same(&found, config) => Ok(updated),
            _ => Err(WriteError::Unfaithful { path: self.path.clone() }),
        }
    }

    /// A text whose line ends are U+000A with the mark that this document begins with, and with its line ends if they are all the same.
    fn as_other_editors_do(&self, text: &str) -> String {
        let mark = if self.text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK } else { "" };
        let lines = self.text.matches('\n').count();
        let ends_alike = lines > 0 && self.text.matches("\r\n").count() == lines;
        if ends_alike { format!("{mark}{}", text.replace('\n', "\r\n")) } else { format!("{mark}{text}") }
    }

    /// Prepares to replace the file by this document changed to mean `config`.
    ///
    /// # Errors
    /// [`WriteError`]; the file is as it was.
    pub fn stage(&self, config: &Config) -> Result<Staged, WriteError> {
        let document = self.updated(config)?;
        let io = |action| move |source| self.io(action, source);
        // A link stays a link to the file that is replaced.
        let target = fs::canonicalize(&self.path).map_err(io("find the file"))?;
        if fs::read(&target).map_err(io("read the file"))? != self.text.as_bytes() {
            return Err(WriteError::Changed { path: self.path.clone() });
        }
        let metadata = fs::metadata(&target).map_err(io("read the file's permissions"))?;
        if metadata.permissions().readonly() {
            let reason = format!("is read-only (mode {:04o})", metadata.permissions().mode() & 0o7777);
            return Err(WriteError::ReadOnly { path: self.path.clone(), reason });
        }
        let temporary = temporary_beside(&target);
        let staged = Staged { document, target, temporary, committed: false };
        staged.write(&metadata).map_err(|source| self.io("write a new file beside it", source))?;
        Ok(staged)
    }

    pub(super) fn io(&self, action: &'static str, source: io::Error) -> WriteError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                WriteError::ReadOnly { path, reason: format!("cannot {action}: {source}") }
            }
            io::ErrorKind::ResourceBusy => {
                let reason = "is a mount point of its own, so that it cannot be replaced".to_owned();
                WriteError::ReadOnly { path, reason }
            }
            _ => WriteError::Io { path, action, source },
        }
    }
}

impl Staged {
    /// The document as it will be.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Puts it in the place of the file, atomically; it survives a power failure from then on.
    ///
    /// # Errors
    /// [`WriteError`]; the file is as it was.
    pub fn commit(mut self) -> Result<Document, WriteError> {
        fs::rename(&self.temporary, &self.target)
            .map_err(|source| self.document.io("put the new file in place", source))?;
        self.committed = true;
        // The new file is in place whatever follows; only a power failure right now could undo it.
        if let Some(Err(error)) = self.target.parent().map(|parent| File::open(parent)?.sync_all()) {
            tracing::warn!(path = %self.document.path.display(), %error, "cannot sync the directory");
        }
        Ok(self.document.clone())
    }

    fn write(&self, like: &fs::Metadata) -> io::Result<()> {
        // One that a killed process left behind.
        if let Err(error) = fs::remove_file(&self.temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.temporary)?;
        file.write_all(self.document.text.as_bytes())?;
        // Not everybody may give files away; then it belongs to whoever runs this.
        drop(fchown(&file, Some(like.uid()), Some(like.gid())));
        file.set_permissions(like.permissions())?;
        file.sync_all()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed {
            drop(fs::remove_file(&self.temporary));
        }
    }
}

fn temporary_beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.new", process::id()))
}

/// Whether two configurations differ in nothing but the order of services and backends.
pub(super) fn means_the_same(a: &Config, b: &Config) -> bool {
    sorted(a) == sorted(b)
}

fn sorted(config: &Config) -> Draft {
    let mut draft = config.draft();
    draft.services.sort_by(|a, b| a.name.cmp(&b.name));
    draft.services.iter_mut().for_each(|service| service.backends.sort_by(|a, b| a.name.cmp(&b.name)));
    draft
}
