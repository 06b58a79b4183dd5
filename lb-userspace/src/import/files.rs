//! The files that an input includes.

use std::{fs, io};

/// Where included files are.
pub trait Files {
    /// The text of a file. What is not UTF-8 is replaced.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &str) -> io::Result<String>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
}

/// Longest file that is read, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> io::Result<String> {
        let kind = fs::metadata(path)?;
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if kind.len() > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "larger than 16 MiB"));
        }
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// Whether a name fits a pattern with `*` and `?`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // As the shell: a leading dot is only matched by a dot.
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                p = star_at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            ("*.conf", "a.conf.old", false),
            ("a?c*", "abcdef", true),
            ("a?c*", "acdef", false),
            ("*", "x", true),
            ("**a*b", "xxaxxb", true),
            ("*a*b", "xxaxx", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
