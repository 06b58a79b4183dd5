//! The flow tables seen from user space: expiry, counts, ports given back, lists.
//!
//! The data path never looks at flows that get no packets; that is done here, by a full scan about once a second. [`Census`]
//! and [`PortPools`] decide, without I/O; [`Scanner`] does what they say.

mod affinity;
mod census;
mod cookies;
mod ending;
mod follow;
mod kill;
mod list;
mod places;
mod pools;
mod replica;
mod scanner;
mod sources;
mod tables;
mod tally;
#[cfg(test)]
mod tests;

pub use census::{Census, Counts, Owner, Rules, Tier};
pub use cookies::CookieUse;
pub use ending::{Ending, MOST_ENDINGS, is_reset};
pub use follow::{End, Followed, Follower, MOST_FOLLOWED};
pub use kill::kill;
pub use list::{count, groups, list};
pub use pools::{Pool, PoolUse, PortPools};
pub use replica::{Outcome, Replica, name_flows, told};
pub use scanner::{Report, Scanner, TableUse};
pub use tables::{FlowMaps, Surroundings, scan_threads};
pub use tally::top;
