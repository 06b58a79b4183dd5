//! `tcp-request connection`: which sources a proxy lets in.
//!
//! What it is about is a list of sources, as a service has one, where rules only ask for the source: rejects, and what is accepted before
//! everything else is rejected. Everything else is reported.

use std::{collections::HashMap, net::IpAddr, path::PathBuf};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::lines::{Line, Section};
use crate::import::report::Ledger;
use crate::model::SourceList;

/// Sources that a condition names.
#[derive(Clone, Debug, Default)]
struct Sources {
    prefixes: Vec<IpNet>,
    file: Option<PathBuf>,
}

/// Conditions by name; `None`: it is about something else.
type Named = HashMap<String, Option<Sources>>;

/// A rule that goes by the source alone.
struct Rule {
    accepts: bool,
    /// `None`: it is for everybody.
    sources: Option<Sources>,
    /// It is for everybody else.
    negated: bool,
}

/// The list that the rules of a section come to; nothing if they come to none.
pub(super) fn of_section(section: &Section, ledger: &mut Ledger) -> SourceList {
    let named = named(section);
    let is_rule = |line: &&Line| line.word(0) == "tcp-request" && line.word(1) == "connection";
    let lines: Vec<&Line> = section.lines.iter().filter(is_rule).collect();
    if lines.is_empty() {
        return SourceList::default();
    }
    let rules: Option<Vec<Rule>> = lines.iter().map(|line| rule(line, &named)).collect();
    let Some(list) = rules.as_deref().and_then(list) else {
        let reason = "not imported: only rules that reject sources, or accept some before all others are rejected, become `deny` and `allow`";
        lines.iter().for_each(|line| ledger.dropped(line.id, reason));
        return SourceList::default();
    };
    for line in &lines {
        ledger.changed(
            line.id,
            "it became `allow` or `deny` of the service: of the prefixes that hold an address the longest counts, not the first rule; packets are dropped, not answered",
        );
    }
    for line in section.lines.iter().filter(|line| line.word(0) == "acl" && named.contains_key(line.word(1)))
    {
        ledger.used(line.id);
    }
    list
}

/// The part of a list that is for the services of a family.
pub(super) fn of_family(list: &SourceList, is_v4: bool) -> SourceList {
    let same = |prefixes: &[IpNet]| -> Vec<IpNet> {
        prefixes.iter().filter(|prefix| prefix.addr().is_ipv4() == is_v4).copied().collect()
    };
    let mut own = SourceList { allow: same(&list.allow), deny: same(&list.deny), ..list.clone() };
    if list.is_exclusive() && !own.is_exclusive() {
        // Only sources of the other family are let in: nobody is.
        let nobody = if is_v4 { IpNet::V4(Ipv4Net::default()) } else { IpNet::V6(Ipv6Net::default()) };
        own.deny = vec![nobody];
    }
    own
}

/// The list of rules, if there is one that says the same.
fn list(rules: &[Rule]) -> Option<SourceList> {
    let (mut allowed, mut denied) = (Vec::new(), Vec::new());
    let mut is_closed = false;
    for rule in rules {
        match (&rule.sources, rule.negated, rule.accepts) {
            _ if is_closed => return None,
            (Some(sources), false, false) => denied.push(sources),
            (Some(sources), false, true) => allowed.push(sources),
            // All others are rejected, or everybody is who was not accepted.
            (Some(sources), true, false) => {
                allowed.push(sources);
                is_closed = true;
            }
            (None, _, false) => is_closed = true,
            (Some(_), true, true) | (None, _, true) => return None,
        }
    }
    // Who is accepted but not alone is only spared from later rules, and nobody may be let in by an empty list.
    let is_allowing = !allowed.is_empty();
    if is_closed != is_allowing {
        return None;
    }
    let (allow, allow_file) = joined(&allowed)?;
    let (deny, deny_file) = joined(&denied)?;
    let allow = allow.into_iter().filter(|prefix| !deny.contains(prefix)).collect();
    Some(SourceList { allow, allow_file, deny, deny_file })
}

