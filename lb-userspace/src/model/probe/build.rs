//! From settings to a probe, or everything that is wrong with them.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use domain::base::Name;
use domain::base::iana::{Rcode, Rtype};
use tokio_rustls::rustls::pki_types::ServerName;

use super::matching::{BodyMatch, Pattern, Payload, UdpExpect};
use super::settings::{EXCLUSIVE, ProbeKey, ProbeSettings, Setting};
use super::{
    ClientCertificate, DnsProbe, DnsTransport, GrpcProbe, HttpProbe, Probe, ProbeKind, ProbeType,
    SCRIPT_USER, ScriptProbe, TlsSettings, UdpProbe,
};
use crate::model::{Invalid, Keyword as _, Path, Problem};

/// Longest datagram that is sent.
const MAX_DATAGRAM: usize = 1400;

impl Probe {
    /// The probe of a type that settings describe.
    ///
    /// # Errors
    /// All that is wrong, with paths from the table of the health check.
    pub fn new(
        probe_type: ProbeType,
        source: Option<IpAddr>,
        settings: &ProbeSettings,
    ) -> Result<Self, Vec<Invalid>> {
        let mut build = Build { settings, found: Vec::new() };
        build.foreign(probe_type);
        build.exclusive();
        let kind = match probe_type {
            ProbeType::Tcp => Some(ProbeKind::Tcp),
            ProbeType::Http => build.http().map(ProbeKind::Http),
            ProbeType::Https => {
                let (http, tls) = (build.http(), build.tls());
                http.map(|http| ProbeKind::Https(http, tls))
            }
            ProbeType::Grpc => Some(build.grpc()),
            ProbeType::Dns => build.dns().map(ProbeKind::Dns),
            ProbeType::Udp => build.udp().map(ProbeKind::Udp),
            ProbeType::Icmp => Some(ProbeKind::Icmp),
            ProbeType::Script => build.script().map(ProbeKind::Script),
        };
        match kind {
            Some(kind) if build.found.is_empty() => Ok(Self { source, kind }),
            _ => Err(build.found),
        }
    }
}

struct Build<'a> {
    settings: &'a ProbeSettings,
    found: Vec<Invalid>,
}

impl<'a> Build<'a> {
    fn add(&mut self, key: &str, value: &dyn Display, problem: Problem) {
        self.found.push(Invalid { path: Path::root().key(key), value: value.to_string(), problem });
    }

    fn foreign(&mut self, probe_type: ProbeType) {
        let foreign: Vec<(&ProbeKey, &Setting)> = self.settings.foreign_to(probe_type).collect();
        for (key, value) in foreign {
            let types: Vec<&str> = key.types.iter().map(|kind| kind.as_str()).collect();
            let problem = Problem::OtherType { types: types.join(" and "), given: probe_type.as_str() };
            self.add(key.name, &shown(value), problem);
        }
    }

    fn exclusive(&mut self) {
        for group in EXCLUSIVE {
            let mut given = group.iter().filter_map(|key| Some((*key, self.settings.value(key)?)));
            let Some((first, _)) = given.next() else { continue };
            let others: Vec<(&str, &Setting)> = given.collect();
            for (key, value) in others {
                self.add(key, &shown(value), Problem::Meaningless { when: format!("together with {first}") });
            }
        }
    }

    /// A text, unless there is none, or it is not what it should be.
    fn parsed<T>(
        &mut self,
        key: &str,
        what: &'static str,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        let text = self.settings.text(key)?;
        let value = parse(text);
        if value.is_none() {
            let problem = Problem::Not { what, expected: expected.to_owned() };
            self.add(key, &format_args!("{text:?}"), problem);
        }
        value
    }

    fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.parsed(key, "an absolute path", "one that begins with /", |text| {
            Some(text).filter(|text| text.starts_with('/') && !text.contains('\0')).map(PathBuf::from)
        })
    }

    fn pattern(&mut self, key: &str) -> Option<Pattern> {
        let text = self.settings.text(key)?;
        match text.parse() {
            Ok(pattern) => Some(pattern),
            Err(reason) => {
                let expected = format!("one of the syntax of the Rust crate regex ({reason})");
                let problem = Problem::Not { what: "a regular expression", expected };
                self.add(key, &format_args!("{text:?}"), problem);
                None
            }
        }
    }

    fn host(&mut self) -> Option<String> {
        let expected = "a name or address, perhaps with a port, such as \"www.example.com\"";
        self.parsed("host", "a host", expected, |text| {
            let authority = text.parse::<http::uri::Authority>().ok()?;
            (!authority.as_str().contains('@')).then(|| text.to_owned())
        })
    }

    fn http(&mut self) -> Option<HttpProbe> {
        let expected = "one in capitals such as \"GET\", \"HEAD\" or \"OPTIONS\", not CONNECT";
        let method = self.parsed("method", "a method", expected, |text| {
            let letters = !text.is_empty() && text.len() <= 32;
            let letters = letters && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
            (letters && text != "CONNECT").then(|| text.to_owned())
        });
        let path = self.parsed("path", "a path", "one that begins with /, without spaces", |text| {
            let right = text.starts_with('/') && !text.contains('#') && text.parse::<http::Uri>().is_ok();
            right.then(|| text.to_owned())
        });
        let expected = "codes and ranges such as \"200-299,404\"";
        let status =
            self.parsed("expect_status", "a set of status codes", expected, |text| text.parse().ok());
        let contains = self.parsed("expect_body", "a text", "one that is not empty", |text| {
            Some(text).filter(|text| !text.is_empty()).map(|text| BodyMatch::Contains(text.to_owned()))
        });
        let matches = self.pattern("expect_body_regex").map(BodyMatch::Matches);
        let method = method.unwrap_or_else(|| "GET".to_owned());
        let body = contains.or(matches);
        if body.is_some() && method == "HEAD" {
            let problem =
                Problem::Meaningless { when: "with method HEAD, whose answers have no body".to_owned() };
            let key =
                if self.settings.text("expect_body").is_some() { "expect_body" } else { "expect_body_regex" };
            self.add(key, &"", problem);
        }
        Some(HttpProbe {
            method,
            path: path.unwrap_or_else(|| "/".to_owned()),
            host: self.host(),
            status: status.unwrap_or_default(),
            body,
            follow_redirects: self.settings.flag("follow_redirects").unwrap_or_default(),
        })
    }

    fn tls(&mut self) -> TlsSettings {
        let expected = "a host name or address such as \"www.example.com\"";
        let server_name = self.parsed("tls_server_name", "a server name", expected, |text| {
            ServerName::try_from(text).ok().map(|_| text.to_owned())
        });
        let ca_file = self.path("tls_ca_file");
        let cert_file = self.path("tls_cert_file");
        let key_file = self.path("tls_key_file");
        let given = |key| self.settings.text(key).is_some();
        let client = match (given("tls_cert_file"), given("tls_key_file")) {
            (true, false) => {
                let (why, expected) = ("tls_cert_file is given", "the file of its key");
                self.add("tls_key_file", &"", Problem::Missing { why, expected });
                None
            }
            (false, true) => {
                let (why, expected) = ("tls_key_file is given", "the file of its certificate");
                self.add("tls_cert_file", &"", Problem::Missing { why, expected });
                None
            }
            _ => {
                cert_file.zip(key_file).map(|(cert_file, key_file)| ClientCertificate { cert_file, key_file })
            }
        };
        let verify = self.settings.flag("tls_verify").unwrap_or(true);
        if let Some(file) = ca_file.as_ref().filter(|_| !verify) {
            let when = "with tls_verify = false, which trusts everybody".to_owned();
            self.add("tls_ca_file", &file.display(), Problem::Meaningless { when });
        }
        TlsSettings { server_name, ca_file, client, verify }
    }

    fn grpc(&mut self) -> ProbeKind {
        let service = self.parsed("grpc_service", "a service name", "at most 255 characters", |text| {
            (text.len() <= 255).then(|| text.to_owned())
        });
        let probe = GrpcProbe { service: service.unwrap_or_default(), host: self.host() };
        let tls = self.tls();
        if self.settings.flag("tls").unwrap_or_default() {
            return ProbeKind::Grpc(probe, Some(tls));
        }
        let keys = ["tls_server_name", "tls_ca_file", "tls_cert_file", "tls_key_file", "tls_verify"];
        for key in keys {
            if let Some(value) = self.settings.value(key) {
                self.add(key, &shown(value), Problem::Meaningless { when: "without tls = true".to_owned() });
            }
        }
        ProbeKind::Grpc(probe, None)
    }

    fn dns(&mut self) -> Option<DnsProbe> {
        if self.settings.text("query_name").is_none() {
            let (why, expected) = ("a check of type dns asks for it", "a name such as \"example.com\"");
            self.add("query_name", &"", Problem::Missing { why, expected });
        }
        let expected = "one such as \"example.com\", or \".\" for the root";
        let name = self.parsed("query_name", "a domain name", expected, |text| {
            Name::<Vec<u8>>::from_str(text).ok().map(|_| text.to_owned())
        });
        let query_type =
            self.parsed("query_type", "a record type", "one such as \"A\" or \"TYPE65\"", |text| {
                Rtype::from_str(text).ok().map(|query_type| query_type.to_string())
            });
        let rcode =
            self.parsed("expect_rcode", "a result code", "one such as \"NOERROR\" or \"REFUSED\"", |text| {
                Rcode::from_str(text).ok().map(|rcode| rcode.to_string())
            });
        let expected = "record data as in a zone file, such as \"192.0.2.1\"";
        let answer = self.parsed("expect_answer", "record data", expected, |text| {
            Some(text).filter(|text| !text.is_empty()).map(str::to_owned)
        });
        let transport =
            self.parsed("transport", "a transport", "udp or tcp", |text| DnsTransport::from_word(text).ok());
        Some(DnsProbe {
            name: name?,
            query_type: query_type.unwrap_or_else(|| Rtype::A.to_string()),
            rcode: rcode.unwrap_or_else(|| Rcode::NOERROR.to_string()),
            answer,
            transport: transport.unwrap_or_default(),
        })
    }

    fn udp(&mut self) -> Option<UdpProbe> {
        if self.settings.text("send").or(self.settings.text("send_hex")).is_none() {
            let (why, expected) = ("a check of type udp sends it", "a text, or bytes in send_hex");
            self.add("send", &"", Problem::Missing { why, expected });
        }
        let fits = |payload: &Payload| payload.as_bytes().len() <= MAX_DATAGRAM;
        let send = self.parsed("send", "a datagram", "at most 1400 bytes", |text| {
            Some(Payload::Text(text.to_owned())).filter(fits)
        });
        let digits = "pairs of hexadecimal digits such as \"ff00\", at most 1400";
        let hex = |text: &str| Payload::from_hex(text).filter(fits);
        let send_hex = self.parsed("send_hex", "a row of bytes", digits, hex);
        let not_empty = "one that is not empty";
        let expect = self.parsed("expect", "a text", not_empty, |text| {
            Some(text).filter(|text| !text.is_empty()).map(|text| Payload::Text(text.to_owned()))
        });
        let expect_hex = self.parsed("expect_hex", "a row of bytes", digits, |text| {
            hex(text).filter(|payload| !payload.as_bytes().is_empty())
        });
        let expect = expect.or(expect_hex).map(UdpExpect::Prefix);
        let matches = self.pattern("expect_regex").map(UdpExpect::Matches);
        Some(UdpProbe { send: send.or(send_hex)?, expect: expect.or(matches) })
    }

    fn script(&mut self) -> Option<ScriptProbe> {
        if self.settings.text("script").is_none() {
            let (why, expected) = ("a check of type script runs it", "the absolute path of a program");
            self.add("script", &"", Problem::Missing { why, expected });
        }
        let path = self.path("script");
        let args = self.settings.list("args").unwrap_or_default().to_vec();
        if let Some(wrong) = args.iter().find(|arg| arg.contains('\0')) {
            let problem = Problem::Not { what: "an argument", expected: "a text without NUL".to_owned() };
            self.add("args", &format_args!("{wrong:?}"), problem);
        }
        let user =
            self.parsed("user", "a user", "the name of an unprivileged user such as \"nobody\"", |text| {
                let right = !text.is_empty() && text != "root" && !text.contains(['\0', ':', '/']);
                right.then(|| text.to_owned())
            });
        Some(ScriptProbe { path: path?, args, user: user.unwrap_or_else(|| SCRIPT_USER.to_owned()) })
    }
}

/// A value as it stands in the file.
fn shown(value: &Setting) -> String {
    match value {
        Setting::Text(text) => format!("{text:?}"),
        Setting::Flag(flag) => flag.to_string(),
        Setting::List(list) => format!("{list:?}"),
    }
}
