//! SYN cookies: their secret, what services do with them, and what is kept of connections that are gone.

use std::{
    collections::{BTreeMap, HashSet},
    hash::Hash,
    io,
};

use lb_common::{
    abi::{
        Abi, Address, Cookie, CookieCount, CookieSecret, Flow, FlowKey, FlowState, ServiceFlags, SynCookies,
    },
    half_open::Measure,
};

use super::{FlowMaps, Tier, tables::Surroundings};
use crate::sys::bpf::Map;

/// Scans between two looks for what is left of connections that are gone.
const EVERY: u32 = 4;

/// What a service does with cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieUse {
    /// Whether its SYNs are answered by cookies at this moment.
    pub active: bool,
    /// Half-open connections, SYNs that were answered by cookies included (`auto`).
    pub half_open: u32,
    /// SYNs that were answered by a cookie.
    pub sent: u64,
    /// Cookies that came back: connections.
    pub accepted: u64,
    /// ACKs without a flow that brought no valid cookie, while there were some to come back.
    pub invalid: u64,
}

/// The maps.
#[derive(Debug)]
pub(super) struct CookieMaps {
    pub(super) states: Map,
    pub(super) v4: Map,
    pub(super) v6: Map,
}

impl FlowMaps {
    /// Sets at how many half-open connections of a service cookies begin, and the key where there is none yet: cookies that are under way stay
    /// valid.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn begin_cookies(&self, key: [u64; 2], limit: u32) -> io::Result<()> {
        let kept: CookieSecret = self.cookies.states.lookup(&0_u32)?.unwrap_or_default();
        let key = if kept.key == [0; 2] { key } else { kept.key };
        self.cookies.states.update(&0_u32, &CookieSecret { key, limit, ..kept })
    }

    /// What services do with cookies; those that never had to do with them are missing.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn cookie_use(&self, around: &Surroundings, now: u32) -> io::Result<BTreeMap<u16, CookieUse>> {
        let secret: CookieSecret = self.cookies.states.lookup(&0_u32)?.unwrap_or_default();
        let lifetime = around.settings.timeouts[FlowState::SynSent as usize];
        let measure = Measure { now, lifetime, limit: secret.limit };
        let mut all = BTreeMap::new();
        for (id, service) in &around.services {
            let state: SynCookies = self.cookies.states.lookup(&u32::from(*id))?.unwrap_or_default();
            if service.flags & ServiceFlags::COOKIES != 0 || state.cookie_at != 0 {
                all.insert(*id, use_of(service.flags, &state, measure));
            }
        }
        Ok(all)
    }
}

fn use_of(flags: u8, state: &SynCookies, measure: Measure) -> CookieUse {
    let always = flags & ServiceFlags::COOKIES_ALWAYS != 0;
    let auto = flags & ServiceFlags::COOKIES_AUTO != 0;
    CookieUse {
        active: always || (auto && state.on != 0 && state.is_on(measure)),
        half_open: if auto { state.half_open(measure) } else { 0 },
        sent: state.of(CookieCount::Sent),
        accepted: state.of(CookieCount::Accepted),
        invalid: state.of(CookieCount::Invalid),
    }
}

/// Keys of connections that had no entries when that was looked at last.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    scans: u32,
    v4: HashSet<FlowKey<u32>>,
    v6: HashSet<FlowKey<[u32; 4]>>,
}

impl Orphans {
    /// Removes what is kept of connections that had no entries at two looks in a row: what a connection is about to begin with is written before
    /// its entries.
    pub(super) fn settle(&mut self, maps: &FlowMaps) -> io::Result<()> {
        self.scans += 1;
        if !self.scans.is_multiple_of(EVERY) {
            return Ok(());
        }
        self.v4 = sweep(maps, &maps.cookies.v4, false, &self.v4)?;
        self.v6 = sweep(maps, &maps.cookies.v6, true, &self.v6)?;
        Ok(())
    }
}

fn sweep<A>(
    maps: &FlowMaps,
    cookies: &Map,
    is_v6: bool,
    before: &HashSet<FlowKey<A>>,
) -> io::Result<HashSet<FlowKey<A>>>
where
    A: Address + Eq + Hash,
    FlowKey<A>: Abi + Eq + Hash,
    Flow<A>: Abi,
{
    let mut orphans = HashSet::new();
    for (key, _) in cookies.entries::<FlowKey<A>, Cookie>()? {
        if maps.has_flow::<A>(Tier::Established, is_v6, &key)?
            || maps.has_flow::<A>(Tier::Embryonic, is_v6, &key)?
        {
            continue;
        }
        if before.contains(&key) {
            cookies.delete(&key)?;
        } else {
            orphans.insert(key);
        }
    }
    Ok(orphans)
}

impl FlowMaps {
    fn has_flow<A>(&self, tier: Tier, is_v6: bool, key: &FlowKey<A>) -> io::Result<bool>
    where
        A: Address,
        FlowKey<A>: Abi,
        Flow<A>: Abi,
    {
        let table = self.tables.iter().find(|table| table.tier == tier && table.is_v6 == is_v6);
        table.map_or(Ok(false), |table| Ok(table.map.lookup::<FlowKey<A>, Flow<A>>(key)?.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_shown_as_the_data_path_sees_it() {
        let measure = Measure { now: 1000, lifetime: 10, limit: 100 };
        let mut state = SynCookies { counts: [5, 4, 3, 0], ..SynCookies::default() };
        for _ in 0..101 {
            state = state.begun(measure);
        }
        let auto = use_of(ServiceFlags::COOKIES_AUTO, &state, measure);
        assert_eq!(auto, CookieUse { active: true, half_open: 100, sent: 5, accepted: 4, invalid: 3 });
        let later = Measure { now: 1000 + 6, ..measure };
        assert!(!use_of(ServiceFlags::COOKIES_AUTO, &state, later).active);
        assert!(!use_of(0, &state, measure).active);
        assert!(use_of(ServiceFlags::COOKIES_ALWAYS, &SynCookies::default(), measure).active);
    }
}
