//! One's complement arithmetic of the Internet checksum (RFC 1071), and its incremental update (RFC 1624).
//!
//! All words are in wire order, loaded natively: one's complement sums do not depend on byte order as long as all words are
//! loaded alike. A *delta* is what a change of fields adds to the sum of all words, folded to 16 bits: a flow always changes the
//! same fields, so its deltas are constants and an update is one addition.

/// Folds a sum of 16-bit words to 16 bits, carries added back in.
#[inline(always)]
#[must_use]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The one's complement sum of two 16-bit words.
#[inline(always)]
#[must_use]
pub const fn add(a: u16, b: u16) -> u16 {
    let sum = a as u32 + b as u32;
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The sum of the two halves of a word.
#[inline(always)]
#[must_use]
pub const fn halves(word: u32) -> u32 {
    (word & 0xffff) + (word >> 16)
}

/// The sum of an address given as four words.
#[inline(always)]
#[must_use]
pub fn sum_words(words: [u32; 4]) -> u32 {
    halves(words[0]) + halves(words[1]) + halves(words[2]) + halves(words[3])
}

/// The delta of replacing words with the sum `old` by words with the sum `new`.
#[inline(always)]
#[must_use]
pub const fn delta(old: u32, new: u32) -> u16 {
    fold(new + (!fold(old)) as u32)
}

/// The delta of two changes after each other.
#[inline(always)]
#[must_use]
pub const fn combine(first: u16, second: u16) -> u16 {
    add(first, second)
}

/// The checksum after a change (RFC 1624 equation 3).
#[inline(always)]
#[must_use]
pub const fn update(check: u16, delta: u16) -> u16 {
    !add(!check, delta)
}

/// [`update`] for UDP: 0 says "no checksum" and stays, a computed 0 becomes 0xffff (RFC 768).
#[inline(always)]
#[must_use]
pub const fn update_udp(check: u16, delta: u16) -> u16 {
    if check == 0 { 0 } else { update_message(check, delta) }
}

/// [`update`] for a whole message: one that becomes all zeros sums up to 0, not to 0xffff, and has the checksum 0xffff, which is as
/// good as 0 for every other one.
#[inline(always)]
#[must_use]
pub const fn update_message(check: u16, delta: u16) -> u16 {
    let updated = update(check, delta);
    if updated == 0 { 0xffff } else { updated }
}

/// The delta of decrementing the TTL: its 16-bit word (TTL, protocol) becomes smaller by 0x0100 in network order.
pub const TTL_DECREMENT: u16 = delta(u16::from_ne_bytes([1, 0]) as u32, 0);

#[cfg(any(test, feature = "host"))]
mod full {
    /// The sum of all 16-bit words of `bytes`, an odd last byte padded with 0; not folded.
    ///
    /// Sums up to 64 KiB.
    #[must_use]
    pub fn sum(bytes: &[u8]) -> u32 {
        bytes
            .chunks(2)
            .map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
            .sum()
    }
}

#[cfg(any(test, feature = "host"))]
pub use full::sum;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn update_equals_computing_afresh(mut bytes in prop::collection::vec(any::<u8>(), 22..60), at in 0usize..8, new in any::<u32>()) {
            // A word that is not 0 stands for the pseudo-header: real sums are never 0.
            bytes[0] |= 1;
            let at = at * 2 + 4;
            let before = !fold(sum(&bytes));
            let old = u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
            bytes[at..at + 4].copy_from_slice(&new.to_ne_bytes());
            prop_assert_eq!(update(before, delta(halves(old), halves(new))), !fold(sum(&bytes)));
        }

        #[test]
        fn deltas_combine(check in any::<u16>(), a in any::<u16>(), b in any::<u16>(), c in any::<u16>()) {
            let twice = update(update(check, delta(a.into(), b.into())), delta(b.into(), c.into()));
            let once = update(check, combine(delta(a.into(), b.into()), delta(b.into(), c.into())));
            prop_assert!(twice == once || (twice ^ once) == 0xffff, "0 and 0xffff are the same sum");
        }
    }

    #[test]
    fn ttl_decrement_is_the_delta_of_its_word() {
        for (ttl, proto) in [(64u8, 6u8), (2, 17), (255, 6), (128, 0)] {
            let old = u16::from_ne_bytes([ttl, proto]);
            let new = u16::from_ne_bytes([ttl - 1, proto]);
            assert_eq!(update(0x1234, TTL_DECREMENT), update(0x1234, delta(old.into(), new.into())));
        }
    }

    #[test]
    fn udp_zero_stays_and_computed_zero_becomes_ffff() {
        assert_eq!(update_udp(0, 0x1234), 0);
        let change = delta(0, 0x4321);
        let check = 0x4321;
        assert_eq!(update(check, change), 0);
        assert_eq!(update_udp(check, change), 0xffff);
    }

    #[test]
    fn a_message_that_becomes_all_zeros_has_the_checksum_of_zeros() {
        let request = [8, 0, 0, 0, 0, 0, 0, 0];
        let (old, new) = (u16::from_ne_bytes([8, 0]), 0);
        let check = update_message(!fold(sum(&request)), delta(old.into(), new));
        assert_eq!(check, !fold(sum(&[0; 8])));
    }
}
