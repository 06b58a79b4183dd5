//! `lbctl config check`: works without a daemon.

use std::{io, path::Path};

use super::{
    commands::Session,
    failure::{Exit, Failure},
};
use crate::{
    api::Checked,
    config::{ConfigError, Document},
};

pub(super) fn check(session: &Session, file: &Path) -> Result<String, Failure> {
    let document = if file == Path::new("-") {
        let failed = |error| Failure::new(Exit::General, format!("standard input: cannot be read: {error}"));
        Document::new("standard input", io::read_to_string(io::stdin()).map_err(failed)?)
    } else {
        Document::read(file)?
    };
    let config = document.config()?;
    let backends = config.services.iter().map(|service| service.backends.len()).sum();
    let checked = Checked { services: config.services.len(), backends };
    session.show(&checked, |checked| {
        format!(
            "{}: valid; services: {}, backends: {}\n",
            document.path().display(),
            checked.services,
            checked.backends
        )
    })
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let exit = match &error {
            ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            ConfigError::Read { .. } => Exit::General,
            _ => Exit::Invalid,
        };
        Self::new(exit, error.to_string())
    }
}
