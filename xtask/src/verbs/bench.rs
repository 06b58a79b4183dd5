//! `cargo xtask bench`.

use xtask::Result;

use super::Verb;
use super::demo::become_program;
use super::vm::GUEST;
use crate::args::Args;
use crate::host::Binary;
use crate::setup::{Downloads, ensure_guest_if_possible};

pub(crate) const VERB: Verb = Verb {
    name: "bench",
    summary: "Measure what it costs, against floors and others",
    synopsis: "[arguments of the bench]",
    details: "Needs root. `cargo xtask bench -- --help` lists the arguments.

  --only PART,...  packet, forward, tcp, control, scale, failover, peers
  --quick          all parts in less than five minutes
  --json [FILE]    rows as JSON
  --resume         do not measure again what this commit has measured
  --report         write docs/benchmarks.md and its plots from the last results
  --strict         a missed target is an error",
    run,
};

fn run(args: Args) -> Result<()> {
    ensure_guest_if_possible(Downloads::Refused);
    become_program(Binary { package: "lb-bench", name: "lb-bench" }, &[GUEST], args)
}
