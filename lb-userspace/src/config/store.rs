//! The file as control's store.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio::sync::watch;

use super::replace::{PREVIOUS, Replacement};
use super::save::{self, means_the_same};
use super::{ConfigError, Document, WriteError, notes, read_keys};
use crate::control::{self, Error, ErrorKind, Notes, Now, Staged, Store};
use crate::health::Rights;
use crate::model::Config;
use crate::replication::Keys;

/// The configuration file. It is read anew for every change, so that what the operator wrote into it meanwhile (comments, order)
/// stays.
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
    keys: watch::Sender<Option<Keys>>,
}

impl FileStore {
    /// The file of a path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), keys: watch::Sender::new(None) }
    }

    /// The keys of replication as they were when the file was read last; `None`: nothing is replicated.
    #[must_use]
    pub fn keys(&self) -> watch::Receiver<Option<Keys>> {
        self.keys.subscribe()
    }

    /// Puts the previous configuration back if the present one was to be confirmed and the time for that is over: to be called before
    /// the file is read at a start, as a configuration with which `lbd` does not start could not be taken back otherwise. A file
    /// that somebody edited meanwhile is let alone.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn recover(&self, now: &Now) -> Result<(), Error> {
        let mut notes = self.notes()?;
        let Some(unconfirmed) = notes.unconfirmed else { return Ok(()) };
        let path = self.path.display();
        if notes::digest(Document::read(&self.path)?.text()) != unconfirmed.digest {
            tracing::warn!(%path, "it is not the configuration that was to be confirmed: it is taken as it is");
        } else if unconfirmed.deadline.remaining(now).is_zero() {
            self.stage_previous()?.staged.commit()?;
            tracing::warn!(%path, "the configuration was not confirmed in time: the previous one is back");
        } else {
            return Ok(());
        }
        notes.unconfirmed = None;
        self.note(&notes)
    }

    /// A file beside it; where it is a link, beside what that leads to.
    fn beside(&self, suffix: &str) -> PathBuf {
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        notes::with_suffix(&target, suffix)
    }
}

impl Store for FileStore {
    fn load(&self) -> Result<Config, Error> {
        let document = Document::read(&self.path)?;
        let config = document.config()?;
        // Control looks it up again; here the error knows the line.
        document.usable(&config, Rights::Needed)?;
        let keys = config.replication.as_ref().map(|wanted| read_keys(&wanted.key_file)).transpose()?;
        self.keys.send_if_modified(|known| std::mem::replace(known, keys.clone()) != keys);
        Ok(config)
    }

    fn stage(&self, from: &Config, to: &Config) -> Result<Box<dyn Staged>, Error> {
        let document = Document::read(&self.path)?;
        if !document.config().is_ok_and(|config| means_the_same(&config, from)) {
            return Err(WriteError::Changed { path: self.path.clone() }.into());
        }
        Ok(Box::new(document.stage(to)?))
    }

    fn stage_text(&self, from: &Config, text: &str) -> Result<control::Replacement, Error> {
        let config = Document::new("the new configuration", text).config()?;
        let document = Document::read(&self.path)?;
        if !document.config().is_ok_and(|config| means_the_same(&config, from)) {
            return Err(WriteError::Changed { path: self.path.clone() }.into());
        }
        let staged = Box::new(Replacement::by_text(&document, text)?);
        Ok(control::Replacement { config, digest: notes::digest(text), staged })
    }

    fn stage_previous(&self) -> Result<control::Replacement, Error> {
        let path = self.beside(PREVIOUS);
        if !path.exists() {
            let message = format!(
                "{}: there is no such file: nothing was applied that could be taken back",
                path.display()
            );
            return Err(Error::conflict("", message));
        }
        let previous = Document::read(&path)?;
        let config = previous.config()?;
        let staged = Box::new(Replacement::by_previous(&Document::read(&self.path)?)?);
        Ok(control::Replacement { config, digest: notes::digest(previous.text()), staged })
    }

    fn notes(&self) -> Result<Notes, Error> {
        let path = self.beside(".state");
        notes::read(&path).map_err(|error| io(&path, "read what was noted", &error))
    }

    fn note(&self, notes: &Notes) -> Result<(), Error> {
        let path = self.beside(".state");
        notes::write(&path, notes).map_err(|error| io(&path, "write down", &error))
    }
}

fn io(path: &Path, action: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::File, "", format!("{}: cannot {action}: {error}", path.display()))
}

