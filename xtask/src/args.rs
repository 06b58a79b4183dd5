//! The command line of a verb.

use std::ffi::OsString;

use xtask::{Error, Result};

/// The arguments that no one has taken yet.
pub(crate) struct Args(Vec<OsString>);

impl Args {
    pub(crate) fn new(args: impl IntoIterator<Item = OsString>) -> Self {
        Self(args.into_iter().collect())
    }

    /// Takes the first argument.
    pub(crate) fn next(&mut self) -> Option<String> {
        let first = (!self.0.is_empty()).then(|| self.0.remove(0))?;
        Some(first.to_string_lossy().into_owned())
    }

    /// Whether the first argument asks for help; those after it may belong to a program that is started.
    pub(crate) fn wants_help(&self) -> bool {
        self.0.first().is_some_and(|arg| arg == "--help" || arg == "-h")
    }

    /// Whether an argument is there; it stays.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|arg| arg == name)
    }

    /// Takes a flag, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|arg| arg != name);
        self.0.len() < before
    }

    /// Takes an option and its value; one without a value is an error.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let Some(place) = self.0.iter().position(|arg| arg == name) else { return Ok(None) };
        if place + 1 == self.0.len() {
            return Err(Error::new(format!("{name} needs a value, see --help")));
        }
        self.0.remove(place);
        Ok(Some(self.0.remove(place).to_string_lossy().into_owned()))
    }

    /// Takes the last argument that is left, if any; more than one is an error.
    pub(crate) fn optional(mut self) -> Result<Option<String>> {
        let value = if self.0.first().is_some_and(|arg| !arg.to_string_lossy().starts_with('-')) {
            self.next()
        } else {
            None
        };
        self.finish().map(|()| value)
    }

    /// An error if anything is left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some(arg) => {
                Err(Error::new(format!("unexpected argument `{}`, see --help", arg.to_string_lossy())))
            }
        }
    }

    /// Everything that is left, a first `--` too: the program that is started knows what it means.
    pub(crate) fn all(self) -> Vec<OsString> {
        self.0
    }

    /// Everything that is left, for a program that is started; a first `--` only ends our own options.
    pub(crate) fn rest(mut self) -> Vec<OsString> {
        if self.0.first().is_some_and(|arg| arg == "--") {
            self.0.remove(0);
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Args {
        Args::new(words.iter().map(OsString::from))
    }

    #[test]
    fn a_flag_is_taken_wherever_it_stands() {
        let mut args = args(&["filter", "--host-only"]);
        assert!(args.flag("--host-only"));
        assert!(!args.flag("--host-only"));
        assert_eq!(args.optional().unwrap().as_deref(), Some("filter"));
    }

    #[test]
    fn an_option_takes_the_argument_behind_it() {
        let mut args = args(&["--output", "a", "filter", "--revision"]);
        assert_eq!(args.value("--output").unwrap().as_deref(), Some("a"));
        assert_eq!(args.value("--output").unwrap(), None);
        assert!(args.value("--revision").is_err());
    }

    #[test]
    fn an_unknown_flag_is_an_error() {
        assert!(args(&["--relaese"]).finish().is_err());
        assert!(args(&["--relaese"]).optional().is_err());
        assert!(args(&["one", "two"]).optional().is_err());
    }

    #[test]
    fn help_of_a_started_program_is_not_ours() {
        assert!(args(&["--help"]).wants_help());
        assert!(!args(&["--", "--help"]).wants_help());
        assert_eq!(args(&["--", "--help"]).rest(), ["--help"]);
    }
}
