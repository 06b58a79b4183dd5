//! The bytes of a packet, as the pipeline sees them.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// No access reaches beyond this offset: the verifier wants packet offsets bounded, and no header the pipeline follows
/// begins later.
pub const MAX_OFFSET: usize = 0x3fff;

/// The beginning of a frame, checked once: where most packets have all of their headers. Offsets are constants, values in wire order.
///
/// # Panics
///
/// Every access that reaches beyond the bytes that were asked for; a BPF program with such an access does not load.
pub trait Head {
    /// Length of the frame's first buffer in bytes.
    fn length(&self) -> usize;
    /// Two bytes.
    fn half<const AT: usize>(&self) -> u16;
    /// Four bytes.
    fn word<const AT: usize>(&self) -> u32;
    /// Overwrites two bytes.
    fn set_half<const AT: usize>(&mut self, value: u16);
    /// Overwrites four bytes.
    fn set_word<const AT: usize>(&mut self, value: u32);
}

/// A frame from the first byte of its Ethernet header on. All access is by value and checked.
pub trait Packet {
    /// See [`Packet::head`].
    type Head<'a>: Head
    where
        Self: 'a;

    /// The first `bytes` (a constant) of the frame, if its first buffer is that long.
    fn head(&mut self, bytes: usize) -> Option<Self::Head<'_>>;

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
