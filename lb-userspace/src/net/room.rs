//! Whether the kernel's neighbour tables have room for what is kept resolved.
//!
//! A table is shared by all interfaces and network namespaces of the machine; once it is full, the host resolves nobody any more.

/// What a neighbour table holds at most (`gc_thresh3`) unless somebody changed it.
pub const DEFAULT_LIMIT: usize = 1024;

/// Tells once that the table of a family becomes too small, and again when the figures change.
#[derive(Debug, Default)]
pub struct NeighbourRoom {
    told: Option<(usize, usize)>,
}

impl NeighbourRoom {
    /// Takes in how many neighbours are kept and how many the table holds at most; whether to warn of it now, as more than
    /// 3/4 are taken.
    pub fn update(&mut self, kept: usize, limit: usize) -> bool {
        let scarce = kept.saturating_mul(4) > limit.saturating_mul(3);
        let now = scarce.then_some((kept, limit));
        let changed = self.told != now;
        self.told = now;
        scarce && changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_quarters_are_told_once_and_when_the_figures_change() {
        let mut room = NeighbourRoom::default();
        let steps = [
            (768, 1024, false),
            (769, 1024, true),
            (769, 1024, false),
            (900, 1024, true),
            (900, 1100, true),
            (900, 8192, false),
            (900, 1100, true),
            (0, 0, false),
            (1, 0, true),
        ];
        for (kept, limit, expected) in steps {
            assert_eq!(room.update(kept, limit), expected, "{kept} of {limit}");
        }
    }
}
