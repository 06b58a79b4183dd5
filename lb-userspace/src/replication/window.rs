//! Which packets of a session came already (as RFC 4303 section 3.4.3 has it).

/// Packets that may arrive later than others that were sent after them.
const BITS: u64 = 1024;
const WORDS: usize = (BITS / 64) as usize;

/// A window over the numbers of packets, which begin with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    highest: u64,
    /// Bit `number % BITS` of the last numbers: it came.
    came: [u64; WORDS],
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { highest: 0, came: [0; WORDS] }
    }

    /// Whether a packet may be taken: it did not come yet, and is not older than the window.
    pub(super) fn is_new(&self, number: u64) -> bool {
        if number > self.highest {
            return true;
        }
        let (word, bit) = place(number);
        number != 0 && self.highest - number < BITS && self.came[word] & bit == 0
    }

    /// Nothing that was sent before the last packet is taken any more.
    pub(super) fn close(&mut self) {
        self.came = [u64::MAX; WORDS];
    }

    /// A packet was taken.
    pub(super) fn take(&mut self, number: u64) {
        if number > self.highest {
            if number - self.highest >= BITS {
                self.came = [0; WORDS];
            } else {
                for skipped in self.highest + 1..number {
                    let (word, bit) = place(skipped);
                    self.came[word] &= !bit;
                }
            }
            self.highest = number;
        }
        let (word, bit) = place(number);
        self.came[word] |= bit;
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % BITS;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_packet_is_taken_twice_and_none_of_the_last_ones_is_lost(
            numbers in prop::collection::vec(prop_oneof![0..3000_u64, 0..64_u64, Just(u64::MAX)], 1..400),
        ) {
            let (mut window, mut taken, mut highest) = (Window::new(), HashSet::new(), 0);
            for number in numbers {
                let is_new = window.is_new(number);
                let in_reach = number > highest || (number != 0 && highest - number < BITS);
                prop_assert_eq!(is_new, in_reach && !taken.contains(&number));
                if is_new {
                    window.take(number);
                    taken.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }
}
