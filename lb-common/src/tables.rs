//! The maps, as the pipeline sees them.

use core::ops::Deref;

use crate::{
    Action,
    abi::{
        AclKey, AclRule, Address, Admission, Affinity, AffinityKey, Answer, Backend, BackendLimits, Buckets,
        Cookie, CookieCount, CookieSecret, Event, Floating, Flow, FlowKey, FragmentKey, FragmentPorts,
        Interface, Latency, Mac, NextHop, Origin, Places, Relay, Service, ServiceKey, Signal, Source,
        SourceKey, Stamp, SynCookies,
    },
};

/// Which of the two tiers of the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Flows that forged packets can begin: without an answer yet, or of UDP, whose client said nothing after it. Only they can be pushed out
    /// by a flood.
    Embryonic,
    /// Flows whose client is known to get the answers.
    Established,
}

/// What to do when a key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// Overwrite.
    Any,
    /// Refuse.
    IfAbsent,
}

/// A flow entry in its map. Fields are written one by one: two CPUs may hold the two directions of a flow at once.
pub trait FlowEntry<A> {
    /// All fields.
    fn load(&self) -> Flow<A>;
    /// [`NextHop::link`] of its next hop, by one load.
    fn link(&self) -> u64;
    /// Sets `last_seen`.
    fn set_last_seen(&self, tick: u32);
    /// Sets `state`.
    fn set_state(&self, state: u8);
    /// Sets `next_hop`.
    fn set_next_hop(&self, next_hop: NextHop);
    /// Clears [`crate::abi::FlowFlags`] bits atomically; the flags as they were.
    fn clear_flags(&self, bits: u8) -> u8;
}

/// What one source has of a service, in place.
pub trait SourceEntry {
    /// As it is at this moment.
    fn load(&self) -> Source;
    /// Keeps when one of its buckets is full again.
    fn set_full_at(&self, of: Metered, full_at: u64);
    /// Takes a place of its flows, and one of those that nobody answered, whatever the limits are; what it had before.
    fn take(&self) -> Source;
    /// Takes that back.
    fn untake(&self);
    /// Gives places back.
    fn give_back(&self, gone: Gone);
}

/// The maps of one address family.
pub trait AddressTables<A: Address> {
    /// A handle of an entry, valid until the packet is done.
    type Entry: FlowEntry<A>;

    /// Looks a flow up.
    fn flow(&self, tier: Tier, key: &FlowKey<A>) -> Option<Self::Entry>;
    /// Stores a flow; false if the table refused it.
    fn insert_flow(&self, tier: Tier, key: &FlowKey<A>, flow: &Flow<A>, how: Insert) -> bool;
    /// Removes a flow if it is there.
    fn remove_flow(&self, tier: Tier, key: &FlowKey<A>);
    /// The last tick at which an answered flow found no room in [`Tier::Established`]; 0: never.
    fn full_at(&self) -> u32;
    /// Keeps it.
    fn set_full_at(&self, tick: u32);
    /// Looks a service up, without a fallback to port 0.
    fn service(&self, key: &ServiceKey<A>) -> Option<Service>;
    /// What the longest prefix says that holds an address.
    fn acl(&self, key: &AclKey<A>) -> Option<AclRule>;
    /// Whose backend sends from an address and port.
    fn origin(&self, key: &ServiceKey<A>) -> Option<Origin<A>>;
    /// What a connection that began with a cookie differs by, by the key of the client's packets.
    fn cookie(&self, key: &FlowKey<A>) -> Option<Cookie>;
    /// Keeps it; false if the table is full.
    fn set_cookie(&self, key: &FlowKey<A>, cookie: &Cookie) -> bool;
    /// The ports recorded for a fragmented packet.
    fn fragment(&self, key: &FragmentKey<A>) -> Option<FragmentPorts>;
    /// Records the ports of a fragmented packet.
    fn insert_fragment(&self, key: &FragmentKey<A>, ports: &FragmentPorts);
    /// Tells `lbd` that a flow comes to a state, by one of its entries; lost if the ring is full.
    fn tell_flow(&self, key: &FlowKey<A>, flow: &Flow<A>, state: u8);
    /// Asks the host's routing table.
    fn fib_lookup(&self, query: &FibQuery<A>) -> FibResult;
}

