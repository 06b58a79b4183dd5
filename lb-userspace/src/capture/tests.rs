//! Filters of captures, and files.

use lb_common::{
    Verdict,
    abi::{CapturedPacket, DropReason, SEEN_WORDS, Seen},
};
use proptest::prelude::*;

use super::{
    Field, Names, Packet, Wanted,
    pcapng::{self, Found, Reader, Statistics, Way, Written},
};
use crate::{events::Filter, plan::address_words, sys::bpf::bytes_of};

fn names() -> Names {
    let name = |(id, name): (u16, &str)| (id, name.to_owned());
    Names {
        services: [(1, "web"), (2, "web-2"), (5, "dns")].map(name).into(),
        backends: [(1, "b1"), (2, "b2"), (7, "b1")].map(|(id, name)| (id, name.to_owned())).into(),
        interfaces: [(3, "eth0"), (4, "eth1")].map(|(id, name)| (id, name.to_owned())).into(),
    }
}

fn wanted(text: &str) -> Wanted {
    Wanted::of(text.parse().unwrap(), &names(), (1, 128, 1000)).unwrap()
}

/// A record of a packet that was seen, without copies.
fn record(seen: Seen) -> Packet {
    let head = CapturedPacket { seen, arrived: 100, captures: 1, ..CapturedPacket::default() };
    Packet::read(bytes_of(&head)).unwrap()
}

