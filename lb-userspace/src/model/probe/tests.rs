//! Settings become probes and settings again.

use std::net::IpAddr;

use super::*;

pub(crate) fn text(text: &str) -> Setting {
    Setting::Text(text.to_owned())
}

pub(crate) fn settings(entries: &[(&str, Setting)]) -> ProbeSettings {
    let mut settings = ProbeSettings::default();
    for (key, value) in entries {
        settings.set(key, Some(value.clone()));
        assert!(settings.value(key).is_some(), "{key} is a key of this form");
    }
    settings
}

pub(crate) fn probe(probe_type: ProbeType, entries: &[(&str, Setting)]) -> Probe {
    Probe::new(probe_type, None, &settings(entries)).unwrap_or_else(|found| panic!("{found:?}"))
}

/// A probe of each type at its defaults, and one with every key that can be combined.
pub(crate) fn examples() -> Vec<Probe> {
    let tls = [
        ("tls_server_name", text("www.example.com")),
        ("tls_ca_file", text("/etc/lb/ca.pem")),
        ("tls_cert_file", text("/etc/lb/client.pem")),
        ("tls_key_file", text("/etc/lb/client.key")),
    ];
    let http = [
        ("method", text("OPTIONS")),
        ("path", text("/healthz?deep=1")),
        ("host", text("www.example.com:8443")),
        ("expect_status", text("200-299,404")),
        ("expect_body", text("ok\n\"1\"")),
        ("follow_redirects", Setting::Flag(true)),
    ];
    let all_https: Vec<_> = http.iter().chain(&tls).cloned().collect();
    let mut all_grpc =
        vec![("tls", Setting::Flag(true)), ("grpc_service", text("shop.v1")), ("host", text("shop"))];
    all_grpc.extend(tls);
    let name = ("query_name", text("example.com"));
    let mut examples = vec![
        Probe::default(),
        Probe { source: Some(IpAddr::from([192, 0, 2, 1])), kind: ProbeKind::Icmp },
        probe(ProbeType::Http, &[]),
        probe(ProbeType::Http, &[("expect_body_regex", text(r"^ok\b"))]),
        probe(ProbeType::Http, &http),
        probe(ProbeType::Https, &[("tls_verify", Setting::Flag(false))]),
        probe(ProbeType::Https, &all_https),
        probe(ProbeType::Grpc, &[]),
        probe(ProbeType::Grpc, &all_grpc),
        probe(ProbeType::Dns, std::slice::from_ref(&name)),
        probe(ProbeType::Udp, &[("send", text("ping"))]),
        probe(ProbeType::Udp, &[("send_hex", text("00ff")), ("expect_hex", text("80"))]),
        probe(ProbeType::Udp, &[("send", text("")), ("expect", text("pong"))]),
        probe(ProbeType::Udp, &[("send", text("ping")), ("expect_regex", text("^(?i)pong"))]),
        probe(ProbeType::Script, &[("script", text("/usr/local/bin/check"))]),
    ];
    examples.push(probe(
        ProbeType::Dns,
        &[
            name,
            ("query_type", text("AAAA")),
            ("expect_rcode", text("NXDOMAIN")),
            ("expect_answer", text("2001:db8::1")),
            ("transport", text("tcp")),
        ],
    ));
    let args = Setting::List(vec!["-v".to_owned(), "two words".to_owned()]);
    let script = [("script", text("/usr/local/bin/check")), ("args", args), ("user", text("checker"))];
    examples.push(probe(ProbeType::Script, &script));
    examples
}

#[test]
fn a_probe_is_made_of_its_own_settings_again() {
    for probe in examples() {
        let again = Probe::new(probe.probe_type(), probe.source, &probe.settings());
        assert_eq!(again.as_ref(), Ok(&probe), "{:?}", probe.settings());
    }
}

#[test]
fn the_examples_have_every_key() {
    for key in &PROBE_KEYS {
        let used = examples().iter().any(|probe| probe.settings().value(key.name).is_some());
        assert!(used, "{}", key.name);
    }
}

#[test]
fn another_type_drops_what_does_not_belong_to_it() {
    let https = probe(ProbeType::Https, &[("path", text("/x")), ("tls_verify", Setting::Flag(false))]);
    let http = https.changed(Some(ProbeType::Http), None, &ProbeSettings::default()).unwrap();
    assert_eq!(http.settings(), settings(&[("path", text("/x"))]));
    let kept = https.changed(None, None, &settings(&[("path", text("/y"))])).unwrap();
    assert_eq!((kept.probe_type(), kept.settings().text("path")), (ProbeType::Https, Some("/y")));
}

#[test]
fn a_setting_replaces_the_ones_it_excludes_and_an_empty_one_removes() {
    let before = probe(ProbeType::Http, &[("expect_body", text("ok")), ("host", text("a"))]);
    let after =
        before.changed(None, None, &settings(&[("expect_body_regex", text("o+k")), ("host", text(""))]));
    assert_eq!(after.unwrap().settings(), settings(&[("expect_body_regex", text("o+k"))]));
}