/// A question to the routing table: where would this host send a packet of its own like this? (So that no forwarding sysctl
/// has to be set on the interfaces.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FibQuery<A> {
    /// Source address, wire order.
    pub src: A,
    /// Destination address, wire order.
    pub dst: A,
    /// IP protocol number.
    pub proto: u8,
}

/// The routing table's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FibResult {
    /// Send it there: to the destination itself. `generation` is 0.
    NextHop(NextHop),
    /// Send it to this router; `generation` is 0.
    Router(NextHop),
    /// The route is known, the link-layer address of its next hop is not.
    NeighbourMissing {
        /// Egress interface.
        ifindex: u32,
        /// Address of the next hop, wire order.
        gateway: [u32; 4],
    },
    /// There is no route, or one that forbids.
    NoRoute,
}

/// What a bucket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metered {
    /// Flows that begin.
    Flows,
    /// Packets from clients.
    Packets,
}

/// What became of a flow that its source has places for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was answered.
    Answered,
    /// It ended after that.
    Ended,
    /// It ended without.
    Unanswered,
}

/// Who has places for flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A backend.
    Backend(u32),
    /// A service.
    Service(u16),
}

/// Index and direction of a traffic count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Service id.
    pub service: u16,
    /// Backend id.
    pub backend: u32,
    /// From the backend to the client.
    pub reverse: bool,
    /// L3 length of the packet in bytes.
    pub bytes: u32,
}

/// All maps, and the few things the environment gives.
pub trait Tables: AddressTables<u32> + AddressTables<[u32; 4]> {
    /// The current tick.
    fn now(&self) -> u32;
    /// A random number.
    fn random(&self) -> u32;

    /// `value` itself, but of a value that the verifier knows nothing of: else it would follow the rest of the packet's way once
    /// for every value that it can tell apart.
    fn opaque(&self, value: usize) -> usize;

    /// Generation of the routing state, see [`crate::abi::Settings::fib_generation`].
    fn fib_generation(&self) -> u32;
    /// Whether no flow begins while the table of established ones is full.
    fn refuses_when_full(&self) -> bool;
    /// Key of the flow hash.
    fn seed(&self) -> [u32; 2];
    /// Idle timeout in ticks of a [`crate::abi::FlowState`].
    fn timeout(&self, state: u8) -> u32;

    /// How many packets of a kind may be sent in a second on each CPU; 0: any number.
    fn answer_rate(&self, kind: Answer) -> u32;
    /// When the [bucket](crate::bucket) of such packets on this CPU is full again.
    fn answers(&self, kind: Answer) -> Option<u64>;
    /// Keeps it.
    fn set_answers(&self, kind: Answer, full_at: u64);

    /// Whether `lbd` wants to be told of flows.
    fn tells_flows(&self) -> bool;
    /// Whether handshakes are timed.
    fn times_handshakes(&self) -> bool;

    /// Whether there are [`Tables::admission`]s.
    fn has_admission(&self) -> bool;
    /// What a service lets in, where it lies; 0: what all of them do.
    fn admission(&self, service: u16) -> Option<impl Deref<Target = Admission>>;
    /// Whether some of them have rates of packets.
    fn has_packet_rates(&self) -> bool;
    /// The buckets of a service.
    fn service_buckets(&self, service: u16) -> Option<Buckets>;
    /// Keeps when one of them is full again.
    fn set_service_bucket(&self, service: u16, of: Metered, full_at: u64);
    /// What a source has. With `make` it is made if it is not there; `None`: there is no room for it.
    fn source(&self, key: &SourceKey, make: bool) -> Option<impl SourceEntry>;
    /// Counts a packet that a service refused, by the number of its [`crate::abi::Refusal`].
    fn count_refusal(&self, service: u16, refusal: u32);

