//! What an event is: a kind, attributes, and a number.

use std::{borrow::Cow, fmt, net::IpAddr};

use crate::model::{Keyword, Timestamp, keyword::keyword};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Services, and how the backends of one do together.
    Service,
    /// Backends: what the operator wants of them, and what they are in the maps.
    Backend,
    /// What health checks found.
    Health,
    /// The desired state as a whole, and whether the maps hold it.
    Config,
    /// Maps that somebody else changed.
    Drift,
    /// Virtual routers.
    Vrrp,
    /// The other machine that flows are replicated with.
    Replication,
    /// Flows. Those that begin and end are told only to those who ask for the topic.
    Flow,
    /// Who is let in.
    Admission,
    /// Packets that somebody captures.
    Capture,
}

keyword!(Topic {
    Service = "service",
    Backend = "backend",
    Health = "health",
    Config = "config",
    Drift = "drift",
    Vrrp = "vrrp",
    Replication = "replication",
    Flow = "flow",
    Admission = "admission",
    Capture = "capture",
});

macro_rules! kinds {
    ($($kind:ident = $word:literal, $topic:ident, $about:literal, [$($attribute:ident),*];)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = $about] $kind),+
        }

        keyword!(Kind { $($kind = $word),+ });

        impl Kind {
            /// What it is about.
            #[must_use]
            pub fn topic(self) -> Topic {
                match self {
                    $(Self::$kind => Topic::$topic),+
                }
            }

            /// When there is such an event, for the documentation.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$kind => $about),+
                }
            }

            /// The attributes that it has, beside `topic` and `kind`; those without a value are left out.
            #[must_use]
            pub fn attributes(self) -> &'static [Attribute] {
                match self {
                    $(Self::$kind => &[$(Attribute::$attribute),*]),+
                }
            }
        }
    };
}

kinds! {
    ServiceAdded = "service-added", Service, "A service was added.", [Service, Address];
    ServiceChanged = "service-changed", Service, "A service has another configuration, its backends apart.", [Service, Address];
    ServiceRemoved = "service-removed", Service, "A service was removed.", [Service, Address];
    ServicePool = "service-pool", Service,
        "The backends of a service do better or worse together: normal, backup, panic.", [Service, From, To, Healthy, Wanted];
    BackendAdded = "backend-added", Backend, "A backend was added.", [Service, Backend, Address, To];
    BackendChanged = "backend-changed", Backend, "A backend has another configuration.", [Service, Backend, Address];
    BackendRemoved = "backend-removed", Backend, "A backend was removed.", [Service, Backend, Address, From];
    BackendState = "backend-state", Backend,
        "A backend has another state in the maps: active, draining, down, disabled.", [Service, Backend, Address, From, To, Reason];
    BackendDrained = "backend-drained", Backend, "The last flow of a backend that is drained has ended.", [Service, Backend, Address];
    BackendDrainExpired = "backend-drain-expired", Backend,
        "The deadline of a drain is over, and there are flows left.", [Service, Backend, Address, Flows];
    HealthUp = "health-up", Health, "The checks of a backend succeed.", [Service, Backend, Address, From, To];
    HealthDown = "health-down", Health, "The checks of a backend fail.", [Service, Backend, Address, From, To, Reason];
    HealthSuspect = "health-suspect", Health,
        "Clients' connections show that a backend may be down: it is checked at once.", [Service, Backend, Reason];
    HealthCleared = "health-cleared", Health, "That check of a suspect succeeds.", [Service, Backend];
    ConfigChanged = "config-changed", Config, "The desired state is another one.", [Services, Unsaved];
    ConfigUnconfirmed = "config-unconfirmed", Config, "What was applied waits to be confirmed.", [Until];
    ConfigSettled = "config-settled", Config, "What was applied was confirmed or taken back.", [];
    ConfigProblem = "config-problem", Config, "The maps do not hold the desired state.", [Reason];
    ConfigApplied = "config-applied", Config, "The maps hold the desired state again.", [];
    DriftRepaired = "drift-repaired", Drift, "Somebody else had changed the maps, which were put right.", [Count];
    SourceBlocked = "source-blocked", Admission,
        "A source is blocked for all services by request, or for another time.", [Prefix, Until, Reason];
    SourceUnblocked = "source-unblocked", Admission, "A source is blocked no more.", [Prefix];
    SourcesChanged = "sources-changed", Admission,
        "Many sources at once are blocked or blocked no more; `count` are blocked by request.", [Count];
    AdmissionRefusing = "admission-refusing", Admission,
        "A service begins to refuse packets: each drop reason by itself, such as source-denied or source-full.", [Service, Reason, Count];
    AdmissionCalm = "admission-calm", Admission,
        "It has refused none for a minute; `count` were refused.", [Service, Reason, Count];
    SynCookiesBegan = "syn-cookies-began", Admission,
        "A service has too many half-open connections: its SYNs are answered by cookies.", [Service];
    SynCookiesEnded = "syn-cookies-ended", Admission,
        "They are not any more; `count` were answered.", [Service, Count];
    VrrpState = "vrrp-state", Vrrp,
        "A virtual router has another state: initialize, fault, backup, active.", [Router, From, To, Reason, Address];
    VrrpSwitchover = "vrrp-switchover", Vrrp,
        "A planned switchover goes on: handing-over, no-successor, standby, standby-forced, none.", [Router, From, To];
    VrrpPeerActive = "vrrp-peer-active", Vrrp, "Another machine is heard that says it is active.", [Router, Address, Priority];
    VrrpPeerSilent = "vrrp-peer-silent", Vrrp,
        "It is not heard any more, or says that it stops; a backup says nothing.", [Router, Address, Priority];
    VrrpConflict = "vrrp-conflict", Vrrp,
        "Another machine announced a VIP (`address`) that is active here; it is announced again.", [Router, Address];
    ReplicationPeerHeard = "replication-peer-heard", Replication, "The machine that flows are replicated with is heard.", [Address];
    ReplicationPeerSilent = "replication-peer-silent", Replication, "It has not been heard for a second.", [Address];
    ReplicationSynced = "replication-synced", Replication, "This machine has all flows of the other one.", [Address];
    FlowBegan = "flow-began", Flow, "A flow is seen for the first time. Only where the topic is asked for.",
        [Service, Backend, Address, Protocol, Client, Port, State];
    FlowEnded = "flow-ended", Flow, "A flow was closed or reset, or its time-out is over. Only where the topic is asked for.",
        [Service, Backend, Address, Protocol, Client, Port, Reason];
    FlowUntold = "flow-untold", Flow, "So many flows more began or ended, and are not told one by one. For all who ask for the topic.", [Count];
    FlowKilled = "flow-killed", Flow, "Flows were ended by request (`lbctl flow kill`); `reason` says which.", [Count, Reason];
    CaptureBegan = "capture-began", Capture, "Somebody captures packets (`lbctl capture`); `reason` is the filter.", [Who, Reason];
    CaptureEnded = "capture-ended", Capture, "That ended; `count` packets were captured.", [Who, Count, Reason];
}