/// What is seen of a packet.
#[derive(Clone, Copy, Debug)]
struct Fake {
    client: (&'static str, u16),
    vip: (&'static str, u16),
    service: u16,
    backend: u32,
    proto: u8,
    ingress: u32,
    egress: u32,
    verdict: u32,
    direction: u32,
    flow: u32,
    reason: u32,
}

impl Fake {
    fn seen(&self) -> Seen {
        let mut words = [0; SEEN_WORDS];
        let (client, vip) = (self.client.0.parse().unwrap(), self.vip.0.parse().unwrap());
        words[Seen::CLIENT..Seen::CLIENT + 4].copy_from_slice(&address_words(client));
        words[Seen::VIP..Seen::VIP + 4].copy_from_slice(&address_words(vip));
        words[Seen::PORTS] = Seen::pair(self.client.1.to_be(), self.vip.1.to_be());
        let family = if client.is_ipv4() { 4 } else { 6 };
        words[Seen::SERVICE] = Seen::service_word(self.service, self.proto, family);
        words[Seen::BACKEND] = self.backend;
        words[Seen::INGRESS] = self.ingress;
        words[Seen::EGRESS] = self.egress;
        let kinds = Seen::verdict_bit(self.verdict) | 1 << (8 + self.direction) | 1 << (16 + self.flow);
        Seen { words, kinds, reason: self.reason }
    }
}

const WEB: Fake = Fake {
    client: ("198.51.100.7", 40_000),
    vip: ("203.0.113.10", 80),
    service: 1,
    backend: 7,
    proto: 6,
    ingress: 3,
    egress: 4,
    verdict: 3,
    direction: 1,
    flow: 1,
    reason: 0,
};

fn fake() -> impl Strategy<Value = Fake> {
    let addresses = || {
        prop::sample::select(vec!["198.51.100.7", "198.51.101.7", "2001:db8::7", "10.0.0.1", "2001:db8:1::1"])
    };
    let ports = || prop::sample::select(vec![0_u16, 53, 80, 443, 1023, 1024, 40_000, 65_535]);
    let places = (addresses(), ports(), addresses(), ports());
    let ids = (prop::sample::select(vec![0_u16, 1, 2, 5, 9]), prop::sample::select(vec![0_u32, 1, 2, 7]));
    let kinds = (0..4_u32, 0..3_u32, 0..3_u32, 0..DropReason::ALL.len() as u32 + 1);
    let ways = (prop::sample::select(vec![3_u32, 4, 6]), prop::sample::select(vec![0_u32, 3, 4]));
    let proto = prop::sample::select(vec![1_u8, 6, 17, 58, 132]);
    (places, ids, kinds, ways, proto).prop_map(|(places, ids, kinds, ways, proto)| Fake {
        client: (places.0, places.1),
        vip: (places.2, places.3),
        service: ids.0,
        backend: ids.1,
        proto,
        ingress: ways.0,
        egress: ways.1,
        verdict: kinds.0,
        direction: kinds.1,
        flow: kinds.2,
        reason: kinds.3,
    })
}

fn constraint() -> impl Strategy<Value = String> {
    let one = vec![
        "service=web",
        "service^=web",
        "service=dns",
        "backend=b1",
        "backend=b2",
        "backend^=b",
        "client=198.51.100.7",
        "client in 198.51.0.0/16",
        "client in 2001:db8::/32",
        "client=2001:db8::7",
        "vip=10.0.0.1",
        "vip in 0.0.0.0/0",
        "port=80",
        "port=443",
        "port in 1000..2000",
        "port in ..1023",
        "port in 70000..",
        "client-port in 1024..",
        "client-port=0",
        "protocol=tcp",
        "protocol=udp",
        "protocol^=icmp",
        "direction=to-backend",
        "direction=to-client",
        "verdict=drop",
        "verdict=redirect",
        "verdict=pass",
        "reason=no-backend",
        "reason^=no-",
        "flow=hit",
        "flow=begun",
        "flow=none",
        "ingress=eth0",
        "egress=eth1",
        "length in 60..1500",
        "length=1",
    ];
    prop::sample::select(one).prop_map(str::to_owned)
}

fn filter() -> impl Strategy<Value = String> {
    let all_of = prop::collection::vec(constraint(), 1..4).prop_map(|all| all.join(" "));
    prop::collection::vec(all_of, 1..4).prop_map(|any| any.join(" or "))
}

proptest! {
    #[test]
    fn the_data_path_lets_everything_through_that_the_filter_wants(text in filter(), fake in fake()) {
        let (packet, names) = (record(fake.seen()), names());
        let filter: Filter<Field> = text.parse().unwrap();
        let wanted = wanted(&text);
        let host = fake.verdict == 0 && !filter.mentions(Field::Verdict);
        if filter.accepts(|field| packet.value(field, &names)) && !host {
            prop_assert!(wanted.narrowed.wants(&fake.seen()), "{text} keeps {fake:?} back");
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written_wherever_it_is_cut(
        comment in ".{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..70), cuts in prop::collection::vec(0..600_usize, 0..6)
    ) {
        let statistics = Statistics { received: 9, accepted: 8, dropped: 7, dropped_by_system: 6, delivered: 5 };
        let packet = Written {
            interface: 0, at: std::time::Duration::from_nanos(1), way: Way::In, length: 70, bytes: &bytes, id: 1, queue: 0,
            action: Some(4), comment: &comment,
        };
        let at = std::time::Duration::from_secs(1);
        let file = [
            pcapng::section("lbd", &comment), pcapng::interface("eth0", 128), pcapng::packet(&packet),
            pcapng::statistics(0, (at, at), &statistics, &comment),
        ].concat();
        let (mut reader, mut found, mut from) = (Reader::default(), Vec::new(), 0);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(file.len())).collect();
        cuts.sort_unstable();
        for cut in cuts.into_iter().chain([file.len()]) {
            found.extend(reader.feed(&file[from..cut]).unwrap());
            from = cut;
        }
        prop_assert!(reader.is_at_end());
        prop_assert_eq!(found, vec![Found::Other, Found::Other, Found::Packet, Found::Statistics(statistics, comment)]);
    }
}

#[test]
fn what_can_be_said_by_masks_is_exact() {
    for (text, fake) in [
        ("service=web", Fake { service: 2, ..WEB }),
        ("backend=b2", WEB),
        ("client in 198.51.100.0/29", Fake { client: ("198.51.100.8", 1), ..WEB }),
        ("client in 198.51.100.0/24", Fake { client: ("2001:db8::1", 1), vip: ("2001:db8::2", 1), ..WEB }),
        ("vip=203.0.113.10 port=80", Fake { vip: ("203.0.113.10", 81), ..WEB }),
        ("client-port=40000", Fake { client: ("198.51.100.7", 40_001), ..WEB }),
        ("port in 80..95", Fake { vip: ("203.0.113.10", 96), ..WEB }),
        ("protocol=udp", WEB),
        ("direction=to-client", WEB),
        ("verdict=drop", WEB),
        ("reason^=no-", Fake { verdict: 1, reason: DropReason::FlowReset as u32 + 1, ..WEB }),
        ("flow=begun", WEB),
        ("ingress=eth1", WEB),
        ("egress=eth0", WEB),
        ("service=web verdict=drop or service=web verdict=transmit", WEB),
        ("", Fake { verdict: 0, ..WEB }),
        ("port=80 port=81", WEB),
    ] {
        let filter: Filter<Field> = text.parse().unwrap();
        let host = fake.verdict == 0;
        assert!(host || !filter.accepts(|field| record(fake.seen()).value(field, &names())), "{text}");
        assert!(!wanted(text).narrowed.wants(&fake.seen()), "{text}");
    }
    assert!(wanted("").narrowed.wants(&WEB.seen()));
    assert!(wanted("verdict=pass").narrowed.wants(&Fake { verdict: 0, ..WEB }.seen()));
}

#[test]
fn a_filter_that_nothing_can_meet_is_refused_with_what_there_is() {
    for (text, expected) in [
        ("service=wbe", "there is no service \"wbe\"; expected one of dns, web, web-2"),
        ("backend=b9", "there is no backend \"b9\"; expected one of b1, b2"),
        ("ingress=eth7", "there is no interface \"eth7\"; expected one of eth0, eth1"),
    ] {
        let error = Wanted::of(text.parse().unwrap(), &names(), (1, 128, 1)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    for (text, expected) in [
        ("verdict=dropped", "expected one of pass, drop, transmit, redirect"),
        ("reason=no-backnd", "expected one of truncated, bad-ip-header"),
        ("protocol=sctp", "expected one of tcp, udp, icmp, icmpv6"),
        ("dport=80", "expected one of service, backend, client, client-port, vip, port"),
        ("client=10.0.0.0/8", "is not an address"),
        ("port=http", "is not a number"),
    ] {
        let error = text.parse::<Filter<Field>>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_packet_is_described_in_the_words_of_filters() {
    let reset = Fake { verdict: 2, reason: DropReason::FlowReset as u32 + 1, egress: 3, backend: 99, ..WEB };
    assert_eq!(
        record(reset.seen()).describe(&names()),
        "verdict=transmit reason=flow-reset service=web backend=#99 direction=to-backend flow=hit ingress=eth0 egress=eth0"
    );
    let packet = record(WEB.seen());
    assert_eq!(packet.client(), Some("198.51.100.7:40000".parse().unwrap()));
    assert_eq!(packet.vip(), Some("203.0.113.10:80".parse().unwrap()));
    assert_eq!(packet.reason(), None);
    assert_eq!(Seen::verdict_bit(Verdict::TRANSMIT.action() as u32), 4);
}

#[test]
fn samples_and_rates_are_those_of_the_data_path() {
    let of = |sample, rate| Wanted::of(Filter::default(), &names(), (sample, 128, rate)).unwrap().narrowed;
    assert_eq!((of(1, 1).sample, of(1, 1).per_window), (u32::MAX, 1));
    assert_eq!((of(100, 10_000).sample, of(100, 10_000).per_window), (u32::MAX / 100, 1342));
}
