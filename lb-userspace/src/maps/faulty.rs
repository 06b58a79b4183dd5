//! Maps that fail now and then, for tests.

use std::{fmt, io};

use super::error::access;
use super::{LbMaps, MapError, Operation, Part};
use crate::plan::MapImage;

/// What the kernel says when it fails.
const ERRORS: [i32; 4] = [libc::ENOMEM, libc::E2BIG, libc::EBUSY, libc::EPERM];

/// Maps that fail with a probability, with one of the errors that the kernel gives: before they did what they were told, after, or,
/// with slot tables, in the middle.
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

    /// How to fail, if so.
    fn draw(&mut self) -> Option<Failure> {
        let number = (self.random)();
        if number % 100 >= self.percent {
            return None;
        }
        self.failures += 1;
        let number = number / 100;
        let (moment, errno) = (number % 3, ERRORS[(number / 3 % 4) as usize]);
        Some(Failure { moment: [Moment::Before, Moment::Within, Moment::After][moment as usize], errno })
    }
}

/// One failure.
struct Failure {
    moment: Moment,
    errno: i32,
}

#[derive(Clone, Copy)]
enum Moment {
    Before,
    Within,
    After,
}

impl Failure {
    fn error(&self, action: impl Into<String>) -> MapError {
        access("FAULTY", action)(io::Error::from_raw_os_error(self.errno))
    }
}

impl<M: LbMaps> LbMaps for FaultyMaps<M> {
    fn apply(&mut self, operation: &Operation) -> Result<(), MapError> {
        let Some(failure) = self.draw() else { return self.inner.apply(operation) };
        match (&failure.moment, operation) {
            (Moment::Before, _) => {}
            (Moment::Within, Operation::SlotTables(tables)) => {
                self.inner.apply(&Operation::SlotTables(tables[..tables.len() / 2].to_vec()))?;
            }
            (Moment::Within, Operation::RemoveSlotTables(services)) => {
                self.inner.apply(&Operation::RemoveSlotTables(services[..services.len() / 2].to_vec()))?;
            }
            (Moment::Within | Moment::After, _) => self.inner.apply(operation)?,
        }
        Err(failure.error(operation.to_string()))
    }

    fn read(&mut self, part: Part, image: &mut MapImage) -> Result<(), MapError> {
        match self.draw() {
            Some(failure) => Err(failure.error(format!("read {}", part.as_str()))),
            None => self.inner.read(part, image),
        }
    }

    fn dump(&mut self) -> Result<MapImage, MapError> {
        match self.draw() {
            Some(failure) => Err(failure.error("read all")),
            None => self.inner.dump(),
        }
    }
}
