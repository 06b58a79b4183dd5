//! What HAProxy's checks do, as a probe.

use std::net::IpAddr;

use super::lines::{Line, Section};
use crate::import::check::Wish;
use crate::import::probe::{Wanted, script, status_set};
use crate::import::report::{Id, Ledger};
use crate::model::{Pattern, ProbeType};

/// Options that say what a check does.
const OPTIONS: [&str; 9] = [
    "tcp-check",
    "httpchk",
    "external-check",
    "ldap-check",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "smtpchk",
    "ssl-hello-chk",
];

/// Whether a line says what a check does.
pub(super) fn is_about_checks(line: &Line) -> bool {
    match (line.word(0), line.word(1)) {
        ("option", option) => OPTIONS.contains(&option),
        (word, _) => matches!(word, "http-check" | "tcp-check" | "external-check"),
    }
}

/// The lines that say what the checks of a section do.
#[derive(Debug, Default)]
pub(super) struct Lines {
    option: Option<Line>,
    /// `http-check`, `tcp-check` and `external-check`.
    rules: Vec<Line>,
}

/// What a server says of the TLS of its checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    pub(super) check: bool,
    pub(super) verify_none: bool,
    pub(super) ca_file: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) sni: Option<String>,
    pub(super) host: Option<String>,
}

/// What the checks of a section do, as far as it is the same for all servers.
#[derive(Debug, Default)]
pub(super) struct Plan {
    kind: Kind,
    /// Where to connect, and whether over TLS; said by the rules.
    port: Option<u16>,
    tls: bool,
    sni: Option<String>,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Tcp,
    Http(Wanted),
    /// The words of the command.
    Script(Id, String),
    Other(String),
}

impl Lines {
    /// Takes the lines of a section, which replace those of its `defaults`.
    pub(super) fn take(&mut self, section: &Section) {
        let about: Vec<&Line> = section.lines.iter().filter(|line| is_about_checks(line)).collect();
        let (options, rules): (Vec<&Line>, Vec<&Line>) =
            about.into_iter().partition(|line| line.word(0) == "option");
        if let Some(option) = options.last() {
            self.option = Some((*option).clone());
        }
        for word in ["http-check", "tcp-check", "external-check"] {
            if rules.iter().any(|line| line.word(0) == word) {
                self.rules.retain(|line| line.word(0) != word);
            }
        }
        self.rules.extend(rules.into_iter().cloned());
    }

    /// What they come to; they are accounted for.
    pub(super) fn plan(&self, ledger: &mut Ledger) -> Plan {
        let mut plan = Plan::default();
        let Some(option) = &self.option else { return plan };
        ledger.used(option.id);
        let rules = |word: &'static str| self.rules.iter().filter(move |line| line.word(0) == word);
        match option.word(1) {
            "tcp-check" => rules("tcp-check").for_each(|line| plan.tcp_rule(line, ledger)),
            "httpchk" => {
                let mut wanted = request(option, ledger);
                let (mut sent, mut expected) = (false, false);
                for line in rules("http-check") {
                    match line.word(1) {
                        "send" if !std::mem::replace(&mut sent, true) => send(line, &mut wanted, ledger),
                        "expect" if !std::mem::replace(&mut expected, true) => {
                            expect(line, &mut wanted, ledger);
                        }
                        "connect" => plan.connect(line, ledger),
                        "comment" => ledger.used(line.id),
                        "send" | "expect" => {
                            ledger.dropped(
                                line.id,
                                "a check is one request and one answer: the first ones count",
                            );
                        }
                        _ => ledger.dropped(line.id, "this rule of checks has no counterpart"),
                    }
                }
                if !expected {
                    wanted.set(option.id, "expect_status", "200-399");
                }
                plan.kind = Kind::Http(wanted);
            }
            "external-check" => {
                let command = rules("external-check").find(|line| line.word(1) == "command");
                for line in rules("external-check").filter(|line| line.word(1) == "path") {
                    ledger.dropped(line.id, "programs have a PATH of their own (see type script)");
                }
                plan.kind = match command {
                    Some(line) => {
                        ledger
                            .changed(line.id, "it runs as `nobody` (user), and without HAProxy's variables");
                        Kind::Script(line.id, line.word(2).to_owned())
                    }
                    None => Kind::Other("option external-check without a command".to_owned()),
                };
            }
            option => plan.kind = Kind::Other(format!("option {option}")),
        }
        plan
    }
}

