//! Maps that fail now and then, for tests.

use std::fmt;

use super::{LbMaps, MapError, Operation, Part};
use crate::plan::MapImage;

/// Maps that fail with a probability: half of the time before they did what they were told, half of the time after.
pub struct FaultyMaps<M> {
    /// The maps behind.
    pub inner: M,
    percent: u64,
    random: Box<dyn FnMut() -> u64 + Send>,
    /// How often they failed.
    pub failures: u64,
}

impl<M: fmt::Debug> fmt::Debug for FaultyMaps<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, percent, failures, .. } = self;
        f.debug_struct("FaultyMaps")
            .field("inner", inner)
            .field("percent", percent)
            .field("failures", failures)
            .finish_non_exhaustive()
    }
}

impl<M> FaultyMaps<M> {
    /// Maps of which `percent` of the accesses fail; `random` gives evenly spread numbers.
    pub fn new(inner: M, percent: u64, random: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self { inner, percent, random: Box::new(random), failures: 0 }
    }

    /// From now on nothing fails.
    pub fn heal(&mut self) {
        self.percent = 0;
    }

    /// Whether to fail, and whether before or after doing it.
    fn draw(&mut self) -> (bool, bool) {
        let number = (self.random)();
        let fail = number % 100 < self.percent;
        self.failures += u64::from(fail);
        (fail, (number / 100).is_multiple_of(2))
    }
}

impl<M: LbMaps> LbMaps for FaultyMaps<M> {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        let (fail, before) = self.draw();
        if !(fail && before) {
            self.inner.apply(operation)?;
        }
        if fail { Err(MapError::Injected(operation.to_string())) } else { Ok(()) }
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        if self.draw().0 {
            Err(MapError::Injected(format!("read {}", part.as_str())))
        } else {
            self.inner.read(part, image)
        }
    }

    fn dump(&mut self) -> Result<MapImage, MapError> {
        if self.draw().0 { Err(MapError::Injected("dump".to_owned())) } else { self.inner.dump() }
    }
}
