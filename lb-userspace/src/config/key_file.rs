//! The file with the keys of replication.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::{
    control,
    replication::{InvalidKeys, Keys},
};

/// More than any file of keys has.
const MOST_BYTES: u64 = 1 << 16;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("replication.key_file: {path}: {problem}")]
pub struct KeyFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(
        "there is no such file; on one machine `(umask 077; openssl rand -hex 32 > {})` makes it, the other one needs a copy",
        .0.display()
    )]
    Missing(PathBuf),
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error("it is not a file")]
    Kind,
    #[error("others than its owner may use it (mode {0:04o}); expected mode 0600 or less: chmod 600")]
    Mode(u32),
    #[error("it belongs to user {0}; expected root or the user that runs lbd: chown root")]
    Owner(u32),
    #[error(transparent)]
    Keys(#[from] InvalidKeys),
}

impl From<KeyFileError> for control::Error {
    fn from(KeyFileError { path, problem }: KeyFileError) -> Self {
        Self::invalid("replication.key_file", format!("{}: {problem}", path.display()))
    }
}

/// Reads the keys from a file that nobody else may read.
///
/// # Errors
/// There is no such file, others may use it, or it holds no keys.
pub fn read_keys(path: &Path) -> Result<Keys, KeyFileError> {
    keys(path).map_err(|problem| KeyFileError { path: path.to_owned(), problem })
}

fn keys(path: &Path) -> Result<Keys, Problem> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::Missing(path.to_owned()),
        _ => Problem::Read(error),
    })?;
    // Of what was opened, whatever stands there meanwhile.
    let metadata: fs::Metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Problem::Kind);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Problem::Mode(mode));
    }
    if ![0, geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(Problem::Owner(metadata.uid()));
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(Keys::parse(&text)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let said = || read_keys(&path).unwrap_err().to_string();
        assert!(said().contains("there is no such file") && said().contains("openssl rand"), "{}", said());
        fs::write(&path, "5a".repeat(32)).unwrap();
        for (mode, is_good) in [(0o644, false), (0o640, false), (0o601, false), (0o600, true), (0o400, true)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read_keys(&path) {
                Ok(_) => assert!(is_good, "{mode:o}"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(!is_good && said.contains(&format!("mode {mode:04o}")), "{said}");
                    assert!(said.starts_with("replication.key_file: /"), "{said}");
                }
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "5a\n").unwrap();
        assert!(said().contains("line 1: expected 64 hexadecimal digits"), "{}", said());
        let said = read_keys(directory.path()).unwrap_err().to_string();
        assert!(said.ends_with("it is not a file"), "{said}");
    }
}
