//! Brings the maps to what they are to hold.
//!
//! [`diff()`] says which operations lead from what the maps hold to a [`crate::plan::MapImage`], in an order that never lets the data
//! path see a slot without its backend or a service without its slots. [`Reconciler`] does them, tries again with growing
//! pauses when something fails, and looks from time to time whether somebody else changed the maps.

mod admission;
mod changes;
mod diff;
mod drift;
mod origins;
mod reconciler;
#[cfg(test)]
mod tests;

pub use diff::diff;
pub use drift::{Drift, DriftCounts, DriftKind};
pub use reconciler::{Policy, Reconciler, Round, Statistics};
