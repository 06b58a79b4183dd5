//! A flow table that is full of established connections, with real ones.

#![allow(clippy::unwrap_used, reason = "what is shared by tests may panic as they do")]

use std::{io, time::Duration};

use lb_tests::{
    client::Connection,
    clock,
    config::Mode,
    require_privileged,
    site::Site,
    topology::{Family, Plan, addresses},
};
use serde_json::Value;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Connections that the table has room for.
const ROOM: usize = 8;

fn site(mode: Mode, policy: &str) -> Site {
    let limits = format!(
        "[timeouts]\ntcp_closing = \"1s\"\n[limits]\nconnections_v4 = {ROOM}\ntable_full = \"{policy}\""
    );
    Site::echo(Plan::default().servers, |config| config.mode(mode).tables(&limits)).unwrap()
}

fn connect(site: &Site, limit: Duration) -> io::Result<Connection> {
    site.connect(addresses::clients(Family::V4)[0], limit)
}

/// A message goes there and comes back.
fn talk(connection: &Connection) {
    connection.echo().unwrap();
}

fn top(site: &Site) -> Value {
    site.daemon.lbctl("flow top --by service").unwrap()
}

/// Flows that the table of established ones has.
fn established(site: &Site) -> u64 {
    top(site)["established"].as_u64().unwrap()
}

#[test]
fn a_full_table_keeps_established_connections_and_serves_more_among_the_half_open_ones() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = site(mode, "evict-embryonic");
        let mut streams: Vec<Connection> = (0..4 * ROOM).map(|_| connect(&site, LIMIT).unwrap()).collect();
        streams.iter().for_each(talk);
        clock::wait_until("the table to be full", LIMIT, || established(&site) == ROOM as u64).unwrap();
        streams.iter().for_each(talk);

        // As soon as there is room, as many of those that wait get it.
        streams.drain(..ROOM);
        let waiting = 2 * ROOM as u64;
        clock::wait_until("ended connections to be forgotten", Duration::from_secs(10), || {
            streams.iter().for_each(talk);
            top(&site)["embryonic"] == waiting
        })
        .unwrap();
    }
}

#[test]
fn a_full_table_lets_no_connection_begin_where_that_is_wanted() {
    require_privileged!();
    for mode in Mode::ALL {
        let site = site(mode, "reject");
        let mut streams: Vec<Connection> = (0..ROOM).map(|_| connect(&site, LIMIT).unwrap()).collect();
        // What is answered now finds no room, and then nothing begins.
        let refused = (0..16).filter(|_| match connect(&site, Duration::from_millis(300)) {
            Ok(stream) => {
                streams.push(stream);
                false
            }
            Err(_) => true,
        });
        assert!(refused.count() > 0, "{}", mode.name());
        streams.iter().for_each(talk);
        let drops = site.daemon.lbctl("drops").unwrap();
        let named = drops.as_array().unwrap().iter().find(|drop| drop["reason"] == "flow-table-full");
        assert!(named.and_then(|drop| drop["packets"].as_u64()) > Some(0), "{drops}");
    }
}

#[test]
fn the_policy_changes_with_a_restart_and_connections_stay() {
    require_privileged!();
    let mut site = site(Mode::Nat, "evict-idle");
    let streams: Vec<Connection> = (0..4).map(|_| connect(&site, LIMIT).unwrap()).collect();
    for (from, to) in [("evict-idle", "reject"), ("reject", "evict-idle")] {
        site.daemon.terminate().unwrap();
        let file = site.daemon.config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace(from, to)).unwrap();
        site.daemon.start_again().unwrap();
        streams.iter().for_each(talk);
        assert_eq!(established(&site), 4, "{to}");
    }
}
