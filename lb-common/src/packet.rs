//! The bytes of a packet, as the pipeline sees them.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// No access reaches beyond this offset: the verifier wants packet offsets bounded, and no header the pipeline follows
/// begins later.
pub const MAX_OFFSET: usize = 0x3fff;

/// A frame from the first byte of its Ethernet header on. All access is by value and checked.
pub trait Packet {
    /// Length of the whole frame in bytes, fragments of a multi-buffer frame included.
    fn length(&self) -> usize;

    /// Interface the frame arrived at.
    fn ingress(&self) -> u32;

    /// The value at `offset`; at least 2 bytes (the verifier can't follow the comparison that one byte is compiled to). `None` if it is not wholly inside the frame's first buffer or begins beyond [`MAX_OFFSET`].
    fn read<T: FromBytes + Copy>(&self, offset: usize) -> Option<T>;

    /// Overwrites the bytes at `offset`; `None` as for [`Packet::read`].
    fn write<T: IntoBytes + Immutable + Copy>(&mut self, offset: usize, value: T) -> Option<()>;

    /// Makes the frame `bytes` longer at its front. The bytes gained are arbitrary. `None` if there is no room.
    fn grow_front(&mut self, bytes: usize) -> Option<()>;

    /// Cuts the frame at `length` bytes; `None` if it is shorter.
    fn truncate(&mut self, length: usize) -> Option<()>;
}
