//! Area `visibility`: whether what `lbd` shows is true, and what looking costs.

mod capture;
mod explained;
mod flows;
mod idle;
mod page;
mod scrape;
mod strangers;
mod truth;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("truth: counters beside what crossed the links", truth::measure),
    ("page: the dashboard in a browser", page::measure),
    ("capture: what it costs, and leaves behind", capture::measure),
    ("strangers at the metrics", strangers::measure),
    ("scrape: how long it takes under load, and what it costs forwarding", scrape::measure),
    ("flows: a million listed, counted and ended", flows::measure),
    ("explained: whether it comes true", explained::measure),
    ("idle: what the program costs while nobody looks", idle::measure),
];
