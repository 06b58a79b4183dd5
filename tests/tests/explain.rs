//! `lbctl explain` says what becomes of packets, and changes nothing.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use lb_common::{
    abi::{
        ABI_VERSION, Abi, Affinity, AffinityKey, Buckets, Cookie, Flow, FlowKey, NextHop, Places, Refusals,
        Source, SourceKey, SynCookies, TrafficCounters,
    },
    maps,
};
use lb_tests::{
    client::Connection,
    clock, command,
    config::{Mode, Protocol},
    daemon::binary,
    require_privileged,
    servers::ECHO_PORT,
    site::{Site, target},
    temporary,
    topology::{Family, Plan, addresses},
};
use lb_userspace::sys::bpf::{Map, bytes_of};
use serde_json::Value;

/// How long lbd may take to find its neighbours.
const LIMIT: Duration = Duration::from_secs(20);

/// A SYN or an answer to it that was lost is sent again after a second.
const QUIET: Duration = Duration::from_millis(1100);

/// Every element of a map as bytes, in order: of a per-CPU map each CPU's.
fn elements<K: Abi, V: Abi>(directory: &Path, name: &str) -> (String, Vec<Vec<u8>>) {
    let map = Map::open(&directory.join(name)).unwrap();
    let mut found = Vec::new();
    map.scan::<K, V>(|chunk| {
        chunk.each_value(|key: K, value: V| found.push([bytes_of(&key), bytes_of(&value)].concat()));
        ControlFlow::Continue(())
    })
    .unwrap();
    found.sort_unstable();
    (name.to_owned(), found)
}

/// All that a packet may change, but for the counters of interfaces, where the host's own ARP counts.
fn state(directory: &Path) -> Vec<(String, Vec<Vec<u8>>)> {
    let all = directory.join(format!("v{ABI_VERSION}"));
    let at = all.as_path();
    vec![
        elements::<FlowKey<u32>, Flow<u32>>(at, maps::FLOWS_V4),
        elements::<FlowKey<[u32; 4]>, Flow<[u32; 4]>>(at, maps::FLOWS_V6),
        elements::<FlowKey<u32>, Flow<u32>>(at, maps::EMBRYONIC_V4),
        elements::<FlowKey<[u32; 4]>, Flow<[u32; 4]>>(at, maps::EMBRYONIC_V6),
        elements::<AffinityKey, Affinity>(at, maps::AFFINITY),
        elements::<FlowKey<u32>, Cookie>(at, maps::COOKIES_V4),
        elements::<FlowKey<[u32; 4]>, Cookie>(at, maps::COOKIES_V6),
        elements::<u32, SynCookies>(at, maps::SYN_COOKIES),
        elements::<u32, u64>(at, maps::ROTATION),
        elements::<u32, u64>(at, maps::BACKEND_FLOWS),
        elements::<u32, Places>(at, maps::BACKEND_PLACES),
        elements::<u32, Places>(at, maps::SERVICE_PLACES),
        elements::<SourceKey, Source>(at, maps::SOURCES),
        elements::<u32, Buckets>(at, maps::SERVICE_BUCKETS),
        elements::<u32, Refusals>(at, maps::SERVICE_REFUSALS),
        elements::<u32, NextHop>(at, maps::BACKEND_HOPS),
        elements::<u32, NextHop>(at, maps::CLIENT_HOPS),
        elements::<u32, u64>(at, maps::PORTS),
        elements::<u32, TrafficCounters>(at, maps::SERVICE_COUNTERS),
        elements::<u32, TrafficCounters>(at, maps::BACKEND_COUNTERS),
        elements::<u32, u64>(at, maps::DROPS),
    ]
}

/// The state once nothing has changed it for a while: what the connections sent again has arrived.
fn settled(directory: &Path) -> Vec<(String, Vec<Vec<u8>>)> {
    let unchanged = || {
        let before = state(directory);
        thread::sleep(QUIET);
        (state(directory) == before).then_some(before)
    };
    clock::wait_for("the end of all packets", LIMIT, unchanged).unwrap()
}

/// Names of the maps that are not what they were.
fn changed(before: &[(String, Vec<Vec<u8>>)], after: &[(String, Vec<Vec<u8>>)]) -> Vec<String> {
    let others = before.iter().zip(after).filter(|(one, other)| one != other);
    others.map(|(one, _)| one.0.clone()).collect()
}

fn explained(site: &Site, line: &str) -> Value {
    site.daemon.lbctl(&format!("explain {line}")).unwrap()
}

/// A connection that stays open, from a port that is said before.
fn connect(site: &Site, family: Family, port: u16) -> Connection {
    let source = SocketAddr::new(addresses::clients(family)[0], port);
    let open = || Connection::open(source, target(family, ECHO_PORT), LIMIT);
    site.topology.client.run(open).unwrap()
}

