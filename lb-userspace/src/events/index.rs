//! Which subscriptions want an event, without asking each.
//!
//! Each alternative of a filter is kept under one of its constraints, the most selective one that can be looked up by what an event
//! holds: a value, the begin of a text, a network. An event is compared only with those that it finds there. Alternatives that have
//! no such constraint are compared with every event. (Fabret et al., "Filtering algorithms and implementation for very fast
//! publish/subscribe systems", SIGMOD 2001: access predicates.)

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry as MapEntry},
    hash::Hash,
    net::IpAddr,
};

use ipnet::IpNet;

use super::{
    Attribute, Filter, Notice, Value,
    filter::{Constraint, Test},
};

/// Number of a subscription.
pub type SubscriptionId = u64;

/// The subscriptions, by what they want.
#[derive(Debug, Default)]
pub struct Index {
    equal: HashMap<(Attribute, Value), Vec<Entry>>,
    prefixes: HashMap<(Attribute, String), Vec<Entry>>,
    /// Lengths in bytes of the prefixes of an attribute, with how many there are.
    prefix_lengths: BTreeMap<(Attribute, usize), usize>,
    networks: HashMap<(Attribute, IpNet), Vec<Entry>>,
    /// Lengths in bits of the networks of an attribute, likewise.
    network_lengths: BTreeMap<(Attribute, u8), usize>,
    others: Vec<Entry>,
    filters: HashMap<SubscriptionId, Filter>,
}

/// An alternative of a subscription, without the constraint that it is found by.
#[derive(Clone, Debug)]
struct Entry {
    subscription: SubscriptionId,
    rest: Vec<Constraint>,
}

/// Where an alternative is kept.
enum Place {
    Equal(Attribute, Value),
    Prefix(Attribute, String),
    Network(Attribute, IpNet),
    Others,
}

impl Index {
    /// Adds a subscription. Its number must not be in use.
    pub fn insert(&mut self, subscription: SubscriptionId, filter: Filter) {
        for constraints in &filter.alternatives {
            let (place, rest) = place(constraints);
            let entry = Entry { subscription, rest };
            self.count(&place, true);
            self.list(place).push(entry);
        }
        self.filters.insert(subscription, filter);
    }

    /// Removes a subscription.
    pub fn remove(&mut self, subscription: SubscriptionId) {
        let Some(filter) = self.filters.remove(&subscription) else { return };
        for constraints in &filter.alternatives {
            let (place, _) = place(constraints);
            self.count(&place, false);
            match place {
                Place::Equal(attribute, value) => leave(&mut self.equal, (attribute, value), subscription),
                Place::Prefix(attribute, prefix) => {
                    leave(&mut self.prefixes, (attribute, prefix), subscription);
                }
                Place::Network(attribute, network) => {
                    leave(&mut self.networks, (attribute, network), subscription);
                }
                Place::Others => self.others.retain(|entry| entry.subscription != subscription),
            }
        }
    }

    /// Number of subscriptions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The subscriptions that want an event, each once.
    #[must_use]
    pub fn matching(&self, notice: &Notice) -> HashSet<SubscriptionId> {
        let mut found = HashSet::new();
        let mut look = |list: Option<&Vec<Entry>>| {
            for entry in list.into_iter().flatten() {
                if entry.rest.iter().all(|constraint| constraint.holds(notice)) {
                    found.insert(entry.subscription);
                }
            }
        };
        look(Some(&self.others));
        for (attribute, value) in notice.attributes() {
            look(self.equal.get(&(attribute, value.clone())));
            match value {
                Value::Text(text) => {
                    let lengths = self.prefix_lengths.range((attribute, 0)..=(attribute, text.len()));
                    // No prefix of the text ends within a letter.
                    for prefix in lengths.filter_map(|((_, length), _)| text.get(..*length)) {
                        look(self.prefixes.get(&(attribute, prefix.to_owned())));
                    }
                }
                Value::Address(address) => {
                    let lengths = self.network_lengths.range((attribute, 0)..=(attribute, u8::MAX));
                    for network in lengths.map_while(|((_, bits), _)| network(*address, *bits)) {
                        look(self.networks.get(&(attribute, network)));
                    }
                }
                Value::Number(_) => {}
            }
        }
        found
    }

    fn list(&mut self, place: Place) -> &mut Vec<Entry> {
        match place {
            Place::Equal(attribute, value) => self.equal.entry((attribute, value)).or_default(),
            Place::Prefix(attribute, prefix) => self.prefixes.entry((attribute, prefix)).or_default(),
            Place::Network(attribute, network) => self.networks.entry((attribute, network)).or_default(),
            Place::Others => &mut self.others,
        }
    }

    /// Notes that an entry comes to a place, or leaves it.
    fn count(&mut self, place: &Place, comes: bool) {
        match place {
            Place::Prefix(attribute, prefix) => {
                count(&mut self.prefix_lengths, (*attribute, prefix.len()), comes);
            }
            Place::Network(attribute, network) => {
                count(&mut self.network_lengths, (*attribute, network.prefix_len()), comes);
            }
            Place::Equal(..) | Place::Others => {}
        }
    }
}

/// Removes a subscription's entries from a list, and the list with the last one.
fn leave<K: Eq + Hash>(lists: &mut HashMap<K, Vec<Entry>>, key: K, subscription: SubscriptionId) {
    if let MapEntry::Occupied(mut list) = lists.entry(key) {
        list.get_mut().retain(|entry| entry.subscription != subscription);
        if list.get().is_empty() {
            list.remove();
        }
    }
}

fn count<K: Ord>(numbers: &mut BTreeMap<K, usize>, key: K, comes: bool) {
    let number = numbers.remove(&key).unwrap_or_default();
    let number = if comes { number + 1 } else { number.saturating_sub(1) };
    if number > 0 {
        numbers.insert(key, number);
    }
}

/// The network of so many bits that an address is in; `None` if its family has fewer.
fn network(address: IpAddr, bits: u8) -> Option<IpNet> {
    IpNet::new(address, bits).ok().map(|network| network.trunc())
}

/// Where an alternative is kept, and what is to be compared there.
fn place(constraints: &[Constraint]) -> (Place, Vec<Constraint>) {
    let best = constraints.iter().enumerate().max_by_key(|(_, constraint)| selectivity(constraint));
    let Some((index, best)) = best else { return (Place::Others, Vec::new()) };
    let attribute = best.attribute;
    let place = match &best.test {
        Test::Equal(value) => Place::Equal(attribute, value.clone()),
        Test::Prefix(prefix) => Place::Prefix(attribute, prefix.clone()),
        Test::Within(network) => Place::Network(attribute, network.trunc()),
        Test::Range { .. } => return (Place::Others, constraints.to_vec()),
    };
    let rest = constraints.iter().enumerate().filter(|(other, _)| *other != index);
    (place, rest.map(|(_, constraint)| constraint.clone()).collect())
}

/// How few events meet a constraint: what can be looked up before what cannot, names before words of small sets.
fn selectivity(constraint: &Constraint) -> (u8, u8) {
    let names = match constraint.attribute {
        Attribute::Backend | Attribute::Address => 4,
        Attribute::Service => 3,
        Attribute::Reason | Attribute::Until => 2,
        Attribute::Kind | Attribute::From | Attribute::To => 1,
        _ => 0,
    };
    match &constraint.test {
        Test::Equal(_) => (2, names),
        Test::Prefix(_) | Test::Within(_) => (1, names),
        Test::Range { .. } => (0, names),
    }
}
