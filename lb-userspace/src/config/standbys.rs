//! What switchovers are to outlive `lbd`: `lb.toml.vrrp`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::notes::{put, with_suffix};
use crate::model::RouterName;
use crate::vrrp::Standby;

/// Virtual routers that are standby after a switchover.
pub type Standbys = BTreeMap<RouterName, Standby>;

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// Those that leave others active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    yielding: Vec<String>,
    /// Those that do not become active where nobody is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forced: Vec<String>,
}

/// The file beside the configuration file.
#[derive(Clone, Debug)]
pub struct StandbyFile(PathBuf);

impl StandbyFile {
    /// That of a configuration file; where it is a link, beside what that leads to.
    #[must_use]
    pub fn beside(config: &Path) -> Self {
        let target = fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
        Self(with_suffix(&target, ".vrrp"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it says; nothing if there is none.
    ///
    /// # Errors
    /// It can't be read, or not understood.
    pub fn read(&self) -> io::Result<Standbys> {
        let content: Content = match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standbys::new()),
            Err(error) => return Err(error),
        };
        let named = |names: Vec<String>, standby| {
            names.into_iter().filter_map(move |name| Some((RouterName::new(name).ok()?, standby)))
        };
        Ok(named(content.yielding, Standby::Yielding).chain(named(content.forced, Standby::Forced)).collect())
    }

    /// Writes it, atomically and for good; no file if there is nothing to say.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, standbys: &Standbys) -> io::Result<()> {
        if standbys.is_empty() {
            return put(&self.0, None);
        }
        let names = |wanted| {
            let named = standbys.iter().filter(|(_, standby)| **standby == wanted);
            named.map(|(name, _)| name.to_string()).collect()
        };
        let content = Content { yielding: names(Standby::Yielding), forced: names(Standby::Forced) };
        put(&self.0, Some(serde_json::to_string_pretty(&content)? + "\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = StandbyFile::beside(&directory.path().join("lb.toml"));
        assert_eq!(file.read().unwrap(), Standbys::new());
        let standbys = Standbys::from([
            (RouterName::new("inside").unwrap(), Standby::Forced),
            (RouterName::new("outside").unwrap(), Standby::Yielding),
        ]);
        file.write(&standbys).unwrap();
        assert_eq!(file.read().unwrap(), standbys);
        file.write(&Standbys::new()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_not_understood_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = StandbyFile::beside(&directory.path().join("lb.toml"));
        fs::write(file.path(), "{").unwrap();
        assert!(file.read().is_err());
    }
}
