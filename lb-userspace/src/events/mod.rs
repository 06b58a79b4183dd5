//! What happened: events with numbers, for any number of subscribers, each by what it wants.

mod bus;
mod changes;
mod cookies;
mod event;
mod filter;
mod index;
mod log;
mod refusals;
#[cfg(test)]
pub(crate) mod tests;

pub use bus::{Bus, Subscription};
pub use changes::changes;
pub use cookies::CookieWatch;
pub use event::{Attribute, Event, Kind, Notice, Topic, Value};
pub(crate) use filter::{Constraint, Test};
pub use filter::{Filter, FilterError, Shape, Vocabulary};
pub use index::{Index, SubscriptionId};
pub use log::{Batch, EventCounts, KEPT, Log, Lost, MOST_SUBSCRIPTIONS, QUEUE, TooMany};
pub use refusals::RefusalWatch;
