//! What crates of others may be like: the licences of `.cargo/deny.toml`, and one registry. cargo-deny knows more, and is asked where it is
//! installed.

use std::fs;

use xtask::{Context, Error, Result, command, root};

use crate::crates::{self, Part};
use crate::host;

const POLICY: &str = ".cargo/deny.toml";

/// Checks all crates of the workspace; the error lists every offence.
pub(crate) fn check() -> Result<()> {
    let read = |name: &str| fs::read_to_string(root().join(name)).context(name);
    let policy = read(POLICY)?;
    let allowed = allowed(&policy);
    let mut offences = sources(&read("Cargo.lock")?);
    let mut all = crates::of(Part::Everything)?;
    all.extend(crates::of(Part::Object)?);
    for one in all {
        if !is_allowed(&one.licence, &allowed) {
            offences
                .push(format!("{} {}: {POLICY} has no licence of {:?}", one.name, one.version, one.licence));
        }
    }
    if !offences.is_empty() {
        return Err(Error::new(offences.join("\n")));
    }
    if !host::has_subcommand("deny") {
        return Ok(());
    }
    // Advisories come from the network: whoever wants them asks for all, `cargo deny check`.
    command::run(host::cargo().args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))
}

/// The list `allow` of the policy, one licence a line.
fn allowed(policy: &str) -> Vec<&str> {
    let list = policy.lines().skip_while(|line| line.trim() != "allow = [").skip(1);
    let list = list.take_while(|line| line.trim() != "]");
    list.map(|line| line.trim().trim_end_matches(',').trim_matches('"')).collect()
}

/// Packages of the lock file that come from anywhere but a registry, or from a second registry.
fn sources(lock: &str) -> Vec<String> {
    let mut registries: Vec<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    registries.sort_unstable();
    registries.dedup();
    let (ours, others): (Vec<_>, Vec<_>) =
        registries.into_iter().partition(|source| source.starts_with("\"registry+"));
    let mut offences: Vec<_> =
        others.iter().map(|source| format!("Cargo.lock: {source} is no registry")).collect();
    if ours.len() > 1 {
        offences.push(format!("Cargo.lock: more than one registry: {}", ours.join(", ")));
    }
    offences
}

/// Whether an SPDX expression can be met by allowed licences. A slash, as in old manifests, means `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let met = alternatives(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a, 'b> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'b>>;

fn alternatives(words: Words<'_, '_>, allowed: &[&str]) -> bool {
    let mut met = conjunction(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= conjunction(words, allowed);
    }
    met
}

fn conjunction(words: Words<'_, '_>, allowed: &[&str]) -> bool {
    let mut met = licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= licence(words, allowed);
    }
    met
}

/// A licence with an exception is another one than without.
fn licence(words: Words<'_, '_>, allowed: &[&str]) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        let met = alternatives(words, allowed);
        return words.next() == Some(")") && met;
    }
    if words.next_if_eq(&"WITH").is_none() {
        return allowed.contains(&word);
    }
    let exception = words.next().unwrap_or_default();
    allowed.contains(&format!("{word} WITH {exception}").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_one_of_its_alternatives_and_all_of_its_parts() {
        let allowed = ["MIT", "ISC"];
        for met in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "MIT AND ISC",
            "(MIT OR GPL-3.0) AND ISC",
            "A AND B OR MIT",
        ] {
            assert!(is_allowed(met, &allowed), "{met}");
        }
        for unmet in
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT)", "MIT WITH x-exception", "MIT AND", "A OR B"]
        {
            assert!(!is_allowed(unmet, &allowed), "{unmet:?}");
        }
    }

    #[test]
    fn the_policy_is_read_as_cargo_deny_reads_it() {
        let policy = fs::read_to_string(root().join(POLICY)).unwrap();
        let allowed = allowed(&policy);
        assert!(allowed.contains(&"MIT") && allowed.contains(&"Zlib"), "{allowed:?}");
        assert!(allowed.iter().all(|name| name.starts_with(|c: char| c.is_ascii_uppercase())), "{allowed:?}");
    }

    #[test]
    fn crates_come_from_one_registry() {
        let lock = |sources: &[&str]| {
            sources.iter().map(|source| format!("source = \"{source}\"\n")).collect::<String>()
        };
        assert!(sources(&lock(&["registry+a", "registry+a"])).is_empty());
        assert_eq!(sources(&lock(&["registry+a", "git+b"])).len(), 1);
        assert_eq!(sources(&lock(&["registry+a", "registry+b"])).len(), 1);
    }
}
