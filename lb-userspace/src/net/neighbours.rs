//! Which neighbour messages concern the data path.
//!
//! The data path caches MAC addresses. An entry that only ages (reachable, stale, delay, probe) or is collected while it was
//! still good leaves the cached address right; what counts is another address, or evidence that the old one is dead.

use std::collections::HashMap;

use super::{Neighbour, NeighbourKey, NeighbourState};

/// Most entries remembered; more neighbours than that are possible, but then their changes of MAC address may be missed until
/// the next change of anything.
const MOST: usize = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    mac: [u8; 6],
    dead: bool,
    fixed: bool,
}

/// What is remembered of the kernel's neighbour table.
#[derive(Debug, Default)]
pub struct NeighbourTable {
    known: HashMap<NeighbourKey, Known>,
}

impl NeighbourTable {
    /// Takes a message in; whether MAC addresses that were looked up earlier may be wrong now.
    pub fn update(&mut self, neighbour: &Neighbour) -> bool {
        let key = (neighbour.ifindex, neighbour.address);
        match (neighbour.state, neighbour.mac) {
            (NeighbourState::Valid | NeighbourState::Fixed, Some(mac)) => {
                self.usable(key, mac, neighbour.state == NeighbourState::Fixed)
            }
            (NeighbourState::Failed, _) => match self.known.get_mut(&key) {
                Some(known) if !known.dead => {
                    known.dead = true;
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Takes in that an entry is gone; `neighbour` is its last state. As [`Self::update`].
    pub fn remove(&mut self, neighbour: &Neighbour) -> bool {
        if let Some(known) = self.known.get_mut(&(neighbour.ifindex, neighbour.address)) {
            known.fixed = false;
        }
        // Collected while it was good: remember it, so that another MAC address is noticed when it comes back.
        neighbour.state == NeighbourState::Failed && self.update(neighbour)
    }

    /// Forgets the neighbours on a link that is gone.
    pub fn remove_link(&mut self, ifindex: u32) {
        self.known.retain(|(link, _), _| *link != ifindex);
    }

    /// The MAC address of a neighbour that was good when it was seen last.
    #[must_use]
    pub fn mac_of(&self, key: NeighbourKey) -> Option<[u8; 6]> {
        self.known.get(&key).filter(|known| !known.dead).map(|known| known.mac)
    }

    /// Neighbours whose MAC addresses the operator set.
    pub fn fixed(&self) -> impl Iterator<Item = NeighbourKey> {
        self.known.iter().filter(|(_, known)| known.fixed).map(|(key, _)| *key)
    }

    fn usable(&mut self, key: NeighbourKey, mac: [u8; 6], fixed: bool) -> bool {
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            self.known.retain(|_, known| !known.dead);
            if self.known.len() >= MOST {
                return false;
            }
        }
        let before = self.known.insert(key, Known { mac, dead: false, fixed });
        before.is_some_and(|before| before.dead || before.mac != mac)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MAC_A: Option<[u8; 6]> = Some([2, 0, 0, 0, 0, 1]);
    const MAC_B: Option<[u8; 6]> = Some([2, 0, 0, 0, 0, 2]);

    fn neighbour(state: NeighbourState, mac: Option<[u8; 6]>) -> Neighbour {
        Neighbour { ifindex: 3, address: Ipv4Addr::new(10, 0, 0, 1).into(), mac, state, managed: false }
    }

    #[test]
    fn an_entry_that_appears_or_ages_changes_nothing() {
        let mut table = NeighbourTable::default();
        assert!(!table.update(&neighbour(NeighbourState::Unknown, None)));
        for _ in 0..100 {
            assert!(!table.update(&neighbour(NeighbourState::Valid, MAC_A)));
        }
    }

    #[test]
    fn another_mac_address_matters() {
        let mut table = NeighbourTable::default();
        table.update(&neighbour(NeighbourState::Valid, MAC_A));
        assert!(table.update(&neighbour(NeighbourState::Valid, MAC_B)));
        assert!(!table.update(&neighbour(NeighbourState::Valid, MAC_B)));
    }

    #[test]
    fn a_failure_matters_once_and_so_does_the_recovery() {
        let mut table = NeighbourTable::default();
        assert!(!table.update(&neighbour(NeighbourState::Failed, None)), "it never worked");
        table.update(&neighbour(NeighbourState::Valid, MAC_A));
        assert!(table.update(&neighbour(NeighbourState::Failed, MAC_A)));
        assert!(!table.update(&neighbour(NeighbourState::Unknown, None)));
        assert!(!table.remove(&neighbour(NeighbourState::Failed, None)));
        assert!(table.update(&neighbour(NeighbourState::Valid, MAC_A)));
    }

    #[test]
    fn garbage_collection_of_a_good_entry_does_not_matter_but_a_flush_does() {
        let mut table = NeighbourTable::default();
        table.update(&neighbour(NeighbourState::Valid, MAC_A));
        assert!(!table.remove(&neighbour(NeighbourState::Valid, MAC_A)));
        assert!(!table.update(&neighbour(NeighbourState::Valid, MAC_A)));
        assert!(!table.remove(&neighbour(NeighbourState::Valid, MAC_A)));
        assert!(table.update(&neighbour(NeighbourState::Valid, MAC_B)), "it came back as another host");
        assert!(table.remove(&neighbour(NeighbourState::Failed, MAC_B)), "flushed");
    }
}
