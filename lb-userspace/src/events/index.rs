//! Which subscriptions want an event, without asking each.
//!
//! Each alternative of a filter is kept under one of its constraints that can be looked up by what an event holds (a value, the begin
//! of a text, a network): the one under which the fewest others are kept. An event is compared only with those that it finds there.
//! Alternatives that have no such constraint are compared with every event. (Fabret et al., "Filtering algorithms and implementation
//! for very fast publish/subscribe systems", SIGMOD 2001: access predicates.)

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
    /// Where the alternatives of each subscription are kept.
    places: HashMap<SubscriptionId, Vec<Place>>,
}

/// An alternative of a subscription, without the constraint that it is found by.
#[derive(Clone, Debug)]
struct Entry {
    subscription: SubscriptionId,
    rest: Vec<Constraint>,
}

/// Where an alternative is kept.
#[derive(Clone, Debug)]
enum Place {
    Equal(Attribute, Value),
    Prefix(Attribute, String),
    Network(Attribute, IpNet),
    Others,
}

impl Index {
    /// Adds a subscription. Its number must not be in use.
    pub fn insert(&mut self, subscription: SubscriptionId, filter: &Filter) {
        let mut places = Vec::new();
        for constraints in &filter.alternatives {
            let (place, rest) = self.place(constraints);
            let entry = Entry { subscription, rest };
            self.count(&place, true);
            self.list(place.clone()).push(entry);
            places.push(place);
        }
        self.places.insert(subscription, places);
    }

    /// Removes a subscription.
    pub fn remove(&mut self, subscription: SubscriptionId) {
        for place in self.places.remove(&subscription).into_iter().flatten() {
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
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
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

    /// Where an alternative is to be kept, and what is to be compared there.
    fn place(&self, constraints: &[Constraint]) -> (Place, Vec<Constraint>) {
        let places = constraints.iter().enumerate().filter_map(|(index, one)| Some((index, place(one)?)));
        let Some((index, place)) = places.min_by_key(|(_, place)| self.kept(place)) else {
            return (Place::Others, constraints.to_vec());
        };
        let rest = constraints.iter().enumerate().filter(|(other, _)| *other != index);
        (place, rest.map(|(_, constraint)| constraint.clone()).collect())
    }

    /// How many are kept there.
    fn kept(&self, place: &Place) -> usize {
        let list = match place {
            Place::Equal(attribute, value) => self.equal.get(&(*attribute, value.clone())),
            Place::Prefix(attribute, prefix) => self.prefixes.get(&(*attribute, prefix.clone())),
            Place::Network(attribute, network) => self.networks.get(&(*attribute, *network)),
            Place::Others => Some(&self.others),
        };
        list.map_or(0, Vec::len)
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

/// Where what meets a constraint can be looked up; `None`: nowhere.
fn place(constraint: &Constraint) -> Option<Place> {
    let attribute = constraint.attribute;
    match &constraint.test {
        Test::Equal(value) => Some(Place::Equal(attribute, value.clone())),
        Test::Prefix(prefix) => Some(Place::Prefix(attribute, prefix.clone())),
        Test::Within(network) => Some(Place::Network(attribute, network.trunc())),
        Test::Range { .. } => None,
    }
}
