//! `ipvsadm -Sn`: one command in a line, `-A` for a service and `-a` for a server of one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::candidate::{Candidate, CandidateBackend, Found};
use super::report::{Id, Ledger};
use super::{Options, scheduler};
use crate::model::{Protocol, ServiceAddress};

/// Reads the text.
pub(super) fn read(file: &Arc<str>, text: &str, _: &Options, ledger: &mut Ledger) -> Found {
    let mut reader = Reader { services: Vec::new(), refused: Vec::new(), ledger };
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(first) = words.first().filter(|word| !word.starts_with('#')) else { continue };
        let id = reader.ledger.enter(file, number, line.trim());
        match *first {
            "-A" | "--add-service" => reader.service(id, &words[1..]),
            "-a" | "--add-server" => reader.server(id, &words[1..]),
            "-C" | "--clear" => reader.ledger.used(id),
            _ => reader.ledger.dropped(id, "expected a line of `ipvsadm -Sn`, which begins with -A or -a"),
        }
    }
    Found { services: reader.services.into_iter().map(|known| known.candidate).collect(), ..Found::default() }
}

/// What a line is about: protocol and address as they are written.
type Key = (String, String);

/// A service, and whether its scheduler gives all servers the same share.
struct Known {
    key: Key,
    candidate: Candidate,
    unweighted: bool,
}

struct Reader<'a> {
    services: Vec<Known>,
    /// Services that were not imported, and why.
    refused: Vec<(Key, String)>,
    ledger: &'a mut Ledger,
}

/// The options of a line.
#[derive(Debug, Default)]
struct Line {
    key: Option<Key>,
    scheduler: Option<String>,
    flags: Option<String>,
    persistent: bool,
    timeout: Option<String>,
    netmask: Option<String>,
    server: Option<String>,
    method: Option<&'static str>,
    weight: Option<String>,
    /// The upper threshold of connections.
    most: Option<String>,
    /// Options without a counterpart, as they are written.
    foreign: Vec<String>,
}

impl Reader<'_> {
    fn service(&mut self, id: Id, words: &[&str]) {
        let line = Line::parse(words);
        let Some(key) = line.key.clone() else {
            return self.ledger.dropped(id, "expected -t or -u with an address and a port");
        };
        let at = match address(&key) {
            Ok(at) => at,
            Err(reason) => {
                self.ledger.dropped(id, reason.clone());
                return self.refused.push((key, reason));
            }
        };
        self.ledger.used(id);
        let name = format!("{}-{}-{}", at.protocol, at.address, at.port);
        let mut candidate = Candidate::new(id, name, at);
        let wanted = line.scheduler.as_deref().unwrap_or("wlc");
        candidate.algorithm = scheduler::algorithm(wanted, line.flags.as_deref(), id, self.ledger);
        if line.persistent {
            let prefix = line.netmask.as_deref().and_then(scheduler::mask_bits);
            if line.netmask.is_some() && prefix.is_none() {
                self.ledger.changed(id, "its netmask cannot be read: all bits of the client's address count");
            }
            let timeout = line.timeout.as_deref().unwrap_or("360");
            let timeout = scheduler::persistence_time(timeout);
            scheduler::persistent(&mut candidate, prefix, Some(timeout), self.ledger);
        }
        self.foreign(id, &line.foreign);
        self.services.push(Known { key, candidate, unweighted: scheduler::is_unweighted(wanted) });
    }

    fn server(&mut self, id: Id, words: &[&str]) {
        let line = Line::parse(words);
        let (Some(key), Some(server)) = (&line.key, &line.server) else {
            return self.ledger.dropped(id, "expected the service (-t, -u) and the server (-r)");
        };
        if let Some((_, reason)) = self.refused.iter().find(|(refused, _)| refused == key) {
            return self.ledger.dropped(id, format!("its service is not imported: {reason}"));
        }
        let known = self.services.iter_mut().rev().find(|known| known.key == *key);
        let Some(Known { candidate, unweighted, .. }) = known else {
            return self.ledger.dropped(id, "there is no such service before this line");
        };
        let Some((address, port)) = endpoint(server) else {
            return self
                .ledger
                .dropped(id, format!("{server} is not an address with a port (ipvsadm -Sn prints numbers)"));
        };
        let weight = match line.weight.as_deref().map(str::parse) {
            None => Some(1),
            Some(Ok(weight)) => Some(weight),
            Some(Err(_)) => {
                self.ledger.changed(id, "its weight is not a number: it has the default");
                None
            }
        };
        self.ledger.used(id);
        // The schedulers without a w know only 0 and others.
        let weight = if *unweighted { weight.map(|weight: u32| weight.min(1)) } else { weight };
        scheduler::method(line.method.unwrap_or("-g"), id, self.ledger);
        let max_connections = match line.most.as_deref().map(str::parse) {
            None => 0,
            Some(Ok(most)) => most,
            Some(Err(_)) => {
                self.ledger.changed(id, "its upper threshold is not a number: it has no limit");
                0
            }
        };
        let backend = CandidateBackend::new(id, address, port);
        candidate.backends.push(CandidateBackend { weight, max_connections, ..backend });
        self.foreign(id, &line.foreign);
    }

    fn foreign(&mut self, id: Id, options: &[String]) {
        for option in options {
            self.ledger.changed(id, format!("{option} has no counterpart; the rest of the line is imported"));
        }
    }
}

