//! Brings the data path into the kernel and takes it out again: load, pin, adopt, attach, detach.
//!
//! Everything that forwarding needs is pinned below the pin directory, so it outlives `lbd`: maps under their names, and the
//! XDP link of each interface as `link-<interface>`. The next `lbd` adopts all of it: maps that still fit are reused,
//! others are made anew and their contents moved, and the links are switched to the new program without a gap.

mod attach;
mod capture;
mod detach;
mod directory;
mod downgrade;
mod error;
mod kept;
mod layout;
mod load;
mod migrate;
mod shape;
#[cfg(test)]
mod tests;
mod trial;
mod versions;

pub use attach::{AttachMode, Attachment};
pub use capture::CaptureProgram;
pub use detach::detach;
pub use directory::{Lock, PinDirectory, pin_anew};
pub use downgrade::prepare_downgrade;
pub use error::LoaderError;
pub use load::{LogLevel, OBJECT, Object, Options, Program, attached_tag, load};
pub use shape::Sizes;
pub use trial::Trial;
