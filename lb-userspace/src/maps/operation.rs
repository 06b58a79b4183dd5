//! What can be done to the maps.

use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use lb_common::abi::{
    AclRule, Admission, Backend, BackendFlags, BackendLimits, Interface, Origin, Service, Settings,
};

use crate::plan::{EntryKey, MapImage, PortRange, SlotTable};

/// One step. Every step is idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Writes the settings, all but `fib_generation`, which stays as it is.
    Settings(Settings),
    /// Writes `fib_generation` of the settings.
    FibGeneration(u32),
    /// Writes an interface; all 0: not attached.
    Interface {
        /// Its index.
        ifindex: u32,
        /// What it is.
        interface: Interface,
    },
    /// Writes a SNAT address; all 0: unused.
    SnatAddress {
        /// Its place.
        index: u32,
        /// The address in wire order.
        words: [u32; 4],
    },
    /// Writes a word of `OWN_ADDRESSES` that has more bits than before.
    OwnAddresses {
        /// Its place.
        word: u32,
        /// All its bits.
        bits: u64,
    },
    /// Writes a word of `OWN_ADDRESSES` that has fewer bits than before.
    RemoveOwnAddresses {
        /// Its place.
        word: u32,
        /// The bits that stay.
        bits: u64,
    },
    /// Writes whose backend an address and port is.
    Origin {
        /// Where the backend's packets come from.
        key: EntryKey,
        /// Whose it is; an IPv4 VIP in the first word.
        origin: Origin<[u32; 4]>,
    },
    /// Forgets whose backend an address and port is.
    RemoveOrigin(EntryKey),
    /// Writes prefixes of a list of sources.
    AclRules {
        /// Number of the list.
        list: u32,
        /// What they say.
        rules: Vec<(IpNet, AclRule)>,
    },
    /// Removes prefixes of a list of sources.
    RemoveAclRules {
        /// Number of the list.
        list: u32,
        /// Which.
        prefixes: Vec<IpNet>,
    },
    /// Writes what a service lets in; all 0: everything.
    Admission {
        /// Id of the service; 0: for all of them.
        service: u16,
        /// What it is.
        admission: Admission,
    },
    /// Makes all ports of the range free in some pools, and the others taken.
    ResetPools {
        /// The first pool.
        first: u32,
        /// How many.
        count: u32,
        /// The range.
        ports: PortRange,
    },
    /// Sets a service's counters and the number of its places in use to 0.
    ResetServiceCounters(u16),
    /// Sets a backend's counters, its number of flows and that of its places in use to 0.
    ResetBackendCounters(u32),
    /// Writes a backend; all 0: the id is free.
    Backend {
        /// Its id.
        id: u32,
        /// What it is.
        backend: Backend,
    },
    /// Writes the limits of a backend; all 0: none.
    Limits {
        /// Its id.
        id: u32,
        /// What they are.
        limits: BackendLimits,
    },
    /// Replaces slot tables, each atomically.
    SlotTables(Vec<(u16, SlotTable)>),
    /// Takes slot tables out.
    RemoveSlotTables(Vec<u16>),
    /// Writes a service.
    Service {
        /// Its key.
        key: EntryKey,
        /// What it is.
        service: Service,
    },
    /// Removes a service.
    RemoveService(EntryKey),
}

