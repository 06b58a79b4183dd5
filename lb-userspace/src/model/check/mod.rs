//! The rules of the configuration (`docs/configuration.md`), each with the path and value of what breaks it.

mod admission;
mod api_tcp;
mod backends;
mod replication;
mod services;
mod vrrp;
mod vrrp_track;

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path as FilePath;
use std::time::Duration;

use super::{AnswerRates, Draft, Invalid, Limits, Path, Problem, Service, Timeouts};

pub use services::{check_services, largest_prime};

/// Longest path of a Unix socket (`sun_path` without its final zero).
const SOCKET_PATH_BYTES: u64 = 107;
/// Most connections of a table: 2^26, 16 GiB.
const MAX_CONNECTIONS: u32 = 1 << 26;

/// Highest rate: one in 100 ns.
const MAX_RATE: u64 = 10_000_000;

/// Everything that is wrong with a draft. Services that `before`, which was checked, has in the same place are not looked at by
/// themselves again.
pub(super) fn check(draft: &Draft, before: Option<&Draft>) -> Vec<Invalid> {
    let mut found = Found::default();
    interfaces(draft, &mut found);
    paths(draft, &mut found);
    api_tcp::check(&draft.api_tcp, &mut found);
    dashboard(draft, &mut found);
    limits(&draft.limits, &mut found);
    timeouts(&draft.timeouts, &mut found);
    snat_ports(draft, &mut found);
    answers(&draft.answers, &mut found);
    admission::global(&draft.acl, &mut found);
    let names: Vec<_> = draft.services.iter().map(|service| &service.name).collect();
    vrrp::check(&draft.vrrp, &draft.interfaces, &names, &mut found);
    if let Some(replication) = &draft.replication {
        replication::check(replication, &mut found);
    }
    let mut all = found.0;
    let services: Vec<(usize, &Service)> =
        draft.services.iter().map(|service| &**service).enumerate().collect();
    // A backend must not have the address of any VIP.
    let before = before.filter(|before| {
        let vips = |draft: &Draft| draft.services.iter().map(|service| service.address).collect::<Vec<_>>();
        vips(before) == vips(draft)
    });
    let known = |index: usize| before.is_some_and(|before| before.services[index].is(&draft.services[index]));
    all.extend(services::check(&services, &draft.limits, known));
    all
}

/// Collects what is wrong.
#[derive(Debug, Default)]
struct Found(Vec<Invalid>);

impl Found {
    fn add(&mut self, path: Path, value: impl Display, problem: Problem) {
        self.0.push(Invalid { path, value: value.to_string(), problem });
    }

    /// Adds [`Problem::OutOfRange`] unless `min <= value <= max`.
    fn range(
        &mut self,
        path: Path,
        value: impl Into<u64>,
        (min, max): (u64, u64),
        what: &'static str,
    ) -> &mut Self {
        let value = value.into();
        if !(min..=max).contains(&value) {
            self.add(path, value, Problem::OutOfRange { what, min, max });
        }
        self
    }
}

/// Who may read the dashboard is not asked there.
fn dashboard(draft: &Draft, found: &mut Found) {
    if let Some(listen) = draft.dashboard_listen.filter(|listen| !listen.ip().is_loopback()) {
        let expected =
            "a loopback address; from elsewhere, use `ssh -L` or a proxy that asks who it is".to_owned();
        let problem = Problem::Not { what: "served to other machines", expected };
        found.add(Path::root().key("dashboard").key("listen"), listen, problem);
    }
}

fn interfaces(draft: &Draft, found: &mut Found) {
    let path = Path::root().key("interfaces");
    if draft.interfaces.is_empty() {
        let (why, expected) = ("traffic arrives there", "a list of one or more interface names");
        found.add(path.clone(), "", Problem::Missing { why, expected });
    }
    for (index, name) in draft.interfaces.iter().enumerate() {
        if let Some(first) = draft.interfaces[..index].iter().position(|other| other == name) {
            let problem = Problem::Duplicate { first: path.index(first), expected: "each interface once" };
            found.add(path.index(index), name, problem);
        }
    }
}