/// All of them; `None` if there are several files.
fn joined(sources: &[&Sources]) -> Option<(Vec<IpNet>, Option<PathBuf>)> {
    let (mut prefixes, mut file) = (Vec::new(), None);
    for one in sources {
        prefixes.extend(one.prefixes.iter().copied());
        if let Some(more) = &one.file
            && file.replace(more.clone()).is_some_and(|before| before != *more)
        {
            return None;
        }
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Some((prefixes, file))
}

/// `tcp-request connection accept|reject [if|unless CONDITION]`.
fn rule(line: &Line, named: &Named) -> Option<Rule> {
    let accepts = match line.word(2) {
        "accept" => true,
        "reject" => false,
        _ => return None,
    };
    let unless = match line.word(3) {
        "" => return Some(Rule { accepts, sources: None, negated: false }),
        "if" => false,
        "unless" => true,
        _ => return None,
    };
    let (sources, negated) = condition(&line.words[4..], named)?;
    Some(Rule { accepts, sources: Some(sources), negated: negated != unless })
}

/// One condition, or several of which any may hold; whether it is negated.
fn condition(words: &[String], named: &Named) -> Option<(Sources, bool)> {
    let terms: Option<Vec<_>> =
        words.split(|word| word == "or" || word == "||").map(|words| term(words, named)).collect();
    let terms = terms?;
    let negated = terms.iter().any(|(_, negated)| *negated);
    if negated && terms.len() > 1 {
        return None;
    }
    let sources: Vec<&Sources> = terms.iter().map(|(sources, _)| sources).collect();
    let (prefixes, file) = joined(&sources)?;
    Some((Sources { prefixes, file }, negated))
}

/// `name`, `!name`, `{ src ... }` or `!{ src ... }`.
fn term(words: &[String], named: &Named) -> Option<(Sources, bool)> {
    let (first, rest) = words.split_first()?;
    let bare = first.strip_prefix('!');
    let (first, rest) = match bare {
        Some("") => rest.split_first().map(|(first, rest)| (first.as_str(), rest))?,
        Some(first) => (first, rest),
        None => (first.as_str(), rest),
    };
    let sources = match (first, rest.split_last()) {
        ("{", Some((end, inner))) if end == "}" => criterion(inner)?,
        (name, None) => named.get(name)?.clone()?,
        _ => return None,
    };
    Some((sources, bare.is_some()))
}

/// The `acl` lines of a section by name; `None`: they are about something else.
fn named(section: &Section) -> Named {
    let mut named = Named::new();
    for line in section.lines.iter().filter(|line| line.word(0) == "acl") {
        let sources = criterion(line.words.get(2..).unwrap_or_default());
        let entry = named.entry(line.word(1).to_owned()).or_insert_with(|| Some(Sources::default()));
        // Several lines of one name: any of them.
        *entry = match (entry.take(), sources) {
            (Some(before), Some(more)) => {
                joined(&[&before, &more]).map(|(prefixes, file)| Sources { prefixes, file })
            }
            _ => None,
        };
    }
    named
}

/// `src [-f FILE] [--] PREFIX...`.
fn criterion(words: &[String]) -> Option<Sources> {
    let (first, mut rest) = words.split_first()?;
    if first != "src" {
        return None;
    }
    let mut sources = Sources::default();
    while let Some((word, more)) = rest.split_first() {
        rest = more;
        match word.as_str() {
            "--" => {}
            "-f" => {
                let (file, more) = rest.split_first()?;
                let file = PathBuf::from(file);
                if !file.is_absolute() || sources.file.replace(file).is_some() {
                    return None;
                }
                rest = more;
            }
            text => {
                let prefix =
                    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())?;
                sources.prefixes.push(prefix.trunc());
            }
        }
    }
    (!sources.prefixes.is_empty() || sources.file.is_some()).then_some(sources)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::import::haproxy::lines::sections;

    fn of(lines: &[&str]) -> SourceList {
        let text = format!("frontend f\n{}\n", lines.join("\n"));
        let mut ledger = Ledger::default();
        let sections = sections(&Arc::from("f"), &text, &mut ledger);
        of_section(&sections[0], &mut ledger)
    }

    fn prefixes(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|prefix| prefix.parse().unwrap()).collect()
    }

    #[test]
    fn rejects_become_deny() {
        for lines in [
            &["acl bad src 198.51.100.7 203.0.113.9/24", "tcp-request connection reject if bad"][..],
            &["tcp-request connection reject if { src 203.0.113.0/24 198.51.100.7 }"],
            &[
                "acl bad src 198.51.100.7",
                "acl bad src -- 203.0.113.0/24",
                "tcp-request connection reject if bad",
            ],
            &[
                "acl one src 198.51.100.7",
                "acl two src 203.0.113.0/24",
                "tcp-request connection reject if one or two",
            ],
            &[
                "tcp-request connection reject if { src 198.51.100.7 }",
                "tcp-request connection reject if { src 203.0.113.0/24 }",
            ],
        ] {
            let list = of(lines);
            assert_eq!(list.deny, prefixes(&["198.51.100.7/32", "203.0.113.0/24"]), "{lines:?}");
            assert!(!list.is_exclusive(), "{lines:?}");
        }
        let list = of(&["tcp-request connection reject if { src -f /etc/bad.lst }"]);
        assert_eq!(list.deny_file, Some("/etc/bad.lst".into()));
    }

    #[test]
    fn who_alone_is_accepted_becomes_allow() {
        for lines in [
            &["acl us src 10.0.0.0/8", "tcp-request connection reject if !us"][..],
            &["acl us src 10.0.0.0/8", "tcp-request connection reject unless us"],
            &["tcp-request connection reject if !{ src 10.0.0.0/8 }"],
            &["tcp-request connection accept if { src 10.0.0.0/8 }", "tcp-request connection reject"],
        ] {
            let list = of(lines);
            assert_eq!((list.allow, list.deny), (prefixes(&["10.0.0.0/8"]), Vec::new()), "{lines:?}");
        }
        let list = of(&[
            "tcp-request connection reject if { src 10.1.0.0/16 }",
            "tcp-request connection accept if { src 10.0.0.0/8 }",
            "tcp-request connection reject",
        ]);
        assert_eq!((list.allow, list.deny), (prefixes(&["10.0.0.0/8"]), prefixes(&["10.1.0.0/16"])));
    }

    #[test]
    fn what_means_something_else_as_a_list_is_left_out() {
        for lines in [
            // It only spares some from what follows.
            &["tcp-request connection accept if { src 10.0.0.0/8 }"][..],
            &[
                "tcp-request connection accept if { src 10.0.0.1 }",
                "tcp-request connection reject if { src 10.0.0.0/8 }",
            ],
            &["tcp-request connection reject"],
            &["tcp-request connection reject if { src 10.0.0.0/8 } { dst_port 80 }"],
            &["tcp-request connection reject if { src_conn_rate gt 10 }"],
            &["acl bad dst 10.0.0.1", "tcp-request connection reject if bad"],
            &["tcp-request connection reject if unknown"],
            &["acl a src 10.0.0.1", "acl b src 10.0.0.2", "tcp-request connection reject if !a or b"],
            &["acl bad src -f relative", "tcp-request connection reject if bad"],
            &["tcp-request connection reject if { src 10.0.0.0/8 }", "tcp-request connection track-sc0 src"],
        ] {
            assert_eq!(of(lines), SourceList::default(), "{lines:?}");
        }
    }

    #[test]
    fn a_service_of_the_other_family_lets_nobody_in_where_only_others_are() {
        let list = SourceList { allow: prefixes(&["10.0.0.0/8"]), ..SourceList::default() };
        assert_eq!(of_family(&list, true), list);
        assert_eq!(of_family(&list, false).deny, prefixes(&["::/0"]));
        let list = SourceList { deny: prefixes(&["10.0.0.0/8", "fd00::/8"]), ..SourceList::default() };
        assert_eq!(of_family(&list, false).deny, prefixes(&["fd00::/8"]));
    }
}
