//! The maps: what can be done to them, and the pinned ones in the kernel.
//!
//! Everything that `lbd` writes on the operator's behalf goes through [`LbMaps::apply`], called by [`crate::reconcile`] only.

mod acl;
mod counters;
mod error;
mod fake;
mod faulty;
mod floating;
mod latencies;
mod operation;
mod part;
mod pinned;
mod relay;
mod shapes;
mod signals;
mod slots;
#[cfg(test)]
mod tests;
mod virtual_macs;

pub use counters::{Counters, Totals};
pub use error::MapError;
pub use fake::FakeMaps;
pub use faulty::FaultyMaps;
pub use floating::{FloatingMap, floating_key};
pub use latencies::BackendLatencies;
pub use operation::Operation;
pub use part::Part;
pub use pinned::PinnedMaps;
pub use relay::RelayMap;
pub use shapes::{MAX_SLOT_TABLES_AT_ONCE, MAX_SLOTS_AT_ONCE, check_shape};
pub use signals::Signals;
pub use slots::WrittenSlots;
pub use virtual_macs::VirtualMacMap;

use crate::plan::MapImage;

/// The maps of the data path.
pub trait LbMaps: Send {
    /// Does one operation. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`MapError`]; the operation may then be done in part, and is to be done again.
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError>;

    /// Reads a part of what the maps hold now, and puts it in the place of what `image` says of that part. A slot table that was
    /// not written through this object cannot be read; it is reported as [`crate::plan::unknown_slots`].
    ///
    /// # Errors
    /// [`MapError`] if a map cannot be read; `image` is as it was.
    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError>;

    /// All that the maps hold now.
    ///
    /// # Errors
    /// As [`LbMaps::read`].
    fn dump(&mut self) -> Result<MapImage, MapError> {
        let mut image = MapImage::default();
        Part::ALL.iter().try_for_each(|part| self.read(*part, &mut image))?;
        Ok(image)
    }
}
