//! Layouts of former versions, as far as `lbd` migrates from them.

use super::Address;

/// A flow of the first form of layout 1, which had the source MAC address in each flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow<A> {
    /// As [`super::Flow::src`].
    pub src: A,
    /// As [`super::Flow::dst`].
    pub dst: A,
    /// As [`super::Flow::sport`].
    pub sport: u16,
    /// As [`super::Flow::dport`].
    pub dport: u16,
    /// As [`super::Flow::l3_delta`].
    pub l3_delta: u16,
    /// As [`super::Flow::l4_delta`].
    pub l4_delta: u16,
    /// Where the packet goes.
    pub next_hop: NextHop,
    /// As [`super::Flow::backend`].
    pub backend: u32,
    /// As [`super::Flow::last_seen`].
    pub last_seen: u32,
    /// As [`super::Flow::service`].
    pub service: u16,
    /// As [`super::Flow::state`].
    pub state: u8,
    /// As [`super::Flow::flags`].
    pub flags: u8,
}

/// A resolved next hop of the first form of layout 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// As [`super::NextHop::dmac`].
    pub dmac: [u8; 6],
    /// Source MAC address.
    pub smac: [u8; 6],
    /// Egress interface.
    pub ifindex: u32,
    /// As [`super::NextHop::generation`].
    pub generation: u32,
}

impl<A: Address> From<Flow<A>> for super::Flow<A> {
    fn from(former: Flow<A>) -> Self {
        let Flow { src, dst, sport, dport, l3_delta, l4_delta, next_hop, backend, last_seen, .. } = former;
        let Flow { service, state, flags, .. } = former;
        let next_hop = next_hop.into();
        Self {
            src,
            dst,
            sport,
            dport,
            l3_delta,
            l4_delta,
            next_hop,
            backend,
            last_seen,
            service,
            state,
            flags,
        }
    }
}

impl From<NextHop> for super::NextHop {
    /// An interface that has no place in the present form becomes "not known": the next packet looks the way up.
    fn from(NextHop { dmac, ifindex, generation, .. }: NextHop) -> Self {
        match u16::try_from(ifindex) {
            Ok(ifindex) => Self { dmac, ifindex, generation },
            Err(_) => Self::default(),
        }
    }
}