#[test]
fn what_is_explained_comes_true_and_nothing_is_changed_by_it() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = Site::standard(Plan::default(), mode).unwrap();
        // None of them ends meanwhile: its entries would change.
        let mut open = Vec::new();
        for (family, suffix) in [(Family::V4, "v4"), (Family::V6, "v6")] {
            let client = |port| SocketAddr::new(addresses::clients(family)[0], port);
            let echo = target(family, ECHO_PORT);
            open.push(connect(&site, family, 40_001));
            let syn = format!("{} {echo}", client(40_002));
            let resolved = || explained(&site, &syn)["drop"].is_null().then_some(());
            clock::wait_for("the neighbours", LIMIT, resolved).unwrap();
            let before = settled(&site.daemon.pin_directory());

            let begun = explained(&site, &syn);
            assert_eq!(
                (&begun["verdict"], &begun["service"]),
                (&"redirect".into(), &format!("echo-{suffix}").into()),
                "{begun}"
            );
            assert_eq!(begun["direction"], "to-backend", "{begun}");
            let goes_on = explained(&site, &format!("{} {echo} --flags ack --length 1000", client(40_001)));
            assert_eq!(
                (&goes_on["verdict"], &goes_on["flow"]),
                (&"redirect".into(), &"hit".into()),
                "{goes_on}"
            );
            assert_eq!(goes_on["entry_before"]["state"], "established", "{goes_on}");
            assert_eq!(goes_on["leaves"]["ttl"], 63, "{goes_on}");
            let dying = explained(&site, &format!("{} {echo} --ttl 1", client(40_002)));
            assert_eq!(dying["drop"]["reason"], "ttl-exceeded", "{dying}");
            assert!(dying["drop"]["look"][0].is_string(), "{dying}");
            let foreign = explained(&site, &format!("{} {}", client(40_002), client(9)));
            assert_eq!(
                (&foreign["verdict"], &foreign["service"]),
                (&"pass".into(), &Value::Null),
                "{foreign}"
            );
            let datagram = explained(&site, &format!("{} {}/udp", client(40_002), target(family, ECHO_PORT)));
            assert_eq!(datagram["flow"], "begun", "{datagram}");
            assert!(
                begun["notes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|note| !note.as_str().unwrap().contains("not that of the attached")),
                "{begun}"
            );

            let after = state(&site.daemon.pin_directory());
            let changed = changed(&before, &after);
            assert!(changed.is_empty(), "{} {suffix}: {changed:?}", mode.name());

            open.push(connect(&site, family, 40_002));
            let list = site.daemon.lbctl(&format!("flow list --service echo-{suffix}")).unwrap();
            let flows = list["flows"].as_array().unwrap();
            let flow = flows.iter().find(|flow| flow["client"] == client(40_002).to_string());
            assert_eq!(flow.unwrap()["backend"], begun["backend"], "{list} {begun}");
        }
    }
}

#[test]
fn a_packet_that_cannot_be_explained_is_refused_with_what_was_expected() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    for (line, expected) in [
        ("198.51.100.7:1 203.0.113.100", "expected an address with a port"),
        ("198.51.100.7:1 [2001:db8::1]:80", "another address family"),
        ("198.51.100.7:1 203.0.113.100:80 --ingress eth9", "expected one of eth0, eth1"),
        ("--hex 00", "expected 14 to 3000 bytes"),
    ] {
        let error = format!("{:#}", site.daemon.lbctl(&format!("explain {line}")).unwrap_err());
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn a_packet_of_a_file_is_explained_whoever_wrote_the_file() {
    require_privileged!();
    let site = Site::standard(Plan { servers: 1, ..Plan::default() }, Mode::Nat).unwrap();
    let directory = temporary::directory("recorded").unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let [own, tshark, older, dumpcap] =
        ["own.pcapng", "tshark.pcapng", "older.pcap", "dumpcap.pcapng"].map(file);

    let mut lbctl = Command::new(binary("lbctl").unwrap());
    lbctl.arg("--socket").arg(site.daemon.socket()).args(["capture", "--full", "--count", "2", "-w", &own]);
    // SYNs: what else belongs to a connection is over when it is explained.
    lbctl.args(["service=web-v4 direction=to-backend length in 74..74"]).stderr(Stdio::null());
    ends(&site, &mut site.topology.balancer.spawn(&mut lbctl).unwrap());
    command::run("tshark", &["-r", &own, "-w", &tshark]).unwrap();
    command::run("tshark", &["-r", &own, "-F", "pcap", "-w", &older]).unwrap();
    let mut recorder = Command::new("dumpcap");
    recorder
        .args(["-q", "-i", "eth0", "-c", "1", "-f", "tcp dst port 80 and tcp[13] == 2", "-w", &dumpcap])
        .stderr(Stdio::null());
    ends(&site, &mut site.topology.client.spawn(&mut recorder).unwrap());

    for recorded in [&own, &tshark, &older, &dumpcap] {
        let found = explained(&site, &format!("--pcap {recorded}"));
        assert_eq!((&found["service"], &found["ingress"]), (&"web-v4".into(), &"eth0".into()), "{found}");
        assert_eq!(found["verdict"], "redirect", "{found}");
    }
    let left = explained(&site, &format!("--pcap {own} --packet 2"));
    assert!(left["notes"].to_string().contains("left there"), "{left}");
    let error = site.daemon.lbctl(&format!("explain --pcap {dumpcap} --packet 2")).unwrap_err();
    assert!(format!("{error:#}").contains("has 1 frames"), "{error:#}");
}

/// Makes requests until a recorder has what it wants.
fn ends(site: &Site, recorder: &mut Child) {
    clock::wait_until("the recorder", LIMIT, || {
        site.requests(Family::V4, Protocol::Tcp, 1);
        recorder.try_wait().unwrap().is_some()
    })
    .unwrap();
}