#[test]
#[expect(clippy::too_many_lines, clippy::type_complexity, reason = "a table of cases")]
fn what_is_wrong_says_the_key_the_value_and_what_was_expected() {
    use ProbeType::{Dns, Grpc, Http, Https, Icmp, Script, Tcp, Udp};
    let flag = Setting::Flag;
    let list = |item: &str| Setting::List(vec![item.to_owned()]);
    let cases: Vec<(ProbeType, Vec<(&str, Setting)>, &str)> = vec![
        (
            Tcp,
            vec![("path", text("/x"))],
            "path: \"/x\" belongs to a check of type http and https, and this one is of type tcp",
        ),
        (
            Http,
            vec![("tls_ca_file", text("/x"))],
            "tls_ca_file: \"/x\" belongs to a check of type https and grpc",
        ),
        (Icmp, vec![("args", list("x"))], "args: [\"x\"] belongs to a check of type script"),
        (Http, vec![("method", text("get"))], "method: \"get\" is not a method; expected one in capitals"),
        (Http, vec![("method", text("CONNECT"))], "method: \"CONNECT\" is not a method"),
        (Http, vec![("path", text("x"))], "path: \"x\" is not a path; expected one that begins with /"),
        (Http, vec![("path", text("/a b"))], "path: \"/a b\" is not a path"),
        (Http, vec![("host", text("a b"))], "host: \"a b\" is not a host; expected a name or address"),
        (Http, vec![("host", text("user@a"))], "host: \"user@a\" is not a host"),
        (Http, vec![("expect_status", text("2xx"))], "expect_status: \"2xx\" is not a set of status codes"),
        (
            Http,
            vec![("expect_status", text("299-200"))],
            "expect_status: \"299-200\" is not a set of status codes",
        ),
        (
            Http,
            vec![("expect_body_regex", text("(a"))],
            "is not a regular expression; expected one of the syntax of",
        ),
        (Http, vec![("expect_body_regex", text("(a"))], "unclosed group"),
        (Http, vec![("expect_body_regex", text("(a{999}){999}"))], "too large"),
        (
            Http,
            vec![("expect_body", text("a")), ("expect_body_regex", text("a"))],
            "expect_body_regex: \"a\" has no meaning together with expect_body",
        ),
        (
            Http,
            vec![("method", text("HEAD")), ("expect_body", text("a"))],
            "expect_body: has no meaning with method HEAD",
        ),
        (Https, vec![("tls_server_name", text("a b"))], "tls_server_name: \"a b\" is not a server name"),
        (Https, vec![("tls_ca_file", text("ca.pem"))], "tls_ca_file: \"ca.pem\" is not an absolute path"),
        (
            Https,
            vec![("tls_cert_file", text("/c"))],
            "tls_key_file: missing: tls_cert_file is given; expected the file of its key",
        ),
        (Https, vec![("tls_key_file", text("/k"))], "tls_cert_file: missing: tls_key_file is given"),
        (
            Https,
            vec![("tls_ca_file", text("/c")), ("tls_verify", flag(false))],
            "tls_ca_file: /c has no meaning with tls_verify = false",
        ),
        (Grpc, vec![("tls_verify", flag(false))], "tls_verify: false has no meaning without tls = true"),
        (Dns, vec![], "query_name: missing: a check of type dns asks for it; expected a name"),
        (Dns, vec![("query_name", text("a..b"))], "query_name: \"a..b\" is not a domain name"),
        (
            Dns,
            vec![("query_name", text("a")), ("query_type", text("AA"))],
            "query_type: \"AA\" is not a record type",
        ),
        (
            Dns,
            vec![("query_name", text("a")), ("expect_rcode", text("OK"))],
            "expect_rcode: \"OK\" is not a result code",
        ),
        (
            Dns,
            vec![("query_name", text("a")), ("transport", text("tls"))],
            "transport: \"tls\" is not a transport; expected udp or tcp",
        ),
        (Udp, vec![], "send: missing: a check of type udp sends it; expected a text, or bytes in send_hex"),
        (Udp, vec![("send_hex", text("0"))], "send_hex: \"0\" is not a row of bytes; expected pairs"),
        (
            Udp,
            vec![("send", text("a")), ("send_hex", text("00"))],
            "send_hex: \"00\" has no meaning together with send",
        ),
        (Script, vec![], "script: missing: a check of type script runs it; expected the absolute path"),
        (Script, vec![("script", text("check"))], "script: \"check\" is not an absolute path"),
        (
            Script,
            vec![("script", text("/c")), ("user", text("root"))],
            "user: \"root\" is not a user; expected the name of an unprivileged",
        ),
    ];
    for (probe_type, entries, expected) in cases {
        let found = Probe::new(probe_type, None, &settings(&entries)).expect_err(expected);
        let told = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(expected), "{probe_type}: {told}\nexpected: {expected}");
    }
}