impl Operation {
    /// Whether it takes something away that a restarted `lbd` must not take before it knows all that is wanted.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        match self {
            Self::RemoveService(_)
            | Self::RemoveSlotTables(_)
            | Self::RemoveOrigin(_)
            | Self::RemoveAclRules { .. }
            | Self::RemoveOwnAddresses { .. } => true,
            Self::Admission { admission, .. } => *admission == Admission::default(),
            Self::Backend { backend, .. } => backend.state == 0,
            Self::Interface { interface, .. } => *interface == Interface::default(),
            Self::SnatAddress { words, .. } => *words == [0; 4],
            Self::Limits { limits, .. } => *limits == BackendLimits::default(),
            _ => false,
        }
    }

    /// Whether it changes what flows go by, if it is done to `image`: then they have to look at it again, see
    /// [`Settings::fib_generation`].
    #[must_use]
    pub fn concerns_flows(&self, image: &MapImage) -> bool {
        let seen = |backend: &Backend| {
            let Backend { addr, port, state, family, service, flags, .. } = *backend;
            (addr, port, state, family, service, flags & BackendFlags::RESET)
        };
        match self {
            Self::Interface { .. } => true,
            Self::Backend { id, backend } => {
                seen(backend) != seen(&image.backends.get(id).copied().unwrap_or_default())
            }
            // Flows whose packets are counted take another way.
            Self::Admission { service, admission } => {
                let before = image.admissions.get(service).copied().unwrap_or_default();
                admission.counts_packets() != before.counts_packets()
            }
            _ => false,
        }
    }

    /// Does it to an image.
    pub fn apply_to(&self, image: &mut MapImage) {
        match self {
            Self::Settings(settings) => {
                let fib_generation = image.settings.fib_generation;
                image.settings = Settings { fib_generation, ..*settings };
            }
            Self::FibGeneration(generation) => image.settings.fib_generation = *generation,
            Self::Interface { ifindex, interface } => {
                set_element(image.interfaces.entry(*ifindex), *interface);
            }
            Self::SnatAddress { index, words } => set_element(image.snat_addresses.entry(*index), *words),
            Self::OwnAddresses { word, bits } | Self::RemoveOwnAddresses { word, bits } => {
                set_element(image.own_addresses.entry(*word), *bits);
            }
            Self::Origin { key, origin } => drop(image.origins.insert(*key, *origin)),
            Self::RemoveOrigin(key) => drop(image.origins.remove(key)),
            Self::AclRules { list, rules } => {
                Arc::make_mut(image.acls.entry(*list).or_default()).extend(rules.iter().copied());
            }
            Self::RemoveAclRules { list, prefixes } => {
                if let Some(rules) = image.acls.get_mut(list) {
                    let rules = Arc::make_mut(rules);
                    for prefix in prefixes {
                        rules.remove(prefix);
                    }
                }
                image.acls.retain(|_, rules| !rules.is_empty());
            }
            Self::Admission { service, admission } => {
                set_element(image.admissions.entry(*service), *admission);
            }
            Self::ResetPools { .. } | Self::ResetServiceCounters(_) | Self::ResetBackendCounters(_) => {}
            Self::Backend { id, backend } => set_element(image.backends.entry(*id), *backend),
            Self::Limits { id, limits } => set_element(image.limits.entry(*id), *limits),
            Self::SlotTables(tables) => image.slots.extend(tables.iter().cloned()),
            Self::RemoveSlotTables(services) => image.slots.retain(|service, _| !services.contains(service)),
            Self::Service { key, service } => drop(image.services.insert(*key, *service)),
            Self::RemoveService(key) => drop(image.services.remove(key)),
        }
    }
}

/// Writes an array element, of which an image holds those that are not all 0.
fn set_element<K: Ord, V: Default + PartialEq>(entry: Entry<'_, K, V>, value: V) {
    match entry {
        Entry::Occupied(occupied) if value == V::default() => drop(occupied.remove()),
        Entry::Occupied(mut occupied) => drop(occupied.insert(value)),
        Entry::Vacant(_) if value == V::default() => {}
        Entry::Vacant(vacant) => drop(vacant.insert(value)),
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(_) => f.write_str("settings"),
            Self::FibGeneration(generation) => write!(f, "fib generation {generation}"),
            Self::Interface { ifindex, interface } => {
                write!(f, "interface {ifindex} flags {}", interface.flags)
            }
            Self::SnatAddress { index, words } => write!(f, "snat {index} {words:x?}"),
            Self::OwnAddresses { word, bits } => write!(f, "own addresses {word} {bits:x}"),
            Self::RemoveOwnAddresses { word, bits } => write!(f, "remove own addresses {word} {bits:x}"),
            Self::Origin { key, origin } => write!(f, "origin {key} backend {}", origin.backend),
            Self::RemoveOrigin(key) => write!(f, "remove origin {key}"),
            Self::AclRules { list, rules } => write!(f, "acl {list} {} prefixes", rules.len()),
            Self::RemoveAclRules { list, prefixes } => {
                write!(f, "remove acl {list} {} prefixes", prefixes.len())
            }
            Self::Admission { service, admission } => {
                write!(f, "admission {service} list {}", admission.list)
            }
            Self::ResetPools { first, count, .. } => write!(f, "reset pools {first}+{count}"),
            Self::ResetServiceCounters(id) => write!(f, "reset counters of service {id}"),
            Self::ResetBackendCounters(id) => write!(f, "reset counters of backend {id}"),
            Self::Backend { id, backend } => {
                let exclusive = if backend.flags & BackendFlags::EXCLUSIVE == 0 { "" } else { " exclusive" };
                let reset = if backend.flags & BackendFlags::RESET == 0 { "" } else { " reset" };
                write!(f, "backend {id} state {}{exclusive}{reset}", backend.state)
            }
            Self::Limits { id, limits } => {
                let BackendLimits { connections, service_connections, next, .. } = limits;
                write!(f, "limits {id} {connections} of {service_connections} next {next}")
            }
            Self::SlotTables(tables) => {
                f.write_str("slots")?;
                tables.iter().try_for_each(|(id, table)| write!(f, " {id}:{}", table.len()))
            }
            Self::RemoveSlotTables(ids) => {
                f.write_str("remove slots")?;
                ids.iter().try_for_each(|id| write!(f, " {id}"))
            }
            Self::Service { key, service } => write!(f, "service {key} id {}", service.id),
            Self::RemoveService(key) => write!(f, "remove service {key}"),
        }
    }
}
