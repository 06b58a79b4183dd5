//! Who may begin flows, how many in a second, and how many at once.

use super::Places;

/// Key of the `ACL` tables (`LPM_TRIE`): a prefix of a list.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AclKey<A> {
    /// Bits of `data` that count: [`AclData::LIST_BITS`] and those of the address.
    pub bits: u32,
    /// What they are of.
    pub data: AclData<A>,
}

/// What the bits of an [`AclKey`] are of, the first bit of the first byte first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AclData<A> {
    /// Number of the list; 0 is never one.
    pub list: u32,
    /// An address, wire order; what is beyond the prefix is 0.
    pub addr: A,
}

impl<A> AclData<A> {
    /// Bits of the list's number.
    pub const LIST_BITS: u32 = 32;
    /// All bits there are.
    pub const ALL_BITS: u32 = 8 * size_of::<Self>() as u32;
}

/// What a prefix of a list says.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AclRule {
    /// The last tick at which it counts; 0: it always does. Where it counts no more, a shorter prefix does.
    pub until: u32,
    /// 1: the source is let in; 0: it is not.
    pub allow: u16,
    /// Bits of the address that the prefix has.
    pub bits: u16,
}

impl AclRule {
    /// Whether it counts at a tick.
    #[inline(always)]
    #[must_use]
    pub const fn counts(&self, now: u32) -> bool {
        self.until == 0 || now <= self.until
    }
}

/// What a service lets in: element of `ADMISSION`, by the id of the service. Element 0 has the list that is for all services.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Number of its list; 0: it has none.
    pub list: u32,
    /// [`AdmissionFlags`] bits.
    pub flags: u32,
    /// Most flows that begin in a second; 0: any number.
    pub flow_rate: u32,
    /// How many of them may begin at once.
    pub flow_burst: u32,
    /// Most flows of one source that begin in a second; 0: any number.
    pub source_rate: u32,
    /// How many of them may begin at once.
    pub source_burst: u32,
    /// Bits of a client's address that are one source.
    pub source_prefix: u32,
    /// Most flows of one source at once; 0: any number.
    pub source_flows: u32,
    /// Most flows of one source at once that nobody answered yet; 0: any number.
    pub source_embryonic: u32,
    /// Most packets from clients in a second; 0: any number.
    pub packet_rate: u32,
    /// How many of them may come at once.
    pub packet_burst: u32,
    /// Most packets of one source in a second; 0: any number.
    pub source_packet_rate: u32,
    /// How many of them may come at once.
    pub source_packet_burst: u32,
    /// 0.
    pub reserved: u32,
}

impl Admission {
    /// Everything.
    pub const NONE: Self = Self {
        list: 0,
        flags: 0,
        flow_rate: 0,
        flow_burst: 0,
        source_rate: 0,
        source_burst: 0,
        source_prefix: 0,
        source_flows: 0,
        source_embryonic: 0,
        packet_rate: 0,
        packet_burst: 0,
        source_packet_rate: 0,
        source_packet_burst: 0,
        reserved: 0,
    };

    /// Whether a source's flows are counted.
    #[inline(always)]
    #[must_use]
    pub const fn counts_flows(&self) -> bool {
        self.source_flows | self.source_embryonic != 0
    }

    /// Whether clients' packets are counted, also those of flows that are there.
    #[inline(always)]
    #[must_use]
    pub const fn counts_packets(&self) -> bool {
        self.packet_rate | self.source_packet_rate != 0
    }
}

/// Bits of [`Admission::flags`].
#[derive(Debug)]
pub struct AdmissionFlags;

impl AdmissionFlags {
    /// Who is not on the list is not let in.
    pub const LISTED_ONLY: u32 = 1;
}

/// Whose flows and packets an element of `SOURCES` is about.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// The first bits of the client's address, wire order; IPv4 in the first word.
    pub addr: [u32; 4],
    /// Id of the service.
    pub service: u32,
}

/// What one source has of a service: element of `SOURCES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// When the [bucket](crate::bucket) of flows that begin is full again.
    pub flows_full_at: u64,
    /// When the bucket of packets is full again.
    pub packets_full_at: u64,
    /// Places of its flows; counted only where there is a limit.
    pub flows: Places,
    /// Places of those that nobody answered yet.
    pub embryonic: Places,
}

/// Service-wide buckets: element of `SERVICE_BUCKETS`, by the id of the service.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// When the [bucket](crate::bucket) of flows that begin is full again.
    pub flows_full_at: u64,
    /// When the bucket of packets is full again.
    pub packets_full_at: u64,
}

/// Packets of a service that were refused: element of `SERVICE_REFUSALS`, by the id of the service, one for each CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// By [`Refusal`].
    pub counts: [u64; 8],
}

impl Refusals {
    /// How many were refused for a reason.
    #[must_use]
    pub const fn of(&self, refusal: Refusal) -> u64 {
        self.counts[refusal as usize]
    }
}

impl core::ops::AddAssign for Refusals {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }
}

/// Why a service refuses a packet.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The source is on the list that is for all services.
    Blocked = 0,
    /// The service's own list does not let it in.
    Denied = 1,
    /// Too many flows of its source begin.
    SourceLimited = 2,
    /// Too many flows of the service begin.
    ServiceLimited = 3,
    /// The source has as many flows as it may.
    SourceFull = 4,
    /// The source has as many flows that nobody answered as it may.
    SourceEmbryonic = 5,
    /// Too many packets of its source.
    SourcePackets = 6,
    /// Too many packets for the service.
    ServicePackets = 7,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Blocked,
        Self::Denied,
        Self::SourceLimited,
        Self::ServiceLimited,
        Self::SourceFull,
        Self::SourceEmbryonic,
        Self::SourcePackets,
        Self::ServicePackets,
    ];

    /// The drop reason.
    #[inline(always)]
    #[must_use]
    pub const fn reason(self) -> super::DropReason {
        match self {
            Self::Blocked => super::DropReason::SourceBlocked,
            Self::Denied => super::DropReason::SourceDenied,
            Self::SourceLimited => super::DropReason::SourceLimited,
            Self::ServiceLimited => super::DropReason::ServiceLimited,
            Self::SourceFull => super::DropReason::SourceFull,
            Self::SourceEmbryonic => super::DropReason::SourceEmbryonic,
            Self::SourcePackets => super::DropReason::SourcePackets,
            Self::ServicePackets => super::DropReason::ServicePackets,
        }
    }
}
