//! Virtual routers: what is read, what is written, and what is refused.

use std::time::Duration;

use super::{config, error};
use crate::config::{ConfigError, Document};
use crate::model::{
    Notify, Quorum, RouterName, ScriptProbe, ServiceName, Track, TrackedScript, TrackedService,
    VirtualRouter, VrrpChecksum,
};

const ROUTERS: &str = r#"interfaces = ["eth0"]
[[vrrp]]
name = "outside"
interface = "eth0"
virtual_router_id = 51
virtual_addresses = ["203.0.113.10/24", "203.0.113.11"]
virtual_mac = true
[[vrrp.track_services]]
service = "web"
min_healthy = 2
weight = -50
[[vrrp.track_services]]
service = "web"
min_healthy_percent = 10
[[vrrp]]
name = "inside"
interface = "eth1"
virtual_router_id = 52
priority = 150
advert_interval = "100ms"
versions = [3]
virtual_addresses = ["fe80::1/64", "2001:db8::1/64"]
preempt_delay = "30s"
checksum = "rfc9568"
unicast_peers = ["2001:db8::2"]
min_ttl = 254
track_interfaces = ["eth0", { interface = "eth2", weight = -20 }]
track_scripts = [{ name = "uplink", script = "/bin/true", args = ["a b"], user = "daemon", interval = "2s", timeout = "1s", rise = 3, fall = 4, weight = 5 }]
track_files = [{ path = "/run/lb/weight" }, { path = "/run/lb/more", weight = -2 }]
track_data_path = false
sync_group = "nat"
[[vrrp]]
name = "old"
interface = "eth1"
virtual_router_id = 53
advert_interval = "2s"
versions = [2]
auth_pass = "s3cr3tpw"
preempt = false
virtual_addresses = ["10.0.0.1/24"]
notify = ["/usr/local/bin/hook", "an argument"]
notify_user = "daemon"
notify_timeout = "3s"
[[services]]
name = "web"
address = "203.0.113.10"
protocol = "tcp"
port = 80
"#;

#[test]
fn every_key_of_a_virtual_router_is_read() {
    let config = config(ROUTERS);
    let [outside, inside, old] = &config.vrrp[..] else { panic!("{:?}", config.vrrp) };
    let mut defaults = VirtualRouter::new(outside.name.clone(), outside.interface.clone(), 51);
    defaults.virtual_addresses = vec!["203.0.113.10/24".parse().unwrap(), "203.0.113.11/32".parse().unwrap()];
    defaults.virtual_mac = true;
    let service =
        |quorum, weight| TrackedService { service: ServiceName::new("web").unwrap(), quorum, weight };
    defaults.track.services = vec![service(Quorum::Backends(2), -50), service(Quorum::Percent(10), 0)];
    assert_eq!(*outside, defaults, "without a length, all bits");
    assert_eq!(inside.priority, 150);
    assert_eq!(inside.advert_interval, Duration::from_millis(100));
    assert_eq!((inside.preempt, inside.preempt_delay), (true, Duration::from_secs(30)));
    assert_eq!(inside.checksum, VrrpChecksum::Rfc9568);
    assert_eq!((inside.unicast_peers.len(), inside.min_ttl), (1, 254));
    let Track { interfaces, scripts, files, data_path, .. } = &inside.track;
    let names: Vec<_> = interfaces.iter().map(|one| (one.interface.as_str(), one.weight)).collect();
    assert_eq!(names, [("eth0", 0), ("eth2", -20)]);
    assert_eq!(
        scripts[..],
        [TrackedScript {
            name: RouterName::new("uplink").unwrap(),
            program: ScriptProbe {
                path: "/bin/true".into(),
                args: vec!["a b".to_owned()],
                user: "daemon".to_owned()
            },
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 3,
            fall: 4,
            weight: 5,
        }]
    );
    let paths: Vec<_> = files.iter().map(|one| (one.path.to_str().unwrap(), one.weight)).collect();
    assert_eq!(paths, [("/run/lb/weight", 1), ("/run/lb/more", -2)]);
    assert!(!data_path && outside.track.data_path);
    assert_eq!(inside.sync_group.as_ref().unwrap().as_str(), "nat");
    assert!(!inside.is_v4() && old.is_v4());
    assert_eq!(outside.mac().map(lb_common::abi::Mac::octets), Some([0, 0, 0x5e, 0, 1, 51]));
    assert_eq!(inside.mac(), None);
    assert_eq!((&old.versions[..], old.preempt), (&[2][..], false));
    assert_eq!(old.auth_pass.as_deref(), Some("s3cr3tpw"));
    let program = ScriptProbe {
        path: "/usr/local/bin/hook".into(),
        args: vec!["an argument".to_owned()],
        user: "daemon".to_owned(),
    };
    assert_eq!(old.notify, Some(Notify { program, timeout: Duration::from_secs(3) }));
}

