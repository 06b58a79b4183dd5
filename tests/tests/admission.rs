//! Who may begin flows, with real connections.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{
    fmt::Write as _,
    fs, io,
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use lb_tests::{
    client::Connection,
    clock,
    config::Mode,
    require_privileged,
    servers::ECHO_PORT,
    site::{Site, target},
    topology::{Family, Plan, addresses},
};

/// How long a connection that is let in may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long one is tried that is not.
const PATIENCE: Duration = Duration::from_millis(300);
/// As many as there have to be at once.
const MANY: u32 = 65_000;

fn site() -> Site {
    Site::echo(1, |config| config).unwrap()
}

fn connect(site: &Site, client: IpAddr) -> Connection {
    site.connect(client, LIMIT).unwrap()
}

fn is_refused(site: &Site, client: IpAddr) -> bool {
    match site.connect(client, PATIENCE) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            true
        }
    }
}

fn drops(site: &Site, reason: &str) -> u64 {
    let drops = site.daemon.lbctl("drops").unwrap();
    drops.as_array().unwrap().iter().find(|drop| drop["reason"] == reason).unwrap()["packets"]
        .as_u64()
        .unwrap()
}

#[test]
fn who_is_blocked_is_not_let_in_flows_go_on_until_they_are_ended_and_it_outlives_lbd() {
    require_privileged!();
    let mut site = site();
    let [bad, good, ..] = addresses::clients(Family::V4)[..] else { panic!("two clients") };
    let open = connect(&site, bad);
    site.daemon.lbctl(&format!("acl block {bad} --for 1h --reason scans")).unwrap();
    assert!(is_refused(&site, bad));
    assert!(open.echo().is_ok(), "a flow that was there goes on");
    drop(connect(&site, good));
    assert!(drops(&site, "source-blocked") > 0);
    let check = site.daemon.lbctl_text(&format!("acl check {bad}")).unwrap_err().to_string();
    assert!(check.contains("exit status: 6"), "{check}");
    site.daemon.lbctl(&format!("acl check {good}")).unwrap();

    site.daemon.kill().unwrap();
    assert!(is_refused(&site, bad), "without lbd");
    site.daemon.start_again().unwrap();
    assert!(is_refused(&site, bad), "after a restart");
    let list = site.daemon.lbctl("acl list").unwrap();
    assert_eq!(list["prefixes"][0]["reason"], "scans");
    assert!(list["prefixes"][0]["until"].is_string(), "{list}");

    let ended = site.daemon.lbctl(&format!("acl block {bad} --end")).unwrap();
    assert_eq!(ended["ended"], 1, "{ended}");
    clock::wait_until("the flow to end", LIMIT, || open.echo().is_err()).unwrap();
    site.daemon.lbctl(&format!("acl unblock {bad}")).unwrap();
    drop(connect(&site, bad));
}

#[test]
fn lists_of_services_are_read_from_files_again_with_a_reload_and_errors_name_the_line() {
    require_privileged!();
    let site = site();
    let [one, other, ..] = addresses::clients(Family::V4)[..] else { panic!("two clients") };
    let file = site.daemon.config_file().with_file_name("allow.txt");
    fs::write(&file, format!("# who\n{one}\n")).unwrap();
    site.daemon.lbctl(&format!("service set echo --allow-file {}", file.display())).unwrap();
    drop(connect(&site, one));
    assert!(is_refused(&site, other));
    fs::write(&file, format!("{one}\n{other} # him, too\n")).unwrap();
    site.daemon.lbctl("config reload").unwrap();
    drop(connect(&site, other));
    fs::write(&file, "everybody\n").unwrap();
    let error = site.daemon.lbctl("config reload").unwrap_err().to_string();
    assert!(error.contains("allow.txt: line 1: \"everybody\" is not a prefix"), "{error}");
    drop(connect(&site, one));
    site.daemon.lbctl(&format!("service set echo --deny {one}/32")).unwrap();
    assert!(is_refused(&site, one), "of two that are alike the one that denies");
    let text = fs::read_to_string(site.daemon.config_file()).unwrap();
    assert!(text.contains(&format!("deny = [\"{one}/32\"]")), "{text}");
}

#[test]
fn many_prefixes_are_replaced_at_once_and_the_others_are_let_in() {
    require_privileged!();
    let site = site();
    let [bad, good, ..] = addresses::clients(Family::V4)[..] else { panic!("two clients") };
    let file = site.daemon.config_file().with_file_name("deny.txt");
    for first in [100, 101] {
        let mut text = format!("{bad}\n");
        for number in 0..MANY {
            let [_, b, c, d] = (number << 4).to_be_bytes();
            writeln!(text, "{first}.{b}.{c}.{d}/28").unwrap();
        }
        fs::write(&file, text).unwrap();
        let loaded = site.daemon.lbctl(&format!("acl load {} --reason feed", file.display())).unwrap();
        assert_eq!(loaded["blocked"], MANY + 1);
        assert!(is_refused(&site, bad));
        drop(connect(&site, good));
    }
    fs::write(&file, "").unwrap();
    site.daemon.lbctl(&format!("acl load {}", file.display())).unwrap();
    drop(connect(&site, bad));
}

