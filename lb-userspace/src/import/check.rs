//! Health checks: one for a service here, one for each server elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use super::candidate::is_udp;
use super::report::{Id, Ledger};
use crate::config::format_duration;
use crate::model::{HealthCheck, PortUse, Probe, Protocol, ServiceAddress, Shared};

/// Bounds of the model.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
/// Most probes in a row.
const MOST_PROBES: u32 = 1000;

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// What can be done here.
    Known(Shared<Probe>),
    /// Something else: what it is, for the report.
    Other(String),
}

impl Wish {
    /// A TCP connection.
    pub(super) fn tcp() -> Self {
        Self::Known(Shared::default())
    }
}

/// A check of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) statement: Id,
    pub(super) probe: Wish,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) rise: u32,
    pub(super) fall: u32,
    /// Where to connect; `None`: the server's port.
    pub(super) port: Option<u16>,
    /// Between two probes while it is not clear yet whether the server changed.
    pub(super) fast_interval: Option<Duration>,
}

impl Checked {
    /// Whether another check does the same, wherever it is written.
    fn is_like(&self, other: &Self) -> bool {
        Self { statement: other.statement, ..self.clone() } == *other
    }
}

/// The check of a service whose servers have these, each with the server's statement; the first one counts. `server_port`: the port
/// that all of them have.
pub(super) fn of_service(
    at: &ServiceAddress,
    checks: &[(Id, Option<&Checked>)],
    server_port: Option<u16>,
    ledger: &mut Ledger,
) -> Option<HealthCheck> {
    let first = checks.iter().find_map(|(_, check)| *check)?;
    for (statement, check) in checks {
        match check {
            None => ledger.changed(
                *statement,
                "this server was not checked; a service has one check, so that now it is",
            ),
            Some(check) if !check.is_like(first) => ledger.changed(
                check.statement,
                "this check differs from the service's first one; a service has one check: the first counts",
            ),
            Some(_) => {}
        }
    }
    let mut health = HealthCheck { port: first.port, ..HealthCheck::default() };
    match &first.probe {
        Wish::Known(probe) => {
            let other_family = |source: &IpAddr| source.is_ipv4() != at.address.is_ipv4();
            let source = probe.source.filter(|source| !other_family(source));
            if source != probe.source {
                ledger.changed(
                    first.statement,
                    "its source address is of another family than the servers, and left out",
                );
            }
            health.probe = Shared::from(Probe { source, ..Probe::clone(probe) });
        }
        Wish::Other(what) if is_udp(at) && first.port.is_none() => {
            ledger.dropped(
                first.statement,
                format!("there is no such check as {what}: its servers are not checked"),
            );
            return None;
        }
        Wish::Other(what) => {
            ledger.changed(
                first.statement,
                format!("there is no such check as {what}: a TCP connection is opened instead"),
            );
        }
    }
    match (health.probe.port_use(), at.protocol) {
        (PortUse::None, _) => health.port = None,
        (PortUse::Tcp, Protocol::Udp) | (PortUse::Udp, Protocol::Tcp) if health.port.is_none() => {
            health.port = server_port;
        }
        _ => {}
    }
    if health.port.is_none() && health.probe.port_use() == PortUse::Tcp && is_udp(at) {
        ledger.dropped(
            first.statement,
            "a UDP service is checked at a port of its own: its servers are not checked",
        );
        return None;
    }
    times(first, &mut health, ledger);
    Some(health)
}

/// Times and numbers, within what the model takes.
fn times(check: &Checked, health: &mut HealthCheck, ledger: &mut Ledger) {
    health.interval = milliseconds(check.interval).clamp(INTERVAL.0, INTERVAL.1);
    health.timeout = milliseconds(check.timeout).clamp(Duration::from_millis(1), health.interval);
    let fast = check.fast_interval.map(|fast| milliseconds(fast).max(Duration::from_millis(10)));
    health.fast_interval = fast.filter(|fast| *fast < health.interval);
    if let Some(slow) = fast.filter(|fast| *fast > health.interval) {
        ledger.changed(
            check.statement,
            format!(
                "while a server changes it was checked every {}; here it is every {}, as always",
                format_duration(slow),
                format_duration(health.interval)
            ),
        );
    }
    health.rise = check.rise.clamp(1, MOST_PROBES);
    health.fall = check.fall.clamp(1, MOST_PROBES);
    let taken = (health.interval, health.timeout, health.rise, health.fall);
    if taken != (check.interval, check.timeout, check.rise, check.fall) {
        ledger.changed(
            check.statement,
            format!(
                "a check now has interval {}, timeout {} (at most the interval), rise {}, fall {}",
                format_duration(health.interval),
                format_duration(health.timeout),
                health.rise,
                health.fall
            ),
        );
    }
}

/// A duration without what is shorter than a millisecond.
fn milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
