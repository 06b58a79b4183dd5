//! Options of health checks.

use std::net::IpAddr;

use clap::Args as ClapArgs;

use super::values::{address, words};
use crate::api::Health;
use crate::model::ProbeType;

/// How the backends of a service are checked.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Health check")]
pub struct HealthOptions {
    /// What is done to a backend; tcp unless given.
    #[arg(id = "health_type", long = "health-type", value_name = "TYPE", value_parser = words::<ProbeType>())]
    pub probe_type: Option<String>,
    /// Time between two health checks, such as 1s.
    #[arg(id = "health_interval", long = "health-interval", value_name = "DURATION")]
    pub interval: Option<String>,
    /// Time a health check may take, such as 500ms.
    #[arg(id = "health_timeout", long = "health-timeout", value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Successful checks in a row that bring a backend back.
    #[arg(id = "health_rise", long = "health-rise", value_name = "COUNT")]
    pub rise: Option<u32>,
    /// Failed checks in a row that take a backend out.
    #[arg(id = "health_fall", long = "health-fall", value_name = "COUNT")]
    pub fall: Option<u32>,
    /// Port that is checked instead of the backend's.
    #[arg(id = "health_port", long = "health-port", value_name = "PORT")]
    pub port: Option<u16>,
    /// Whether clients' SYNs that are unanswered or refused, and ICMP errors, have a backend checked at once.
    #[arg(id = "health_passive", long = "health-passive", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub passive: Option<bool>,
    /// Time over which they are counted, such as 3s.
    #[arg(id = "health_passive_window", long = "health-passive-window", value_name = "DURATION")]
    pub passive_window: Option<String>,
    /// How many of them there must be.
    #[arg(id = "health_passive_count", long = "health-passive-count", value_name = "COUNT")]
    pub passive_count: Option<u32>,
    /// Percentage of all SYNs that those unanswered or refused must be.
    #[arg(id = "health_passive_percent", long = "health-passive-percent", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub passive_percent: Option<u8>,
    /// Address that checks are sent from.
    #[arg(id = "health_source", long = "health-source", value_name = "ADDRESS", value_parser = address)]
    pub source: Option<IpAddr>,
    /// Method of the request (http, https).
    #[arg(id = "health_method", long = "health-method", value_name = "METHOD")]
    pub method: Option<String>,
    /// Path of the request (http, https).
    #[arg(id = "health_path", long = "health-path", value_name = "PATH")]
    pub path: Option<String>,
    /// The header Host, or :authority (http, https, grpc).
    #[arg(id = "health_host", long = "health-host", value_name = "HOST")]
    pub host: Option<String>,
    /// Status codes of a healthy backend, such as 200-299,404 (http, https).
    #[arg(id = "health_expect_status", long = "health-expect-status", value_name = "CODES")]
    pub expect_status: Option<String>,
    /// Text that must be in the first 64 KiB of the body (http, https).
    #[arg(id = "health_expect_body", long = "health-expect-body", value_name = "TEXT")]
    pub expect_body: Option<String>,
    /// Regular expression that must match in the first 64 KiB of the body (http, https).
    #[arg(id = "health_expect_body_regex", long = "health-expect-body-regex", value_name = "REGEX")]
    pub expect_body_regex: Option<String>,
    /// Whether redirects to the same scheme and host are followed (http, https).
    #[arg(id = "health_follow_redirects", long = "health-follow-redirects", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub follow_redirects: Option<bool>,
    /// Service that is asked for; empty: the server as a whole (grpc).
    #[arg(id = "health_grpc_service", long = "health-grpc-service", value_name = "TEXT")]
    pub grpc_service: Option<String>,
    /// Whether TLS is spoken (grpc).
    #[arg(id = "health_tls", long = "health-tls", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub tls: Option<bool>,
    /// Name that is sent and that the certificate must have (https, grpc).
    #[arg(id = "health_tls_server_name", long = "health-tls-server-name", value_name = "TEXT")]
    pub tls_server_name: Option<String>,
    /// PEM file of the authorities that are trusted; those of the system if left out (https, grpc).
    #[arg(id = "health_tls_ca_file", long = "health-tls-ca-file", value_name = "PATH")]
    pub tls_ca_file: Option<String>,
    /// PEM file of the client certificate (https, grpc).
    #[arg(id = "health_tls_cert_file", long = "health-tls-cert-file", value_name = "PATH")]
    pub tls_cert_file: Option<String>,
    /// PEM file of the client certificate's key (https, grpc).
    #[arg(id = "health_tls_key_file", long = "health-tls-key-file", value_name = "PATH")]
    pub tls_key_file: Option<String>,
    /// Whether the backend's certificate is verified (https, grpc).
    #[arg(id = "health_tls_verify", long = "health-tls-verify", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub tls_verify: Option<bool>,
    /// Name that is asked for (dns).
    #[arg(id = "health_query_name", long = "health-query-name", value_name = "TEXT")]
    pub query_name: Option<String>,
    /// Type that is asked for, such as AAAA (dns).
    #[arg(id = "health_query_type", long = "health-query-type", value_name = "TEXT")]
    pub query_type: Option<String>,
    /// Result code of a healthy backend, such as NOERROR (dns).
    #[arg(id = "health_expect_rcode", long = "health-expect-rcode", value_name = "TEXT")]
    pub expect_rcode: Option<String>,
    /// Data that one of the records must have (dns).
    #[arg(id = "health_expect_answer", long = "health-expect-answer", value_name = "TEXT")]
    pub expect_answer: Option<String>,
    /// udp or tcp (dns).
    #[arg(id = "health_transport", long = "health-transport", value_name = "TEXT")]
    pub transport: Option<String>,
    /// Datagram as text (udp).
    #[arg(id = "health_send", long = "health-send", value_name = "TEXT")]
    pub send: Option<String>,
    /// Datagram in hexadecimal digits (udp).
    #[arg(id = "health_send_hex", long = "health-send-hex", value_name = "HEX")]
    pub send_hex: Option<String>,
    /// What the answer must begin with, as text (udp).
    #[arg(id = "health_expect", long = "health-expect", value_name = "TEXT")]
    pub expect: Option<String>,
    /// What the answer must begin with, in hexadecimal digits (udp).
    #[arg(id = "health_expect_hex", long = "health-expect-hex", value_name = "HEX")]
    pub expect_hex: Option<String>,
    /// Regular expression that must match in the answer (udp).
    #[arg(id = "health_expect_regex", long = "health-expect-regex", value_name = "REGEX")]
    pub expect_regex: Option<String>,
    /// Absolute path of a program (script).
    #[arg(id = "health_script", long = "health-script", value_name = "PATH")]
    pub script: Option<String>,
    /// Its arguments (script); several: repeat it.
    #[arg(id = "health_arg", long = "health-arg", value_name = "TEXT", allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// The unprivileged user it runs as (script).
    #[arg(id = "health_user", long = "health-user", value_name = "USER")]
    pub user: Option<String>,
}

