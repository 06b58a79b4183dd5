//! Ports of full NAT: which are in use, and which can be given back.
//!
//! The data path sets a port's bit before it stores the flow. A bit without a flow may thus be an instant old; one that has
//! none in two scans in a row belongs to nobody. Even if that were wrong, no two flows could share a port: the data path finds
//! the first one's entry.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use lb_common::{
    abi::{Address, Backend, BackendState, Flow, FlowFlags, FlowKey, Mode, Service},
    maps::PORT_WORDS,
};

use crate::plan::{NO_POOL, PortRange};

const WORDS: usize = PORT_WORDS as usize;

/// A port pool in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Its number: its words of `PORTS` begin at 1024 times that.
    pub number: u32,
    /// The backend it is for.
    pub backend: u32,
    /// The backend's service.
    pub service: u16,
    /// The SNAT address it is for, wire order.
    pub address: [u32; 4],
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// The pool.
    pub pool: Pool,
    /// Ports taken.
    pub in_use: u32,
    /// Ports there are.
    pub capacity: u32,
}

/// The pools of one scan.
#[derive(Debug)]
pub struct PortPools {
    range: PortRange,
    pools: Vec<Pool>,
    by_owner: HashMap<(u32, [u32; 4]), usize>,
    /// Bits of the pools as they were before the flows were looked at.
    taken: Vec<Vec<u64>>,
    /// Bits of ports that a flow was seen to have, by any thread.
    live: Vec<Vec<AtomicU64>>,
}

/// Bits that had no flow in the last scan.
#[derive(Debug, Default)]
pub struct Stale(HashMap<Pool, Vec<u64>>);

impl PortPools {
    /// The pools in `words` that `backends` have for the addresses of their `services` (by id).
    #[must_use]
    pub fn new(
        range: PortRange,
        backends: &[Backend],
        services: &HashMap<u16, Service>,
        snat_addresses: &[[u32; 4]],
        words: &[AtomicU64],
    ) -> Self {
        let mut pools = Vec::new();
        for (id, backend) in (0..).zip(backends) {
            let used = backend.state != BackendState::Unused as u8 && backend.pool_base != NO_POOL;
            let Some(service) = services.get(&backend.service).filter(|_| used) else { continue };
            if service.mode != Mode::FullNat as u8 {
                continue;
            }
            for position in 0..u32::from(service.snat_count) {
                let index = service.snat_base.saturating_add(position) as usize;
                let Some(address) = snat_addresses.get(index) else { break };
                let number = backend.pool_base.saturating_add(position);
                let pool = Pool { number, backend: id, service: service.id, address: *address };
                pools.extend(words_of(words, &pool).map(|_| pool));
            }
        }
        let by_owner =
            pools.iter().enumerate().map(|(at, pool)| ((pool.backend, pool.address), at)).collect();
        let live = pools.iter().map(|_| (0..WORDS).map(|_| AtomicU64::new(0)).collect()).collect();
        Self { range, pools, by_owner, taken: Vec::new(), live }
    }

    /// Reads the pools' bits; to be called before the first [`Self::add`]. Ports outside the range are marked as taken, for
    /// good.
    pub fn read(&mut self, words: &[AtomicU64]) {
        let range = self.range;
        let taken = self.pools.iter().filter_map(|pool| words_of(words, pool)).map(|words| {
            let with_range = |(word, index): (&AtomicU64, u32)| {
                let outside = range.initial_word(index);
                let bits = word.load(Ordering::Relaxed);
                if bits & outside == outside {
                    bits
                } else {
                    word.fetch_or(outside, Ordering::Relaxed) | outside
                }
            };
            words.iter().zip(0..).map(with_range).collect()
        });
        self.taken = taken.collect();
    }

    /// Takes a live entry in.
    pub fn add<A: Address>(&self, key: &FlowKey<A>, flow: &Flow<A>) {
        if flow.flags & FlowFlags::PORT_ALLOCATED == 0 {
            return;
        }
        let (address, port) = if flow.is_reverse() { (key.dst, key.dport) } else { (flow.src, flow.sport) };
        if let Some(at) = self.by_owner.get(&(flow.backend, address.words())) {
            let port = u16::from_be(port);
            self.live[*at][usize::from(port / 64)].fetch_or(1 << (port % 64), Ordering::Relaxed);
        }
    }

    /// Gives ports back that had no flow in this scan and the last one, and takes those that a flow has without a bit.
    #[must_use]
    pub fn settle(self, words: &[AtomicU64], last: &Stale) -> (Vec<PoolUse>, Stale) {
        let mut stale = Stale::default();
        let mut uses = Vec::new();
        let range = self.range;
        for ((pool, taken), live) in self.pools.into_iter().zip(&self.taken).zip(&self.live) {
            let Some(words) = words_of(words, &pool) else { continue };
            let before = last.0.get(&pool);
            let (mut without_flow, mut in_use) = (vec![0; WORDS], 0);
            for index in 0..WORDS {
                let outside = range.initial_word(index as u32);
                let live = live[index].load(Ordering::Relaxed);
                let idle = taken[index] & !live & !outside;
                let free = before.map_or(0, |bits| bits[index] & idle);
                if free != 0 {
                    words[index].fetch_and(!free, Ordering::Relaxed);
                }
                let missing = live & !taken[index];
                if missing != 0 {
                    words[index].fetch_or(missing, Ordering::Relaxed);
                }
                without_flow[index] = idle & !free;
                in_use += ((taken[index] | missing) & !free & !outside).count_ones();
            }
            let capacity = u32::from(range.max).saturating_sub(range.min.into()) + 1;
            uses.push(PoolUse { pool, in_use, capacity });
            stale.0.insert(pool, without_flow);
        }
        (uses, stale)
    }
}

fn words_of<'a>(words: &'a [AtomicU64], pool: &Pool) -> Option<&'a [AtomicU64]> {
    let first = pool.number as usize * WORDS;
    words.get(first..first + WORDS)
}
