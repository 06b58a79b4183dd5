//! Checkers: how a `real_server` is found healthy.

use std::time::Duration;

use super::tree::Node;
use crate::import::check::{Checked, Probe};
use crate::import::report::Ledger;

/// What a virtual server sets for its real servers, and these for their checkers.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    delay_loop: Option<Duration>,
    connect_timeout: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
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

/// Reads a checker of a server with this port.
pub(super) fn read(
    node: &Node,
    defaults: &Defaults,
    server_port: u16,
    ledger: &mut Ledger,
) -> Option<Checked> {
    ledger.used(node.id);
    let own = defaults.with(node, ledger);
    let kind = node.word(0);
    let (mut port, mut timeout) = (None, own.connect_timeout);
    for child in node.children() {
        match child.word(0) {
            "connect_port" => match child.word(1).parse() {
                Ok(wanted) => {
                    ledger.used(child.id);
                    port = Some(wanted).filter(|port| *port != server_port && *port != 0);
                }
                Err(_) => ledger.dropped(child.id, "expected a port"),
            },
            "connect_ip" => ledger.dropped(child.id, "the backend's own address is checked"),
            "bindto" | "bind_port" | "bind_if" | "fwmark" => {
                ledger.dropped(child.id, "where a check is sent from is left to the routing table");
            }
            "misc_timeout" => {
                ledger.used(child.id);
                timeout = timer(child.word(1)).or(timeout);
            }
            word if is_default(word) => {}
            word => ledger.dropped_block(
                child.id,
                child.inside(),
                format!("`{word}` of {kind} has no counterpart yet"),
            ),
        }
    }
    let probe = match kind {
        "TCP_CHECK" => Probe::Tcp,
        "BFD_CHECK" | "FILE_CHECK" => {
            ledger.dropped_block(
                node.id,
                node.inside(),
                "there is no such check, and nothing that comes near it",
            );
            return None;
        }
        _ => Probe::Other(kind.to_owned()),
    };
    Some(timed(
        node,
        &own,
        Checked {
            statement: node.id,
            probe,
            interval: own.delay_loop.unwrap_or(Duration::from_secs(60)),
            timeout: timeout.unwrap_or(Duration::from_secs(5)),
            rise: 1,
            fall: 1,
            port,
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