fn paths(draft: &Draft, found: &mut Found) {
    let socket = Path::root().key("api").key("socket");
    absolute(&draft.pin_directory, Path::root().key("pin_directory"), found);
    absolute(&draft.api_socket, socket.clone(), found);
    let length = draft.api_socket.as_os_str().as_bytes().len() as u64;
    if length > SOCKET_PATH_BYTES {
        let expected = format!("at most {SOCKET_PATH_BYTES} bytes");
        let problem = Problem::Not { what: "short enough for a Unix socket", expected };
        found.add(socket, draft.api_socket.display(), problem);
    }
}

fn absolute(value: &FilePath, path: Path, found: &mut Found) {
    if !value.is_absolute() {
        let expected = "one that begins with /".to_owned();
        let problem = Problem::Not { what: "an absolute path", expected };
        found.add(path, format_args!("{:?}", value.display().to_string()), problem);
    }
}

fn limits(limits: &Limits, found: &mut Found) {
    let path = |key: &str| Path::root().key("limits").key(key);
    let connections = (1, u64::from(MAX_CONNECTIONS));
    found
        .range(path("connections_v4"), limits.connections_v4, connections, "a number of connections")
        .range(path("connections_v6"), limits.connections_v6, connections, "a number of connections")
        .range(path("embryonic"), limits.embryonic, connections, "a number of connections")
        .range(path("services"), limits.services, (1, 65_535), "a number of services")
        .range(path("backends"), limits.backends, (1, 1 << 20), "a number of backends")
        .range(path("port_pools"), limits.port_pools, (1, 1 << 16), "a number of port pools")
        .range(path("affinity"), limits.affinity, (1, 1 << 24), "a number of clients")
        .range(path("prefixes"), limits.prefixes, (1, 1 << 24), "a number of prefixes")
        .range(path("sources"), limits.sources, (1, 1 << 24), "a number of sources");
}

fn timeouts(timeouts: &Timeouts, found: &mut Found) {
    for (key, value) in [
        ("tcp_handshake", timeouts.tcp_handshake),
        ("tcp_established", timeouts.tcp_established),
        ("tcp_half_closed", timeouts.tcp_half_closed),
        ("tcp_closing", timeouts.tcp_closing),
        ("tcp_closed", timeouts.tcp_closed),
        ("udp_new", timeouts.udp_new),
        ("udp_established", timeouts.udp_established),
    ] {
        let path = Path::root().key("timeouts").key(key);
        within(value, (1_000, 7 * 86_400_000), "\"1s\" to \"168h\"", path, found);
    }
}

/// Adds a problem unless `value` lies between two numbers of milliseconds.
fn within(value: Duration, (min, max): (u64, u64), expected: &str, path: Path, found: &mut Found) {
    if value < Duration::from_millis(min) || value > Duration::from_millis(max) {
        let problem = Problem::Not { what: "a usable duration here", expected: expected.to_owned() };
        found.add(path, format_args!("{value:?}"), problem);
    }
}

fn answers(answers: &AnswerRates, found: &mut Found) {
    for (key, rate) in [
        ("icmp_errors", answers.icmp_errors),
        ("echo_replies", answers.echo_replies),
        ("resets", answers.resets),
    ] {
        let path = Path::root().key("answers").key(key);
        found.range(path, rate, (0, MAX_RATE), "a number of packets in a second");
    }
}

fn snat_ports(draft: &Draft, found: &mut Found) {
    let ports = draft.snat_ports;
    if ports.min == 0 || ports.min > ports.max {
        let expected = "lowest-highest within 1 to 65535, such as \"1024-32767\"".to_owned();
        let problem = Problem::Not { what: "a port range", expected };
        found.add(
            Path::root().key("snat").key("ports"),
            format_args!("{}-{}", ports.min, ports.max),
            problem,
        );
    }
}
