//! Where the desired state is kept. Control decides what is written and when; [`crate::config`] knows the format.

use super::Error;
use crate::model::Config;

/// The place of the desired state: the configuration file.
pub trait Store: Send {
    /// Reads and checks it.
    ///
    /// # Errors
    /// It cannot be read, or is invalid.
    fn load(&self) -> Result<Config, Error>;

    /// Prepares to change it from `from` to `to`: all that can fail is done, nothing of it is visible yet.
    ///
    /// # Errors
    /// It cannot be written, or is not `from` any more.
    fn stage(&self, from: &Config, to: &Config) -> Result<Box<dyn Staged>, Error>;
}

/// A prepared change. Dropped, it leaves no trace.
pub trait Staged {
    /// Makes the change, atomically.
    ///
    /// # Errors
    /// It could not be made; nothing changed.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
