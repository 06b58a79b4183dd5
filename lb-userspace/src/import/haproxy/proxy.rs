//! What a section and its `defaults` set for a service.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::check::{self, is_about_checks};
use super::lines::{Line, Section};
use super::server;
use crate::import::candidate::Candidate;
use crate::import::report::Ledger;
use crate::import::scheduler;
use crate::model::Algorithm;

/// The lines that count for a section, its own before those of its `defaults`.
#[derive(Debug, Default)]
pub(super) struct Settings {
    mode: Option<Line>,
    balance: Option<Line>,
    hash_type: Option<Line>,
    /// What checks do.
    check: check::Lines,
    connect: Option<Duration>,
    timeout_check: Option<Duration>,
    source: Option<Line>,
    stick: Option<Line>,
    stick_table: Option<Line>,
    /// `option allbackups`.
    pub(super) all_backups: bool,
    /// `default-server` of the `defaults`, then of the section.
    pub(super) default_server: Vec<Line>,
}

impl Settings {
    /// What a section sets, and its `defaults`.
    pub(super) fn of(defaults: Option<&Section>, section: &Section) -> Self {
        let mut settings = Self::default();
        defaults.into_iter().chain([section]).for_each(|section| settings.check.take(section));
        for line in defaults.into_iter().chain([section]).flat_map(|section| &section.lines) {
            let duration = || time(line.word(2));
            match (line.word(0), line.word(1)) {
                ("mode", _) => settings.mode = Some(line.clone()),
                ("balance", _) => settings.balance = Some(line.clone()),
                ("hash-type", _) => settings.hash_type = Some(line.clone()),
                ("source", _) => settings.source = Some(line.clone()),
                ("stick", _) => settings.stick = Some(line.clone()),
                ("stick-table", "type") => settings.stick_table = Some(line.clone()),
                ("option", "allbackups") => settings.all_backups = true,
                ("timeout", "connect") => settings.connect = duration(),
                ("timeout", "check") => settings.timeout_check = duration(),
                ("default-server", _) => settings.default_server.push(line.clone()),
                _ => {}
            }
        }
        settings
    }

    /// Whether connections are balanced; that is what HAProxy does where no mode is given.
    pub(super) fn is_tcp(&self) -> bool {
        self.mode.as_ref().is_none_or(|line| line.word(1) == "tcp")
    }

    /// How long a check may take, if that is said.
    pub(super) fn check_timeout(&self) -> Option<Duration> {
        self.timeout_check.or(self.connect)
    }

    /// Accounts for the lines of a section that [`Self::fill`] did not use.
    pub(super) fn account(&self, section: &Section, ledger: &mut Ledger) {
        for line in &section.lines {
            match (line.word(0), line.word(1)) {
                ("mode", "tcp")
                | ("balance" | "server" | "bind" | "default-server" | "default_backend" | "use_backend", _) =>
                    {}
                ("mode", "http") if section.kind() == "defaults" => {}
                ("timeout", "connect" | "check") | ("option", "allbackups") => ledger.used(line.id),
                _ if is_about_checks(line) => {
                    ledger.dropped_if_open(line.id, "no check that was imported goes by it");
                }
                _ => ledger.dropped_if_open(line.id, reason(line)),
            }
            if matches!(line.word(0), "mode" | "balance" | "default-server" | "default_backend") {
                ledger.used(line.id);
            }
        }
    }

    /// Gives a service its algorithm and backends.
    pub(super) fn fill(&self, candidate: &mut Candidate, backend: &Section, ledger: &mut Ledger) {
        self.algorithm(candidate, ledger);
        let source = self.source.as_ref().and_then(|line| Some((line.id, host(line.word(1))?)));
        if let Some((id, address)) = source {
            candidate.snat_addresses = vec![address];
            ledger.changed(id, "it became snat_addresses of the service");
        }
        let servers = || backend.lines.iter().filter(|line| line.word(0) == "server");
        let is_checked = |line: &Line| line.words.iter().any(|word| word == "check");
        let plan = if servers().chain(&self.default_server).any(is_checked) {
            self.check.plan(ledger)
        } else {
            check::Plan::default()
        };
        for line in servers() {
            ledger.used(line.id);
            candidate.backends.extend(server::read(line, self, &plan, candidate.at.port, ledger));
        }
    }

