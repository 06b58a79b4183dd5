//! What was counted, and whether that is cause for a suspicion.

use std::time::Duration;

use lb_common::abi::{BackendSignals, Signal};

use crate::model::{Passive, Reason};

/// Counts of each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; Signal::ALL.len()]);

impl From<BackendSignals> for Counts {
    fn from(signals: BackendSignals) -> Self {
        Self(Signal::ALL.map(|signal| signals.of(signal)))
    }
}

impl Counts {
    pub(super) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// What came since `earlier`; `None`: they began anew since then.
    pub(super) fn since(self, earlier: Self) -> Option<Self> {
        let mut more = self;
        for (count, earlier) in more.0.iter_mut().zip(earlier.0) {
            *count = count.checked_sub(earlier)?;
        }
        Some(more)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let mut sum = self;
        for (count, more) in sum.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
        sum
    }

    /// What of these counts, which took so long, is cause for a suspicion. SYNs that are `fresh` may still be answered.
    pub(super) fn cause(self, fresh: Self, time: Duration, rules: &Passive) -> Option<Reason> {
        let Self([syns, syn_acks, resets, unreachable, by_router]) = self;
        let within = || format!("within {:.2} s", time.as_secs_f64());
        if exceeds(resets, syns, rules) {
            return Some(format!("{resets} of {syns} SYNs refused {}", within()).into());
        }
        if unreachable.saturating_add(by_router) >= rules.count.into() {
            let within = within();
            let text = match (unreachable, by_router) {
                (own, 0) => format!("{own} ICMP unreachable errors of its own {within}"),
                (0, routers) => format!("{routers} ICMP unreachable errors of routers {within}"),
                (own, routers) => {
                    format!("{own} ICMP unreachable errors of its own, {routers} of routers {within}")
                }
            };
            return Some(text.into());
        }
        let Self([fresh, ..]) = fresh;
        let sent = syns.saturating_sub(fresh);
        let unanswered = sent.saturating_sub(syn_acks).saturating_sub(resets);
        exceeds(unanswered, sent, rules)
            .then(|| format!("{unanswered} of {sent} SYNs unanswered {}", within()).into())
    }
}

/// Whether so many of so many are enough, as a number and as a share.
fn exceeds(some: u64, all: u64, rules: &Passive) -> bool {
    some >= rules.count.into() && u128::from(some) * 100 >= u128::from(all) * u128::from(rules.percent)
}
