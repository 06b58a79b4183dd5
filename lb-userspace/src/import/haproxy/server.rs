//! `server`: a backend.

use std::net::IpAddr;
use std::time::Duration;

use super::check::{Plan, Tls};
use super::lines::Line;
use super::proxy::{Settings, time};
use crate::import::candidate::CandidateBackend;
use crate::import::check::Checked;
use crate::import::report::Ledger;
use crate::model::AdminState;

/// What a server is checked by if nothing else is said.
const INTER: Duration = Duration::from_secs(2);

/// Words of a server that stand alone.
const FLAGS: [&str; 22] = [
    "agent-check",
    "allow-0rtt",
    "no-agent-check",
    "no-check",
    "no-send-proxy",
    "no-send-proxy-v2",
    "no-ssl",
    "no-ssl-reuse",
    "no-sslv3",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "no-tls-tickets",
    "no-verifyhost",
    "non-stick",
    "stick",
    "tfo",
    "enabled",
    "ssl-reuse",
    "force-tlsv12",
    "force-tlsv13",
];

/// What the words of a server say.
#[derive(Debug, Default)]
struct Words {
    weight: Option<u32>,
    check: bool,
    inter: Option<Duration>,
    rise: Option<u32>,
    fall: Option<u32>,
    port: Option<u16>,
    disabled: bool,
    backup: bool,
    reset: bool,
    slow_start: Option<Duration>,
    fast_interval: Option<Duration>,
    max_connections: u32,
    ssl: bool,
    /// Of its checks.
    tls: Tls,
    /// What has no counterpart, and why.
    foreign: Vec<String>,
}

/// Reads a server of a service with this port; `None` if it cannot be imported, which is reported.
pub(super) fn read(
    line: &Line,
    settings: &Settings,
    plan: &Plan,
    service_port: u16,
    ledger: &mut Ledger,
) -> Option<CandidateBackend> {
    let (address, port) = match endpoint(line.word(2), service_port) {
        Ok(endpoint) => endpoint,
        Err(reason) => {
            ledger.dropped(line.id, reason);
            return None;
        }
    };
    let mut words = Words::default();
    for defaults in &settings.default_server {
        ledger.used(defaults.id);
        words.read(defaults.words.get(1..).unwrap_or_default());
        for reason in words.foreign.drain(..) {
            ledger.changed(defaults.id, reason);
        }
    }
    words.read(line.words.get(3..).unwrap_or_default());
    if words.ssl {
        ledger
            .dropped(line.id, "HAProxy speaks TLS to it, which a layer 4 balancer cannot do for the client");
        return None;
    }
    for reason in words.foreign.drain(..) {
        ledger.changed(line.id, reason);
    }
    let check = if words.check {
        let interval = words.inter.unwrap_or(INTER);
        let probe = plan.wish(line.id, &words.tls, (address, port), ledger);
        probe.map(|probe| Checked {
            statement: line.id,
            probe,
            interval,
            timeout: settings.check_timeout().map_or(interval, |timeout| timeout.min(interval)),
            rise: words.rise.unwrap_or(2),
            fall: words.fall.unwrap_or(3),
            port: words.port.or(plan.port()).filter(|wanted| *wanted != port),
            fast_interval: words.fast_interval,
        })
    } else {
        None
    };
    if words.tls.check && !words.check {
        ledger.changed(line.id, "`check-ssl` means nothing without `check`");
    }
    if words.backup && !settings.all_backups {
        ledger.changed(line.id, "`backup`: all backups take flows then, not only the first one");
    }
    Some(CandidateBackend {
        name: Some(line.word(1).to_owned()),
        weight: words.weight,
        state: if words.disabled { AdminState::Disabled } else { AdminState::Enabled },
        backup: words.backup,
        slow_start: words.slow_start.unwrap_or_default(),
        reset: words.reset,
        max_connections: words.max_connections,
        check,
        ..CandidateBackend::new(line.id, address, port)
    })
}

