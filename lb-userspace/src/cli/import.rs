//! `lbctl config import`: works without a daemon.

use std::{fs::OpenOptions, io, io::Write as _, path::Path};

use super::{
    args::ImportArgs,
    commands::Session,
    failure::{Exit, Failure},
};
use crate::import::{Disk, Files as _, ImportError, Imported, Options, import as import_text};

pub(super) fn import(session: &Session, args: ImportArgs) -> Result<String, Failure> {
    let (name, text) = read(&args.file)?;
    let options = Options {
        interfaces: args.interfaces,
        vip: args.vip,
        snat_addresses: args.snat_addresses,
        config_id: args.config_id,
    };
    let imported = import_text(&name, &text, args.from, &Disk, &options)?;
    if let Some(path) = &args.write {
        write_new(path, &imported.config)?;
    }
    if !session.json {
        // Whether anybody reads it does not matter for what is printed.
        let _ = io::stderr().write_all(report(&imported).as_bytes());
    }
    let printed = if args.write.is_some() { String::new() } else { imported.config.clone() };
    session.show(&imported, |_| printed)
}

fn read(file: &Path) -> Result<(String, String), Failure> {
    if file == Path::new("-") {
        let failed = |error| Failure::new(Exit::General, format!("standard input: cannot be read: {error}"));
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin(), &mut bytes).map_err(failed)?;
        return Ok(("standard input".to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let name = file.display().to_string();
    let text = Disk.read(&name).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::General };
        Failure::new(exit, format!("{name}: cannot be read: {error}"))
    })?;
    Ok((name, text))
}

/// Never replaces a file: it may be what `lbd` runs with.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Exit::Conflict,
            format!("{}: it exists already; give the name of a new file", path.display()),
        ),
        _ => Failure::new(Exit::General, format!("{}: cannot be written: {error}", path.display())),
    })
}

fn report(imported: &Imported) -> String {
    let lines: String = imported.notes.iter().map(|note| format!("{note}\n")).collect();
    let Imported { format, services, backends, notes, .. } = imported;
    format!(
        "{lines}{}: services: {services}, backends: {backends}, remarks: {}\n",
        format.as_str(),
        notes.len()
    )
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let exit = match &error {
            ImportError::NotText { .. } | ImportError::UnknownFormat { .. } => Exit::Invalid,
            ImportError::Defect(_) => Exit::General,
        };
        Self::new(exit, error.to_string())
    }
}
