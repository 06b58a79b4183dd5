//! The single owner of the model: events in, a new model, the maps and the file brought to it, a snapshot out.
//!
//! [`Control`] is a state machine without threads or clocks; [`spawn`] runs it on a thread of its own. Everything else reads
//! [`Snapshot`]s and sends [`Event`]s through a [`Handle`].

mod blocks;
mod drain;
mod edit;
mod edit_admission;
mod error;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod handle;
pub(crate) mod invalid;
mod now;
mod owner;
mod pools;
mod ramps;
mod rules;
mod snapshot;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod view;

pub use blocks::{Block, Blocks, NewBlocks};
pub use drain::{DrainKey, DrainView, DrainViews, MAX_DRAIN};
pub use edit::{BackendChange, Edit, HealthChange, ServiceChange};
pub(crate) use edit::{unknown_backend, unknown_service};
pub use edit_admission::{RateChange, SourceChange};
pub(crate) use error::told;
pub use error::{Error, ErrorKind};
pub use event::{Event, Persist, Request};
pub use handle::{Handle, Outcome, spawn};
pub use now::{Deadline, Now};
pub use owner::Control;
pub use ramps::RampKey;
pub use rules::HealthRules;
pub use snapshot::{BackendView, ServiceView, Snapshot};
pub use store::{Notes, Replacement, Staged, Store, Unconfirmed};
pub use target::Preview;
