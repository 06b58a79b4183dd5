//! How many outcomes in a row it takes to believe them.

/// Counts outcomes. The first one decides; from then on, as many in a row as are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiseFall {
    rise: u32,
    fall: u32,
    is_well: Option<bool>,
    /// Outcomes in a row that contradict that.
    others: u32,
}

impl RiseFall {
    /// Nothing is known.
    #[must_use]
    pub const fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, is_well: None, others: 0 }
    }

    /// Takes an outcome in; what is believed from now on.
    pub fn take(&mut self, is_well: bool) -> bool {
        let Some(believed) = self.is_well else {
            self.is_well = Some(is_well);
            return is_well;
        };
        self.others = if is_well == believed { 0 } else { self.others + 1 };
        if self.others >= if is_well { self.rise } else { self.fall }.max(1) {
            self.is_well = Some(is_well);
            self.others = 0;
        }
        self.is_well == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_outcome_decides_and_then_so_many_in_a_row() {
        let mut counts = RiseFall::new(2, 3);
        let outcomes = [true, false, false, true, false, false, false, true, false, true, true];
        let believed = [true, true, true, true, true, true, false, false, false, false, true];
        assert_eq!(outcomes.map(|outcome| counts.take(outcome)), believed);
        assert!(!RiseFall::new(2, 3).take(false));
    }

    proptest! {
        #[test]
        fn what_is_believed_was_said_so_often_in_a_row(
            rise in 1_u32..5,
            fall in 1_u32..5,
            outcomes in prop::collection::vec(any::<bool>(), 1..200),
        ) {
            let mut counts = RiseFall::new(rise, fall);
            let mut believed = counts.take(outcomes[0]);
            for end in 2..=outcomes.len() {
                let now = counts.take(outcomes[end - 1]);
                if now != believed {
                    let needed = if now { rise } else { fall } as usize;
                    prop_assert!(outcomes[end.saturating_sub(needed)..end].iter().all(|outcome| *outcome == now));
                    believed = now;
                }
            }
        }
    }
}
