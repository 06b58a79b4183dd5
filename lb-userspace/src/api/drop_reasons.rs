//! What drop reasons mean to operators: the one place for `lbctl drops --explain`, `lbctl explain` and docs/drops.md.

use lb_common::abi::DropReason;

/// What is behind a drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DropAdvice {
    /// Likely causes, the likeliest first.
    pub(super) causes: &'static [&'static str],
    /// Commands to look further.
    pub(super) look: &'static [&'static str],
    /// Whether some of it is usual on a healthy network.
    pub(super) usual: bool,
}

const fn usual(causes: &'static [&'static str], look: &'static [&'static str]) -> DropAdvice {
    DropAdvice { causes, look, usual: true }
}

const fn unusual(causes: &'static [&'static str], look: &'static [&'static str]) -> DropAdvice {
    DropAdvice { causes, look, usual: false }
}

/// What is behind a drop reason.
#[must_use]
pub(super) fn advice(reason: DropReason) -> DropAdvice {
    headers(reason).or_else(|| flows(reason)).or_else(|| limits(reason)).unwrap_or_else(|| ways(reason))
}

/// Reasons that lie in the packet itself.
fn headers(reason: DropReason) -> Option<DropAdvice> {
    Some(match reason {
        DropReason::Truncated => unusual(
            &[
                "a scanner or a fuzzer sends broken frames",
                "a device on the way cuts frames",
                "the transport header is not in the frame's first buffer (header split in the middle of the headers)",
            ],
            &["tcpdump -ni <interface> -c 100 'less 60'", "ethtool -S <interface>", "lbctl doctor"],
        ),
        DropReason::BadIpHeader => unusual(
            &["a scanner or a fuzzer sends broken packets", "a defective device or driver changes headers"],
            &["ethtool -S <interface>", "lbctl explain --hex <frame>"],
        ),
        DropReason::BadL4Header => unusual(
            &["a scanner or a fuzzer sends broken packets", "a defective device or driver changes headers"],
            &["ethtool -S <interface>", "lbctl explain --hex <frame>"],
        ),
        DropReason::TooManyExtensionHeaders => unusual(
            &["somebody tries what filters let through (RFC 9288): ordinary clients send none or one"],
            &["tcpdump -ni <interface> 'ip6 and ip6[6] != 6 and ip6[6] != 17 and ip6[6] != 58'"],
        ),
        DropReason::FragmentWithoutFirst => usual(
            &[
                "fragments overtook each other, or the first one was lost on the way",
                "more fragmented packets at once than are remembered (4096 for each family): a flood of fragments",
                "the fragments of a packet arrive at different balancers: routers hash fragments without ports",
            ],
            &["nstat -az IpReasmFails Ip6ReasmFails", "tcpdump -ni <interface> 'ip[6:2] & 0x1fff != 0'"],
        ),
        DropReason::TtlExceeded => usual(
            &[
                "somebody runs traceroute: this is how it works",
                "a routing loop between this machine and its neighbours",
            ],
            &["ip route get <backend>", "mtr <VIP>", "lbctl explain <client>:<port> <VIP>:<port> --ttl 1"],
        ),
        DropReason::BadIcmp => usual(
            &[
                "timestamp or other requests to a VIP that nobody answers",
                "errors that quote too little of the packet, or a packet of another protocol",
            ],
            &["tcpdump -ni <interface> 'icmp or icmp6'"],
        ),
        DropReason::WriteFailed => unusual(
            &["a defect of the data path: please report it with the frame"],
            &["lbctl explain --pcap <file>", "lbctl status"],
        ),
        _ => return None,
    })
}

/// Reasons that lie in the state of services and flows.
fn flows(reason: DropReason) -> Option<DropAdvice> {
    Some(match reason {
        DropReason::NoBackend => unusual(
            &[
                "all backends are draining, disabled, or have weight 0",
                "all are down, and panic_threshold = 0 forbids to use them all the same",
                "the service has no backends yet",
            ],
            &[
                "lbctl backend list <service>",
                "lbctl events --past --topic health",
                "lbctl service show <service>",
            ],
        ),
        DropReason::RstWithoutFlow => usual(
            &[
                "an end closes a connection that is over or was forgotten: a late RST of a reset connection",
                "a scanner",
            ],
            &["lbctl flow list --client <client>", "lbctl stats --rate"],
        ),
        DropReason::SynAckWithoutFlow => unusual(
            &[
                "somebody uses a VIP as the source of a SYN flood against others: these are the answers",
                "a backend answers after its flow was forgotten (tcp_handshake is shorter than it takes)",
            ],
            &["tcpdump -ni <interface> 'tcp[13] & 18 == 18'", "lbctl config show"],
        ),
        DropReason::IcmpWithoutFlow => usual(
            &[
                "errors about connections that are over",
                "forged errors, which nobody believes",
                "the error reached another balancer than the connection (routers with ECMP)",
            ],
            &["tcpdump -ni <interface> 'icmp or icmp6'", "lbctl flow list --client <client>"],
        ),
        DropReason::FlowReset => usual(
            &[
                "a backend with on_down = \"reset\" was taken out, or a drain with `--then rst` came to its deadline",
                "`lbctl flow kill` ended them",
            ],
            &["lbctl events --past --topic backend", "lbctl flow list --state closed"],
        ),
        _ => return None,
    })
}

