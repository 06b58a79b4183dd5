//! What the JSON of a health check looks like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{Address, Duration, Word};
use crate::model::ProbeType;

/// Parameters of a health check. In a request, what is left out takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Between the starts of two probes, such as `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub interval: Option<String>,
    /// How long an answer may take, such as `500ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub timeout: Option<String>,
    /// Successes in a row that bring a backend back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rise: Option<u32>,
    /// Failures in a row that take it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fall: Option<u32>,
    /// Port that is checked; the backend's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Between two probes from the first outcome that contradicts what is known until the verdict; `0s`: as `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub fast_interval: Option<String>,
    /// How much later than its turn a probe may start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub jitter: Option<String>,
    /// How often a backend may go down within `flap_window` before it is held down; 0: as often as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_flaps: Option<u32>,
    /// Over which that is counted; for each that it stays up it is trusted a step more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub flap_window: Option<String>,
    /// For how long it is held down the first time; then twice as long each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub hold_down: Option<String>,
    /// For how long it is held down at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub max_hold_down: Option<String>,
    /// Percentage of the service's backends that may be taken out at once, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub max_ejected: Option<u8>,
    /// When a smaller percentage of the backends is healthy, all are used; 0: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub panic_threshold: Option<u8>,
    /// Whether clients' SYNs that are unanswered or refused, and ICMP errors, have a backend checked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<bool>,
    /// Over which they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Duration>")]
    pub passive_window: Option<String>,
    /// How many there must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive_count: Option<u32>,
    /// Percentage of all SYNs that those unanswered or refused must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub passive_percent: Option<u8>,
    /// What is done: `tcp` (if left out), `http`, `https`, `grpc`, `dns`, `udp`, `icmp` or `script`. The keys below `source` belong
    /// to some types only.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word<ProbeType>>")]
    pub probe_type: Option<String>,
    /// Address that probes are sent from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub source: Option<String>,
    /// Method of the request (http, https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path of the request (http, https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The header `Host`, or `:authority` (http, https, grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Status codes of a healthy backend, such as `200-299,404` (http, https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_status: Option<String>,
    /// Text that must be in the first 64 KiB of the body (http, https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_body: Option<String>,
    /// Regular expression that must match in the first 64 KiB of the body (http, https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_body_regex: Option<String>,
    /// Whether redirects to the same scheme and host are followed (http, https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<bool>,
    /// Service that is asked for; empty: the server as a whole (grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<String>,
    /// Whether TLS is spoken (grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Name that is sent and that the certificate must have (https, grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// PEM file of the authorities that are trusted; those of the system if left out (https, grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<String>,
    /// PEM file of the client certificate (https, grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<String>,
    /// PEM file of the client certificate's key (https, grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<String>,
    /// Whether the backend's certificate is verified (https, grpc).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_verify: Option<bool>,
    /// Name that is asked for (dns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_name: Option<String>,
    /// Type that is asked for, such as `AAAA` (dns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_type: Option<String>,
    /// Result code of a healthy backend, such as `NOERROR` (dns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_rcode: Option<String>,
    /// Data that one of the records must have (dns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_answer: Option<String>,
    /// `udp` or `tcp` (dns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// Datagram as text (udp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// Datagram in hexadecimal digits (udp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_hex: Option<String>,
    /// What the answer must begin with, as text (udp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// What the answer must begin with, in hexadecimal digits (udp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_hex: Option<String>,
    /// Regular expression that must match in the answer (udp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_regex: Option<String>,
    /// Absolute path of a program (script).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Its arguments (script).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// The unprivileged user it runs as (script).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}
