//! A frame in a `Vec`.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::packet::{Head, MAX_OFFSET, Packet};

/// Room in front of a frame (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;
/// What new room is filled with: not 0, so that a header byte that was forgotten shows.
const POISON: u8 = 0xa5;

/// A frame in memory.
#[derive(Clone, Debug)]
pub struct HostFrame {
    bytes: Vec<u8>,
    ingress: u32,
    grown: usize,
}

impl HostFrame {
    /// A frame that arrived at an interface.
    #[must_use]
    pub fn new(bytes: Vec<u8>, ingress: u32) -> Self {
        Self { bytes, ingress, grown: 0 }
    }

    /// The frame as it is.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The beginning of a frame.
#[derive(Debug)]
pub struct HostHead<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl Head for HostHead<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn half<const AT: usize>(&self) -> u16 {
        u16::from_ne_bytes([self.bytes[AT], self.bytes[AT + 1]])
    }

    fn word<const AT: usize>(&self) -> u32 {
        u32::from_ne_bytes(std::array::from_fn(|byte| self.bytes[AT + byte]))
    }

    fn set_half<const AT: usize>(&mut self, value: u16) {
        self.bytes[AT..AT + 2].copy_from_slice(&value.to_ne_bytes());
    }

    fn set_word<const AT: usize>(&mut self, value: u32) {
        self.bytes[AT..AT + 4].copy_from_slice(&value.to_ne_bytes());
    }
}

impl Packet for HostFrame {
    type Head<'a> = HostHead<'a>;

    fn head(&mut self, bytes: usize) -> Option<HostHead<'_>> {
        let length = self.bytes.len();
        Some(HostHead { bytes: self.bytes.get_mut(..bytes)?, length })
    }

    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }

    fn read<T: FromBytes + Copy>(&self, offset: usize) -> Option<T> {
        if offset > MAX_OFFSET {
            return None;
        }
        let bytes = self.bytes.get(offset..offset + size_of::<T>())?;
        T::read_from_bytes(bytes).ok()
    }

    fn write<T: IntoBytes + Immutable + Copy>(&mut self, offset: usize, value: T) -> Option<()> {
        if offset > MAX_OFFSET {
            return None;
        }
        let bytes = self.bytes.get_mut(offset..offset + size_of::<T>())?;
        value.write_to(bytes).ok()
    }

    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        self.grown += bytes;
        if self.grown > HEADROOM {
            return None;
        }
        self.bytes.splice(0..0, std::iter::repeat_n(POISON, bytes));
        Some(())
    }

    fn truncate(&mut self, length: usize) -> Option<()> {
        if length > self.bytes.len() {
            return None;
        }
        self.bytes.truncate(length);
        Some(())
    }
}
