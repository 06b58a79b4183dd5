//! The keys of a health check that belong to its type: flat in JSON, and flat in the model.

use super::check::Health;
use crate::model::{Probe, ProbeSettings, Setting};

/// The settings that a body gives.
pub(super) fn settings(health: &Health) -> ProbeSettings {
    let mut settings = ProbeSettings::default();
    for (key, text) in [
        ("method", &health.method),
        ("path", &health.path),
        ("host", &health.host),
        ("expect_status", &health.expect_status),
        ("expect_body", &health.expect_body),
        ("expect_body_regex", &health.expect_body_regex),
        ("grpc_service", &health.grpc_service),
        ("tls_server_name", &health.tls_server_name),
        ("tls_ca_file", &health.tls_ca_file),
        ("tls_cert_file", &health.tls_cert_file),
        ("tls_key_file", &health.tls_key_file),
        ("query_name", &health.query_name),
        ("query_type", &health.query_type),
        ("expect_rcode", &health.expect_rcode),
        ("expect_answer", &health.expect_answer),
        ("transport", &health.transport),
        ("send", &health.send),
        ("send_hex", &health.send_hex),
        ("expect", &health.expect),
        ("expect_hex", &health.expect_hex),
        ("expect_regex", &health.expect_regex),
        ("script", &health.script),
        ("user", &health.user),
    ] {
        settings.set(key, text.clone().map(Setting::Text));
    }
    for (key, flag) in [
        ("follow_redirects", health.follow_redirects),
        ("tls", health.tls),
        ("tls_verify", health.tls_verify),
    ] {
        settings.set(key, flag.map(Setting::Flag));
    }
    settings.set("args", health.args.clone().map(Setting::List));
    settings
}

/// A body with what a probe does; what is at its default is left out, but for the type.
pub(super) fn shown(probe: &Probe) -> Health {
    let settings = probe.settings();
    let text = |key| settings.text(key).map(str::to_owned);
    Health {
        probe_type: Some(probe.probe_type().to_string()),
        source: probe.source.map(|source| source.to_string()),
        method: text("method"),
        path: text("path"),
        host: text("host"),
        expect_status: text("expect_status"),
        expect_body: text("expect_body"),
        expect_body_regex: text("expect_body_regex"),
        follow_redirects: settings.flag("follow_redirects"),
        grpc_service: text("grpc_service"),
        tls: settings.flag("tls"),
        tls_server_name: text("tls_server_name"),
        tls_ca_file: text("tls_ca_file"),
        tls_cert_file: text("tls_cert_file"),
        tls_key_file: text("tls_key_file"),
        tls_verify: settings.flag("tls_verify"),
        query_name: text("query_name"),
        query_type: text("query_type"),
        expect_rcode: text("expect_rcode"),
        expect_answer: text("expect_answer"),
        transport: text("transport"),
        send: text("send"),
        send_hex: text("send_hex"),
        expect: text("expect"),
        expect_hex: text("expect_hex"),
        expect_regex: text("expect_regex"),
        script: text("script"),
        args: settings.list("args").map(<[String]>::to_vec),
        user: text("user"),
        ..Health::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Form, PROBE_KEYS};

    #[test]
    fn every_key_of_the_model_is_one_of_the_api() {
        for key in &PROBE_KEYS {
            let value = match key.form {
                Form::Text => serde_json::json!("x"),
                Form::Flag => serde_json::json!(true),
                Form::List => serde_json::json!(["x"]),
            };
            let body = serde_json::json!({ key.name: value });
            let health: Health =
                serde_json::from_value(body).unwrap_or_else(|error| panic!("{}: {error}", key.name));
            assert!(settings(&health).value(key.name).is_some(), "{} is lost", key.name);
        }
    }

    #[test]
    fn what_is_shown_describes_the_same_probe() {
        for probe in crate::model::probe_examples() {
            let again = Probe::new(probe.probe_type(), probe.source, &settings(&shown(&probe)));
            assert_eq!(again.as_ref(), Ok(&probe));
        }
    }
}
