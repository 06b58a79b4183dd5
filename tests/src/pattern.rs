//! Reproducible content of any size: what was sent can be checked without keeping it.

/// Content that is a pure function of the position.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// Different seeds give different content.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Fills `block` with the content from byte `offset` on; `offset` is a multiple of 8.
    pub fn fill(self, offset: u64, block: &mut [u8]) {
        for (index, chunk) in (offset / 8..).zip(block.chunks_mut(8)) {
            let word = self.word(index).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// The word at an index: the finalizer of `SplitMix64`.
    #[must_use]
    pub fn word(self, index: u64) -> u64 {
        let mut word = self.seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// Compares a stream of content with a [`Pattern`].
#[derive(Debug)]
pub struct Comparison {
    pattern: Pattern,
    offset: u64,
    /// Bytes seen that do not fill a word yet.
    rest: Vec<u8>,
    first_difference: Option<u64>,
}

impl Comparison {
    /// Expects the pattern from its start.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, offset: 0, rest: Vec::new(), first_difference: None }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() & !7;
        self.compare(whole);
    }

    /// The number of bytes taken and the position of the word that first differed.
    #[must_use]
    pub fn finish(mut self) -> (u64, Option<u64>) {
        self.compare(self.rest.len());
        (self.offset, self.first_difference)
    }

    fn compare(&mut self, length: usize) {
        let mut expected = vec![0; length];
        self.pattern.fill(self.offset, &mut expected);
        if self.first_difference.is_none() && expected != self.rest[..length] {
            let same = expected.iter().zip(&self.rest).take_while(|(a, b)| a == b).count();
            self.first_difference = Some(self.offset + same as u64);
        }
        self.offset += length as u64;
        self.rest.drain(..length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_in_odd_pieces_compares_equal_and_a_changed_byte_is_found() {
        let pattern = Pattern::new(7);
        let mut content = vec![0; 1003];
        pattern.fill(0, &mut content);
        let compare = |content: &[u8]| {
            let mut comparison = Comparison::new(pattern);
            content.chunks(13).for_each(|piece| comparison.push(piece));
            comparison.finish()
        };
        assert_eq!(compare(&content), (1003, None));
        content[500] ^= 1;
        assert_eq!(compare(&content), (1003, Some(500)));
    }
}
