//! What each checker of keepalived does, as a probe.

use std::net::IpAddr;

use super::text::{Token, tokens};
use super::tree::Node;
use crate::import::probe::{Wanted, script, status_set};
use crate::import::report::{Id, Ledger};
use crate::model::ProbeType;

/// A statement that a checker of this kind does not have, or that has no counterpart.
fn foreign(kind: &str, child: &Node, ledger: &mut Ledger) {
    let word = child.word(0);
    let reason = match word {
        "digest" => "no digest of the page is made: see expect_body and expect_body_regex".to_owned(),
        "http_protocol" => "HTTP/1.1 is spoken".to_owned(),
        "tls_compliant" => {
            "a connection that TLS does not end properly does not matter once the answer is there".to_owned()
        }
        "fast_recovery" => "one success brings a server back, as rise says".to_owned(),
        "misc_dynamic" => "weights are not taken from a program: it says healthy (0) or not".to_owned(),
        "regex_no_match" => "a body can be asked to hold something, not to lack it".to_owned(),
        _ => format!("`{word}` of {kind} has no counterpart"),
    };
    ledger.dropped_block(child.id, child.inside(), reason);
}

/// A checker that says nothing of its own, or nothing that has a counterpart.
pub(super) fn plain(node: &Node, kind: ProbeType, rest: &[&Node], ledger: &mut Ledger) -> Wanted {
    rest.iter().for_each(|child| foreign(node.word(0), child, ledger));
    Wanted::new(kind)
}

/// `HTTP_GET` and `SSL_GET`. `host`: what is said around it.
pub(super) fn http(node: &Node, host: Option<(Id, &str)>, rest: &[&Node], ledger: &mut Ledger) -> Wanted {
    let tls = node.word(0) == "SSL_GET";
    let mut wanted = Wanted::new(if tls { ProbeType::Https } else { ProbeType::Http });
    let (mut host, mut sni, mut urls) = (host.map(|(id, host)| (id, host.to_owned())), None, 0);
    for child in rest {
        match child.word(0) {
            "url" if urls == 0 => {
                urls = 1;
                ledger.used(child.id);
                url(child, &mut wanted, &mut host, ledger);
            }
            "url" => ledger.dropped_block(
                child.id,
                child.inside(),
                "a check asks for one page: the first one counts",
            ),
            "virtualhost" => host = Some((child.id, child.word(1).to_owned())),
            "enable_sni" if tls && child.word(1) != "false" => sni = Some(child.id),
            "enable_sni" => ledger.used(child.id),
            _ => foreign(node.word(0), child, ledger),
        }
    }
    if let Some((id, host)) = &host {
        ledger.used(*id);
        wanted.set(*id, "host", host);
    }
    if tls {
        // keepalived looks at no certificate.
        wanted.flag(node.id, "tls_verify", false);
        match (sni, host) {
            (Some(id), _) => ledger.used(id),
            (None, Some((id, host))) => {
                ledger.changed(
                    id,
                    format!("{host} is sent in the TLS handshake, too (SNI), as with enable_sni"),
                );
            }
            (None, None) => {}
        }
    }
    wanted
}

fn url(node: &Node, wanted: &mut Wanted, host: &mut Option<(Id, String)>, ledger: &mut Ledger) {
    let mut flags = String::new();
    for child in node.children().iter().filter(|child| child.word(0) == "regex_options") {
        for option in child.arguments() {
            match option.as_str() {
                "caseless" => flags.push('i'),
                "multiline" => flags.push('m'),
                "dotall" => flags.push('s'),
                "extended" => flags.push('x'),
                "ungreedy" => flags.push('U'),
                other => ledger.changed(child.id, format!("`{other}` has no counterpart")),
            }
        }
    }
    for child in node.children() {
        let value = child.word(1);
        match child.word(0) {
            "path" => {
                ledger.used(child.id);
                wanted.set(child.id, "path", value);
            }
            "status_code" => {
                let ranges: Option<Vec<(u16, u16)>> =
                    child.arguments().iter().map(|word| range(word)).collect();
                let is_in =
                    |code| ranges.iter().flatten().any(|(first, last)| (*first..=*last).contains(&code));
                match status_set(is_in) {
                    Some(set) if ranges.is_some() => {
                        ledger.used(child.id);
                        wanted.set(child.id, "expect_status", set);
                    }
                    _ => ledger.dropped(child.id, "expected codes and ranges from 100 to 599"),
                }
            }
            "virtualhost" => *host = Some((child.id, value.to_owned())),
            "regex" => {
                ledger.used(child.id);
                let flags = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
                wanted.set(child.id, "expect_body_regex", format!("{flags}{value}"));
            }
            "regex_options" => ledger.used(child.id),
            _ => foreign("url", child, ledger),
        }
    }
}

