//! Limits of sources: what the flow tables say of each, against what the data path counted. See [`super::places`].

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    io,
};

use lb_common::abi::{Address, Admission, Flow, FlowKey, Source, SourceKey};

use super::{
    Counts, Tier,
    census::{has_answer, has_ended},
    places::leaked,
};
use crate::sys::bpf::Map;

/// Of how many bits of a client's address the sources of services are, for services whose sources have limits.
pub(super) type Prefixes = BTreeMap<u16, u8>;

/// Where limits and counts lie.
#[derive(Debug)]
pub(super) struct SourceMaps {
    /// `ADMISSION`.
    pub(super) admissions: Map,
    /// `SOURCES`.
    pub(super) sources: Map,
}

/// What was counted before the flow tables were read.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) prefixes: Prefixes,
    sources: HashMap<SourceKey, Source>,
}

/// Flows of sources: with an answer, and without one yet. Those that have ended have no place.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(HashMap<SourceKey, (u64, u64)>);

impl Shares {
    /// Takes a live flow in, by either of its entries.
    pub(super) fn add<A: Address>(
        &mut self,
        prefixes: &Prefixes,
        tier: Tier,
        key: &FlowKey<A>,
        flow: &Flow<A>,
    ) {
        if prefixes.is_empty() || flow.is_reverse() || has_ended(flow) {
            return;
        }
        let Some(prefix) = prefixes.get(&flow.service) else { return };
        let addr = key.src.prefix(*prefix).words();
        let (established, embryonic) =
            self.0.entry(SourceKey { addr, service: flow.service.into() }).or_default();
        let answered = if has_answer(tier, flow) { established } else { embryonic };
        *answered += 1;
    }

    /// Takes in what another one saw, of other entries.
    pub(super) fn join(&mut self, other: Self) {
        for (key, (established, embryonic)) in other.0 {
            let sum = self.0.entry(key).or_default();
            sum.0 += established;
            sum.1 += embryonic;
        }
    }

    fn of(&self, key: &SourceKey) -> (u64, u64) {
        self.0.get(key).copied().unwrap_or_default()
    }
}

impl SourceMaps {
    /// What is counted now; nothing if there are no such limits.
    pub(super) fn read(&self, has_admission: bool) -> io::Result<Counted> {
        if !has_admission {
            return Ok(Counted::default());
        }
        let admissions = self.admissions.entries::<u32, Admission>()?.into_iter();
        let prefixes: Prefixes = admissions
            .filter(|(_, admission)| admission.counts_flows())
            .map(|(id, admission)| (id as u16, admission.source_prefix as u8))
            .collect();
        if prefixes.is_empty() {
            return Ok(Counted::default());
        }
        Ok(Counted { prefixes, sources: self.sources.entries()?.into_iter().collect() })
    }

    /// Puts right what is wrong about `before`, by the flows that were seen since. An element is replaced as a whole: what the data path counts in
    /// that instant is put right by the next scan.
    pub(super) fn settle(&self, before: &Counted, shares: &Shares) -> io::Result<()> {
        for (key, source) in &before.sources {
            if !before.prefixes.contains_key(&(key.service as u16)) || is_right(*source, shares.of(key)) {
                continue;
            }
            let Some(after) = self.sources.lookup(key)? else { continue };
            let settled = settled(*source, after, shares.of(key));
            if settled != after {
                self.sources.replace(key, &settled)?;
            }
        }
        let unknown = shares.0.iter().filter(|(key, _)| !before.sources.contains_key(key));
        let mut unknown: Vec<_> = unknown.map(|(key, counts)| (Reverse(counts.0 + counts.1), *key)).collect();
        unknown.sort_unstable_by_key(|(flows, key)| (*flows, key.service, key.addr));
        // Those with the most flows, so that others are not forgotten for them.
        unknown.truncate(self.sources.info().shape.max_entries as usize / 2);
        for (_, key) in unknown {
            let after = self.sources.lookup(&key)?;
            let settled = settled(Source::default(), after.unwrap_or_default(), shares.of(&key));
            match after {
                Some(after) if after == settled => {}
                Some(_) => drop(self.sources.replace(&key, &settled)?),
                None => drop(self.sources.insert(&key, &settled)?),
            }
        }
        Ok(())
    }
}

/// Whether as many flows were counted as were seen.
fn is_right(source: Source, (established, embryonic): (u64, u64)) -> bool {
    source.flows.in_use().cast_unsigned() == established + embryonic
        && source.embryonic.in_use().cast_unsigned() == embryonic
}

