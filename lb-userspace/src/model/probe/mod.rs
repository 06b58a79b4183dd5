//! What a health check does to a backend.
//!
//! A [`Probe`] is read from, and written as, flat [`ProbeSettings`]: the keys of `[services.health]` that belong to its type.

mod build;
mod matching;
mod parts;
mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;

pub use matching::{BodyMatch, Pattern, Payload, StatusSet, UdpExpect};
pub use settings::{Form, PROBE_KEYS, ProbeKey, ProbeSettings, Setting};

use super::keyword::keyword;
#[cfg(test)]
pub(crate) use tests::{examples, probe as probe_of, settings as settings_of, text as text_setting};

/// How one probe is made. When and how often is the business of [`super::HealthCheck`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Address that probes are sent from; `None`: the one that the route prefers.
    pub source: Option<IpAddr>,
    /// What is done.
    pub kind: ProbeKind,
}

/// What one probe does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProbeKind {
    /// A TCP connection is opened and closed again.
    #[default]
    Tcp,
    /// A request of HTTP/1.1 (RFC 9112).
    Http(HttpProbe),
    /// The same over TLS.
    Https(HttpProbe, TlsSettings),
    /// `grpc.health.v1.Health/Check` over HTTP/2; over TLS if there are settings for it.
    Grpc(GrpcProbe, Option<TlsSettings>),
    /// A DNS query (RFC 1035).
    Dns(DnsProbe),
    /// A datagram, and perhaps an answer.
    Udp(UdpProbe),
    /// An ICMP or ICMPv6 echo.
    Icmp,
    /// A program of the operator.
    Script(ScriptProbe),
}

/// The word for a [`ProbeKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "as in ProbeKind")]
pub enum ProbeType {
    #[default]
    Tcp,
    Http,
    Https,
    Grpc,
    Dns,
    Udp,
    Icmp,
    Script,
}

keyword!(ProbeType {
    Tcp = "tcp",
    Http = "http",
    Https = "https",
    Grpc = "grpc",
    Dns = "dns",
    Udp = "udp",
    Icmp = "icmp",
    Script = "script",
});

/// What a probe needs a port for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortUse {
    /// To connect to over TCP.
    Tcp,
    /// To send datagrams to.
    Udp,
    /// TCP or UDP port of the backend, whichever it has.
    Either,
    /// It tells a script, which may do without.
    Optional,
    /// For nothing.
    None,
}

/// A request and what is expected of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// Method, such as `GET`.
    pub method: String,
    /// Path with its query, from `/`.
    pub path: String,
    /// The header `Host`; `None`: the backend's address and port.
    pub host: Option<String>,
    /// Status codes of a healthy backend.
    pub status: StatusSet,
    /// What the first 64 KiB of the body must hold.
    pub body: Option<BodyMatch>,
    /// Whether redirects within the same scheme and host are followed, to the same backend.
    pub follow_redirects: bool,
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    /// Name that is sent (SNI) and that the certificate must have; `None`: the host if there is one, else the backend's address.
    pub server_name: Option<String>,
    /// PEM file of the authorities that are trusted; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client's certificate chain and of its key.
    pub client: Option<ClientCertificate>,
    /// Whether the backend's certificate is looked at.
    pub verify: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { server_name: None, ca_file: None, client: None, verify: true }
    }
}

/// What the probe shows to a backend that asks who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// PEM file of the chain, its own certificate first.
    pub cert_file: PathBuf,
    /// PEM file of its key.
    pub key_file: PathBuf,
}

/// What is asked over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrpcProbe {
    /// Name of the service as the backend knows it; empty: the server as a whole.
    pub service: String,
    /// The pseudo-header `:authority`; `None`: the backend's address and port.
    pub host: Option<String>,
}

/// A question, and what is expected of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsProbe {
    /// Name that is asked for, without a final dot unless it is the root.
    pub name: String,
    /// Type, such as `AAAA`; numbers without a name are `TYPE123`.
    pub query_type: String,
    /// Result code of a healthy backend, such as `NOERROR`.
    pub rcode: String,
    /// Data that one of the answer's records must have, as in a zone file.
    pub answer: Option<String>,
    /// How it is asked.
    pub transport: DnsTransport,
}

/// How a DNS server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsTransport {
    /// In one datagram.
    #[default]
    Udp,
    /// Over a TCP connection (RFC 7766).
    Tcp,
}

keyword!(DnsTransport { Udp = "udp", Tcp = "tcp" });

/// A datagram, and what is expected back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpProbe {
    /// What is sent.
    pub send: Payload,
    /// What must come back; `None`: nothing need, but an ICMP error must not.
    pub expect: Option<UdpExpect>,
}

/// A program, run as an unprivileged user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptProbe {
    /// Absolute path.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The user it runs as.
    pub user: String,
}

impl Probe {
    /// The word for what it does.
    #[must_use]
    pub const fn probe_type(&self) -> ProbeType {
        match self.kind {
            ProbeKind::Tcp => ProbeType::Tcp,
            ProbeKind::Http(_) => ProbeType::Http,
            ProbeKind::Https(..) => ProbeType::Https,
            ProbeKind::Grpc(..) => ProbeType::Grpc,
            ProbeKind::Dns(_) => ProbeType::Dns,
            ProbeKind::Udp(_) => ProbeType::Udp,
            ProbeKind::Icmp => ProbeType::Icmp,
            ProbeKind::Script(_) => ProbeType::Script,
        }
    }

    /// What it needs a port for.
    #[must_use]
    pub const fn port_use(&self) -> PortUse {
        match &self.kind {
            ProbeKind::Tcp | ProbeKind::Http(_) | ProbeKind::Https(..) | ProbeKind::Grpc(..) => PortUse::Tcp,
            ProbeKind::Dns(_) => PortUse::Either,
            ProbeKind::Udp(_) => PortUse::Udp,
            ProbeKind::Icmp => PortUse::None,
            ProbeKind::Script(_) => PortUse::Optional,
        }
    }

    /// How it speaks TLS, if it does.
    #[must_use]
    pub const fn tls(&self) -> Option<&TlsSettings> {
        match &self.kind {
            ProbeKind::Https(_, tls) => Some(tls),
            ProbeKind::Grpc(_, tls) => tls.as_ref(),
            _ => None,
        }
    }
}

/// The user of a script for which none is named.
pub const SCRIPT_USER: &str = "nobody";
