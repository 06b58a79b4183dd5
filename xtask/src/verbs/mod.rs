//! The verbs.

use xtask::{Error, Result};

use crate::args::Args;

mod bench;
mod build;
mod check;
mod demo;
mod fuzz;
mod measure;
mod package;
mod setup;
mod stack;
mod test;
mod vm;

/// One verb.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    /// One line for the list of verbs.
    pub(crate) summary: &'static str,
    /// Its arguments, as in a synopsis.
    pub(crate) synopsis: &'static str,
    /// What else there is to know.
    pub(crate) details: &'static str,
    pub(crate) run: fn(Args) -> Result<()>,
}

/// All verbs, in the order in which one meets them.
pub(crate) const VERBS: &[Verb] = &[
    setup::VERB,
    build::VERB,
    check::VERB,
    test::VERB,
    fuzz::VERB,
    demo::VERB,
    measure::VERB,
    bench::VERB,
    stack::VERB,
    vm::VERB,
    package::VERB,
];

impl Verb {
    pub(crate) fn help(&self) -> String {
        let usage = format!("cargo xtask {} {}", self.name, self.synopsis);
        format!("{}\n\nUsage: {}\n\n{}", self.summary, usage.trim_end(), self.details)
    }
}

pub(crate) fn find(name: &str) -> Result<&'static Verb> {
    let verb = VERBS.iter().find(|verb| verb.name == name);
    verb.ok_or_else(|| Error::new(format!("unknown verb `{name}`\n\n{}", overview())))
}

pub(crate) fn overview() -> String {
    let list: String = VERBS.iter().map(|verb| format!("\n  {:8} {}", verb.name, verb.summary)).collect();
    format!("Usage: cargo xtask <verb> [--help]\n{list}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_by_name() {
        for verb in VERBS {
            assert_eq!(find(verb.name).unwrap().name, verb.name);
        }
    }

    #[test]
    fn an_unknown_verb_lists_those_that_exist() {
        let Err(error) = find("tset") else { panic!("`tset` is a verb") };
        assert!(error.to_string().starts_with("unknown verb `tset`"));
        assert!(VERBS.iter().all(|verb| error.to_string().contains(verb.name)));
    }

    #[test]
    fn help_shows_the_synopsis() {
        assert!(find("build").unwrap().help().contains("Usage: cargo xtask build [--debug | --object]"));
    }
}
