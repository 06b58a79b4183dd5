//! A keyed 64-bit digest of a string. Part of the contract between nodes of a cluster: must never change.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The digest of `bytes` under `key`.
pub(super) fn digest(key: u64, bytes: &[u8]) -> u64 {
    let mut state = mix(key ^ MULTIPLIER);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    mix(state ^ bytes.len() as u64)
}

/// Spreads every bit over all bits (the finaliser of MurmurHash3, public domain).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_never_changes() {
        assert_eq!(digest(0, b""), 7_175_312_947_680_778_460);
        assert_eq!(digest(1, b"10.0.0.11:8080"), 13_334_277_973_299_806_816);
    }

    #[test]
    fn key_content_and_length_matter() {
        let all = [digest(0, b"a"), digest(1, b"a"), digest(0, b"b"), digest(0, b"a\0"), digest(0, b"")];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one));
        }
    }
}
