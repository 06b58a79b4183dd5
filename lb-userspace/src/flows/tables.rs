//! The pinned maps that the scan needs.

use std::{collections::HashMap, io, path::Path, thread};

use lb_common::{
    abi::{Backend, Flow, FlowKey, Interface, InterfaceFlags, Service, ServiceKey, Settings},
    maps,
};

use super::{Tier, cookies::CookieMaps, places::PlaceMaps, sources::SourceMaps};
use crate::api::Occupancy;
use crate::sys::bpf::{Cut, Map, Part, Words, in_parts};

/// The flow tables and what is needed to judge and count flows.
#[derive(Debug)]
pub struct FlowMaps {
    /// In the order in which they are to be read: a flow that is promoted meanwhile is seen at least once.
    pub(super) tables: [Table; 4],
    pub(super) backend_flows: Map,
    pub(super) places: PlaceMaps,
    pub(super) sources: SourceMaps,
    pub(super) affinity: Map,
    pub(super) cookies: CookieMaps,
    backends: Map,
    services_v4: Map,
    services_v6: Map,
    snat_addresses: Map,
    settings: Map,
    interfaces: Map,
    ports: Words,
}

/// The services of an address family.
pub(super) type Services<A> = Vec<(ServiceKey<A>, Service)>;

/// A flow table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) tier: Tier,
    pub(super) is_v6: bool,
    pub(super) map: Map,
}

/// What flows are judged by, as it is in the maps.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `SETTINGS`.
    pub settings: Settings,
    /// `BACKENDS` by id.
    pub backends: Vec<Backend>,
    /// Services by id.
    pub services: HashMap<u16, Service>,
    /// `SNAT_ADDRESSES`.
    pub snat_addresses: Vec<[u32; 4]>,
}

/// Tables with fewer entries are read by one thread.
const LARGE: u32 = 1 << 18;
/// Most threads: what takes time is memory that is far away, and the kernel has other things to do.
const MOST_THREADS: usize = 4;

/// Threads that read a large table at once.
#[must_use]
pub fn scan_threads() -> u32 {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    cpus.min(MOST_THREADS) as u32
}

impl FlowMaps {
    /// Opens the maps pinned in `directory`.
    ///
    /// # Errors
    /// A pin is missing or not what it should be.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            let path = directory.join(name);
            Map::open(&path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        let table = |name, tier, is_v6| open(name).map(|map| Table { name, tier, is_v6, map });
        Ok(Self {
            tables: [
                table(maps::EMBRYONIC_V4, Tier::Embryonic, false)?,
                table(maps::EMBRYONIC_V6, Tier::Embryonic, true)?,
                table(maps::FLOWS_V4, Tier::Established, false)?,
                table(maps::FLOWS_V6, Tier::Established, true)?,
            ],
            backend_flows: open(maps::BACKEND_FLOWS)?,
            places: PlaceMaps {
                backends: Words::of(&open(maps::BACKEND_PLACES)?)?,
                services: Words::of(&open(maps::SERVICE_PLACES)?)?,
            },
            sources: SourceMaps { admissions: open(maps::ADMISSION)?, sources: open(maps::SOURCES)? },
            affinity: open(maps::AFFINITY)?,
            cookies: CookieMaps {
                states: open(maps::SYN_COOKIES)?,
                v4: open(maps::COOKIES_V4)?,
                v6: open(maps::COOKIES_V6)?,
            },
            backends: open(maps::BACKENDS)?,
            services_v4: open(maps::SERVICES_V4)?,
            services_v6: open(maps::SERVICES_V6)?,
            snat_addresses: open(maps::SNAT_ADDRESSES)?,
            settings: open(maps::SETTINGS)?,
            interfaces: open(maps::INTERFACES)?,
            ports: Words::of(&open(maps::PORTS)?)?,
        })
    }

