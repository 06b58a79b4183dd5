//! Why a packet was dropped.

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal),+ $(,)?) => {
        /// Why a packet was dropped: index into `DROPS`, metric label and CLI text in one.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name),+
        }

        impl DropReason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name: metric label, API and CLI text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }

            /// One sentence for operators.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii()),+
                }
            }
        }
    };
}

drop_reasons! {
    /// The frame ends inside a header.
    Truncated = "truncated",
    /// A version, header length or total length that cannot be.
    BadIpHeader = "bad-ip-header",
    /// A TCP data offset or UDP length that cannot be.
    BadL4Header = "bad-l4-header",
    /// More IPv6 extension headers than are followed (6).
    TooManyExtensionHeaders = "too-many-extension-headers",
    /// A fragment came before the first one of its packet, or its packet's first fragment was forgotten.
    FragmentWithoutFirst = "fragment-without-first",
    /// TTL or hop limit would become 0; an ICMP time exceeded is sent where the ingress interface has an address.
    TtlExceeded = "ttl-exceeded",
    /// The service has no backend that takes flows.
    NoBackend = "no-backend",
    /// A RST for a connection that is not known.
    RstWithoutFlow = "rst-without-flow",
    /// A SYN-ACK for a VIP that answers no SYN.
    SynAckWithoutFlow = "syn-ack-without-flow",
    /// An ICMP error for a VIP about a connection that is not known.
    IcmpWithoutFlow = "icmp-without-flow",
    /// An ICMP message for a VIP that quotes no usable packet, or of a type that is not answered.
    BadIcmp = "bad-icmp",
    /// Every source port of the SNAT addresses is in use for the backend.
    PortsExhausted = "ports-exhausted",
    /// Another flow has the same addresses and ports on the backend's side.
    TupleConflict = "tuple-conflict",
    /// The flow table refused the flow: it is full, and nothing of it may go ([limits] table_full).
    FlowTableFull = "flow-table-full",
    /// No route to the destination.
    NoRoute = "no-route",
    /// The next hop's link-layer address is not known yet.
    NeighbourMissing = "neighbour-missing",
    /// The route leads out of an interface the program is not attached to.
    EgressNotAttached = "egress-not-attached",
    /// The packet is larger than the egress MTU; an ICMP error is sent where the ingress interface has an address.
    PacketTooBig = "packet-too-big",
    /// The packet could not be written back; a defect.
    WriteFailed = "write-failed",
    /// A packet of a TCP connection that is ended because its backend was taken out or somebody ended it; its sender gets a RST.
    FlowReset = "flow-reset",
    /// Every backend of the service has as many connections as it may have (max_connections).
    BackendFull = "backend-full",
    /// The service has as many connections as it may have (max_connections).
    ServiceFull = "service-full",
    /// An ARP request or Neighbor Solicitation for a VIP that another machine has taken while `lbd` of this one is gone (VRRP).
    Fenced = "fenced",
    /// The source address is none that a host can send from: loopback, link-local, multicast or reserved.
    MartianSource = "martian-source",
    /// The source address is a VIP or a SNAT address, which nobody connects from.
    OwnSource = "own-source",
    /// The client is the backend that was selected, in mode nat: it would get a packet from its own address.
    Hairpin = "hairpin",
    /// The packet would have been answered by an ICMP error, an echo reply or a RST, of which enough were sent already ([answers]).
    AnswerLimited = "answer-limited",
    /// The source is blocked for all services ([acl], lbctl acl).
    SourceBlocked = "source-blocked",
    /// The service does not let the source in (allow, deny).
    SourceDenied = "source-denied",
    /// More flows of the source than the service lets begin (source_flow_rate).
    SourceLimited = "source-limited",
    /// More flows than the service lets begin (flow_rate).
    ServiceLimited = "service-limited",
    /// The source has as many flows of the service as it may (source_max_connections).
    SourceFull = "source-full",
    /// The source has as many flows that nobody answered as it may (source_max_embryonic).
    SourceEmbryonic = "source-embryonic",
    /// More packets of the source than the service takes (source_packet_rate).
    SourcePackets = "source-packets",
    /// More packets than the service takes (packet_rate).
    ServicePackets = "service-packets",
    /// A packet of a connection that began with a SYN cookie, whose sequence numbers are not known; its sender gets a RST.
    CookieUnknown = "cookie-unknown",
}
