//! Health checks: is a backend fit to take flows?
//!
//! [`Checker`] decides when to probe and what the outcomes mean, [`Detector`] by what the data path counted who is to be probed out of turn;
//! they do no I/O and read no clock. [`Probes`] looks up what the probes of a configuration need, and a [`Prober`] does the I/O of one
//! probe.

mod checker;
mod detector;
mod outcome;
mod pool;
mod prepared;
mod probe;
mod probes;
mod programs;
mod suspects;

pub use checker::{Checker, Command, Policy, ProbeId, Target};
pub use detector::{Detector, READ_EVERY, Suspicion};
pub use outcome::Outcome;
pub use pool::{Change, Pools, Ramps};
pub use prepared::{Prepared, Preparer, Rights, Unusable};
use prepared::{ScriptUser, TlsClient};
pub use probe::{MAX_BODY, MAX_SCRIPTS, Prober, Program, Subject, close};
pub use probes::{Files, Probes, UnusableProbe};
pub use programs::{UnusableProgram, unusable_programs};
pub use suspects::{Suspect, Suspects};
