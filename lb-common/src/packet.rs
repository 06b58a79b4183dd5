//! The bytes of a packet, as the pipeline sees them.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A frame from the first byte of its Ethernet header on. All access is by value and checked.
pub trait Packet {
    /// Length of the whole frame in bytes, fragments of a multi-buffer frame included.
    fn len(&self) -> u32;

    /// Whether the frame has no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Interface the frame arrived at.
    fn ingress(&self) -> u32;

    /// The value at `offset`; `None` if it is not wholly inside the frame's first buffer.
    fn read<T: FromBytes + Copy>(&self, offset: u32) -> Option<T>;

    /// Overwrites the bytes at `offset`; `None` if they are not wholly inside the frame's first buffer.
    fn write<T: IntoBytes + Immutable + Copy>(&mut self, offset: u32, value: T) -> Option<()>;

    /// Makes the frame `bytes` longer at its front. The bytes gained are arbitrary. `None` if there is no room.
    fn grow_front(&mut self, bytes: u32) -> Option<()>;

    /// Cuts the frame at `len` bytes; `None` if it is shorter.
    fn truncate(&mut self, len: u32) -> Option<()>;
}
