//! The events of the last time, and who waits for the next ones. No I/O, no clock.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use thiserror::Error;

use super::{Event, Filter, Index, Kind, Notice, SubscriptionId, Topic};
use crate::model::{Keyword, Timestamp};

/// Events that are kept for those who resume.
pub const KEPT: usize = 8192;
/// Events that may wait for one subscriber beside those that it resumed with; then it loses the oldest.
pub const QUEUE: usize = 1024;
/// Most subscriptions.
pub const MOST_SUBSCRIPTIONS: usize = 16_384;

/// Why there is no subscription.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("there are {MOST_SUBSCRIPTIONS} subscriptions already; end one that is not needed")]
pub struct TooMany;

/// What a subscriber gets at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What it lost before the first of `events`.
    pub lost: Lost,
    /// In their order.
    pub events: Vec<Arc<Event>>,
}

/// Events that a subscriber wanted and did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lost {
    /// None.
    #[default]
    Nothing,
    /// So many: it was too slow.
    Wanted(u64),
    /// Those that it wanted of so many: they are older than what is kept.
    AtMost(u64),
    /// Nobody knows how many: they are of an earlier run of `lbd`.
    Unknown,
}

/// What was told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Events by topic, in the order of [`Topic`]'s words.
    pub published: [u64; Topic::ALL.len()],
    /// Events that subscribers lost because they were too slow.
    pub lost: u64,
    /// Subscriptions that there are.
    pub subscriptions: usize,
}

/// All events, and the subscriptions to them.
#[derive(Debug)]
pub struct Log {
    first: u64,
    next: u64,
    kept: VecDeque<Arc<Event>>,
    index: Index,
    subscribers: HashMap<SubscriptionId, Subscriber>,
    /// Subscriptions by the topics that they ask for.
    askers: HashMap<Topic, HashSet<SubscriptionId>>,
    last_subscription: SubscriptionId,
    counts: EventCounts,
}

#[derive(Debug)]
struct Subscriber {
    queue: VecDeque<Arc<Event>>,
    /// Most events in `queue`: [`QUEUE`] more than it began with.
    room: usize,
    lost: Lost,
}

impl Log {
    /// An empty log. The first number comes from the time, so that numbers grow from one run of `lbd` to the next as long as there is
    /// less than an event in a microsecond: a number of an earlier run is known for what it is.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let first = u64::try_from(now.to_epoch().as_micros()).unwrap_or(1).max(1);
        Self {
            first,
            next: first,
            kept: VecDeque::new(),
            index: Index::default(),
            subscribers: HashMap::new(),
            askers: HashMap::new(),
            last_subscription: 0,
            counts: EventCounts::default(),
        }
    }

    /// The number of the next event.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether a subscription asks for a topic by name ([`Filter::asks_for`]).
    #[must_use]
    pub fn asks_for(&self, topic: Topic) -> bool {
        self.askers.contains_key(&topic)
    }

    /// Gives a notice its number, keeps it, and puts it into the queues of those who want it; who they are. One that is told on request
    /// only ([`Kind::is_on_request`]) gets no number of its own, and is not kept.
    pub fn publish(
        &mut self,
        at: Timestamp,
        notice: Notice,
    ) -> impl ExactSizeIterator<Item = SubscriptionId> + use<> {
        let (kind, mut wanted) = (notice.kind, self.index.matching(&notice));
        let is_on_request = kind.is_on_request();
        if is_on_request {
            let none = HashSet::new();
            let askers = self.askers.get(&kind.topic()).unwrap_or(&none);
            // What is missing is told to everybody who might miss it.
            match kind {
                Kind::FlowUntold => wanted.clone_from(askers),
                _ => wanted.retain(|subscription| askers.contains(subscription)),
            }
        }
        let sequence = if is_on_request { self.next - 1 } else { self.next };
        let event = Arc::new(Event { sequence, at, notice });
        if !is_on_request {
            self.next += 1;
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(Arc::clone(&event));
        }
        self.counts.published[kind.topic() as usize] += u64::from(!is_on_request || !wanted.is_empty());
        for subscription in &wanted {
            if let Some(subscriber) = self.subscribers.get_mut(subscription) {
                self.counts.lost += u64::from(!subscriber.push(Arc::clone(&event)));
            }
        }
        wanted.into_iter()
    }

    /// Subscribes to what a filter wants: of what comes, and, if `after` is given, of what came after the event of that number.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn subscribe(&mut self, filter: &Filter, after: Option<u64>) -> Result<SubscriptionId, TooMany> {
        if self.index.len() >= MOST_SUBSCRIPTIONS {
            return Err(TooMany);
        }
        let mut subscriber = Subscriber { queue: VecDeque::new(), room: QUEUE, lost: Lost::Nothing };
        if let Some(after) = after {
            let oldest = self.kept.front().map_or(self.next, |event| event.sequence);
            subscriber.lost = match () {
                () if after.saturating_add(1) >= oldest => Lost::Nothing,
                () if after.saturating_add(1) >= self.first => Lost::AtMost(oldest - after - 1),
                () => Lost::Unknown,
            };
            let missed =
                self.kept.iter().filter(|event| event.sequence > after && filter.matches(&event.notice));
            subscriber.queue.extend(missed.cloned());
            subscriber.room += subscriber.queue.len();
        }
        self.last_subscription += 1;
        for topic in Topic::ALL.iter().filter(|topic| filter.asks_for(**topic)) {
            self.askers.entry(*topic).or_default().insert(self.last_subscription);
        }
        self.index.insert(self.last_subscription, filter);
        self.subscribers.insert(self.last_subscription, subscriber);
        Ok(self.last_subscription)
    }

    /// What waits for a subscriber; `None`: nothing.
    pub fn take(&mut self, subscription: SubscriptionId) -> Option<Batch> {
        let subscriber = self.subscribers.get_mut(&subscription)?;
        if subscriber.queue.is_empty() && subscriber.lost == Lost::Nothing {
            return None;
        }
        let lost = std::mem::take(&mut subscriber.lost);
        subscriber.room = QUEUE;
        Some(Batch { lost, events: std::mem::take(&mut subscriber.queue).into() })
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) {
        self.index.remove(subscription);
        self.askers.retain(|_, askers| {
            askers.remove(&subscription);
            !askers.is_empty()
        });
        self.subscribers.remove(&subscription);
    }

    /// What was told so far.
    #[must_use]
    pub fn counts(&self) -> EventCounts {
        EventCounts { subscriptions: self.index.len(), ..self.counts.clone() }
    }
}

impl Subscriber {
    /// Whether there was room for it, and none was lost.
    fn push(&mut self, event: Arc<Event>) -> bool {
        let has_room = self.queue.len() < self.room;
        if !has_room {
            self.queue.pop_front();
            self.lost = match self.lost {
                Lost::Nothing => Lost::Wanted(1),
                Lost::Wanted(count) => Lost::Wanted(count + 1),
                Lost::AtMost(count) => Lost::AtMost(count + 1),
                Lost::Unknown => Lost::Unknown,
            };
        }
        self.queue.push_back(event);
        has_room
    }
}
