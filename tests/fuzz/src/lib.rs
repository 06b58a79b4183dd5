//! Fuzz targets: ordinary functions of bytes, which panic if something does not hold.
//!
//! `cargo xtask fuzz` has libFuzzer find inputs for them; the inputs that are worth keeping are in `corpus/`, and the tests of this crate run all of
//! them. [`reference`] is a model of the data path that shares nothing with it.

pub mod api;
pub mod config;
pub mod corpus;
pub mod health;
pub mod import;
mod input;
pub mod pipeline;
pub mod reference;
pub mod replication;
pub mod sound;
pub mod vrrp;

/// A function to be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the corpus, and on the command line.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longest input in bytes.
    pub longest: usize,
    /// Words that are worth trying.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    pipeline::TARGET,
    vrrp::TARGET,
    replication::TARGET,
    config::TARGET,
    api::TARGET,
    health::TARGET,
    import::TARGET,
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