impl Kind {
    /// Whether it is told only to those who ask for its topic, and not kept for those who come later: there may be thousands in a second.
    #[must_use]
    pub fn is_on_request(self) -> bool {
        matches!(self, Self::FlowBegan | Self::FlowEnded | Self::FlowUntold)
    }
}

/// A property of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribute {
    /// A [`Topic`]; every event has it.
    Topic,
    /// A [`Kind`]; every event has it.
    Kind,
    /// Name of a service.
    Service,
    /// Name of a backend.
    Backend,
    /// Address of the service, the backend or the other machine.
    Address,
    /// What was before.
    From,
    /// What is from here on.
    To,
    /// Why.
    Reason,
    /// Backends that are healthy.
    Healthy,
    /// Backends that are wanted.
    Wanted,
    /// Flows that are left.
    Flows,
    /// Services.
    Services,
    /// Whether the desired state differs from the file: `true` or `false`.
    Unsaved,
    /// A moment, RFC 3339.
    Until,
    /// An address or a network.
    Prefix,
    /// How many.
    Count,
    /// Name of a virtual router.
    Router,
    /// Priority of a virtual router on another machine.
    Priority,
    /// `tcp` or `udp`.
    Protocol,
    /// Address of a client.
    Client,
    /// Port of a client.
    Port,
    /// State of a flow.
    State,
    /// Who asked for it: a user of this machine, or an address.
    Who,
}

keyword!(Attribute {
    Topic = "topic",
    Kind = "kind",
    Service = "service",
    Backend = "backend",
    Address = "address",
    From = "from",
    To = "to",
    Reason = "reason",
    Healthy = "healthy",
    Wanted = "wanted",
    Flows = "flows",
    Services = "services",
    Unsaved = "unsaved",
    Until = "until",
    Prefix = "prefix",
    Count = "count",
    Router = "router",
    Priority = "priority",
    Protocol = "protocol",
    Client = "client",
    Port = "port",
    State = "state",
    Who = "who",
});

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// Something that happened, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: Kind,
    attributes: Vec<(Attribute, Value)>,
}

impl Notice {
    /// A notice with no attributes but `topic` and `kind`.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let attributes =
            vec![(Attribute::Topic, kind.topic().as_str().into()), (Attribute::Kind, kind.as_str().into())];
        Self { kind, attributes }
    }

    /// With one more attribute.
    #[must_use]
    pub fn with(mut self, attribute: Attribute, value: impl Into<Value>) -> Self {
        debug_assert!(self.kind.attributes().contains(&attribute), "{} has no {attribute}", self.kind);
        self.attributes.push((attribute, value.into()));
        self
    }

    /// The attributes in the order in which they were given; `topic` and `kind` come first.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (Attribute, &Value)> {
        self.attributes.iter().map(|(attribute, value)| (*attribute, value))
    }

    /// The value of an attribute.
    #[must_use]
    pub fn value(&self, attribute: Attribute) -> Option<&Value> {
        self.attributes.iter().find(|(other, _)| *other == attribute).map(|(_, value)| value)
    }
}

/// A notice with its place among all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// One more than that of the event before; greater than all of earlier runs of `lbd`. Of kinds that are told on request only: that
    /// of the last other event.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub notice: Notice,
}
