//! Checkers: how a `real_server` is found healthy.

use std::net::IpAddr;
use std::time::Duration;

use super::kinds;
use super::tree::Node;
use crate::import::check::{Checked, Wish};
use crate::import::report::{Id, Ledger};
use crate::model::ProbeType;

/// What a virtual server sets for its real servers, and these for their checkers.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    delay_loop: Option<Duration>,
    connect_timeout: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    /// The header `Host` of HTTP checks.
    host: Option<(Id, String)>,
}

/// Whether a statement is one of [`Defaults`], or of the same kind.
pub(super) fn is_default(word: &str) -> bool {
    matches!(
        word,
        "delay_loop" | "connect_timeout" | "retry" | "nb_get_retry" | "delay_before_retry" | "warmup"
    )
}

/// Whether a statement is a checker.
pub(super) fn is_checker(word: &str) -> bool {
    word.ends_with("_CHECK") || matches!(word, "HTTP_GET" | "SSL_GET")
}

impl Defaults {
    /// These, with what a block says.
    pub(super) fn with(&self, node: &Node, ledger: &mut Ledger) -> Self {
        let mut own = self.clone();
        let host = node.children().iter().rev().find(|child| child.word(0) == "virtualhost");
        if let Some(host) = host.filter(|_| !is_checker(node.word(0))) {
            own.host = Some((host.id, host.word(1).to_owned()));
        }
        for child in node.children().iter().filter(|child| is_default(child.word(0))) {
            let value = child.word(1);
            let timer = timer(value);
            let known = match child.word(0) {
                "delay_loop" => timer.map(|timer| own.delay_loop = Some(timer)),
                "connect_timeout" => timer.map(|timer| own.connect_timeout = Some(timer)),
                "delay_before_retry" => timer.map(|timer| own.delay_before_retry = Some(timer)),
                "warmup" => {
                    ledger.dropped(child.id, "the first checks are spread over the interval by themselves");
                    continue;
                }
                _ => value.parse().ok().map(|retry| own.retry = Some(retry)),
            };
            match known {
                Some(()) => ledger.used(child.id),
                None => ledger.dropped(child.id, "expected a number"),
            }
        }
        own
    }
}

/// Seconds, with a fraction or without.
fn timer(word: &str) -> Option<Duration> {
    let seconds: f64 = word.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|timer| *timer < Duration::from_secs(1 << 32))
}

/// What every checker can say.
#[derive(Debug, Default)]
struct Common {
    /// Where to connect, if it is not the server's port.
    port: Option<u16>,
    source: Option<IpAddr>,
    timeout: Option<Duration>,
}

impl Common {
    /// Takes a statement; false: it is one of the checker's own.
    fn take(&mut self, child: &Node, server_port: u16, ledger: &mut Ledger) -> bool {
        match child.word(0) {
            "connect_port" => match child.word(1).parse() {
                Ok(wanted) => {
                    ledger.used(child.id);
                    self.port = Some(wanted).filter(|port| *port != server_port && *port != 0);
                }
                Err(_) => ledger.dropped(child.id, "expected a port"),
            },
            "bindto" => match child.word(1).parse() {
                Ok(source) => {
                    ledger.used(child.id);
                    self.source = Some(source);
                }
                Err(_) => ledger.dropped(child.id, "expected an address"),
            },
            "connect_ip" => ledger.dropped(child.id, "the backend's own address is checked"),
            "bind_port" | "bind_if" | "fwmark" => {
                ledger.dropped(child.id, "how a check is sent is left to the routing table (see source)");
            }
            "alpha" | "log_all_failures" => {
                ledger.dropped(
                    child.id,
                    "backends are taken to be healthy until checks say otherwise, and each change is logged",
                );
            }
            "misc_timeout" => match timer(child.word(1)) {
                Some(timeout) => {
                    ledger.used(child.id);
                    self.timeout = Some(timeout);
                }
                None => ledger.dropped(child.id, "expected a number"),
            },
            word => return is_default(word),
        }
        true
    }
}

/// Reads a checker of a server.
pub(super) fn read(
    node: &Node,
    defaults: &Defaults,
    server: (IpAddr, u16),
    ledger: &mut Ledger,
) -> Option<Checked> {
    ledger.used(node.id);
    let own = defaults.with(node, ledger);
    let kind = node.word(0);
    let mut common = Common::default();
    let rest: Vec<&Node> =
        node.children().iter().filter(|child| !common.take(child, server.1, ledger)).collect();
    let host = own.host.as_ref().map(|(id, host)| (*id, host.as_str()));
    let wanted = match kind {
        "BFD_CHECK" | "FILE_CHECK" => {
            ledger.dropped_block(
                node.id,
                node.inside(),
                "there is no such check, and nothing that comes near it",
            );
            return None;
        }
        "HTTP_GET" | "SSL_GET" => Some(kinds::http(node, host, &rest, ledger)),
        "DNS_CHECK" => Some(kinds::dns(node, &rest, ledger)),
        "MISC_CHECK" => Some(kinds::misc(node, server, &rest, ledger)?),
        "UDP_CHECK" => Some(kinds::udp(node, &rest, ledger)),
        "TCP_CHECK" => Some(kinds::plain(node, ProbeType::Tcp, &rest, ledger)),
        "PING_CHECK" => Some(kinds::plain(node, ProbeType::Icmp, &rest, ledger)),
        _ => {
            kinds::plain(node, ProbeType::Tcp, &rest, ledger);
            None
        }
    };
    let probe = match wanted {
        Some(mut wanted) => {
            if let Some(source) = common.source {
                wanted.send_from(source);
            }
            Wish::Known(wanted.build(node.id, ledger)?.into())
        }
        None => Wish::Other(kind.to_owned()),
    };
    let interval = own.delay_loop.unwrap_or(Duration::from_secs(60));
    // A program has as long as there is between two of its runs.
    let timeout = if kind == "MISC_CHECK" { interval } else { Duration::from_secs(5) };
    Some(timed(
        node,
        &own,
        Checked {
            statement: node.id,
            probe,
            interval,
            timeout: common
                .timeout
                .or(own.connect_timeout.filter(|_| kind != "MISC_CHECK"))
                .unwrap_or(timeout),
            rise: 1,
            fall: 1,
            port: common.port,
            fast_interval: None,
        },
        ledger,
    ))
}

/// Adds what happens after a failure.
fn timed(node: &Node, own: &Defaults, check: Checked, ledger: &mut Ledger) -> Checked {
    let (kind, interval) = (node.word(0), check.interval);
    let retry = own.retry.unwrap_or(match kind {
        "MISC_CHECK" => 0,
        "DNS_CHECK" => 3,
        _ => 1,
    });
    let pause = own.delay_before_retry.unwrap_or(match kind {
        "DNS_CHECK" => interval,
        "HTTP_GET" | "SSL_GET" => Duration::from_secs(3),
        _ => Duration::from_secs(1),
    });
    if retry > 0 && pause > interval {
        ledger.changed(
            node.id,
            format!(
                "after a failure it was tried again every {} s; here every check is {} s after the one before, and it takes {} of them",
                pause.as_secs_f64(),
                interval.as_secs_f64(),
                retry.saturating_add(1)
            ),
        );
    }
    let fast_interval = Some(pause).filter(|pause| retry > 0 && *pause < interval);
    Checked { fall: retry.saturating_add(1), fast_interval, ..check }
}
