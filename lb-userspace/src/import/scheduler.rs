//! What `ipvsadm` and keepalived have in common: IPVS' schedulers, forwarding methods and persistence.

use std::time::Duration;

use super::candidate::Candidate;
use super::report::{Id, Ledger};
use crate::config::format_duration;
use crate::model::Algorithm;

/// The algorithm nearest to an IPVS scheduler.
pub(super) fn algorithm(scheduler: &str, flags: Option<&str>, id: Id, ledger: &mut Ledger) -> Algorithm {
    let two = "least-connections takes the better of two random choices";
    let (algorithm, difference) = match scheduler {
        "rr" | "wrr" => (Algorithm::RoundRobin, None),
        "wlc" | "lc" | "sed" | "nq" => (Algorithm::LeastConnections, Some(two)),
        "twos" => (Algorithm::LeastConnections, None),
        "sh" => (
            Algorithm::SourceHash,
            Some("source-hash is another hash: clients come to other backends than before"),
        ),
        "mh" => {
            let flags = flags.unwrap_or_default();
            if flags.split(',').any(|flag| flag == "mh-port" || flag == "flag-2") {
                (Algorithm::Maglev, Some("maglev hashes destination and protocol, too"))
            } else {
                (
                    Algorithm::SourceHash,
                    Some(
                        "`mh` without mh-port hashes the client's address only, as source-hash does (with another hash)",
                    ),
                )
            }
        }
        "fo" => (Algorithm::Maglev, Some("weighted fail-over: maglev spreads the flows over all backends")),
        "ovf" => (Algorithm::Maglev, Some("overflow: maglev spreads the flows over all backends")),
        "dh" | "lblc" | "lblcr" => {
            (Algorithm::Maglev, Some("it goes by the destination, which is always the VIP here: maglev"))
        }
        _ => (Algorithm::Maglev, Some("the scheduler is unknown: maglev")),
    };
    if let Some(difference) = difference {
        ledger.changed(id, format!("scheduler `{scheduler}` became algorithm `{algorithm}`: {difference}"));
    }
    algorithm
}

/// Whether a scheduler gives all servers the same share, whatever their weights (0 excepted).
pub(super) fn is_unweighted(scheduler: &str) -> bool {
    matches!(scheduler, "rr" | "lc")
}

/// Notes what becomes of a forwarding method: `NAT`, `DR`, `TUN` or ipvsadm's option.
pub(super) fn method(method: &str, id: Id, ledger: &mut Ledger) {
    let what = match method {
        "-m" | "NAT" => return,
        "-g" | "DR" => "direct routing",
        "-i" | "TUN" => "a tunnel",
        _ => "this forwarding method",
    };
    ledger.changed(
        id,
        format!(
            "{what} has no counterpart: mode `nat`. The backend gets packets to its own address, not to the VIP, and its answers must come \
             back through this machine (its default gateway); take the VIP and the tunnel off the backend"
        ),
    );
}

/// Shortest and longest time that a client's backend is remembered.
const AFFINITY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));

/// Sets a candidate to keep clients at their backends; `None`: without a time limit.
pub(super) fn persistent(
    candidate: &mut Candidate,
    prefix: Option<u8>,
    timeout: Option<Duration>,
    ledger: &mut Ledger,
) {
    let all = if candidate.at.address.is_ipv4() { 32 } else { 128 };
    candidate.affinity_prefix = prefix.filter(|bits| (1..all).contains(bits));
    candidate.affinity_timeout = timeout.unwrap_or(AFFINITY.1).clamp(AFFINITY.0, AFFINITY.1);
    let shown = format_duration(candidate.affinity_timeout);
    ledger.changed(
        candidate.statement,
        format!(
            "it became affinity_timeout = \"{shown}\", which begins anew with each connection of a client: connections that last \
             longer do not extend it"
        ),
    );
}

/// The seconds of a persistence; what is no number is ipvsadm's default.
pub(super) fn persistence_time(text: &str) -> Duration {
    Duration::from_secs(text.parse().unwrap_or(360))
}

/// The number of bits of a netmask such as `255.255.255.0`, or of a prefix length.
pub(super) fn mask_bits(text: &str) -> Option<u8> {
    if let Ok(bits) = text.parse::<u8>() {
        return (bits <= 128).then_some(bits);
    }
    let mask: std::net::Ipv4Addr = text.parse().ok()?;
    let (ones, bits) = (mask.to_bits().leading_ones(), mask.to_bits().count_ones());
    if ones == bits { u8::try_from(bits).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netmask_is_a_number_of_bits() {
        for (text, bits) in [
            ("255.255.255.0", Some(24)),
            ("255.255.255.255", Some(32)),
            ("0.0.0.0", Some(0)),
            ("255.0.255.0", None),
            ("64", Some(64)),
            ("129", None),
            ("x", None),
        ] {
            assert_eq!(mask_bits(text), bits, "{text}");
        }
    }
}
