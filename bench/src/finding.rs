//! What a part of the bench found: rows of figures, points of plots, and notes on what they are worth.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A bound on a figure itself, or on its ratio to the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The figure is no more than this.
    AtMost(f64),
    /// The figure is no less than this.
    AtLeast(f64),
    /// The figure is no more than this times the floor.
    RatioAtMost(f64),
    /// The figure is no less than this times the floor.
    RatioAtLeast(f64),
}

impl Target {
    /// Whether it holds; nothing if it is about a ratio and there is none.
    #[must_use]
    pub fn holds(self, ours: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(ours <= limit),
            Self::AtLeast(limit) => Some(ours >= limit),
            Self::RatioAtMost(limit) => ratio.map(|ratio| ratio <= limit),
            Self::RatioAtLeast(limit) => ratio.map(|ratio| ratio >= limit),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
            Self::RatioAtMost(limit) => write!(f, "<= {limit} x floor"),
            Self::RatioAtLeast(limit) => write!(f, ">= {limit} x floor"),
        }
    }
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Unit of `ours` and `floor`.
    pub unit: &'static str,
    /// Our figure.
    pub ours: f64,
    /// What it is held against, measured in the same run.
    pub floor: Option<f64>,
    /// `ours / floor`, or the median of paired ratios where a part sets it so.
    pub ratio: Option<f64>,
    /// What is wanted.
    pub target: Option<Target>,
    /// Whether the target is met; nothing without a target.
    pub ok: Option<bool>,
    /// How honest the figure is.
    pub note: Option<String>,
}

impl Row {
    /// A figure on its own.
    #[must_use]
    pub fn new(what: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self { what: what.into(), unit, ours, floor: None, ratio: None, target: None, ok: None, note: None }
    }

    /// Holds it against a floor of the same unit.
    #[must_use]
    pub fn against(self, floor: f64) -> Self {
        let ratio = self.ours / floor;
        self.paired(floor, ratio)
    }

    /// Holds it against a floor, with a ratio that is the median of the ratios of single rounds: what disturbs a round disturbs both
    /// sides of it.
    #[must_use]
    pub fn paired(mut self, floor: f64, ratio: f64) -> Self {
        self.floor = Some(floor);
        self.ratio = ratio.is_finite().then_some(ratio);
        self.judged()
    }

    /// Wants something of it.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self.judged()
    }

    /// Says how honest it is.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Gives the two figures without their ratio, for what is not the same twice in so short a time.
    #[must_use]
    pub fn figures_only(self) -> Self {
        let floor = self.floor.map(|floor| {
            format!("floor {floor:.1} {}; no ratio: a quick run is too short for it", self.unit)
        });
        Self { floor: None, ratio: None, target: None, ok: None, note: floor.or(self.note), ..self }
    }

    fn judged(mut self) -> Self {
        self.ok = self.target.and_then(|target| target.holds(self.ours, self.ratio));
        self
    }
}

/// What a plot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plot {
    /// Nanoseconds of a packet (y) against the number of flows (x).
    CostAgainstFlows,
    /// Nanoseconds of a packet (y) against the number of services (x).
    CostAgainstServices,
    /// Latency in microseconds (y) against the percentile (x: 50, 90, 99, 99.9, ...).
    LatencyDistribution,
    /// Requests or connections in a second (y) of each peer; x numbers the peers' bars and is not shown.
    Peers,
    /// Seconds of a full load (y) against the number of backends (x).
    LoadTime,
    /// Mebibytes of `lbd` (y) against the number of backends (x).
    Memory,
    /// Milliseconds of one change (y) against the number of backends (x).
    ChangeLatency,
}

/// What a plot says around its points; both axes are logarithmic.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    /// Above it.
    pub title: &'static str,
    /// Below it.
    pub x: &'static str,
    /// At its side.
    pub y: &'static str,
}

impl Plot {
    /// Its name in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CostAgainstFlows => "flows",
            Self::CostAgainstServices => "services",
            Self::LatencyDistribution => "latency",
            Self::Peers => "peers",
            Self::LoadTime => "load",
            Self::Memory => "memory",
            Self::ChangeLatency => "change",
        }
    }

    /// What stands around it.
    #[must_use]
    pub fn axes(self) -> Axes {
        let (title, x, y) = match self {
            Self::CostAgainstFlows => ("Cost of a packet against the number of flows", "flows", "ns"),
            Self::CostAgainstServices => {
                ("Cost of a packet against the number of services", "services", "ns")
            }
            Self::LatencyDistribution => ("Latency at a fixed rate", "percentile", "microseconds"),
            Self::Peers => ("Others on the same topology", "", "in a second"),
            Self::LoadTime => ("Time until all services are forwarded", "backends", "s"),
            Self::Memory => ("Memory of lbd", "backends", "MiB"),
            Self::ChangeLatency => ("Time until a change is in the map", "backends", "ms"),
        };
        Axes { title, x, y }
    }
}

/// One point of a plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The plot it belongs to.
    pub plot: Plot,
    /// The line it belongs to, as the legend names it.
    pub line: String,
    /// See [`Plot`].
    pub x: f64,
    /// See [`Plot`].
    pub y: f64,
}

impl Point {
    /// A point.
    #[must_use]
    pub fn new(plot: Plot, line: impl Into<String>, x: f64, y: f64) -> Self {
        Self { plot, line: line.into(), x, y }
    }
}

/// All that a part found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The figures.
    pub rows: Vec<Row>,
    /// The points of plots.
    pub points: Vec<Point>,
    /// What was not measured and why; how honest the figures are.
    pub notes: Vec<String>,
}

impl Findings {
    /// Nothing but a reason for it.
    #[must_use]
    pub fn nothing(why: impl Into<String>) -> Self {
        Self { notes: vec![why.into()], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_whenever_it_is_named() {
        let before = Row::new("", "ns", 3.0).target(Target::RatioAtMost(1.5)).against(2.0);
        let after = Row::new("", "ns", 3.0).against(2.0).target(Target::RatioAtMost(1.4));
        assert_eq!((before.ok, after.ok), (Some(true), Some(false)));
    }

    #[test]
    fn without_a_target_or_a_floor_nothing_is_judged() {
        assert_eq!(Row::new("", "ns", 3.0).against(2.0).ok, None);
        assert_eq!(Row::new("", "ns", 3.0).target(Target::RatioAtLeast(1.0)).ok, None);
        assert_eq!(Row::new("", "ns", 3.0).target(Target::AtMost(3.0)).ok, Some(true));
    }
}
