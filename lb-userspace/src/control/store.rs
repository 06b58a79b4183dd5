//! Where the desired state is kept. Control decides what is written and when; [`crate::config`] knows the format.

use super::Error;
use crate::model::Config;

/// The place of the desired state: the configuration file.
pub trait Store: Send {
    /// Reads and checks it, and remembers what it read.
    ///
    /// # Errors
    /// It cannot be read, or is invalid.
    fn load(&mut self) -> Result<Config, Error>;

    /// Prepares to replace what was read last by `config`: all that can fail is done, nothing of it is visible yet.
    ///
    /// # Errors
    /// It cannot be written, or was changed by somebody else since it was read.
    fn stage(&mut self, config: &Config) -> Result<Box<dyn Staged + '_>, Error>;
}

/// A prepared change. Dropped, it leaves no trace.
pub trait Staged {
    /// Makes the change, atomically.
    ///
    /// # Errors
    /// It could not be made; nothing changed.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