/// Reasons that say that something is used up.
fn limits(reason: DropReason) -> Option<DropAdvice> {
    Some(match reason {
        DropReason::PortsExhausted => unusual(
            &[
                "more connections at once to one backend than SNAT addresses have ports (some 64 000 each)",
                "connections that are over keep their ports for too long: tcp_closing, tcp_closed",
            ],
            &[
                "lbctl flow top --by backend",
                "lbctl service set <service> --snat-address <address>,<another>",
                "lbctl config show",
            ],
        ),
        DropReason::TupleConflict => unusual(
            &[
                "one client uses the same port with two VIPs that share backends, and four other ports were taken, too",
            ],
            &["lbctl flow list --client <client>"],
        ),
        DropReason::FlowTableFull => unusual(
            &[
                "the table of established flows is full, and table_full is \"reject\"",
                "the kernel had no memory for an entry",
            ],
            &["lbctl flow top --by client-prefix", "lbctl flow top --by service", "lbctl status", "free -m"],
        ),
        DropReason::BackendFull => unusual(
            &[
                "more connections than max_connections of all backends together",
                "backends are down, and the others have no place for theirs",
                "connections stay open although nobody uses them",
            ],
            &["lbctl backend list <service> -o wide", "lbctl flow top --by client --service <service>"],
        ),
        DropReason::ServiceFull => unusual(
            &["more connections than max_connections of the service", "one client has most of them"],
            &["lbctl service show <service>", "lbctl flow top --by client --service <service>"],
        ),
        _ => return None,
    })
}

/// Reasons that lie in the network behind this machine.
fn ways(reason: DropReason) -> DropAdvice {
    match reason {
        DropReason::NoRoute => unusual(
            &[
                "a route to backends or back to clients is missing",
                "an interface is down, and its routes with it",
            ],
            &["ip route get <backend>", "ip route get <client>", "lbctl doctor"],
        ),
        DropReason::NeighbourMissing => unusual(
            &[
                "a few at the start: the first packets to a neighbour, until it has answered",
                "a backend or a router does not answer ARP or neighbour discovery: it is off, or in another VLAN",
                "the kernel's neighbour table is full",
            ],
            &["ip neigh show nud failed", "lbctl backend list", "lbctl doctor"],
        ),
        DropReason::EgressNotAttached => unusual(
            &["the route to backends or clients leads out of an interface that `interfaces` does not name"],
            &["ip route get <backend>", "ip route get <client>", "lbctl status"],
        ),
        DropReason::PacketTooBig => usual(
            &[
                "path MTU discovery: the sender is told, and sends smaller packets",
                "GRO or LRO made one large frame of several",
                "a smaller MTU towards the backends than towards the clients",
            ],
            &["ip -o link", "ethtool -k <interface>", "lbctl doctor"],
        ),
        DropReason::Fenced => unusual(
            &[
                "lbd is gone or stopped on this machine, and another one has taken its VIPs over",
                "another machine announces a VIP of this one without VRRP: an address that is used twice",
            ],
            &["systemctl status lbd", "lbctl vrrp status", "tcpdump -eni <interface> 'arp or icmp6'"],
        ),
        _ => sources(reason),
    }
}

/// Reasons that lie in who sends a packet, and how often.
fn sources(reason: DropReason) -> DropAdvice {
    match reason {
        DropReason::MartianSource => unusual(
            &[
                "somebody sends forged packets, and the network before this machine lets them through (BCP 38)",
                "a client or a router has no address yet, and sends all the same",
            ],
            &[
                "tcpdump -eni <interface> 'src net 0/8 or src net 127/8 or src net 169.254/16 or src net 224/3'",
            ],
        ),
        DropReason::OwnSource => unusual(
            &[
                "somebody sends forged packets that have the VIP as source (LAND)",
                "another machine has a VIP of this one among its addresses, and connects from it",
            ],
            &["tcpdump -eni <interface> src host <VIP>", "lbctl vrrp status"],
        ),
        DropReason::Hairpin => unusual(
            &[
                "a backend is a client of its own service in mode nat, and is chosen itself: mode full-nat does that",
                "somebody sends forged packets that have a backend's address as source",
            ],
            &[
                "lbctl service set <service> --mode full-nat --snat-address <address>",
                "tcpdump -eni <interface> src host <backend>",
            ],
        ),
        DropReason::AnswerLimited => unusual(
            &[
                "a flood of packets that are answered: pings, TTLs of 1, packets beyond the MTU, SYNs to a service that is full",
                "a large part of all connections is ended at once",
                "the frame's source is a group of stations, which nobody is",
            ],
            &["lbctl drops --watch", "lbctl config show", "tcpdump -eni <interface> icmp or icmp6"],
        ),
        _ => admission(reason),
    }
}

