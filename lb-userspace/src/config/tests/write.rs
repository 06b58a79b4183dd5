//! Changing a file in place.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::{EXAMPLE, config, document};
use crate::config::{Document, WriteError};
use crate::model::{
    AdminState, Algorithm, Backend, BackendName, Config, Damping, Draft, Drain, DrainEnd, HealthCheck,
    Keyword as _, Mode, OnDown, OnFull, PortUse, Protocol, Service, ServiceAddress, ServiceName, SynCookies,
    TableFull, Timestamp, probe_examples,
};

const COMMENTED: &str = r#"# Our balancer.
interfaces = ["eth0"] # the only one

# The shop.
[[services]]
name = "web"
address = "203.0.113.10" # moved in May
protocol = "tcp"
port = 80

# First floor.
[[services.backends]]
name = "a"
address = "10.0.0.1"
weight = 10 # old machine

# Second floor.
[[services.backends]]
name = "b"
address = "10.0.0.2"

# Names.
[[services]]
name = "dns"
address = "203.0.113.53"
protocol = "udp"
port = 53
backends = [
    { name = "x", address = "10.0.0.3" }, # left
    { name = "y", address = "10.0.0.4" },
]
# The end.
"#;

fn backend(name: &str, address: &str) -> Backend {
    let (name, address) = (BackendName::new(name).unwrap(), address.parse().unwrap());
    Backend {
        name,
        address,
        port: 80,
        weight: 100,
        state: AdminState::Enabled,
        drain: None,
        backup: false,
        max_connections: 0,
    }
}

/// The text after a change of the draft.
fn changed(text: &str, change: impl FnOnce(&mut Draft)) -> String {
    let mut draft = config(text).draft();
    change(&mut draft);
    document(text)
        .updated(&draft.check().unwrap())
        .unwrap_or_else(|error| panic!("{error}"))
        .text()
        .to_owned()
}

#[test]
fn the_byte_order_mark_and_the_line_ends_of_other_editors_stay() {
    let change = |draft: &mut Draft| draft.services[0].backends[0].weight = 20;
    for other in [|text: &str| format!("\u{feff}{text}"), |text: &str| text.replace('\n', "\r\n")] {
        let document = document(&other(COMMENTED));
        assert_eq!(document.updated(&config(COMMENTED)).unwrap().text(), document.text());
        assert_eq!(changed(document.text(), change), other(&changed(COMMENTED, change)));
    }
}

#[test]
fn what_means_the_same_is_the_same_text() {
    for text in [COMMENTED.trim_end().to_owned(), COMMENTED.replacen('\n', "\r\n", 3)] {
        assert_eq!(document(&text).updated(&config(COMMENTED)).unwrap().text(), text);
    }
}

#[test]
fn a_change_touches_its_line_only() {
    let text = changed(COMMENTED, |draft| draft.services[0].backends[0].weight = 20);
    assert_eq!(text, COMMENTED.replace("weight = 10 #", "weight = 20 #"));

    let text = changed(COMMENTED, |draft| draft.services[0].backends[1].state = AdminState::Draining);
    assert_eq!(text, COMMENTED.replace("\"10.0.0.2\"\n", "\"10.0.0.2\"\nstate = \"draining\"\n"));

    let text = changed(COMMENTED, |draft| draft.services[1].backends[0].weight = 5);
    assert_eq!(text, COMMENTED.replace("\"10.0.0.3\" }", "\"10.0.0.3\", weight = 5 }"));
}

#[test]
fn nothing_changed_is_the_same_text() {
    assert_eq!(changed(COMMENTED, |_| ()), COMMENTED);
    assert_eq!(changed(EXAMPLE, |_| ()), EXAMPLE);
}

#[test]
fn backends_come_and_go_with_their_comments() {
    let text = changed(COMMENTED, |draft| {
        draft.services[0].backends.remove(0);
        draft.services[0].backends.push(backend("c", "10.0.0.9"));
    });
    assert_eq!(
        text,
        COMMENTED
            .replace("# First floor.\n[[services.backends]]\nname = \"a\"\naddress = \"10.0.0.1\"\nweight = 10 # old machine\n\n", "")
            .replace("\"10.0.0.2\"\n", "\"10.0.0.2\"\n\n[[services.backends]]\nname = \"c\"\naddress = \"10.0.0.9\"\n")
    );

    let text = changed(COMMENTED, |draft| {
        draft.services[1].backends.push(Backend { port: 53, weight: 1, ..backend("z", "10.0.0.5") });
    });
    assert_eq!(
        text,
        COMMENTED.replace(
            "\"10.0.0.4\" },\n",
            "\"10.0.0.4\" },\n    { name = \"z\", address = \"10.0.0.5\", weight = 1 },\n"
        )
    );
}

