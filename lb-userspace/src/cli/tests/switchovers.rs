//! `lbctl vrrp`.

use clap::Parser as _;

use super::{fail, run};
use crate::{
    api::tests::fixture::Daemon,
    cli::{Args, Exit},
};

#[tokio::test]
async fn virtual_routers_are_a_table() {
    let daemon = Daemon::start();
    let table = "\
NAME     INTERFACE  ID  STATE   PRIORITY  ACTIVE          SWITCHOVER  VIPS             CHANGES  REJECTED
outside  eth0       51  active       150  this machine    -           203.0.113.10/24        2         0
inside   eth1       51  backup       150  10.0.0.3 (100)  standby     10.0.0.1/24            2         0
";
    assert_eq!(run(&daemon, "vrrp status").await, table);
}

#[tokio::test]
async fn a_switchover_says_of_each_router_where_it_stands() {
    let daemon = Daemon::start();
    let both = "\
outside: active until another machine is heard
inside: backup, 10.0.0.3 (100) is active; it leaves others active until it is released
";
    assert_eq!(run(&daemon, "vrrp failover --all").await, both);
    assert_eq!(
        run(&daemon, "vrrp failover outside --force").await,
        "outside: active until another machine is heard\n"
    );
    let released = "\
outside: active
inside: backup, 10.0.0.3 (100) is active; it takes over if it hears no better one
";
    assert_eq!(run(&daemon, "vrrp release --all").await, released);
    let json = run(&daemon, "-o json vrrp release outside").await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()[0]["name"], "outside");
}

#[tokio::test(start_paused = true)]
async fn with_wait_it_ends_when_nothing_is_under_way() {
    let daemon = Daemon::start();
    let said = run(&daemon, "vrrp failover inside --wait").await;
    assert!(said.starts_with("inside: backup, 10.0.0.3 (100) is active; it leaves others"), "{said}");
    let (exit, message) = fail(&daemon, "vrrp failover outside --wait").await;
    assert_eq!(exit, Exit::Conflict, "{message}");
    assert!(run(&daemon, "vrrp release --all --wait").await.starts_with("outside: active\ninside: backup"));
}

#[tokio::test]
async fn a_router_that_is_not_there_is_named() {
    let daemon = Daemon::start();
    let (exit, message) = fail(&daemon, "vrrp failover outsid").await;
    assert_eq!(exit, Exit::NotFound);
    assert_eq!(message, "vrrp[outsid]: there is no virtual router `outsid`; did you mean `outside`?");
}

#[test]
fn which_routers_has_to_be_said() {
    for line in ["failover", "release", "failover outside --all", "release --force outside"] {
        let words = ["lbctl", "vrrp"].into_iter().chain(line.split_whitespace());
        assert!(Args::try_parse_from(words).is_err(), "{line}");
    }
}
