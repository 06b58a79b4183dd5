//! Other balancers' configurations as ours: `ipvsadm -Sn`, `keepalived.conf`, HAProxy's `mode tcp`.
//!
//! [`import`] gives the text of a configuration file that [`Document::config`] accepts, and a report of everything in the input that has no
//! counterpart, changed its meaning or had to be assumed. Nothing is dropped without an entry: each statement is entered in a ledger
//! when it is read, and what nobody accounts for is reported at the end. Nothing is resolved, asked or measured: only the input
//! and the files it includes are read, through [`Files`].

mod candidate;
mod check;
mod files;
mod format;
mod haproxy;
mod ipvsadm;
mod keepalived;
mod names;
mod output;
mod probe;
mod report;
mod scheduler;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use self::candidate::Found;
use self::report::Ledger;
use crate::config::{ConfigError, Document};
use crate::model::InterfaceName;

pub use files::{Disk, Files};
pub use format::Format;
pub use report::{Effect, Note};

/// What the input cannot say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Interfaces of the configuration; empty: those that the input names, else a placeholder.
    pub interfaces: Vec<InterfaceName>,
    /// VIP of listeners that are bound to every address of the machine.
    pub vip: Option<IpAddr>,
    /// Source addresses towards the backends: makes services `full-nat` whose backends see another address than the client's.
    pub snat_addresses: Vec<IpAddr>,
    /// keepalived's `--config-id`: lines that begin with `@` and this word count.
    pub config_id: Option<String>,
}

/// An imported configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// What the input was taken for.
    pub format: Format,
    /// Services in the configuration.
    pub services: usize,
    /// Backends of all of them.
    pub backends: usize,
    /// What has no counterpart, changed its meaning or was assumed, in the order of the input.
    pub notes: Vec<Note>,
    /// The text of `lb.toml`, with the report in comments at its end.
    pub config: String,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It is none of the formats.
    #[error(
        "{file}: this is neither `ipvsadm -Sn` nor a keepalived.conf nor an HAProxy configuration; \
         say which with --from ipvsadm|keepalived|haproxy"
    )]
    UnknownFormat {
        /// The input.
        file: String,
    },
    /// It has a NUL byte, as UTF-16 does.
    #[error("{file}:{line}: a NUL byte; expected text in UTF-8")]
    NotText {
        /// The input.
        file: String,
        /// Line of the first one, from 1.
        line: usize,
    },
    /// What was made of the input is not valid: a defect.
    #[error("the imported configuration is not valid, which is a defect of the import: {0}")]
    Defect(#[from] ConfigError),
}

/// Makes a configuration of the text of `file`. Files it includes are read through `files`; `from`: `None` to find the format out.
///
/// # Errors
/// [`ImportError::NotText`], [`ImportError::UnknownFormat`]. Statements that cannot be read are no errors but entries of the report.
pub fn import(
    file: &str,
    text: &str,
    from: Option<Format>,
    files: &dyn Files,
    options: &Options,
) -> Result<Imported, ImportError> {
    if let Some((before, _)) = text.split_once('\0') {
        let line = before.matches('\n').count() + 1;
        return Err(ImportError::NotText { file: file.to_owned(), line });
    }
    let format = from.or_else(|| Format::detect(text));
    let format = format.ok_or_else(|| ImportError::UnknownFormat { file: file.to_owned() })?;
    let name: Arc<str> = file.into();
    let mut ledger = Ledger::default();
    let found: Found = match format {
        Format::Ipvsadm => ipvsadm::read(&name, text, options, &mut ledger),
        Format::Keepalived => keepalived::read(&name, text, files, options, &mut ledger),
        Format::Haproxy => haproxy::read(&name, text, options, &mut ledger),
    };
    let draft = found.draft(&name, options, &mut ledger);
    let notes = ledger.close("the import does not know this statement");
    let config = output::text(&name, format, &draft, &notes);
    Document::new("lb.toml", config.as_str()).config()?;
    let backends = draft.services.iter().map(|service| service.backends.len()).sum();
    Ok(Imported { format, services: draft.services.len(), backends, notes, config })
}
