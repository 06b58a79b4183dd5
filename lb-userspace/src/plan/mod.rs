//! From the model to what the maps are to hold. Pure: no system call, no clock.
//!
//! [`Planner::plan`] turns a configuration, health and interfaces into a [`MapImage`]; it remembers ids ([`Ids`]), which stay
//! the same for as long as a service or a backend exists, across restarts too ([`Planner::restore`]).

mod address;
mod admission;
mod error;
mod ids;
mod image;
mod impact;
mod origins;
mod planner;
mod ranges;
mod settings;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use address::{EntryKey, address_of, address_words, family_of};
pub use admission::{AclRules, Sources};
pub use error::PlanError;
pub use ids::{BackendAt, Ids, snat_size};
pub use image::{MapImage, NO_POOL, SlotTable, unknown_slots};
pub use impact::{Fate, FlowGroup, Impact, impact};
pub use planner::{Inputs, Planner};
pub use settings::{PortRange, ticks};
