//! Why a request was refused.

use crate::model::nearest;

/// Why a request was refused. Nothing was changed: neither the model, nor the maps, nor the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(path, message))]
pub struct Error {
    /// The class.
    pub kind: ErrorKind,
    /// What it is about, such as `services[web].backends[b1].weight`; empty: the request as a whole.
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

/// The message with the path before it, unless it names the path itself.
pub(crate) fn told(path: &str, message: &str) -> String {
    if path.is_empty() || message.contains(&format!("{path}: ")) {
        message.to_owned()
    } else {
        format!("{path}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_named() {
        let error = Error::unknown("services[wbe]", "service", "wbe", &["dns", "web"]);
        assert_eq!(error.to_string(), "services[wbe]: there is no service `wbe`; did you mean `web`?");
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
