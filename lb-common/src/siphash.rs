//! SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) of a few words: what who does not know the key cannot guess.

/// The state between words.
#[derive(Clone, Copy, Debug)]
pub struct SipHash {
    state: [u64; 4],
}

impl SipHash {
    /// The state before the first word.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: [u64; 2]) -> Self {
        Self {
            state: [
                key[0] ^ 0x736f_6d65_7073_6575,
                key[1] ^ 0x646f_7261_6e64_6f6d,
                key[0] ^ 0x6c79_6765_6e65_7261,
                key[1] ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    /// Takes 8 bytes in, in little-endian order. The last word of a message has the message's length in bytes (modulo 256) in its upper byte.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, word: u64) -> Self {
        let [a, b, c, d] = self.state;
        let [a, b, c, d] = round(round([a, b, c, d ^ word]));
        Self { state: [a ^ word, b, c, d] }
    }

    /// The hash.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> u64 {
        let [a, b, c, d] = self.state;
        let [a, b, c, d] = round(round(round(round([a, b, c ^ 0xff, d]))));
        a ^ b ^ c ^ d
    }
}

#[inline(always)]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of the bytes 0, 1, 2 and so on under the key 0, 1, … 15, as in the paper's appendix A.
    fn of_counting(length: u8) -> u64 {
        let word =
            |from: u8, until: u8| (from..until).rev().fold(0, |word, byte| word << 8 | u64::from(byte));
        let mut hash = SipHash::new([word(0, 8), word(8, 16)]);
        for start in 0..length / 8 {
            hash = hash.word(word(start * 8, start * 8 + 8));
        }
        let last = word(length / 8 * 8, length) | u64::from(length) << 56;
        hash.word(last).finish()
    }

    #[test]
    fn vectors_of_the_authors_are_met() {
        assert_eq!(of_counting(15), 0xa129_ca61_49be_45e5, "the example of appendix A");
        // From the reference implementation's vectors.
        assert_eq!(of_counting(0), 0x726f_db47_dd0e_0e31);
        assert_eq!(of_counting(8), 0x93f5_f579_9a93_2462);
    }
}
