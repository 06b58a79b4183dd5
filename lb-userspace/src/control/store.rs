//! Where the desired state is kept. Control decides what is written and when; [`crate::config`] knows the format.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Blocks, Deadline, DrainKey, Error, RampKey};
use crate::model::Config;

/// What is written down beside the file for a process that is started later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Deadlines of drains, on the clock of this boot.
    pub drains: BTreeMap<DrainKey, Duration>,
    /// When the slow starts that are under way began, on the same clock.
    pub ramps: BTreeMap<RampKey, Duration>,
    /// A configuration that was applied and waits to be confirmed.
    pub unconfirmed: Option<Unconfirmed>,
    /// Sources that are blocked by request.
    pub blocks: Arc<Blocks>,
}

/// A configuration that waits to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Until when.
    pub deadline: Deadline,
    /// Digest of its text.
    pub digest: u64,
}

/// Another configuration, prepared to take the place of the one in the file.
pub struct Replacement {
    /// What it means.
    pub config: Config,
    /// Digest of its text.
    pub digest: u64,
    /// To put it in place.
    pub staged: Box<dyn Staged>,
}

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

    /// Prepares to put a text in the place of the file, which means `from`. What the file holds is kept for
    /// [`Store::stage_previous`].
    ///
    /// # Errors
    /// The text is no valid configuration; or the file cannot be written, or is not `from` any more.
    fn stage_text(&self, from: &Config, text: &str) -> Result<Replacement, Error>;

    /// Prepares to put back what the last [`Store::stage_text`] replaced.
    ///
    /// # Errors
    /// There is nothing to put back, it is not valid, or the file cannot be written.
    fn stage_previous(&self) -> Result<Replacement, Error>;

    /// What was written down.
    ///
    /// # Errors
    /// It cannot be read.
    fn notes(&self) -> Result<Notes, Error>;

    /// Writes down what a process that is started later needs.
    ///
    /// # Errors
    /// It cannot be written; what was written down before still is.
    fn note(&self, notes: &Notes) -> Result<(), Error>;
}

/// A prepared change. Dropped, it leaves no trace.
pub trait Staged {
    /// Makes the change, atomically.
    ///
    /// # Errors
    /// It could not be made; nothing changed.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}

impl std::fmt::Debug for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replacement").field("digest", &self.digest).finish_non_exhaustive()
    }
}