#[test]
fn what_is_written_means_the_same() {
    let config = config(ROUTERS);
    let written = Document::of("lb.toml", &config.draft());
    assert_eq!(written.config().unwrap(), config, "{}", written.text());
}

/// A replacement in the file, and the message it must lead to; none: it is right.
const CASES: &[(&str, &str, &str)] = &[
    ("name = \"inside\"\n", "", "15: vrrp[1].name: missing; expected a name"),
    ("\"inside\"", "\"outside\"", "16: vrrp[1].name: outside is used by vrrp[0].name already"),
    ("= 51", "= 0", "5: vrrp[0].virtual_router_id: 0 is not a number of a virtual router; expected 1 to 255"),
    ("= 51", "= 256", "5: vrrp[0].virtual_router_id: 256 is not a number; expected 0 to 255"),
    ("= 53", "= 52", ""),
    ("= 150", "= 0", "vrrp[1].priority: 0 is not a priority; expected 1 to 255"),
    ("\"100ms\"", "\"15ms\"", "15ms is not an interval that adverts can name; expected \"10ms\""),
    ("\"100ms\"", "\"41s\"", "vrrp[1].advert_interval: 41s is not a usable duration here; expected \"10ms\""),
    ("\"2s\"", "\"1500ms\"", "expected \"1s\" to \"255s\" in whole seconds"),
    ("[3]", "[1]", "vrrp[1].versions: [1] is not a list of versions; expected [3], [2] or [2, 3]"),
    ("[3]", "[2, 3]", "vrrp[1].virtual_addresses: fe80::1/64 is not known to version 2"),
    ("[2]", "[3]", "vrrp[2].auth_pass: (a password) has no meaning in version 3"),
    ("s3cr3tpw", "123456789", "vrrp[2].auth_pass: (a password) is not one that fits into a packet"),
    ("preempt = false", "preempt = false\npreempt_delay = \"1s\"", "has no meaning with `preempt = false`"),
    ("\"30s\"", "\"1001s\"", "vrrp[1].preempt_delay: 1001s is not a usable duration here"),
    ("[\"10.0.0.1/24\"]", "[]", "vrrp[2].virtual_addresses: missing: a virtual router without a VIP"),
    ("\"10.0.0.1/24\"", "\"10.0.0.1/33\"", "vrrp[2].virtual_addresses[0]: \"10.0.0.1/33\" is not an address"),
    (
        "\"10.0.0.1/24\"",
        "\"203.0.113.10\"",
        "vrrp[2].virtual_addresses[0]: 203.0.113.10/32 is not used only here",
    ),
    ("\"10.0.0.1/24\"", "\"224.0.0.18\"", "224.0.0.18/32 is multicast; expected a unicast address"),
    (
        "\"203.0.113.11\"",
        "\"2001:db8::5\"",
        "vrrp[0].virtual_addresses[1]: 2001:db8::5/128 is not of the right family",
    ),
    ("\"fe80::1/64\", ", "", "vrrp[1].virtual_addresses[0]: 2001:db8::1/64 is not link-local"),
    (
        "[\"2001:db8::2\"]",
        "[\"192.0.2.1\"]",
        "vrrp[1].unicast_peers[0]: 192.0.2.1 is not of the VIP's family",
    ),
    (
        "unicast_peers = [\"2001:db8::2\"]\n",
        "",
        "vrrp[1].min_ttl: 254 has no meaning without `unicast_peers`",
    ),
    (
        "track_interfaces = [\"eth0\"",
        "track_interfaces = [\"eth1\"",
        "vrrp[1].track_interfaces[0]: eth1 is not new; expected each",
    ),
    (
        "weight = -20",
        "weight = -254",
        "vrrp[1].track_interfaces[1].weight: -254 is not a weight; expected -253 to 253",
    ),
    (
        "service = \"web\"\nmin_healthy = 2",
        "service = \"wed\"",
        "vrrp[0].track_services[0].service: wed is not a service",
    ),
    (
        "min_healthy = 2",
        "min_healthy = 0",
        "vrrp[0].track_services[0].min_healthy: 0 is not a number of backends",
    ),
    (
        "min_healthy = 2",
        "min_healthy = 2\nmin_healthy_percent = 5",
        "track_services[0].min_healthy_percent: means the same",
    ),
    ("min_healthy_percent = 10", "min_healthy = 2", "vrrp[0].track_services[1]: web is not new"),
    ("\"/bin/true\"", "\"true\"", "vrrp[1].track_scripts[0].script: \"true\" is not an absolute path"),
    ("\"daemon\"", "\"root\"", "vrrp[1].track_scripts[0].user: \"root\" is not a user"),
    (
        "timeout = \"1s\"",
        "timeout = \"3s\"",
        "vrrp[1].track_scripts[0].timeout: 3s is not a usable duration here",
    ),
    ("fall = 4", "fall = 0", "vrrp[1].track_scripts[0].fall: 0 is not a number of failures"),
    (
        "/run/lb/more",
        "/run/lb/weight",
        "vrrp[1].track_files[1].path: /run/lb/weight is not new; expected each file once",
    ),
    ("\"/usr/local/bin/hook\"", "\"hook\"", "vrrp[2].notify[0]: \"hook\" is not an absolute path"),
    ("notify_user = \"daemon\"", "notify_user = \"root\"", "vrrp[2].notify_user: \"root\" is not a user"),
    (
        "notify_timeout = \"3s\"",
        "notify_timeout = \"61s\"",
        "vrrp[2].notify_timeout: 61s is not a usable duration",
    ),
    (
        "notify = [\"/usr/local/bin/hook\", \"an argument\"]\n",
        "",
        "vrrp[2].notify_user: has no meaning without `notify`",
    ),
    ("virtual_mac = true", "virtual_mac = 1", "7: vrrp[0].virtual_mac: 1 is not true or false"),
    (
        "\"eth0\"]\n[[vrrp]]",
        "\"eth1\"]\n[[vrrp]]",
        "4: vrrp[0].interface: eth0 is not one that may have `virtual_mac`; expected an interface of `interfaces`",
    ),
    ("sync_group", "sync_groups", "unknown key; expected one of name, interface,"),
];

#[test]
fn each_mistake_is_named_with_its_place_and_what_is_expected() {
    for (before, after, expected) in CASES {
        assert!(ROUTERS.contains(before), "{before}");
        let text = ROUTERS.replace(before, after);
        if expected.is_empty() {
            // Another address family: the same number is another virtual router.
            config(&text);
            continue;
        }
        let ConfigError::Invalid { findings, .. } = error(&text) else { panic!("{after}") };
        let message = error(&text).to_string();
        assert!(message.contains(expected), "{after}: {message}");
        assert!(findings[0].line.is_some(), "{message}");
    }
}