/// What is to be in the place of `after`.
fn settled(before: Source, after: Source, (established, embryonic): (u64, u64)) -> Source {
    let mut settled = after;
    let flows = Counts { established, embryonic, ended: 0 };
    // Of those without an answer none can be missing, however late it came.
    let unanswered = Counts { established: embryonic, ..Counts::default() };
    for (places, before, counts) in
        [(&mut settled.flows, before.flows, flows), (&mut settled.embryonic, before.embryonic, unanswered)]
    {
        let leaked = leaked(before, *places, counts);
        if leaked > 0 {
            places.returned = places.returned.wrapping_add(leaked.unsigned_abs());
        } else {
            places.taken = places.taken.wrapping_add(leaked.unsigned_abs());
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use lb_common::abi::{FlowFlags, FlowState, Places};

    use super::*;
    use crate::sys::bpf::{
        MapShape,
        tests::{HASH, map},
    };

    fn source(flows: (u64, u64), embryonic: (u64, u64)) -> Source {
        let places = |(taken, returned)| Places { taken, returned };
        Source { flows: places(flows), embryonic: places(embryonic), ..Source::default() }
    }

    fn flow(client: u32, state: FlowState, flags: u8) -> (FlowKey<u32>, Flow<u32>) {
        let key = FlowKey { src: client.to_be(), dst: 9, ..FlowKey::default() };
        (key, Flow { service: 1, state: state as u8, flags, ..Flow::default() })
    }

    #[test]
    fn a_source_has_the_flows_of_its_prefix_that_have_not_ended() {
        let prefixes = Prefixes::from([(1, 24)]);
        let mut shares = Shares::default();
        for (tier, client, state, flags) in [
            (Tier::Established, 0xc633_6407, FlowState::Established, 0),
            (Tier::Established, 0xc633_6408, FlowState::Established, 0),
            (Tier::Established, 0xc633_6408, FlowState::Established, FlowFlags::REVERSE),
            (Tier::Established, 0xc633_6408, FlowState::Closed, 0),
            (Tier::Embryonic, 0xc633_6409, FlowState::UdpNew, 0),
            (Tier::Embryonic, 0xc633_6509, FlowState::UdpNew, 0),
        ] {
            let (key, flow) = flow(client, state, flags);
            shares.add(&prefixes, tier, &key, &flow);
        }
        let key = |addr: u32| SourceKey { addr: [addr.to_be(), 0, 0, 0], service: 1 };
        assert_eq!(shares.of(&key(0xc633_6400)), (2, 1));
        assert_eq!(shares.of(&key(0xc633_6500)), (0, 1));
        let (key, flow) = flow(7, FlowState::Established, 0);
        let before = shares.0.len();
        shares.add(&prefixes, Tier::Established, &key, &Flow { service: 2, ..flow });
        assert_eq!(shares.0.len(), before, "of a service without limits");
    }

    #[test]
    fn what_the_data_path_did_not_see_is_put_right() {
        let before = source((10, 2), (10, 5));
        // 8 flows are counted, 5 of them without an answer; there are 4 and 1.
        assert_eq!(settled(before, before, (4, 1)), source((10, 5), (10, 9)));
        // Two were answered and ended meanwhile, which the data path counted itself.
        assert_eq!(settled(before, source((10, 4), (10, 7)), (3, 3)), source((10, 4), (10, 7)));
        // Flows from before there was a limit.
        assert_eq!(settled(Source::default(), Source::default(), (7, 2)), source((7, 0), (2, 0)));
        assert!(is_right(source((10, 4), (9, 7)), (4, 2)));
        assert!(!is_right(source((10, 4), (9, 7)), (5, 2)));
    }

    #[test]
    fn sources_of_the_map_are_settled_and_those_that_it_lacks_are_made() {
        let shape =
            |key: usize, value: usize| MapShape { key_size: key as u32, value_size: value as u32, ..HASH };
        let Some(sources) = map(&shape(size_of::<SourceKey>(), size_of::<Source>())) else { return };
        let admissions = map(&shape(4, size_of::<Admission>())).unwrap();
        admissions
            .update(&1_u32, &Admission { source_flows: 5, source_prefix: 32, ..Admission::default() })
            .unwrap();
        let key = |addr: u32, service: u32| SourceKey { addr: [addr, 0, 0, 0], service };
        for (service, kept) in [(1, source((9, 0), (9, 9))), (2, source((9, 0), (9, 9)))] {
            sources.update(&key(1, service), &kept).unwrap();
        }
        let maps = SourceMaps { admissions, sources };
        assert!(maps.read(false).unwrap().prefixes.is_empty());
        let counted = maps.read(true).unwrap();
        let shares = Shares(HashMap::from([(key(1, 1), (3, 0)), (key(2, 1), (1, 1))]));
        maps.settle(&counted, &shares).unwrap();
        let found = |key: SourceKey| maps.sources.lookup::<_, Source>(&key).unwrap().unwrap();
        assert_eq!(found(key(1, 1)), source((9, 6), (9, 9)));
        assert_eq!(found(key(2, 1)), source((1, 0), (1, 0)), "the one without an answer may have got one");
        assert_eq!(found(key(1, 2)), source((9, 0), (9, 9)), "its service has no limit");
    }
}
