//! The two address families as one type parameter.

use core::{fmt::Debug, hash::Hash};

/// An IPv4 (`u32`) or IPv6 (`[u32; 4]`) address in wire order.
pub trait Address: Copy + Eq + Hash + Debug + Default + 'static {
    /// Whether this is IPv6.
    const IS_V6: bool;

    /// The address as four words in wire order; IPv4 uses the first, the others are 0.
    fn words(self) -> [u32; 4];

    /// The inverse of [`Address::words`].
    fn from_words(words: [u32; 4]) -> Self;

    /// The first `bits` bits of the address, the others 0. More bits than the address has keep all of it.
    fn prefix(self, bits: u8) -> Self;
}

impl Address for u32 {
    const IS_V6: bool = false;

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        [self, 0, 0, 0]
    }

    #[inline(always)]
    fn from_words(words: [u32; 4]) -> Self {
        words[0]
    }

    #[inline(always)]
    fn prefix(self, bits: u8) -> Self {
        self & prefix_mask(bits)
    }
}

impl Address for [u32; 4] {
    const IS_V6: bool = true;

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        self
    }

    #[inline(always)]
    fn from_words(words: [u32; 4]) -> Self {
        words
    }

    #[inline(always)]
    fn prefix(self, bits: u8) -> Self {
        [
            self[0] & prefix_mask(bits),
            self[1] & prefix_mask(bits.saturating_sub(32)),
            self[2] & prefix_mask(bits.saturating_sub(64)),
            self[3] & prefix_mask(bits.saturating_sub(96)),
        ]
    }
}

/// A mask in wire order of the first `bits` (at most 32) bits of a word.
#[inline(always)]
fn prefix_mask(bits: u8) -> u32 {
    if bits >= 32 { u32::MAX } else { !(u32::MAX >> (bits & 31)) }.to_be()
}