    fn algorithm(&self, candidate: &mut Candidate, ledger: &mut Ledger) {
        let Some(line) = &self.balance else {
            candidate.algorithm = Algorithm::RoundRobin;
            return self.stick(candidate, ledger);
        };
        let consistent = self.hash_type.as_ref().filter(|line| line.word(1) == "consistent");
        consistent.inspect(|line| ledger.used(line.id));
        let consistent = consistent.is_some();
        let (algorithm, difference) = match (line.word(1), line.word(2)) {
            ("roundrobin" | "static-rr", _) => (Algorithm::RoundRobin, None),
            ("leastconn", _) => {
                (Algorithm::LeastConnections, Some("it takes the better of two random choices"))
            }
            ("random" | "random(2)", _) => (Algorithm::LeastConnections, None),
            ("random(1)", _) => (Algorithm::Random, None),
            ("source", _) | ("hash", "src") if consistent => (
                Algorithm::SourceHash,
                Some("it is another hash: clients come to other backends than before"),
            ),
            ("source", _) | ("hash", "src") => (
                Algorithm::SourceHash,
                Some(
                    "it is a consistent hash: clients come to other backends than before, and few move when a backend goes",
                ),
            ),
            ("first", _) => {
                (Algorithm::RoundRobin, Some("there is none that fills one backend after the other"))
            }
            (word, _) if word.starts_with("random(") => {
                (Algorithm::LeastConnections, Some("it takes the better of two random choices"))
            }
            _ => (Algorithm::Maglev, Some("what it goes by is inside the connection")),
        };
        candidate.algorithm = algorithm;
        if let Some(difference) = difference {
            ledger.changed(line.id, format!("it became algorithm `{algorithm}`: {difference}"));
        }
        self.stick(candidate, ledger);
    }

    fn stick(&self, candidate: &mut Candidate, ledger: &mut Ledger) {
        let Some(line) = &self.stick else { return };
        if !line.words.iter().any(|word| word == "src") {
            return;
        }
        let table = self.stick_table.as_ref();
        let expire = table.and_then(|table| {
            let at = table.words.iter().position(|word| word == "expire")?;
            time(table.word(at + 1))
        });
        if let Some(table) = table {
            let reason = "its size is limits.affinity, of all services together; only `expire` became a part of the service";
            ledger.changed(table.id, reason);
        }
        let statement = std::mem::replace(&mut candidate.statement, line.id);
        scheduler::persistent(candidate, None, expire, ledger);
        candidate.statement = statement;
    }
}

/// The address of `10.0.0.1`, `10.0.0.1:0`, `[fd00::3]` or `fd00::3:0`.
fn host(text: &str) -> Option<IpAddr> {
    let bare = |text: &str| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let v4 = text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    v4.or_else(|| bare(text)).or_else(|| {
        let (host, _) = text.rsplit_once(':')?;
        host.parse().ok().or_else(|| bare(host))
    })
}

/// Why a line has no counterpart.
fn reason(line: &Line) -> &'static str {
    match (line.word(0), line.word(1)) {
        ("acl" | "tcp-request" | "tcp-response" | "http-request" | "http-response", _) => {
            "rules need a proxy, which sees what is inside the connections"
        }
        ("timeout", "client" | "server" | "tunnel" | "client-fin" | "server-fin") => {
            "idle times are the same for all services: [timeouts]"
        }
        ("timeout", _) => "there is no such time-out: connections are not ended here",
        ("log" | "log-format" | "log-tag" | "capture", _)
        | ("option", "tcplog" | "dontlognull" | "log-health-checks") => {
            "connections are not logged: see `lbctl flow list` and /metrics"
        }
        ("option", "redispatch") | ("retries" | "retry-on", _) => {
            "a connection that a backend refuses is not tried elsewhere"
        }
        ("maxconn", _) => "a limit of the whole is not imported: see max_connections of the services",
        ("fullconn" | "rate-limit", _) => "there is no such limit",
        ("option", "tcpka" | "clitcpka" | "srvtcpka") => "keep-alives are between client and backend",
        ("stick-table" | "stick", _) => "clients are told apart by their addresses only: `stick on src`",
        ("cookie" | "rspadd" | "reqadd" | "errorfile" | "compression" | "monitor-uri", _) => {
            "it is about requests"
        }
        ("server-template", _) => "names are not resolved: a backend has an address",
        ("stats", _) => "there is no page of statistics: see /metrics",
        ("hash-type", _) => "the hashes are consistent",
        ("source", _) => "expected an address; see snat_addresses",
        ("email-alert", _) => "no mail is sent: alert on /metrics instead",
        ("disabled", _) => "a service cannot be switched off: remove it",
        _ => "this has no counterpart",
    }
}

/// A time of HAProxy: milliseconds unless it has a unit.
pub(super) fn time(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let microseconds: u64 = match unit {
        "us" => 1,
        "" | "ms" => 1000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(microseconds).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_unit_is_in_milliseconds() {
        for (text, expected) in [
            ("2000", Some(2_000_000)),
            ("2s", Some(2_000_000)),
            ("500ms", Some(500_000)),
            ("10us", Some(10)),
            ("1m", Some(60_000_000)),
            ("1d", Some(86_400_000_000)),
            ("s", None),
            ("1.5s", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text), expected.map(Duration::from_micros), "{text}");
        }
    }
}
