//! Area `visibility`: whether what `lbd` shows is true, and what looking costs.

mod capture;
mod page;
mod strangers;
mod truth;

use super::Step;

/// What is measured, one network after the other.
pub(super) const STEPS: &[Step] = &[
    ("truth: counters beside what crossed the links", truth::measure),
    ("page: the dashboard in a browser", page::measure),
    ("capture: what it costs, and leaves behind", capture::measure),
    ("strangers at the metrics", strangers::measure),
];
