//! Why a request was refused.

/// Why a request was refused. Nothing was changed: neither the model, nor the maps, nor the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", prefix(path))]
pub struct Error {
    /// The class.
    pub kind: ErrorKind,
    /// What it is about, such as `services.web.backends.b1.weight`; empty: the request as a whole.
    pub path: String,
    /// A sentence that says what was found and what to do.
    pub message: String,
}

/// Class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input is wrong.
    Invalid,
    /// It names something that is not there.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// The configuration file cannot be read or written.
    File,
    /// The maps cannot be written now.
    Maps,
    /// The daemon is busy or stopping.
    Unavailable,
}

impl ErrorKind {
    /// The stable code in the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::File => "config-file",
            Self::Maps => "maps",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Error {
    /// An error of a class.
    pub fn new(kind: ErrorKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, path: path.into(), message: message.into() }
    }

    /// [`ErrorKind::Invalid`].
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, path, message)
    }

    /// [`ErrorKind::Conflict`].
    pub fn conflict(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, path, message)
    }

    /// [`ErrorKind::NotFound`], with the names that are there.
    pub(crate) fn unknown(path: impl Into<String>, what: &str, name: &str, known: &[&str]) -> Self {
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none yet".to_owned(),
            None => format!("known are: {}", known.join(", ")),
        };
        Self::new(ErrorKind::NotFound, path, format!("there is no {what} `{name}`; {hint}"))
    }
}

/// `path: `, or nothing for an empty path.
fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// The known name that differs from `name` by the fewest letters, if it is at most a third of them.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|candidate| (distance(name, candidate), *candidate));
    distances.min().filter(|(letters, _)| *letters <= name.len().div_ceil(3)).map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_named() {
        let error = Error::unknown("services.wbe", "service", "wbe", &["dns", "web"]);
        assert_eq!(error.to_string(), "services.wbe: there is no service `wbe`; known are: dns, web");
        let error = Error::unknown("services.webb", "service", "webb", &["dns", "web"]);
        assert_eq!(error.message, "there is no service `webb`; did you mean `web`?");
    }

    #[test]
    fn without_a_near_miss_all_are_named() {
        let error = Error::unknown("", "service", "mail", &["dns", "web"]);
        assert_eq!(error.to_string(), "there is no service `mail`; known are: dns, web");
        assert_eq!(
            Error::unknown("", "service", "x", &[]).message,
            "there is no service `x`; there is none yet"
        );
    }
}