#[test]
fn services_come_and_go_with_their_comments() {
    let at = ServiceAddress { address: "203.0.113.7".parse().unwrap(), protocol: Protocol::Tcp, port: 443 };
    let text = changed(COMMENTED, |draft| {
        draft.services.remove(0);
        let mut service = Service::new(ServiceName::new("tls").unwrap(), at);
        service.algorithm = Algorithm::RoundRobin;
        service.health = Some(HealthCheck { rise: 9, ..HealthCheck::default() });
        service.backends.push(backend("q", "10.0.0.8"));
        draft.services.push(service.into());
    });
    let (head, rest) = COMMENTED.split_once("# The shop.").unwrap();
    let (_, rest) = rest.split_once("# Names.").unwrap();
    let (rest, end) = rest.split_once("# The end.").unwrap();
    assert_eq!(
        text,
        format!(
            r#"{head}# Names.{rest}
[[services]]
name = "tls"
address = "203.0.113.7"
protocol = "tcp"
port = 443
algorithm = "round-robin"

[services.health]
interval = "1s"
rise = 9

[[services.backends]]
name = "q"
address = "10.0.0.8"
port = 80
# The end.{end}"#
        )
    );
}

#[test]
fn a_health_check_comes_and_goes() {
    let with = changed(COMMENTED, |draft| draft.services[0].health = Some(HealthCheck::default()));
    assert!(with.contains("[services.health]\ninterval = \"1s\"\n"), "{with}");
    let without = changed(&with, |draft| draft.services[0].health = None);
    assert!(!without.contains("health"), "{without}");
}

fn on_disk(directory: &Path) -> (Document, Config) {
    let path = directory.join("lb.toml");
    fs::write(&path, COMMENTED).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let document = Document::read(&path).unwrap();
    let mut draft = document.config().unwrap().draft();
    draft.services[0].backends[0].weight = 20;
    (document, draft.check().unwrap())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_commit_replaces_the_file_and_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let (document, config) = on_disk(directory.path());
    let inode = fs::metadata(document.path()).unwrap().ino();
    let staged = document.stage(&config).unwrap();
    assert_eq!(fs::read_to_string(document.path()).unwrap(), COMMENTED);
    let new = staged.commit().unwrap();
    assert_eq!(Document::read(document.path()).unwrap(), new);
    assert_eq!(new.config().unwrap(), config);
    let metadata = fs::metadata(document.path()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    assert_ne!(metadata.ino(), inode, "written in place is not atomic");
    assert_eq!(names(directory.path()), ["lb.toml"]);
}

#[test]
fn a_change_that_is_not_committed_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let (document, config) = on_disk(directory.path());
    drop(document.stage(&config).unwrap());
    assert_eq!(fs::read_to_string(document.path()).unwrap(), COMMENTED);
    assert_eq!(names(directory.path()), ["lb.toml"]);
}

#[test]
fn a_link_stays_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let (document, config) = on_disk(directory.path());
    let link = directory.path().join("link.toml");
    symlink("lb.toml", &link).unwrap();
    Document::read(&link).unwrap().stage(&config).unwrap().commit().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Document::read(document.path()).unwrap().config().unwrap(), config);
}

#[test]
fn a_file_that_somebody_else_changed_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let (document, config) = on_disk(directory.path());
    fs::write(document.path(), EXAMPLE).unwrap();
    let error = document.stage(&config).unwrap_err();
    assert!(matches!(error, WriteError::Changed { .. }), "{error}");
    assert!(error.to_string().contains("lbctl config reload"));
}

#[test]
fn a_read_only_file_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let (document, config) = on_disk(directory.path());
    fs::set_permissions(document.path(), fs::Permissions::from_mode(0o444)).unwrap();
    let message = document.stage(&config).unwrap_err().to_string();
    assert!(
        message.contains("lb.toml: is read-only (mode 0444); make it writable, or use --runtime"),
        "{message}"
    );
}