impl Plan {
    fn tcp_rule(&mut self, line: &Line, ledger: &mut Ledger) {
        match line.word(1) {
            "connect" => self.connect(line, ledger),
            "comment" => ledger.used(line.id),
            _ => ledger.dropped(
                line.id,
                "a check of type tcp only connects: it sends nothing and waits for nothing",
            ),
        }
    }

    /// `connect [default] [port <number>] [ssl] [sni <name>] ...`.
    fn connect(&mut self, line: &Line, ledger: &mut Ledger) {
        ledger.used(line.id);
        let mut words = line.words.iter().skip(2).map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "default" => {}
                "ssl" => self.tls = true,
                "port" => match words.next().and_then(|port| port.parse().ok()).filter(|port| *port > 0) {
                    Some(port) => self.port = Some(port),
                    None => ledger.changed(line.id, "`port`: expected a number from 1 to 65535"),
                },
                "sni" => self.sni = words.next().map(str::to_owned),
                "comment" => drop(words.next()),
                "linger" | "send-proxy" | "via-socks4" => {
                    ledger.changed(line.id, format!("`{word}` has no counterpart"));
                }
                "addr" | "alpn" | "proto" => {
                    let value = words.next().unwrap_or_default();
                    ledger.changed(line.id, format!("`{word} {value}` has no counterpart"));
                }
                word => ledger.changed(line.id, format!("`{word}` has no counterpart")),
            }
        }
    }

    /// The port that the rules name.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// What is done to a server, whose line this is; `None` if it cannot be, which is reported.
    pub(super) fn wish(&self, id: Id, tls: &Tls, server: (IpAddr, u16), ledger: &mut Ledger) -> Option<Wish> {
        let over_tls = tls.check || self.tls;
        let wanted = match &self.kind {
            Kind::Tcp if over_tls => {
                return Some(Wish::Other("a TLS handshake without a request".to_owned()));
            }
            Kind::Tcp => return Some(Wish::tcp()),
            Kind::Other(what) => return Some(Wish::Other(what.clone())),
            Kind::Script(id, command) => {
                let (address, port) = (server.0.to_string(), server.1.to_string());
                let words = [command, "NOT_USED", "NOT_USED", &address, &port].map(str::to_owned);
                script(*id, &words, server)?
            }
            Kind::Http(wanted) if over_tls => {
                let mut wanted = wanted.clone();
                wanted.of_type(ProbeType::Https);
                tls.settings(id, self.sni.as_deref(), &mut wanted, ledger);
                wanted
            }
            Kind::Http(wanted) => wanted.clone(),
        };
        wanted.build(id, ledger).map(|probe| Wish::Known(probe.into()))
    }
}

impl Tls {
    /// Takes a word of a server and its value; `None`: it cannot be read.
    pub(super) fn take(&mut self, word: &str, value: &str) -> Option<()> {
        let text = Some(value.to_owned());
        match (word, value) {
            ("verify", "none") => self.verify_none = true,
            ("verify", "required") => self.verify_none = false,
            ("ca-file", _) => self.ca_file = text,
            ("crt", _) => self.certificate = text,
            ("check-sni", _) => self.sni = text,
            ("verifyhost", _) => self.host = text,
            _ => return None,
        }
        Some(())
    }

    fn settings(&self, id: Id, sni: Option<&str>, wanted: &mut Wanted, ledger: &mut Ledger) {
        let sni = self.sni.as_deref().or(sni);
        let name = self.host.as_deref().or(sni);
        if let Some(name) = name {
            wanted.set(id, "tls_server_name", name);
        }
        if sni.is_some_and(|sni| Some(sni) != name) {
            ledger.changed(id, "the name that is sent (SNI) is the one that the certificate must have");
        }
        if self.verify_none {
            wanted.flag(id, "tls_verify", false);
            if self.ca_file.is_some() {
                ledger.changed(id, "`ca-file` means nothing with `verify none`");
            }
        } else {
            if name.is_none() {
                ledger.changed(
                    id,
                    "the certificate must be for the server's host or address here (tls_server_name), which `check-sni` and `verifyhost` \
                     would have said",
                );
            }
            match self.ca_file.as_deref() {
                Some("@system-ca") | None => {}
                Some(file) => wanted.set(id, "tls_ca_file", file),
            }
        }
        if let Some(file) = &self.certificate {
            wanted.set(id, "tls_cert_file", file);
            wanted.set(id, "tls_key_file", file);
        }
    }
}

