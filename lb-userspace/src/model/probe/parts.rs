//! From a probe to its settings.

use super::matching::{BodyMatch, Payload, UdpExpect};
use super::settings::{ProbeSettings, Setting};
use super::{
    DnsProbe, GrpcProbe, HttpProbe, Probe, ProbeKind, ProbeType, SCRIPT_USER, ScriptProbe, StatusSet,
    TlsSettings, UdpProbe,
};

impl Probe {
    /// The settings that describe it; what is at its default is left out. [`Probe::new`] makes the same probe of them.
    #[must_use]
    pub fn settings(&self) -> ProbeSettings {
        let mut parts = Parts::default();
        match &self.kind {
            ProbeKind::Tcp | ProbeKind::Icmp => {}
            ProbeKind::Http(probe) => parts.http(probe),
            ProbeKind::Https(probe, tls) => {
                parts.http(probe);
                parts.tls(tls);
            }
            ProbeKind::Grpc(probe, tls) => parts.grpc(probe, tls.as_ref()),
            ProbeKind::Dns(probe) => parts.dns(probe),
            ProbeKind::Udp(probe) => parts.udp(probe),
            ProbeKind::Script(probe) => parts.script(probe),
        }
        parts.0
    }

    /// This one with another type, source or settings; `None`, and keys without a value, stay. Settings that do not belong to a
    /// new type are dropped.
    ///
    /// # Errors
    /// As [`Probe::new`].
    pub fn changed(
        &self,
        probe_type: Option<ProbeType>,
        source: Option<std::net::IpAddr>,
        settings: &ProbeSettings,
    ) -> Result<Self, Vec<crate::model::Invalid>> {
        let kind = probe_type.unwrap_or(self.probe_type());
        let settings = self.settings().of_type(kind).overlaid(settings);
        Self::new(kind, source.or(self.source), &settings)
    }
}

#[derive(Default)]
struct Parts(ProbeSettings);

impl Parts {
    fn text(&mut self, key: &str, value: Option<impl Into<String>>) {
        self.0.set(key, value.map(|value| Setting::Text(value.into())));
    }

    /// A text, unless it is the default.
    fn unlike(&mut self, key: &str, value: &str, default: &str) {
        self.text(key, (value != default).then_some(value));
    }

    fn flag(&mut self, key: &str, value: bool, default: bool) {
        self.0.set(key, (value != default).then_some(Setting::Flag(value)));
    }

    fn http(&mut self, probe: &HttpProbe) {
        self.unlike("method", &probe.method, "GET");
        self.unlike("path", &probe.path, "/");
        self.text("host", probe.host.as_deref());
        self.text("expect_status", (probe.status != StatusSet::default()).then(|| probe.status.to_string()));
        match &probe.body {
            Some(BodyMatch::Contains(text)) => self.text("expect_body", Some(text)),
            Some(BodyMatch::Matches(pattern)) => self.text("expect_body_regex", Some(pattern.as_str())),
            None => {}
        }
        self.flag("follow_redirects", probe.follow_redirects, false);
    }

    fn tls(&mut self, tls: &TlsSettings) {
        let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        self.text("tls_server_name", tls.server_name.as_deref());
        self.text("tls_ca_file", tls.ca_file.as_ref().map(path));
        self.text("tls_cert_file", tls.client.as_ref().map(|client| path(&client.cert_file)));
        self.text("tls_key_file", tls.client.as_ref().map(|client| path(&client.key_file)));
        self.flag("tls_verify", tls.verify, true);
    }

    fn grpc(&mut self, probe: &GrpcProbe, tls: Option<&TlsSettings>) {
        self.unlike("grpc_service", &probe.service, "");
        self.text("host", probe.host.as_deref());
        if let Some(tls) = tls {
            self.flag("tls", true, false);
            self.tls(tls);
        }
    }

    fn dns(&mut self, probe: &DnsProbe) {
        self.text("query_name", Some(&probe.name));
        self.unlike("query_type", &probe.query_type, "A");
        self.unlike("expect_rcode", &probe.rcode, "NOERROR");
        self.text("expect_answer", probe.answer.as_deref());
        self.unlike("transport", &probe.transport.to_string(), "udp");
    }

    fn udp(&mut self, probe: &UdpProbe) {
        self.payload(("send", "send_hex"), &probe.send);
        match &probe.expect {
            Some(UdpExpect::Prefix(prefix)) => self.payload(("expect", "expect_hex"), prefix),
            Some(UdpExpect::Matches(pattern)) => self.text("expect_regex", Some(pattern.as_str())),
            None => {}
        }
    }

    fn payload(&mut self, (text_key, hex_key): (&str, &str), payload: &Payload) {
        match payload {
            Payload::Text(text) => self.text(text_key, Some(text)),
            Payload::Bytes(bytes) => self.text(hex_key, Some(Payload::to_hex(bytes))),
        }
    }

    fn script(&mut self, probe: &ScriptProbe) {
        self.text("script", Some(probe.path.to_string_lossy()));
        self.0.set("args", Some(&probe.args).filter(|args| !args.is_empty()).cloned().map(Setting::List));
        self.unlike("user", &probe.user, SCRIPT_USER);
    }
}
