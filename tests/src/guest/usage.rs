//! How busy the guest is.

use serde::{Deserialize, Serialize};

/// Clocks of the guest, in nanoseconds: what passed less what was idle is what was worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Time since the boot.
    pub now: u64,
    /// Idle time since the boot, the sum of all processors.
    pub idle: u64,
}

impl Usage {
    /// Work of a guest with one processor since an earlier moment, in nanoseconds.
    #[must_use]
    pub fn busy_since(&self, earlier: &Self) -> u64 {
        (self.now - earlier.now).saturating_sub(self.idle - earlier.idle)
    }

    /// Reads `/proc/timer_list`. Unlike `/proc/stat` it does not round.
    pub(super) fn parse(timer_list: &str) -> Option<Self> {
        let number = |text: &str| text.trim().trim_end_matches("nsecs").trim().parse::<u64>().ok();
        let now = timer_list.lines().find_map(|line| number(line.strip_prefix("now at ")?))?;
        let idle = timer_list.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            matches!(name.trim(), ".idle_sleeptime" | ".iowait_sleeptime").then(|| number(value))?
        });
        Some(Self { now, idle: idle.sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_all_processors() {
        let text = "Timer List Version: v0.9\nnow at 4285851934 nsecs\n\ncpu: 0\n\
                    \x20 .idle_entrytime : 5 nsecs\n  .idle_sleeptime : 100 nsecs\n  .iowait_sleeptime: 20 nsecs\n\
                    cpu: 1\n  .idle_sleeptime : 3 nsecs\n";
        assert_eq!(Usage::parse(text), Some(Usage { now: 4_285_851_934, idle: 123 }));
        assert_eq!(Usage::parse(""), None);
    }

    #[test]
    fn what_was_not_idle_was_work() {
        let (before, after) = (Usage { now: 100, idle: 50 }, Usage { now: 300, idle: 120 });
        assert_eq!(after.busy_since(&before), 130);
    }
}