/// `200` or `200-299`.
fn range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// `DNS_CHECK`.
pub(super) fn dns(node: &Node, rest: &[&Node], ledger: &mut Ledger) -> Wanted {
    let mut wanted = Wanted::new(ProbeType::Dns);
    wanted.set(node.id, "query_type", "SOA");
    wanted.set(node.id, "query_name", ".");
    for child in rest {
        let key = match child.word(0) {
            "type" => "query_type",
            "name" => "query_name",
            _ => {
                foreign("DNS_CHECK", child, ledger);
                continue;
            }
        };
        ledger.used(child.id);
        wanted.set(child.id, key, child.word(1));
    }
    wanted
}

/// `MISC_CHECK`.
pub(super) fn misc(
    node: &Node,
    server: (IpAddr, u16),
    rest: &[&Node],
    ledger: &mut Ledger,
) -> Option<Wanted> {
    let (mut command, mut user) = (None, None);
    for child in rest {
        match child.word(0) {
            "misc_path" => command = Some(child),
            "user" => user = Some(child),
            _ => foreign("MISC_CHECK", child, ledger),
        }
    }
    let Some(command) = command else {
        ledger.dropped(node.id, "it has no misc_path: there is nothing to run");
        return None;
    };
    ledger.used(command.id);
    let words: Vec<String> = match command.words.len() {
        2 => tokens(command.word(1))
            .into_iter()
            .map(|token| match token {
                Token::Word(word) => word,
                Token::Open => "{".to_owned(),
                Token::Close => "}".to_owned(),
            })
            .collect(),
        _ => command.arguments().to_vec(),
    };
    if !words.first().is_some_and(|path| path.starts_with('/')) {
        ledger.dropped(command.id, "expected the absolute path of a program: its servers are not checked");
        return None;
    }
    let mut wanted = script(command.id, &words, server)?;
    match user {
        Some(user) if user.word(1) != "root" => {
            ledger.used(user.id);
            wanted.set(user.id, "user", user.word(1));
            if let Some(group) = user.words.get(2) {
                ledger.changed(user.id, format!("it has the user's own group, not {group}"));
            }
        }
        Some(user) => {
            ledger.changed(user.id, "programs do not run as root: this one runs as `nobody` (user)");
        }
        None => ledger.changed(command.id, "it runs as `nobody` (user)"),
    }
    Some(wanted)
}

/// `UDP_CHECK`.
pub(super) fn udp(node: &Node, rest: &[&Node], ledger: &mut Ledger) -> Wanted {
    let mut wanted = Wanted::new(ProbeType::Udp);
    let (mut reply, mut length, mut limits) = (None, (0, None), None);
    for child in rest {
        let number = child.word(1).parse::<usize>().ok();
        match (child.word(0), number) {
            ("payload", _) => {
                ledger.used(child.id);
                wanted.set(child.id, "send_hex", child.arguments().concat());
            }
            ("require_reply", _) => {
                ledger.used(child.id);
                reply = Some((child.id, child.arguments().concat().replace(char::is_whitespace, "")));
            }
            ("min_reply_length", Some(number)) => {
                ledger.used(child.id);
                (length.0, limits) = (number, Some(child.id));
            }
            ("max_reply_length", Some(number)) => {
                ledger.used(child.id);
                (length.1, limits) = (Some(number), Some(child.id));
            }
            _ => foreign("UDP_CHECK", child, ledger),
        }
    }
    if !wanted.has("send_hex") {
        wanted.set(node.id, "send", "");
        ledger.assumed(node.id, "it has no `payload`: an empty datagram is sent");
    }
    let is_hex =
        |text: &str| text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (reply, limits) {
        (Some((id, hex)), _) if !is_hex(&hex) => {
            ledger.changed(id, "only plain bytes are compared, not bits of them: any answer will do");
            wanted.set(id, "expect_regex", "^");
        }
        (Some((id, hex)), None) if !hex.is_empty() => wanted.set(id, "expect_hex", hex),
        (Some((id, _)), None) => wanted.set(id, "expect_regex", "^"),
        (Some((id, hex)), Some(_)) => wanted.set(id, "expect_regex", answer(&hex, length)),
        (None, Some(id)) => ledger.dropped(id, "it means nothing without require_reply"),
        (None, None) => {}
    }
    wanted
}

/// What matches an answer that begins with these bytes and is no shorter and no longer than this.
fn answer(hex: &str, (least, most): (usize, Option<usize>)) -> String {
    let begin: String =
        hex.as_bytes().chunks(2).map(|pair| format!("\\x{}", String::from_utf8_lossy(pair))).collect();
    let known = hex.len() / 2;
    let most = most.map(|most| most.saturating_sub(known).to_string()).unwrap_or_default();
    format!("(?s-u)\\A{begin}.{{{},{most}}}\\z", least.saturating_sub(known))
}