impl Words {
    fn read(&mut self, words: &[String]) {
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "check" => self.check = true,
                "no-check" => self.check = false,
                "disabled" => self.disabled = true,
                "enabled" => self.disabled = false,
                "ssl" => self.ssl = true,
                "no-ssl" => self.ssl = false,
                "backup" => self.backup = true,
                "no-backup" => self.backup = false,
                "send-proxy"
                | "send-proxy-v2"
                | "send-proxy-v2-ssl"
                | "send-proxy-v2-ssl-cn"
                | "check-send-proxy" => {
                    self.foreign(format!(
                        "`{word}`: no PROXY header is sent: the backend must not expect one; in mode `nat` it sees the client's address by itself"
                    ));
                }
                "check-ssl" => self.tls.check = true,
                "no-check-ssl" => self.tls.check = false,
                "check-via-socks4" => self.foreign(format!("`{word}`: the check goes to the server itself")),
                word if FLAGS.contains(&word) => self.foreign(format!("`{word}` has no counterpart")),
                word => {
                    let value = words.next().unwrap_or_default();
                    self.pair(word, value);
                }
            }
        }
    }

    fn pair(&mut self, word: &str, value: &str) {
        let number = value.parse::<u32>().ok();
        let known = match word {
            "weight" => number.map(|number| self.weight = Some(number)),
            "inter" => time(value).map(|time| self.inter = Some(time)),
            "rise" => number.map(|number| self.rise = Some(number)),
            "fall" => number.map(|number| self.fall = Some(number)),
            "port" => value.parse().ok().filter(|port| *port > 0).map(|port| self.port = Some(port)),
            "fastinter" => time(value).map(|time| self.fast_interval = Some(time)),
            "downinter" => {
                return self
                    .foreign(format!("`{word} {value}`: a check has the same interval while it fails"));
            }
            "verify" | "ca-file" | "crt" | "check-sni" | "verifyhost" => self.tls.take(word, value),
            "slowstart" => time(value).map(|time| self.slow_start = Some(time)),
            "maxconn" => number.map(|number| {
                self.max_connections = number;
                if number > 0 {
                    self.foreign(format!(
                        "`{word} {value}`: it became max_connections: what is beyond goes to the other backends, and is not queued"
                    ));
                }
            }),
            "maxqueue" | "minconn" => {
                return self.foreign(format!("`{word} {value}`: connections are not queued"));
            }
            "addr" => return self.foreign(format!("`addr {value}`: the backend's own address is checked")),
            "on-marked-down" => (value == "shutdown-sessions").then(|| self.reset = true),
            "resolvers" | "init-addr" | "resolve-prefer" | "resolve-net" | "resolve-opts" => {
                return self.foreign(format!("`{word} {value}`: names are not resolved"));
            }
            _ => return self.foreign(format!("`{word} {value}` has no counterpart")),
        };
        if known.is_none() {
            self.foreign(format!("`{word} {value}` cannot be read"));
        }
    }

    fn foreign(&mut self, reason: impl Into<String>) {
        self.foreign.push(reason.into());
    }
}

/// Address and port of a server; without a port, the one the client used.
fn endpoint(text: &str, service_port: u16) -> Result<(IpAddr, u16), String> {
    let text = match text.split_once('@') {
        Some(("ipv4" | "ipv6" | "tcp" | "tcp4" | "tcp6", rest)) => rest,
        Some((kind, _)) => return Err(format!("`{kind}@` is no TCP address")),
        None => text,
    };
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    // An IPv6 address without a port has more than one colon, too, and HAProxy takes its last part for the port.
    if let (Ok(address), false) = (bare.parse::<IpAddr>(), !text.starts_with('[') && text.contains(':')) {
        return Ok((address, service_port));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse().map_err(|_| {
        format!("`{text}` is not an address with a port: names are not resolved, sockets and variables not understood")
    })?;
    match port {
        "" => Ok((address, service_port)),
        port if port.starts_with(['+', '-']) => offset(service_port, port).map(|port| (address, port)),
        port => match port.parse() {
            Ok(port) => Ok((address, port)),
            Err(_) => Err(format!("{port} is not a port; expected 1 to 65535")),
        },
    }
}

/// A port relative to the client's.
fn offset(service_port: u16, text: &str) -> Result<u16, String> {
    let offset: i32 = text.parse().map_err(|_| format!("{text} is not an offset of a port"))?;
    u16::try_from(i32::from(service_port).saturating_add(offset))
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("{text} leads to no port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_an_address_and_maybe_a_port() {
        for (text, expected) in [
            ("10.0.0.1:8080", Some(("10.0.0.1", 8080))),
            ("10.0.0.1", Some(("10.0.0.1", 80))),
            ("10.0.0.1:+1000", Some(("10.0.0.1", 1080))),
            ("ipv4@10.0.0.1:81", Some(("10.0.0.1", 81))),
            ("[2001:db8::1]:81", Some(("2001:db8::1", 81))),
            ("[2001:db8::1]", Some(("2001:db8::1", 80))),
            ("2001:db8::1:81", Some(("2001:db8::1", 81))),
            ("app.example:81", None),
            ("unix@/run/x", None),
            ("10.0.0.1:-80", None),
            ("10.0.0.1:99999", None),
            ("", None),
        ] {
            let found = endpoint(text, 80).ok();
            assert_eq!(found, expected.map(|(host, port)| (host.parse().unwrap(), port)), "{text}");
        }
    }
}