#[test]
fn a_source_begins_no_more_flows_than_it_may_and_another_one_is_not_concerned() {
    require_privileged!();
    let site = site();
    let [one, other, ..] = addresses::clients(Family::V4)[..] else { panic!("two clients") };
    site.daemon.lbctl("limit set echo --source-flow-rate 1 --source-flow-burst 3").unwrap();
    for _ in 0..3 {
        drop(connect(&site, one));
    }
    assert!(is_refused(&site, one));
    drop(connect(&site, other));
    // A token a second.
    drop(connect(&site, one));
    let limits = site.daemon.lbctl("limit list").unwrap();
    assert!(limits[0]["refused"]["source_limited"].as_u64().unwrap() > 0, "{limits}");
    site.daemon.lbctl("limit set echo --source-flow-rate 0 --flow-rate 1 --flow-burst 2").unwrap();
    drop(connect(&site, one));
    drop(connect(&site, other));
    assert!(is_refused(&site, one));
    assert!(drops(&site, "service-limited") > 0);
    clock::wait_until("the event", LIMIT, || {
        let events = site.daemon.lbctl_text("events --past --topic admission").unwrap();
        events.contains("source-limited") && events.contains("service-limited")
    })
    .unwrap();
}

/// Answers to a burst of datagrams of one client, all of one flow.
fn answers(site: &Site, client: IpAddr, datagrams: usize) -> usize {
    site.topology.client.run(|| {
        let socket = UdpSocket::bind((client, 0)).unwrap();
        socket.connect(target(Family::V4, ECHO_PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 64];
        for _ in 0..datagrams {
            socket.send(b"?").unwrap();
        }
        (0..datagrams).take_while(|_| socket.recv(&mut answer).is_ok()).count()
    })
}

#[test]
fn packets_of_a_source_are_limited_within_flows_too_and_those_of_others_are_not() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = Site::standard(Plan { servers: 1, ..Plan::default() }, mode).unwrap();
        let [one, other, ..] = addresses::clients(Family::V4)[..] else { panic!("two clients") };
        assert_eq!(answers(&site, one, 60), 60, "{}", mode.name());
        site.daemon.lbctl("limit set udp-v4 --source-packet-rate 1 --source-packet-burst 20").unwrap();
        let found = answers(&site, one, 60);
        assert!((20..30).contains(&found), "{}: {found}", mode.name());
        assert_eq!(answers(&site, other, 20), 20, "{}", mode.name());
        assert!(drops(&site, "source-packets") >= 30);

        site.daemon
            .lbctl("limit set udp-v4 --source-packet-rate 0 --packet-rate 1 --packet-burst 30")
            .unwrap();
        let found = answers(&site, one, 20) + answers(&site, other, 20);
        assert!((30..40).contains(&found), "{}: {found}", mode.name());
        assert!(drops(&site, "service-packets") > 0);
        site.daemon.lbctl("limit set udp-v4 --packet-rate 0").unwrap();
        assert_eq!(answers(&site, one, 60), 60, "{}", mode.name());
        let refused = site.daemon.lbctl("limit list").unwrap();
        let refused =
            refused.as_array().unwrap().iter().find(|limits| limits["service"] == "udp-v4").unwrap();
        for key in ["source_packets", "service_packets"] {
            assert!(refused["refused"][key].as_u64() > Some(0), "{refused}");
        }
    }
}

#[test]
fn a_connection_that_was_there_is_held_to_a_rate_of_packets_and_goes_on_after_it() {
    require_privileged!();
    let site = site();
    let client = addresses::clients(Family::V4)[0];
    let open = connect(&site, client);
    let exchanged = || (0..20).take_while(|_| open.echo().is_ok()).count();
    assert_eq!(exchanged(), 20);
    // Its next packets come by the long way.
    site.daemon.lbctl("limit set echo --source-packet-rate 2 --source-packet-burst 2").unwrap();
    let begun = clock::now();
    open.echo().unwrap();
    open.echo().unwrap();
    open.echo().unwrap();
    let took = clock::now() - begun;
    assert!(took > Duration::from_millis(500), "{took:?}: packets were let in at once");
    site.daemon.lbctl("limit set echo --source-packet-rate 0").unwrap();
    assert_eq!(exchanged(), 20);
}

#[test]
fn nobody_connects_from_an_address_that_is_kept_for_packets_to_backends() {
    require_privileged!();
    let site = Site::echo(1, |config| config.mode(Mode::FullNat)).unwrap();
    let own = addresses::snat_addresses(Family::V4)[0];
    let explained = site.daemon.lbctl(&format!("explain {own}:7 {}", target(Family::V4, ECHO_PORT))).unwrap();
    assert_eq!(explained["drop"]["reason"], "own-source", "{explained}");
    drop(connect(&site, addresses::clients(Family::V4)[0]));
}
