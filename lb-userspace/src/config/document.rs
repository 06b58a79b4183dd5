//! The text of a configuration file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::edit::update;
use super::error::Finding;
use super::node::{Node, line_of};
use super::parse::parse;
use crate::acl::ListFiles;
use crate::health::{Probes, Rights, unusable_programs};
use crate::model::{Config, Draft, Path as Place};

/// The text of a configuration file, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::NotUtf8`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let kind = fs::metadata(path).map_err(failed)?.file_type();
        if kind.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let bytes = fs::read(path).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            ConfigError::NotUtf8 { path: path.to_owned(), line }
        })?;
        Ok(Self::new(path, text))
    }

    /// A text that was not read from a file; `path` is what messages call it.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The text of a file that means `draft`: only what differs from the defaults. `path` is what messages call it.
    #[must_use]
    pub fn of(path: impl Into<PathBuf>, draft: &Draft) -> Self {
        let mut document = toml_edit::DocumentMut::new();
        update(&mut document, &Draft::default(), draft);
        Self::new(path, document.to_string())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The configuration that the text means.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`], [`ConfigError::Invalid`] with everything that is wrong.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let document = self.parsed()?;
        parse(&self.text, &document)
            .map_err(|findings| ConfigError::Invalid { path: self.path.clone(), findings })
    }

    /// Looks up what the health checks and the virtual routers of a configuration of this text need: certificates, keys, programs, users.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that cannot be used on this machine.
    pub fn usable(&self, config: &Config, rights: Rights) -> Result<Probes, ConfigError> {
        let programs = unusable_programs(&config.vrrp, rights);
        // Who only checks a file may not be able to read what lbd can.
        let list = ListFiles::read(config, None).err().filter(|_| rights == Rights::Needed);
        let unusable = match Probes::prepare(&config.services, None, rights) {
            Ok(probes) if programs.is_empty() && list.is_none() => return Ok(probes),
            Ok(_) => Vec::new(),
            Err(unusable) => unusable,
        };
        let document = self.parsed()?;
        let root = Node::Table(document.as_table(), Some(0..0));
        let finding = |path: Place, what: String| {
            let line = line_of(&self.text, &root.locate(&path));
            Finding { line, path, message: what.trim_start().to_owned() }
        };
        let of_probes = unusable.into_iter().map(|found| {
            let path = Place::root().key("services").index(found.index).key("health").key(found.what.key);
            finding(path, found.what.to_string())
        });
        let of_programs = programs.into_iter().map(|found| finding(found.path, found.what.to_string()));
        let of_lists = list.into_iter().map(|found| finding(found.path.clone(), found.to_string()));
        let findings = of_probes.chain(of_programs).chain(of_lists).collect();
        Err(ConfigError::Invalid { path: self.path.clone(), findings })
    }

    pub(super) fn parsed(&self) -> Result<toml_edit::Document<&str>, ConfigError> {
        toml_edit::Document::parse(self.text.as_str()).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(self.text.len());
            let before = self.text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            // The parser's messages may span lines.
            let message = error.message().trim().replace('\n', ", ");
            ConfigError::Syntax { path: self.path.clone(), line, column, message }
        })
    }
}
