//! The desired state: what the operator wants, as checked types.
//!
//! A [`Draft`] holds everything in plain fields and may be edited freely; [`Draft::check`] turns it into a [`Config`], which
//! can only be read. Whatever holds a `Config` need not check anything again. Health is not part of it: see [`HealthView`].

mod address;
mod admission;
mod algorithm;
mod api_tcp;
mod backend;
mod check;
mod config;
mod health;
mod invalid;
pub(crate) mod keyword;
mod name;
mod path;
mod pool;
mod probe;
mod replication;
mod service;
mod shared;
mod suggest;
mod timestamp;
mod vrrp;
mod vrrp_track;

pub use address::{AddressKind, address_kind};
pub use admission::{FlowRates, SourceList};
pub use algorithm::Algorithm;
pub use api_tcp::{ApiListener, ApiTcp, TlsFiles};
pub use backend::{AdminState, Backend, DEFAULT_WEIGHT, Drain, DrainEnd};
pub use check::{check_services, largest_prime};
pub use config::{
    AnswerRates, Config, Draft, LatencyMetrics, Limits, SnatPorts, TableFull, Timeouts, XdpMode,
};
pub use health::{Damping, Finding, Findings, Health, HealthCheck, HealthView, Passive, Reason};
pub use invalid::{Invalid, InvalidDraft, Problem};
pub use keyword::{Keyword, UnknownKeyword};
pub use name::{BackendName, InterfaceName, NameError, RouterName, ServiceName};
pub use path::{Path, Segment};
pub use pool::{Condition, Pool, Share, Standing};
pub use probe::{
    BodyMatch, ClientCertificate, DnsProbe, DnsTransport, Form, GrpcProbe, HttpProbe, PROBE_KEYS, Pattern,
    Payload, PortUse, Probe, ProbeKey, ProbeKind, ProbeSettings, ProbeType, SCRIPT_USER, ScriptProbe,
    Setting, StatusSet, TlsSettings, UdpExpect, UdpProbe,
};
pub use replication::Replication;
pub use service::{
    DEFAULT_SLOTS, MAX_SLOTS, MAX_SNAT_ADDRESSES, Mode, OnDown, OnFull, Protocol, Service, ServiceAddress,
    SynCookies,
};
pub use shared::Shared;
pub use suggest::nearest;
pub use timestamp::{Timestamp, TimestampError};
pub use vrrp::{Notify, VirtualRouter, VrrpChecksum};
pub use vrrp_track::{Quorum, Track, TrackedFile, TrackedInterface, TrackedScript, TrackedService};

#[cfg(test)]
pub(crate) use probe::{examples as probe_examples, probe_of, settings_of, text_setting};
