//! Which backend a client had.

use super::Backend;

/// Key of `AFFINITY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AffinityKey {
    /// The first [`super::Service::affinity_prefix`] bits of the client's address, wire order; IPv4 in the first word.
    pub client: [u32; 4],
    /// Id of the service.
    pub service: u32,
}

/// The backend that a client of a service had: element of `AFFINITY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Id of the backend.
    pub backend: u32,
    /// [`Self::place_of`] the backend: an id may have been given to another one since.
    pub place: u32,
    /// Tick in which the client's last flow began.
    pub seen: u32,
    /// 0.
    pub reserved: u32,
}

impl Affinity {
    /// A number that tells a backend's address and port from those of others.
    #[inline(always)]
    #[must_use]
    pub fn place_of(backend: &Backend) -> u32 {
        let [a, b, c, d] = backend.addr;
        let folded = a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24);
        // Fibonacci hashing (Knuth, The Art of Computer Programming 6.4), so that ports and addresses do not cancel out.
        folded.wrapping_mul(0x9e37_79b1) ^ u32::from(backend.port)
    }
}
