//! Lists of sources in files: one prefix a line.

mod text;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;

pub use self::text::{ListError, parse_list};
use crate::model::{Draft, Path, SourceList};

/// Largest file that is read, in bytes: some 400 000 prefixes.
const LARGEST_FILE: u64 = 16 << 20;

/// The content of the files that a configuration names.
#[derive(Clone, Debug, Default)]
pub struct ListFiles(BTreeMap<PathBuf, Arc<[IpNet]>>);

/// A list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}", file = file.display())]
pub struct UnusableList {
    /// The key that names the file.
    pub path: Path,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: ListError,
}

impl ListFiles {
    /// Reads the files that a configuration names; those that `before` has are not read again.
    ///
    /// # Errors
    /// The first that cannot be read or has something else than prefixes in it.
    pub fn read(config: &Draft, before: Option<&Self>) -> Result<Self, UnusableList> {
        let mut files = BTreeMap::new();
        for (path, file) in named(config) {
            if files.contains_key(file) {
                continue;
            }
            let known = before.and_then(|before| before.0.get(file)).map(Arc::clone);
            let list = match known {
                Some(list) => list,
                None => read(file).map_err(|what| UnusableList { path, file: file.clone(), what })?,
            };
            files.insert(file.clone(), list);
        }
        Ok(Self(files))
    }

    /// The prefixes in a file; none if it was not read.
    #[must_use]
    pub fn of(&self, file: Option<&PathBuf>) -> Arc<[IpNet]> {
        file.and_then(|file| self.0.get(file)).map_or_else(|| Arc::from([]), Arc::clone)
    }

    /// Whether another has the same content for a list.
    #[must_use]
    pub fn is_alike_for(&self, list: &SourceList, other: &Self) -> bool {
        [&list.allow_file, &list.deny_file].into_iter().flatten().all(|file| {
            match (self.0.get(file), other.0.get(file)) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
                (one, other) => one.is_none() && other.is_none(),
            }
        })
    }
}

/// The files that a configuration names, with where it does.
fn named(config: &Draft) -> impl Iterator<Item = (Path, &PathBuf)> {
    let services = Path::root().key("services");
    let of_services = config.services.iter().enumerate();
    let lists = of_services.map(move |(index, service)| (services.index(index), &service.sources));
    let all = [(Path::root().key("acl"), &config.acl)].into_iter().chain(lists);
    all.flat_map(|(path, list)| {
        let keys = [("allow_file", &list.allow_file), ("deny_file", &list.deny_file)];
        keys.into_iter().filter_map(move |(key, file)| Some((path.key(key), file.as_ref()?)))
    })
}

fn read(file: &FilePath) -> Result<Arc<[IpNet]>, ListError> {
    let failed = |error: std::io::Error| ListError::Read(error.to_string());
    let length = fs::metadata(file).map_err(failed)?.len();
    if length > LARGEST_FILE {
        return Err(ListError::Large { length });
    }
    let bytes = fs::read(file).map_err(failed)?;
    parse_list(&String::from_utf8_lossy(&bytes)).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{config, service};

    #[test]
    fn a_file_that_is_known_is_read_again_only_if_that_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deny.txt");
        fs::write(&file, "203.0.113.0/24\n").unwrap();
        let mut web = service("web", "203.0.113.10", 80, Vec::new());
        web.sources.deny_file = Some(file.clone());
        let sources = web.sources.clone();
        let config = config(vec![web]);
        let first = ListFiles::read(&config, None).unwrap();
        fs::write(&file, "198.51.100.0/24\nx\n").unwrap();
        let second = ListFiles::read(&config, Some(&first)).unwrap();
        assert!(first.is_alike_for(&sources, &second));
        let error = ListFiles::read(&config, None).unwrap_err();
        assert_eq!(error.path.to_string(), "services[0].deny_file");
        assert!(error.to_string().contains("line 2: \"x\" is not a prefix"), "{error}");
        fs::write(&file, "198.51.100.0/24\n").unwrap();
        let third = ListFiles::read(&config, None).unwrap();
        assert!(!first.is_alike_for(&sources, &third));
        assert_eq!(third.of(Some(&file)).len(), 1);
    }
}
