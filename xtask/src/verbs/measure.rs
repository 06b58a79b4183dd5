//! `cargo xtask measure`.

use super::Verb;
use super::demo::become_program;
use crate::host::Binary;
use crate::setup::ensure_debian;

pub(crate) const VERB: Verb = Verb {
    name: "measure",
    summary: "Show in figures that a build does what it promises",
    synopsis: "[arguments of the measurement]",
    details: "Needs root. `cargo xtask measure -- --help` lists the arguments.",
    run: |args| {
        if args.has("faults") {
            ensure_debian()?;
        }
        become_program(Binary { package: "lb-tests", name: "lb-measure" }, &[], args)
    },
};