    /// A backend.
    fn backend(&self, id: u32) -> Option<Backend>;
    /// Live flows of a backend.
    fn backend_flows(&self, id: u32) -> u64;
    /// The next hop towards a backend that was found last.
    fn backend_hop(&self, id: u32) -> Option<NextHop>;
    /// Keeps it.
    fn set_backend_hop(&self, id: u32, next_hop: NextHop);
    /// The router that was found last for a client behind an interface.
    fn client_hop(&self, ifindex: u32) -> Option<NextHop>;
    /// Keeps it.
    fn set_client_hop(&self, ifindex: u32, next_hop: NextHop);
    /// The limits of a backend.
    fn limits(&self, backend: u32) -> Option<BackendLimits>;
    /// The places in use.
    fn places(&self, holder: Holder) -> Option<Places>;
    /// Takes a place, whatever the limit is; those in use without it.
    fn take_place(&self, holder: Holder) -> Option<Places>;
    /// Takes back that a place was taken.
    fn untake_place(&self, holder: Holder);
    /// Gives a place back.
    fn return_place(&self, holder: Holder);

    /// The backend that a client had.
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity>;
    /// Sets `seen` of it, if it is there.
    fn touch_affinity(&self, key: &AffinityKey, tick: u32);
    /// Remembers the backend of a client.
    fn set_affinity(&self, key: &AffinityKey, affinity: &Affinity);

    /// Counts a flow begun.
    fn count_flow(&self, service: u16, backend: u32);
    /// Counts what a packet says of a backend's health.
    fn count_signal(&self, backend: u32, signal: Signal);
    /// A stamp of `HANDSHAKES`.
    fn stamp(&self, index: u32) -> Option<Stamp>;
    /// Writes it.
    fn set_stamp(&self, index: u32, stamp: Stamp);
    /// Adds a latency to those of a backend, in units of [`Stamp::UNIT_SHIFT`].
    fn count_latency(&self, backend: u32, what: Latency, units: u32);
    /// Element `index` of a service's slot table, see [`crate::maps::slot_position`].
    fn slot_element(&self, service: u16, index: u32) -> Option<[u32; 2]>;
    /// Takes the next number of a service's rotation.
    fn rotate(&self, service: u16) -> u32;

    /// Whether an address may be a VIP, a SNAT address or a backend; if not, it is none.
    fn may_be_own(&self, words: [u32; 4]) -> bool;

    /// A SNAT address in wire order.
    fn snat_address(&self, index: u32) -> Option<[u32; 4]>;
    /// Lowest and highest port that may be allocated.
    fn port_range(&self) -> (u16, u16);
    /// [`crate::abi::Settings::own_ports`].
    fn own_ports(&self) -> u64;
    /// A word of the port pools.
    fn port_word(&self, index: u32) -> Option<u64>;
    /// Sets bits of a word atomically; the word as it was before.
    fn port_word_set(&self, index: u32, bits: u64) -> Option<u64>;

    /// An interface; `None` beyond the table.
    fn interface(&self, ifindex: u32) -> Option<Interface>;
    /// Whether frames to the MAC address of a virtual router are taken at an interface.
    fn is_virtual_mac(&self, ifindex: u32, mac: Mac) -> bool;

    /// The present time, `CLOCK_MONOTONIC` in nanoseconds.
    fn nanos(&self) -> u64;
    /// An address that VRRP holds.
    fn floating(&self, address: &[u32; 4]) -> Option<Floating>;
    /// Notes of such an address that another machine has it ([`Floating::claimed`]).
    fn claim(&self, address: &[u32; 4]);
    /// Which other machine had an address until a moment ago.
    fn relay(&self, address: &[u32; 4]) -> Option<Relay>;

    /// The state of a service's cookies.
    fn syn_cookies(&self, service: u16) -> Option<SynCookies>;
    /// Keeps it, but for the counts.
    fn set_syn_cookies(&self, service: u16, state: &SynCookies);
    /// Counts a cookie.
    fn count_cookie(&self, service: u16, what: CookieCount);
    /// What all services' cookies have in common.
    fn cookie_secret(&self) -> Option<CookieSecret>;

    /// Counts a packet of a flow.
    fn count_traffic(&self, traffic: &Traffic);
    /// Counts a drop, by the number of its [`crate::abi::DropReason`].
    fn count_drop(&self, reason: u32);
    /// Counts a frame that arrived, and what became of it.
    fn count_received(&self, ifindex: u32, bytes: u32, action: Action);
    /// Counts a frame that is sent.
    fn count_sent(&self, ifindex: u32, bytes: u32);
    /// Tells `lbd` something; lost if the ring is full.
    fn emit(&self, event: &Event);
}