impl Staged for Replacement {
    fn commit(self: Box<Self>) -> Result<(), Error> {
        Self::commit(*self)?;
        Ok(())
    }
}

impl Staged for save::Staged {
    fn commit(self: Box<Self>) -> Result<(), Error> {
        Self::commit(*self)?;
        Ok(())
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        match error {
            ConfigError::Read { .. } => Self::new(ErrorKind::File, "", message),
            ConfigError::NotUtf8 { .. } | ConfigError::Syntax { .. } => Self::invalid("", message),
            ConfigError::Invalid { findings, .. } => {
                let path = findings.first().map(|finding| finding.path.to_string());
                Self::invalid(path.unwrap_or_default(), message)
            }
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Changed { .. } => ErrorKind::Conflict,
            _ => ErrorKind::File,
        };
        Self::new(kind, "", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{SharedMaps, backend, moment, name};
    use crate::control::{BackendChange, Control, Edit, Event, Persist, Request};

    const TEXT: &str = r#"# what we balance
interfaces = ["eth0"]

[[services]]
name = "web" # the shop
address = "203.0.113.10"
protocol = "tcp"
port = 80
slots = 101

[[services.backends]]
name = "b1"
address = "10.0.0.11"
weight = 50 # slow

[[services]]
name = "dns"
address = "203.0.113.10"
protocol = "udp"
port = 53
slots = 101
"#;

    fn control(file: &Path) -> Control {
        let (store, maps) = (Box::new(FileStore::new(file)), Box::new(SharedMaps::default()));
        Control::start(store, maps, [].into(), 7, moment()).unwrap()
    }

    fn set_weight(weight: u16) -> Event {
        let change = BackendChange { weight: Some(weight), ..BackendChange::default() };
        let edit = Edit::SetBackend { service: name("web"), backend: "b1".parse().unwrap(), change };
        Event::Request(Request { edit, persist: Persist::File })
    }

    #[test]
    fn changes_are_in_the_file_and_the_next_start_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lb.toml");
        fs::write(&file, TEXT).unwrap();
        let mut first = control(&file);
        first.handle(set_weight(7), moment()).unwrap();
        let edit = Edit::AddBackend { service: name("dns"), backend: backend("d1", "10.0.0.53", 53) };
        first.handle(Event::Request(Request { edit, persist: Persist::File }), moment()).unwrap();
        let edit = Edit::AddBackend { service: name("web"), backend: backend("b2", "10.0.0.12", 8080) };
        first.handle(Event::Request(Request { edit, persist: Persist::File }), moment()).unwrap();

        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("weight = 7 # slow"), "{text}");
        assert!(text.starts_with("# what we balance\n") && text.contains("# the shop"), "{text}");
        let second = control(&file);
        assert_eq!(second.snapshot().config, first.snapshot().config);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_the_operator_writes_is_kept_or_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lb.toml");
        fs::write(&file, TEXT).unwrap();
        let mut control = control(&file);
        let commented = TEXT.replace("# slow", "# slow, really");
        fs::write(&file, &commented).unwrap();
        control.handle(set_weight(7), moment()).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("weight = 7 # slow, really"));

        let changed = TEXT.replace("port = 53", "port = 5353");
        for (text, reloaded) in [(changed.as_str(), true), ("port = ", false)] {
            fs::write(&file, text).unwrap();
            let error = control.handle(set_weight(8), moment()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(error.message.contains("config reload"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(control.handle(Event::Reload, moment()).is_ok(), reloaded);
        }
    }

    #[test]
    fn a_bad_file_names_its_line_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lb.toml");
        fs::write(&file, TEXT.replace("port = 80", "port = 70000")).unwrap();
        let error = FileStore::new(&file).load().unwrap_err();
        assert_eq!((error.kind, error.path.as_str()), (ErrorKind::Invalid, "services[0].port"));
        let told = error.to_string();
        assert!(told.starts_with(&format!("{}:8: services[0].port: ", file.display())), "{told}");
        assert_eq!(told.matches("services[0].port").count(), 1, "{told}");
    }

    #[test]
    fn a_missing_file_is_not_an_empty_one() {
        let error = FileStore::new("/nonexistent/lb.toml").load().unwrap_err();
        assert_eq!(error.kind, ErrorKind::File);
        assert!(error.message.contains("/nonexistent/lb.toml"), "{error}");
    }
}
