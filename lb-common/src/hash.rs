//! Keyed hashes of flows: the finaliser of MurmurHash3 (`fmix64`) chained over the key, seeded.
//!
//! Cheap in BPF (no 128-bit multiplication) and the same on the host. The seed keeps outsiders from choosing flows that collide.

use crate::abi::{Address, FlowKey};

/// Hash of the whole 5-tuple: the same flow always gets the same number under the same seed.
#[inline(always)]
#[must_use]
pub fn flow<A: Address>(seed: [u32; 2], key: &FlowKey<A>) -> u32 {
    let state = addresses(seed, key.src)
        ^ mix(u64::from(key.sport) << 16 | u64::from(key.dport) | u64::from(key.proto) << 32);
    let [a, b, c, d] = key.dst.words();
    let mut state = mix(state ^ (u64::from(a) << 32 | u64::from(b)));
    if A::IS_V6 {
        state = mix(state ^ (u64::from(c) << 32 | u64::from(d)));
    }
    reduce(state)
}

/// Hash of the first `prefix` bits of a client's address.
#[inline(always)]
#[must_use]
pub fn source<A: Address>(seed: [u32; 2], src: A, prefix: u8) -> u32 {
    reduce(addresses(seed, src.prefix(prefix)))
}

#[inline(always)]
fn addresses<A: Address>(seed: [u32; 2], address: A) -> u64 {
    let [a, b, c, d] = address.words();
    let mut state = mix(u64::from(seed[0]) << 32 ^ u64::from(seed[1]) ^ (u64::from(a) << 32 | u64::from(b)));
    if A::IS_V6 {
        state = mix(state ^ (u64::from(c) << 32 | u64::from(d)));
    }
    state
}

#[inline(always)]
fn reduce(state: u64) -> u32 {
    (state >> 32) as u32 ^ state as u32
}

/// `fmix64` of MurmurHash3.
#[inline(always)]
fn mix(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_the_seed_matter() {
        let key = FlowKey { src: 1u32, dst: 2, sport: 3, dport: 4, proto: 6, pad: [0; 3] };
        let base = flow([7, 8], &key);
        let others = [
            FlowKey { src: 9, ..key },
            FlowKey { dst: 9, ..key },
            FlowKey { sport: 9, ..key },
            FlowKey { dport: 9, ..key },
            FlowKey { proto: 17, ..key },
        ];
        assert!(others.iter().all(|other| flow([7, 8], other) != base));
        assert_ne!(flow([7, 9], &key), base);
        assert_ne!(flow([6, 8], &key), base);
    }

    #[test]
    fn hashes_of_consecutive_clients_spread_evenly() {
        let mut buckets = [0u32; 16];
        for client in 0..16_000u32 {
            buckets[(source([1, 2], client.to_be(), 32) % 16) as usize] += 1;
        }
        assert!(buckets.iter().all(|&n| (850..1150).contains(&n)), "{buckets:?}");
    }

    #[test]
    fn only_the_prefix_counts() {
        let a = u32::from_ne_bytes([192, 0, 2, 1]);
        let b = u32::from_ne_bytes([192, 0, 2, 200]);
        assert_eq!(source([1, 2], a, 24), source([1, 2], b, 24));
        assert_ne!(source([1, 2], a, 32), source([1, 2], b, 32));
    }
}
