//! `bind`: where a proxy listens.

use std::net::IpAddr;

use super::lines::{Line, Section};
use crate::import::Options;
use crate::import::report::{Id, Ledger};
use crate::model::{Protocol, ServiceAddress};

/// Most ports of a range.
const MOST_PORTS: usize = 1024;

/// An address that a proxy listens on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bind {
    pub(super) id: Id,
    pub(super) at: ServiceAddress,
}

/// The addresses of all `bind` lines of a section.
pub(super) fn of_section(section: &Section, options: &Options, ledger: &mut Ledger) -> Vec<Bind> {
    let mut binds = Vec::new();
    for line in section.lines.iter().filter(|line| line.word(0) == "bind") {
        ledger.used(line.id);
        if let Some(reason) = refusal(line) {
            ledger.dropped(line.id, reason);
            continue;
        }
        parameters(line, ledger);
        for address in line.word(1).split(',') {
            match places(address, options) {
                Ok(places) => {
                    binds.extend(places.into_iter().map(|at| Bind { id: line.id, at }));
                }
                Err(reason) => ledger.dropped(line.id, format!("{address}: {reason}")),
            }
        }
    }
    if binds.is_empty() {
        ledger.dropped(
            section.head.id,
            "no address that it listens on can be imported: no service is made of it",
        );
    }
    binds
}

/// Why a line cannot become a service at all.
fn refusal(line: &Line) -> Option<&'static str> {
    let has = |word: &str| line.words.iter().skip(2).any(|other| other == word);
    if has("ssl") {
        return Some("TLS ends here, which a layer 4 balancer cannot do: the backends would have to do it");
    }
    if has("accept-proxy") {
        return Some("a PROXY header is expected, which is not understood");
    }
    None
}

fn parameters(line: &Line, ledger: &mut Ledger) {
    let mut words = line.words.iter().skip(2).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "transparent"
            | "v4v6"
            | "v6only"
            | "defer-accept"
            | "tfo"
            | "accept-netscaler-cip"
            | "strict-sni" => {
                ledger.changed(line.id, format!("`{word}` is about a listening socket: there is none here"));
            }
            "interface" => {
                let name = words.next().unwrap_or_default();
                ledger.changed(
                    line.id,
                    format!("`interface {name}`: a service is on all interfaces of the configuration"),
                );
            }
            "maxconn" => {
                let limit = words.next().unwrap_or_default();
                ledger.changed(line.id, format!("`maxconn {limit}`: there is no such limit of a listener"));
            }
            _ => {
                let value = words.next().unwrap_or_default();
                ledger.changed(
                    line.id,
                    format!("`{word} {value}` has no counterpart; the address is imported"),
                );
            }
        }
    }
}

/// The services of an address such as `10.0.0.1:80`, `*:80`, `:80`, `[::1]:8000-8010`, `ipv4@10.0.0.1:80`.
fn places(text: &str, options: &Options) -> Result<Vec<ServiceAddress>, String> {
    let text = match text.split_once('@') {
        Some(("ipv4" | "tcp" | "tcp4" | "ipv6" | "tcp6", rest)) => rest,
        Some((kind, _)) => return Err(format!("`{kind}` is no TCP socket")),
        None => text,
    };
    if text.starts_with('/') {
        return Err("a Unix socket is no address of a service".to_owned());
    }
    let (host, ports) = text.rsplit_once(':').ok_or("expected an address and a port")?;
    let address = match host.trim_start_matches('[').trim_end_matches(']') {
        "" | "*" | "0.0.0.0" | "::" => options
            .vip
            .ok_or("every address of the machine; a service has one: give it with --vip ADDRESS")?,
        host => host.parse::<IpAddr>().map_err(|_| "names are not resolved; expected an address")?,
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        return Err("expected a port from 1 to 65535".to_owned());
    };
    let ports = first..=last;
    if ports.is_empty() || ports.len() > MOST_PORTS {
        return Err(format!("expected 1 to {MOST_PORTS} ports; port 0 of a service is every port"));
    }
    Ok(ports.map(|port| ServiceAddress { address, protocol: Protocol::Tcp, port }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_ports() {
        let options = Options { vip: "203.0.113.1".parse().ok(), ..Options::default() };
        let shown = |text: &str, options: &Options| {
            places(text, options).map(|places| places.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("10.0.0.1:80", vec!["tcp 10.0.0.1:80"]),
            ("ipv4@10.0.0.1:80", vec!["tcp 10.0.0.1:80"]),
            ("[2001:db8::1]:80", vec!["tcp [2001:db8::1]:80"]),
            ("2001:db8::1:80", vec!["tcp [2001:db8::1]:80"]),
            ("*:80-81", vec!["tcp 203.0.113.1:80", "tcp 203.0.113.1:81"]),
            (":80", vec!["tcp 203.0.113.1:80"]),
        ] {
            assert_eq!(shown(text, &options).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "80",
            "unix@/x:1",
            "/var/run/x:1",
            "host:80",
            "10.0.0.1:0",
            "10.0.0.1:9-1",
            "10.0.0.1:1-65535",
            ":x",
        ] {
            assert!(places(text, &options).is_err(), "{text}");
        }
        assert!(places("*:80", &Options::default()).unwrap_err().contains("--vip"));
    }
}