/// Reasons that the operator gave.
fn admission(reason: DropReason) -> DropAdvice {
    match reason {
        DropReason::SourceBlocked => usual(
            &[
                "somebody who is blocked goes on sending",
                "a prefix is blocked that is larger than it should be",
            ],
            &["lbctl acl list", "lbctl acl check <address>", "lbctl events --past --topic admission"],
        ),
        DropReason::SourceDenied => usual(
            &[
                "somebody who is not let in goes on sending",
                "a service with `allow` does not name all of its clients; health checks of other balancers are clients, too",
            ],
            &["lbctl acl check <address>", "lbctl limit list", "lbctl service show <service>"],
        ),
        DropReason::SourceLimited => unusual(
            &[
                "a client opens many connections, or somebody floods from few addresses",
                "many clients are behind one address (NAT): source_flow_rate is too low for them, or source_prefix too short",
            ],
            &["lbctl limit list", "lbctl flow top --by client-prefix --service <service>"],
        ),
        DropReason::ServiceLimited => unusual(
            &[
                "more connections begin than flow_rate allows: a flood, or more clients than were thought of",
                "all clients connect anew at once, as after a failure: flow_burst",
            ],
            &[
                "lbctl limit list",
                "lbctl stats --rate",
                "lbctl flow top --by client-prefix --service <service>",
            ],
        ),
        DropReason::SourceFull | DropReason::SourceEmbryonic => unusual(
            &[
                "a client opens many connections, or somebody floods from few addresses; where nobody answers, with a forged source",
                "many clients are behind one address (NAT): source_max_connections or source_max_embryonic is too low for them, or source_prefix too short",
                "a backend answers late or not at all, so that flows wait: source_max_embryonic",
            ],
            &["lbctl limit list", "lbctl flow top --by client-prefix --service <service>"],
        ),
        DropReason::SourcePackets | DropReason::ServicePackets => unusual(
            &[
                "somebody floods, within connections or without",
                "source_packet_rate or packet_rate is too low for what clients send, or a burst for what they send at once",
            ],
            &["lbctl limit list", "lbctl stats --rate", "lbctl capture verdict=drop"],
        ),
        DropReason::CookieUnknown => unusual(
            &[
                "another machine has taken over: connections that began with a SYN cookie are not replicated",
                "the backend has a connection with the client's address and port still in use; the client's next packet gets through",
                "`lbd` made the table of cookies anew, as [limits] connections_v4 or connections_v6 were changed",
            ],
            &["lbctl service show <service>", "lbctl events --past --topic admission"],
        ),
        _ => unusual(&[], &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of docs/drops.md.
    fn page() -> String {
        let mut text = String::from(
            "# Drop reasons\n\n`lbctl drops` counts them, `lbctl drops --explain` says the same as this page, which is made of the same text. A figure \
             that rises is to be looked at unless the reason says \"usual\".\n",
        );
        for reason in DropReason::ALL {
            let DropAdvice { causes, look, usual } = advice(*reason);
            let usual = if usual { " Some of these are usual." } else { "" };
            text.push_str(&format!("\n## {}\n\n{}{usual}\n", reason.as_str(), reason.description()));
            text.push_str("\nLikely causes:\n\n");
            causes.iter().for_each(|cause| text.push_str(&format!("- {cause}\n")));
            text.push_str("\n```\n");
            look.iter().for_each(|command| text.push_str(&format!("{command}\n")));
            text.push_str("```\n");
        }
        text
    }

    #[test]
    fn every_reason_has_causes_and_commands() {
        for reason in DropReason::ALL {
            let DropAdvice { causes, look, .. } = advice(*reason);
            assert!(!causes.is_empty() && !look.is_empty(), "{}", reason.as_str());
            assert!(causes.iter().all(|cause| !cause.ends_with('.')), "{}", reason.as_str());
        }
    }

    #[test]
    fn docs_say_what_the_program_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/drops.md");
        if std::env::var_os("LB_UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == page(),
            "docs/drops.md differs; write it anew: LB_UPDATE_DOCS=1 cargo test -p lb-userspace docs_say"
        );
    }
}
