//! Limits of connections, and who uses up how much of them.

/// Limits of a backend: element of `BACKEND_LIMITS` by its id. Looked at only where [`super::BackendFlags::LIMITED`] is set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendLimits {
    /// Most flows of the backend at once; 0: any number.
    pub connections: u32,
    /// Most flows of all backends of its service at once; 0: any number.
    pub service_connections: u32,
    /// Id of the backend of the service that is tried after this one; 0: none. Those that take flows make a ring.
    pub next: u32,
    /// 0.
    pub reserved: u32,
}

/// Places of a limit: element of `BACKEND_PLACES` by backend id, of `SERVICE_PLACES` by service id. A flow takes a place when it begins
/// and gives it back when it ends: with a FIN of both sides, a RST, or when it is forgotten.
///
/// Two numbers that only rise, so that whoever compares them with the flow tables can tell how many flows ended meanwhile.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Places that were ever taken.
    pub taken: u64,
    /// Places that were ever given back.
    pub returned: u64,
}

impl Places {
    /// Places in use. Below 0 for a moment if the map was made anew while flows were alive.
    #[inline(always)]
    #[must_use]
    pub fn in_use(&self) -> i64 {
        self.taken.wrapping_sub(self.returned).cast_signed()
    }

    /// Whether a limit (0: none) is reached.
    #[inline(always)]
    #[must_use]
    pub fn is_full(&self, limit: u32) -> bool {
        limit != 0 && self.in_use() >= i64::from(limit)
    }
}
