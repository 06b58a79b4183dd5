//! What can go wrong with the file.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::model::Path;

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1; of the table where a key is missing.
    pub line: Option<usize>,
    /// The key.
    pub path: Path,
    /// The value and what was expected.
    pub message: String,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {}", path.display(), read_failure(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not text.
    #[error("{}:{line}: this line is not UTF-8; expected a TOML file", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// The file is not TOML.
    #[error("{}:{line}:{column}: {message}; expected TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// The file is TOML, but not a configuration.
    #[error("{}", List(path, findings))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong, in the order of the file.
        findings: Vec<Finding>,
    },
}

/// Why the file was not written. It is as it was.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file, or its directory, must not be written.
    #[error(
        "{}: {reason}; make it writable, or use --runtime for a change that lasts until the file is read again",
        path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Somebody else changed it.
    #[error("{}: it was changed since lbd read it; `lbctl config reload` takes the file as it is, then try again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file that lbd read is not valid, so that it cannot be edited.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The edited text does not mean what it should: a defect.
    #[error("{}: the change cannot be expressed in this file; edit it by hand and run `lbctl config reload`", path.display())]
    Unfaithful {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn read_failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file; write one (docs/configuration.md has a complete example), or name another"
                .to_owned()
        }
        io::ErrorKind::IsADirectory => "is a directory; expected a file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as root, or make the file readable for the user of lbd".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Findings as lines.
struct List<'a>(&'a PathBuf, &'a [Finding]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Finding { line, path, message }) in self.1.iter().enumerate() {
            write!(f, "{}{}", if position == 0 { "" } else { "\n" }, self.0.display())?;
            if let Some(line) = line {
                write!(f, ":{line}")?;
            }
            write!(f, ": {path}: {message}")?;
        }
        Ok(())
    }
}
