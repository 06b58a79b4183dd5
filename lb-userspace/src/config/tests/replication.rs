//! Replication: what is read, what is written, and what is refused.

use std::time::Duration;

use super::{config, error};
use crate::config::{ConfigError, Document};
use crate::model::Replication;

const TEXT: &str = r#"interfaces = ["eth0"]
[replication]
local_address = "192.0.2.1"
peer_address = "192.0.2.2"
port = 7000
interface = "eth2"
key_file = "/etc/lb/replication.key"
sync_deadline = "5s"
"#;

#[test]
fn every_key_of_replication_is_read() {
    let expected = Replication {
        local_address: "192.0.2.1".parse().unwrap(),
        peer_address: "192.0.2.2".parse().unwrap(),
        port: 7000,
        interface: Some(crate::model::InterfaceName::new("eth2").unwrap()),
        key_file: "/etc/lb/replication.key".into(),
        sync_deadline: Duration::from_secs(5),
    };
    assert_eq!(config(TEXT).replication, Some(expected));
    let short = TEXT.replace("port = 7000\n", "").replace("interface = \"eth2\"\n", "");
    let short = config(&short.replace("sync_deadline = \"5s\"\n", "")).draft().replication.unwrap();
    assert_eq!(short.port, Replication::DEFAULT_PORT);
    assert_eq!(short.sync_deadline, Replication::DEFAULT_SYNC_DEADLINE);
    assert_eq!(short.interface, None);
}

#[test]
fn what_is_written_means_the_same() {
    let config = config(TEXT);
    let written = Document::of("lb.toml", &config.draft());
    assert_eq!(written.config().unwrap(), config, "{}", written.text());
}

/// A replacement in the file, and the message it must lead to.
const CASES: &[(&str, &str, &str)] = &[
    ("local_address = \"192.0.2.1\"\n", "", "2: replication.local_address: missing; expected an address"),
    ("key_file = \"/etc/lb/replication.key\"\n", "", "replication.key_file: missing; expected a path"),
    ("\"/etc/lb/", "\"", "7: replication.key_file: \"replication.key\" is not an absolute path"),
    ("\"192.0.2.2\"", "\"2001:db8::1\"", "4: replication.peer_address: 2001:db8::1 is not reached from"),
    ("\"192.0.2.2\"", "\"192.0.2.1\"", "192.0.2.1 is not another machine's address; expected"),
    ("\"192.0.2.2\"", "\"224.0.0.1\"", "replication.peer_address: 224.0.0.1 is multicast"),
    ("= 7000", "= 0", "5: replication.port: 0 is not a port; expected 1 to 65535"),
    (
        "\"5s\"",
        "\"2h\"",
        "8: replication.sync_deadline: 7200s is not a usable duration here; expected \"0s\" to \"1h\"",
    ),
    ("port", "ports", "replication.ports: unknown key; expected one of local_address,"),
];

#[test]
fn each_mistake_is_named_with_its_place_and_what_is_expected() {
    for (before, after, expected) in CASES {
        assert!(TEXT.contains(before), "{before}");
        let text = TEXT.replacen(before, after, 1);
        let ConfigError::Invalid { findings, .. } = error(&text) else { panic!("{after}") };
        let message = error(&text).to_string();
        assert!(message.contains(expected), "{after}: {message}");
        assert!(findings[0].line.is_some(), "{message}");
    }
}