/// `option httpchk [[<method>] <uri> [<version>]]`.
fn request(line: &Line, ledger: &mut Ledger) -> Wanted {
    let mut wanted = Wanted::new(ProbeType::Http);
    let (method, uri, version) = match line.words.get(2..).unwrap_or_default() {
        [] => ("OPTIONS", "/", ""),
        [uri] => ("OPTIONS", uri.as_str(), ""),
        [method, uri, version @ ..] => {
            (method.as_str(), uri.as_str(), version.first().map_or("", String::as_str))
        }
    };
    wanted.set(line.id, "method", method);
    wanted.set(line.id, "path", uri);
    // Header fields used to be smuggled in behind the version.
    for field in version.split(['\r', '\n']).skip(1).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        header(line, name, value.trim(), &mut wanted, ledger);
    }
    wanted
}

fn header(line: &Line, name: &str, value: &str, wanted: &mut Wanted, ledger: &mut Ledger) {
    match name.to_ascii_lowercase().as_str() {
        "host" => wanted.set(line.id, "host", value),
        "connection" if value.eq_ignore_ascii_case("close") => {}
        _ => ledger.changed(line.id, format!("the header `{name}` is not sent")),
    }
}

/// `http-check send [meth <method>] [uri <uri>] [ver <version>] [hdr <name> <value>]* [body <text>]`.
fn send(line: &Line, wanted: &mut Wanted, ledger: &mut Ledger) {
    ledger.used(line.id);
    let mut words = line.words.iter().skip(2).map(String::as_str);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        match word {
            "meth" => wanted.set(line.id, "method", value),
            "uri" => wanted.set(line.id, "path", value),
            "ver" | "comment" => {}
            "hdr" => header(line, value, words.next().unwrap_or_default(), wanted, ledger),
            word => ledger.changed(
                line.id,
                format!("`{word}` has no counterpart: no body is sent, and nothing is evaluated"),
            ),
        }
    }
}

/// `http-check expect [<option> <value>]* [!] <match> <pattern>`.
fn expect(line: &Line, wanted: &mut Wanted, ledger: &mut Ledger) {
    let mut words = line.words.iter().skip(2).map(String::as_str).peekable();
    while let Some(word) = words.peek() {
        if !matches!(
            *word,
            "min-recv"
                | "comment"
                | "ok-status"
                | "error-status"
                | "tout-status"
                | "on-success"
                | "on-error"
                | "status-code"
        ) {
            break;
        }
        words.next();
        words.next();
    }
    let is_not = words.next_if_eq(&"!").is_some();
    let (what, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    ledger.used(line.id);
    // What is expected of the body does not look at the status.
    let any = |wanted: &mut Wanted| wanted.set(line.id, "expect_status", "100-599");
    let set = match what {
        "status" => codes(rest).and_then(|is_in| status_set(|code| is_in(code) != is_not)),
        "rstatus" => rest.parse().ok().and_then(|pattern: Pattern| {
            status_set(|code| pattern.is_in(code.to_string().as_bytes()) != is_not)
        }),
        _ if wanted.text("method") == Some("HEAD") => None,
        "string" if !is_not => {
            any(wanted);
            return wanted.set(line.id, "expect_body", rest);
        }
        "rstring" if !is_not && rest.parse::<Pattern>().is_ok() => {
            any(wanted);
            return wanted.set(line.id, "expect_body_regex", rest);
        }
        _ => None,
    };
    if let Some(set) = set {
        wanted.set(line.id, "expect_status", set);
    } else {
        wanted.set(line.id, "expect_status", "200-399");
        ledger.changed(line.id, "it has no counterpart: status 200 to 399 is expected, as without it");
    }
}

/// `200,301-302`.
fn codes(text: &str) -> Option<impl Fn(u16) -> bool> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    };
    let ranges = text.split(',').map(range).collect::<Option<Vec<_>>>()?;
    Some(move |code| ranges.iter().any(|(first, last)| (*first..=*last).contains(&code)))
}
