//! Blocks of neighbouring elements in a table: SNAT addresses of a service, port pools of a backend.

use std::collections::BTreeMap;

/// Who holds which block of a table.
#[derive(Clone, Debug)]
pub(super) struct Ranges<O> {
    size: u32,
    blocks: BTreeMap<O, Block>,
    /// The same blocks: count by base.
    sorted: BTreeMap<u32, u32>,
}

/// Elements `base .. base + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) base: u32,
    pub(super) count: u32,
}

impl<O: Ord + Copy> Ranges<O> {
    pub(super) fn new(size: u32) -> Self {
        Self { size, blocks: BTreeMap::new(), sorted: BTreeMap::new() }
    }

    /// How many elements the table has from now on.
    pub(super) fn resize(&mut self, size: u32) {
        self.size = size;
    }

    pub(super) fn of(&self, owner: O) -> Option<Block> {
        self.blocks.get(&owner).copied()
    }

    /// Notes a block that was there before; one that does not fit is forgotten.
    pub(super) fn restore(&mut self, owner: O, block: Block) {
        let fits = block.base.checked_add(block.count).is_some_and(|end| end <= self.size);
        if block.count > 0 && fits {
            self.insert(owner, block);
        }
    }

    pub(super) fn release(&mut self, owner: O) {
        if let Some(block) = self.blocks.remove(&owner) {
            self.sorted.remove(&block.base);
        }
    }

    fn insert(&mut self, owner: O, block: Block) {
        self.release(owner);
        self.blocks.insert(owner, block);
        self.sorted.insert(block.base, block.count);
    }

    /// Takes the blocks of the owners for whom `keep` is false.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(O) -> bool) {
        let gone: Vec<O> = self.blocks.keys().copied().filter(|owner| !keep(*owner)).collect();
        gone.into_iter().for_each(|owner| self.release(owner));
    }

    /// The lowest free block of `count` elements, which becomes `owner`'s instead of the one it had. The two do not overlap, so
    /// that whoever still uses the old one is not disturbed. `None` if there is no room.
    pub(super) fn allocate(&mut self, owner: O, count: u32) -> Option<Block> {
        let mut base = 0;
        for (next, length) in &self.sorted {
            if *next >= base + count {
                break;
            }
            base = base.max(next + length);
        }
        let block = Block { base, count };
        (base + count <= self.size).then(|| {
            self.insert(owner, block);
            block
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_a_larger_block_moves_away_from_the_old_one() {
        let mut ranges = Ranges::new(10);
        assert_eq!(ranges.allocate('a', 3), Some(Block { base: 0, count: 3 }));
        assert_eq!(ranges.allocate('b', 2), Some(Block { base: 3, count: 2 }));
        assert_eq!(ranges.allocate('a', 4), Some(Block { base: 5, count: 4 }));
        assert_eq!(ranges.allocate('c', 3), Some(Block { base: 0, count: 3 }));
        assert_eq!(ranges.allocate('d', 2), None);
        ranges.release('b');
        assert_eq!(ranges.allocate('d', 2), Some(Block { base: 3, count: 2 }));
        assert_eq!(ranges.of('a'), Some(Block { base: 5, count: 4 }));
    }
}