impl Line {
    fn parse(words: &[&str]) -> Self {
        let mut line = Self::default();
        let mut words = words.iter().flat_map(|word| match word.split_once('=') {
            Some((option, value)) if word.starts_with("--") => vec![option, value],
            _ => vec![*word],
        });
        let mut pushed_back = None;
        while let Some(word) = pushed_back.take().or_else(|| words.next()) {
            let mut value = || words.next().unwrap_or_default().to_owned();
            match word {
                "-t" | "--tcp-service" => line.key = Some(("tcp".to_owned(), value())),
                "-u" | "--udp-service" => line.key = Some(("udp".to_owned(), value())),
                "--sctp-service" => line.key = Some(("sctp".to_owned(), value())),
                "-f" | "--fwmark-service" => line.key = Some(("fwmark".to_owned(), value())),
                "-s" | "--scheduler" => line.scheduler = Some(value()),
                "-b" | "--sched-flags" => line.flags = Some(value()),
                "-p" | "--persistent" => {
                    line.persistent = true;
                    // Its value may be left out.
                    match words.next() {
                        Some(next) if next.starts_with('-') => pushed_back = Some(next),
                        next => line.timeout = next.map(str::to_owned),
                    }
                }
                "-M" | "--netmask" => line.netmask = Some(value()),
                "-r" | "--real-server" => line.server = Some(value()),
                "-w" | "--weight" => line.weight = Some(value()),
                "-m" | "--masquerading" => line.method = Some("-m"),
                "-g" | "--gatewaying" => line.method = Some("-g"),
                "-i" | "--ipip" => line.method = Some("-i"),
                "-x" | "--u-threshold" => line.most = Some(value()),
                "-y" | "--l-threshold" => {
                    let limit = value();
                    if limit != "0" {
                        line.foreign.push(format!("{word} {limit}"));
                    }
                }
                "-6" => {}
                "--pe" | "--tun-type" | "--tun-port" => {
                    let value = value();
                    line.foreign.push(format!("{word} {value}"));
                }
                other => line.foreign.push(other.to_owned()),
            }
        }
        line
    }
}

/// The address of a service, or why there is none.
fn address((kind, text): &Key) -> Result<ServiceAddress, String> {
    let protocol = match kind.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => return Err("SCTP is not balanced".to_owned()),
        _ => return Err("a firewall mark has no counterpart: a service has an address and a port".to_owned()),
    };
    let (address, port) = endpoint(text)
        .ok_or_else(|| format!("{text} is not an address with a port (ipvsadm -Sn prints numbers)"))?;
    Ok(ServiceAddress { address, protocol, port })
}

fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let socket = text.parse::<SocketAddr>().map(|socket| (socket.ip(), socket.port()));
    socket.ok().or_else(|| text.parse().ok().map(|address| (address, 0)))
}
