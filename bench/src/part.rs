//! The parts of the bench, and what each of them is given.

use std::{fmt, io::IsTerminal};

use anyhow::Result;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::{control, failover, finding::Findings, forward, packet, peers, scale, tcp};

/// A part, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What a packet costs the program.
    Packet,
    /// Frames that one core forwards between namespaces.
    Forward,
    /// Requests, connections and latency over TCP.
    Tcp,
    /// How fast the daemon is.
    Control,
    /// What grows with services and backends.
    Scale,
    /// What a failure costs running traffic.
    Failover,
    /// Others on the same topology.
    Peers,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Packet, Self::Forward, Self::Tcp, Self::Control, Self::Scale, Self::Failover, Self::Peers];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Forward => "forward",
            Self::Tcp => "tcp",
            Self::Control => "control",
            Self::Scale => "scale",
            Self::Failover => "failover",
            Self::Peers => "peers",
        }
    }

    /// Measures it.
    ///
    /// # Errors
    ///
    /// If the measurement itself fails; a figure that misses its target is no error.
    pub fn run(self, run: &mut Run<'_>) -> Result<Findings> {
        match self {
            Self::Packet => packet::run(run),
            Self::Forward => forward::run(run),
            Self::Tcp => tcp::run(run),
            Self::Control => control::run(run),
            Self::Scale => scale::run(run),
            Self::Failover => failover::run(run),
            Self::Peers => peers::run(run),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How thoroughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Everything that the targets name.
    Full,
    /// Less of it, with the same ratios: all parts in less than five minutes.
    Quick,
}

impl Depth {
    /// Its name, as directories and tables show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
        }
    }

    /// One value or the other.
    #[must_use]
    pub fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// A run of a part, and where it tells how far it is.
#[derive(Debug)]
pub struct Run<'a> {
    /// How thoroughly to measure.
    pub depth: Depth,
    /// Of the part `packet`, only rows whose name contains this; of `control`, only such steps.
    pub filter: Option<String>,
    part: &'a str,
    bar: ProgressBar,
}

impl<'a> Run<'a> {
    /// A run of the part of this name. Progress is shown on a terminal only.
    ///
    /// # Panics
    ///
    /// Never: the template of the bar is a constant.
    #[must_use]
    pub fn new(part: &'a str, depth: Depth) -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(1) } else { ProgressBar::hidden() };
        #[expect(clippy::unwrap_used, reason = "the template is a constant")]
        bar.set_style(ProgressStyle::with_template("{prefix:>8} [{bar:30}] {pos}/{len} {wide_msg}").unwrap());
        bar.set_prefix(part.to_owned());
        Self { depth, filter: None, part, bar }
    }

    /// Name of the part.
    #[must_use]
    pub fn part(&self) -> &'a str {
        self.part
    }

    /// Whether something of this name is to be measured.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }

    /// Says that a step begins, of which `done` of `of` are done.
    pub fn step(&mut self, name: &str, done: usize, of: usize) {
        self.bar.set_length(u64::try_from(of).unwrap_or(u64::MAX));
        self.bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
        self.bar.set_message(name.to_owned());
        self.bar.tick();
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name_everywhere() {
        for part in Part::ALL {
            assert_eq!(part.to_possible_value().unwrap().get_name(), part.name());
            assert_eq!(serde_json::to_string(&part).unwrap(), format!("\"{part}\""));
        }
    }
}