fn arbitrary_service(index: usize) -> impl Strategy<Value = Service> {
    (
        any::<(bool, bool)>(),
        prop::option::of(prop::sample::select(probe_examples())),
        prop::sample::select(vec![Algorithm::Maglev, Algorithm::RoundRobin, Algorithm::SourceHash]),
        prop::collection::btree_map(0_u8..9, (any::<u16>(), 1_u16..5, 0_u8..3), 0..5),
        arbitrary_rules(),
    )
        .prop_map(move |((full_nat, prefix), probe, algorithm, backends, rules)| {
            let address = format!("203.0.113.{index}").parse().unwrap();
            let at = ServiceAddress { address, protocol: Protocol::Tcp, port: 80 };
            let mut service = Service::new(ServiceName::new(format!("s{index}")).unwrap(), at);
            service.algorithm = algorithm;
            service.affinity_prefix = (prefix && algorithm == Algorithm::SourceHash).then_some(24);
            if prefix {
                service.affinity_timeout = Duration::from_secs(90);
                service.max_connections = 1000;
                service.on_full = OnFull::Reset;
                service.syn_cookies = SynCookies::Always;
            }
            service.health = probe.map(|probe| HealthCheck {
                port: (probe.port_use() != PortUse::None).then_some(53),
                probe: probe.into(),
                ..rules
            });
            if full_nat != prefix {
                service.on_down = OnDown::Reset;
                service.slow_start = rules.damping.window;
                service.backup_below = rules.rise;
                service.slots = Some(65_537);
            }
            if full_nat {
                service.mode = Mode::FullNat;
                service.snat_addresses = vec!["192.0.2.1".parse().unwrap()];
            }
            service.backends = backends
                .into_iter()
                .map(|(host, (weight, port, state))| {
                    let state =
                        [AdminState::Enabled, AdminState::Draining, AdminState::Disabled][usize::from(state)];
                    let until = Timestamp::since_epoch(Duration::from_millis(u64::from(weight) * 500));
                    let then = if port == 1 { DrainEnd::Rst } else { DrainEnd::Keep };
                    let draining = state == AdminState::Draining && weight > 0;
                    Backend {
                        backup: host % 3 == 0,
                        max_connections: u32::from(host % 5),
                        weight,
                        port: 79 + port,
                        state,
                        drain: draining.then_some(Drain { until, then }),
                        ..backend(&format!("b{host}"), &format!("10.0.0.{host}"))
                    }
                })
                .collect();
            service
        })
}

/// When and how often a check is made, each with values that are and are not the default.
fn arbitrary_rules() -> impl Strategy<Value = HealthCheck> {
    (25_u64..1250, 1_u32..9, any::<(bool, bool)>()).prop_map(|(quarter, count, (fast, damped))| {
        let interval = 4 * Duration::from_millis(quarter);
        let default = HealthCheck::default();
        HealthCheck {
            interval,
            timeout: interval / 2,
            rise: count,
            fall: 10 - count,
            fast_interval: fast.then_some(interval / 4),
            jitter: if fast { interval / 2 } else { default.jitter },
            damping: if damped {
                Damping {
                    max_flaps: count,
                    window: Duration::from_secs(7),
                    hold: Duration::from_secs(2),
                    max_hold: Duration::from_secs(90),
                }
            } else {
                default.damping
            },
            max_ejected: if damped { 30 } else { default.max_ejected },
            panic_threshold: if fast { 0 } else { default.panic_threshold },
            ..default
        }
    })
}

/// Services of every kind.
pub(crate) fn arbitrary_draft() -> impl Strategy<Value = Draft> {
    let some = |index| prop::option::of(arbitrary_service(index));
    (some(1), some(2), some(3), any::<Option<u64>>(), 1_u32..100).prop_map(|(a, b, c, seed, embryonic)| {
        let mut draft = config("interfaces = ['eth0']").draft();
        draft.services = [a, b, c].into_iter().flatten().map(Into::into).collect();
        draft.seed = seed;
        draft.limits.embryonic = embryonic;
        draft.limits.table_full =
            TableFull::ALL.get(embryonic as usize % (TableFull::ALL.len() + 1)).copied();
        draft.answers.resets = embryonic;
        draft
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn from_any_configuration_to_any_other(first in arbitrary_draft(), second in arbitrary_draft(), inline in any::<bool>()) {
        let base = if inline { "interfaces = ['eth0'] # one\nservices = []\n" } else { "interfaces = ['eth0'] # one\n" };
        let (first, second) = (first.check().unwrap(), second.check().unwrap());
        let document = document(base).updated(&first).unwrap();
        prop_assert_eq!(&document.config().unwrap(), &first);
        let document = document.updated(&second).unwrap();
        prop_assert!(document.text().starts_with("interfaces = ['eth0'] # one\n"));
    }
}
