//! Maps in memory, for tests.

use super::{LbMaps, MapError, Operation, Part};
use crate::plan::{MapImage, unknown_slots};

/// Maps in memory.
#[derive(Clone, Debug, Default)]
pub struct FakeMaps {
    /// What they hold; may be changed behind everybody's back.
    pub image: MapImage,
    /// The operations done so far, as text.
    pub log: Vec<String>,
}

impl FakeMaps {
    /// What another process finds: the same, but slot tables cannot be read.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let mut image = self.image.clone();
        image.slots.values_mut().for_each(|table| *table = unknown_slots());
        Self { image, log: Vec::new() }
    }
}

impl LbMaps for FakeMaps {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        operation.apply_to(&mut self.image);
        self.log.push(operation.to_string());
        Ok(())
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        part.copy(&self.image, image);
        Ok(())
    }
}
