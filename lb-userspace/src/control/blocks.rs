//! Sources that are blocked for all services by request, some of them for a time only. They are no part of the file: they are written down
//! beside it, so that they survive a restart.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ipnet::IpNet;

use super::{Deadline, Error, Now};
use crate::model::Timestamp;

/// Times that a block may be for.
const TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
/// Longest text that says why.
const LONGEST_REASON: usize = 200;

/// Why and until when a prefix is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until it is taken out.
    pub until: Option<Deadline>,
    /// What for; may be empty.
    pub reason: String,
}

/// All that are blocked.
pub type Blocks = BTreeMap<IpNet, Block>;

/// What is to be blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlocks {
    /// Which.
    pub prefixes: Vec<IpNet>,
    /// For how long; `None`: until they are taken out.
    pub time: Option<Duration>,
    /// What for.
    pub reason: String,
    /// Whether they take the place of all that are blocked.
    pub replace: bool,
}

impl NewBlocks {
    /// All that are blocked afterwards.
    ///
    /// # Errors
    /// A prefix that is none, a time or a reason that is too long.
    pub(super) fn applied(&self, before: &Blocks, now: &Now) -> Result<Blocks, Error> {
        if let Some(time) = self.time.filter(|time| !TIMES.contains(time)) {
            let message =
                format!("{} s is not a time to block for; expected 1s to 8760h", time.as_secs_f64());
            return Err(Error::invalid("for", message));
        }
        if self.reason.len() > LONGEST_REASON || self.reason.contains(char::is_control) {
            let message = format!(
                "{:?} is not a reason; expected one line of at most {LONGEST_REASON} bytes",
                self.reason.chars().take(60).collect::<String>()
            );
            return Err(Error::invalid("reason", message));
        }
        let mut blocks = if self.replace { Blocks::new() } else { before.clone() };
        for (index, prefix) in self.prefixes.iter().enumerate() {
            if prefix.trunc() != *prefix {
                let message = format!(
                    "{prefix} is not the first address of its network; expected {}, or a longer prefix",
                    prefix.trunc()
                );
                return Err(Error::invalid(format!("prefixes[{index}]"), message));
            }
            let since = before.get(prefix).map_or(now.wall, |known| known.since);
            let until = self.time.map(|time| Deadline::after(now, time));
            blocks.insert(*prefix, Block { since, until, reason: self.reason.clone() });
        }
        Ok(blocks)
    }
}

/// All that are blocked after these are taken out.
///
/// # Errors
/// One of them is not blocked by request.
pub(super) fn without(before: &Blocks, prefixes: &[IpNet]) -> Result<Blocks, Error> {
    let mut blocks = before.clone();
    for (index, prefix) in prefixes.iter().enumerate() {
        if blocks.remove(prefix).is_none() {
            let message = match before.keys().find(|known| known.contains(prefix)) {
                Some(known) => {
                    format!("{prefix} is not blocked by itself, but {known} is, of which it is a part")
                }
                None => format!(
                    "{prefix} is not blocked by request; `lbctl acl list` shows what is, and what the configuration says"
                ),
            };
            return Err(Error::new(super::ErrorKind::NotFound, format!("prefixes[{index}]"), message));
        }
    }
    Ok(blocks)
}

/// Takes out those whose time is over; whether there were such.
pub(super) fn expire(blocks: &mut Arc<Blocks>, now: &Now) -> bool {
    let over = |block: &Block| block.until.is_some_and(|until| until.remaining(now).is_zero());
    if !blocks.values().any(over) {
        return false;
    }
    Arc::make_mut(blocks).retain(|_, block| !over(block));
    true
}

/// When the next one's time is over.
pub(super) fn next(blocks: &Blocks, now: &Now) -> Option<Instant> {
    blocks.values().filter_map(|block| block.until).map(|until| now.instant + until.remaining(now)).min()
}

/// The prefixes with the last tick at which they are blocked; 0: there is none.
pub(super) fn ticks(blocks: &Blocks, now: &Now) -> Arc<BTreeMap<IpNet, u32>> {
    let tick = |block: &Block| match block.until {
        None => 0,
        Some(until) => crate::plan::ticks(now.monotonic + until.remaining(now)).max(1),
    };
    Arc::new(blocks.iter().map(|(prefix, block)| (*prefix, tick(block))).collect())
}
