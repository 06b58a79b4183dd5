//! `lbctl config`: `check` works without a daemon.

use std::{io, path::Path};

use hyper::{Method, body::Bytes};

use super::{
    args::ApplyArgs,
    commands::Session,
    failure::{Exit, Failure},
    render,
};
use crate::{
    api::{Applied, Change, Checked, encode},
    config::{ConfigError, Document, Finding},
    health::Rights,
};

pub(super) fn check(session: &Session, file: &Path) -> Result<String, Failure> {
    let document = read(file)?;
    let config = document.config()?;
    // The file may be meant for another machine.
    if let Err(ConfigError::Invalid { findings, .. }) = document.usable(&config, Rights::Assumed) {
        for Finding { line, path, message } in findings {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            eprintln!(
                "warning: {}{line}: {path}: {message}; lbd refuses the file where that is so",
                document.path().display()
            );
        }
    }
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

/// The text of a file, or of the standard input for `-`.
fn read(file: &Path) -> Result<Document, Failure> {
    if file != Path::new("-") {
        return Ok(Document::read(file)?);
    }
    let failed = |error| Failure::new(Exit::General, format!("standard input: cannot be read: {error}"));
    Ok(Document::new("standard input", io::read_to_string(io::stdin()).map_err(failed)?))
}

/// `config show`.
pub(super) async fn show(session: &Session) -> Result<String, Failure> {
    let text = session.client.call(Method::GET, "/v1/config", Bytes::new()).await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    session.show(&text, Clone::clone)
}

/// `config diff`.
pub(super) async fn diff(session: &Session, file: Option<&Path>) -> Result<String, Failure> {
    let path = "/v1/config/diff";
    let changes: Vec<Change> = match file {
        None => session.client.get(path).await?,
        Some(file) => session.client.json(Method::POST, path, checked(file)?).await?,
    };
    let printed = session.show(&changes, |changes| render::changes(changes))?;
    if changes.is_empty() {
        return Ok(printed);
    }
    Err(Failure { printed, ..Failure::new(Exit::Negative, "") })
}

/// `config apply`.
pub(super) async fn apply(session: &Session, args: ApplyArgs) -> Result<String, Failure> {
    let confirm = args.confirm.map(|confirm| format!("&confirm={}", encode(&confirm))).unwrap_or_default();
    let path = format!("/v1/config/apply?dry_run={}{confirm}", args.dry_run);
    let applied: Applied = session.client.json(Method::POST, &path, checked(&args.file)?).await?;
    session.show(&applied, render::applied)
}

/// `config confirm`.
pub(super) async fn confirm(session: &Session) -> Result<String, Failure> {
    let kept: Checked = session.client.json(Method::POST, "/v1/config/confirm", Bytes::new()).await?;
    session.show(&kept, |_| "the new configuration is confirmed\n".to_owned())
}

/// `config rollback`.
pub(super) async fn roll_back(session: &Session) -> Result<String, Failure> {
    let back: Checked = session.client.json(Method::POST, "/v1/config/rollback", Bytes::new()).await?;
    session.show(&back, |back| {
        format!(
            "the previous configuration is back; services: {}, backends: {}\n",
            back.services, back.backends
        )
    })
}

/// The text of a file that is valid: what is wrong is told with the file's name, not that of a request.
fn checked(file: &Path) -> Result<Bytes, Failure> {
    let document = read(file)?;
    document.config()?;
    Ok(document.text().to_owned().into())
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