impl HealthOptions {
    /// The body of a request.
    #[must_use]
    pub fn body(&self) -> Health {
        let this = self.clone();
        Health {
            interval: this.interval,
            timeout: this.timeout,
            rise: this.rise,
            fall: this.fall,
            port: this.port,
            passive: this.passive,
            passive_window: this.passive_window,
            passive_count: this.passive_count,
            passive_percent: this.passive_percent,
            probe_type: this.probe_type,
            source: this.source.map(|source| source.to_string()),
            method: this.method,
            path: this.path,
            host: this.host,
            expect_status: this.expect_status,
            expect_body: this.expect_body,
            expect_body_regex: this.expect_body_regex,
            follow_redirects: this.follow_redirects,
            grpc_service: this.grpc_service,
            tls: this.tls,
            tls_server_name: this.tls_server_name,
            tls_ca_file: this.tls_ca_file,
            tls_cert_file: this.tls_cert_file,
            tls_key_file: this.tls_key_file,
            tls_verify: this.tls_verify,
            query_name: this.query_name,
            query_type: this.query_type,
            expect_rcode: this.expect_rcode,
            expect_answer: this.expect_answer,
            transport: this.transport,
            send: this.send,
            send_hex: this.send_hex,
            expect: this.expect,
            expect_hex: this.expect_hex,
            expect_regex: this.expect_regex,
            script: this.script,
            args: Some(this.args).filter(|args| !args.is_empty()),
            user: this.user,
            ..Health::default()
        }
    }
}

/// When backends are checked, and what follows from it.
#[derive(Clone, Debug, ClapArgs)]
pub struct HealthRules {
    /// Time between two health checks from the first surprise until the verdict, such as 200ms; 0s: as at other times.
    #[arg(long, value_name = "DURATION")]
    pub health_fast_interval: Option<String>,
    /// How much later than its turn a health check may start, such as 100ms.
    #[arg(long, value_name = "DURATION")]
    pub health_jitter: Option<String>,
    /// How often a backend may go down within --health-flap-window before it is held down; 0: as often as it likes.
    #[arg(long, value_name = "COUNT")]
    pub health_max_flaps: Option<u32>,
    /// Time over which that is counted.
    #[arg(long, value_name = "DURATION")]
    pub health_flap_window: Option<String>,
    /// Time for which it is held down; twice as long each time it goes down again.
    #[arg(long, value_name = "DURATION")]
    pub health_hold_down: Option<String>,
    /// Longest time for which it is held down.
    #[arg(long, value_name = "DURATION")]
    pub health_max_hold_down: Option<String>,
    /// Most backends that may be taken out by their health at once.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_ejected: Option<u8>,
    /// When fewer backends are healthy, all are used; 0: never.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub panic_threshold: Option<u8>,
}