    /// Reads what flows are judged by.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn surroundings(&self) -> io::Result<Surroundings> {
        let (v4, v6) = self.services()?;
        let v4 = v4.into_iter().map(|entry| entry.1);
        let v6 = v6.into_iter().map(|entry| entry.1);
        Ok(Surroundings {
            settings: self.settings.lookup(&0_u32)?.unwrap_or_default(),
            backends: values(&self.backends)?,
            services: v4
                .chain(v6)
                .filter(|service| service.id != 0)
                .map(|service| (service.id, service))
                .collect(),
            snat_addresses: values(&self.snat_addresses)?,
        })
    }

    /// `SERVICES`.
    pub(super) fn services(&self) -> io::Result<(Services<u32>, Services<[u32; 4]>)> {
        Ok((self.services_v4.entries()?, self.services_v6.entries()?))
    }

    /// Who has how many of the places that there are, without clients that are remembered.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        self.places.occupancy()
    }

    /// The MAC address of an interface that the program is attached to.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn mac_of(&self, ifindex: u32) -> io::Result<Option<[u8; 6]>> {
        let interface = self.interfaces.lookup::<u32, Interface>(&ifindex)?.unwrap_or_default();
        Ok((interface.flags & InterfaceFlags::ATTACHED != 0).then(|| interface.mac.octets()))
    }

    pub(super) fn ports(&self) -> &[std::sync::atomic::AtomicU64] {
        self.ports.as_slice()
    }
}

/// Entries of a table of either family, for code that does not care which.
pub(super) trait Visit {
    /// Sees an entry; false ends the visit.
    fn entry<A>(&mut self, table: &Table, key: &FlowKey<A>, flow: &Flow<A>) -> io::Result<bool>
    where
        A: lb_common::abi::Address,
        FlowKey<A>: lb_common::abi::Abi,
        Flow<A>: lb_common::abi::Abi;
}

impl Table {
    /// Shows every entry to `visitor`, until it has enough; the number of entries shown.
    pub(super) fn visit(&self, visitor: &mut impl Visit) -> io::Result<u64> {
        self.visit_part((None, None), visitor)
    }

    /// As [`Self::visit`], for the entries between two cuts.
    fn visit_part(&self, part: Part<'_>, visitor: &mut impl Visit) -> io::Result<u64> {
        match self.is_v6 {
            true => self.visit_family::<[u32; 4]>(part, visitor),
            false => self.visit_family::<u32>(part, visitor),
        }
    }

    /// Shows every entry to one of the visitors that are made: one for each part of a large table, all of which are read at once. The
    /// visitors with the numbers of entries that they saw, in the table's order.
    pub(super) fn visit_by<V: Visit + Send>(&self, make: impl Fn() -> V + Sync) -> io::Result<Vec<(V, u64)>> {
        let visit = |part: Part<'_>| {
            let mut visitor = make();
            let seen = self.visit_part(part, &mut visitor)?;
            Ok((visitor, seen))
        };
        if self.map.info().shape.max_entries < LARGE {
            return Ok(vec![visit((None, None))?]);
        }
        in_parts(&self.cuts(scan_threads())?, visit)
    }

    /// The places between so many parts.
    fn cuts(&self, parts: u32) -> io::Result<Vec<Cut>> {
        match self.is_v6 {
            true => self.map.cuts::<FlowKey<[u32; 4]>, Flow<[u32; 4]>>(parts),
            false => self.map.cuts::<FlowKey<u32>, Flow<u32>>(parts),
        }
    }

    fn visit_family<A>(&self, part: Part<'_>, visitor: &mut impl Visit) -> io::Result<u64>
    where
        A: lb_common::abi::Address,
        FlowKey<A>: lb_common::abi::Abi,
        Flow<A>: lb_common::abi::Abi,
    {
        use std::ops::ControlFlow::{Break, Continue};
        let (mut seen, mut outcome) = (0, Ok(()));
        self.map.scan_part::<FlowKey<A>, Flow<A>>(part, |chunk| {
            for (key, flow) in chunk.iter::<FlowKey<A>, Flow<A>>() {
                seen += 1;
                match visitor.entry(self, &key, &flow) {
                    Ok(true) => {}
                    Ok(false) => return Break(()),
                    Err(error) => {
                        outcome = Err(error);
                        return Break(());
                    }
                }
            }
            Continue(())
        })?;
        outcome.map(|()| seen)
    }
}

/// The values of an array map in the order of their indexes.
fn values<V: lb_common::abi::Abi + Default>(map: &Map) -> io::Result<Vec<V>> {
    let mut values = vec![V::default(); map.info().shape.max_entries as usize];
    for (index, value) in map.entries::<u32, V>()? {
        if let Some(slot) = values.get_mut(index as usize) {
            *slot = value;
        }
    }
    Ok(values)
}
