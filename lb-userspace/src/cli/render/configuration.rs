//! Changes of the configuration, and what they do.

use crate::api::{Applied, Change, FlowImpact, KeyChange};

/// `lbctl config diff`: a line for each change.
pub(in crate::cli) fn changes(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        text.push_str(&format!("{}\n", line(change)));
    }
    text
}

fn line(Change { kind, service, backend, keys }: &Change) -> String {
    let sign = match kind.as_str() {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    };
    let what = match (service, backend) {
        (Some(service), Some(backend)) => format!("backend {service} {backend}"),
        (Some(service), None) => format!("service {service}"),
        (None, _) => "settings".to_owned(),
    };
    let keys: Vec<String> = keys.iter().map(key).collect();
    if keys.is_empty() { format!("{sign} {what}") } else { format!("{sign} {what}: {}", keys.join(", ")) }
}

fn key(KeyChange { key, from, to }: &KeyChange) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("{key} {from} -> {to}"),
        (None, Some(to)) => format!("{key} {to}"),
        (Some(from), None) => format!("{key} {from} -> none"),
        (None, None) => key.clone(),
    }
}

/// `lbctl config apply`.
pub(in crate::cli) fn applied(answer: &Applied) -> String {
    let mut text = changes(&answer.changes);
    text.push_str(&impact(&answer.flows, answer.applied));
    match (&answer.confirm_until, answer.applied) {
        (Some(until), _) => text.push_str(&format!(
            "applied; comes back unless confirmed until {until}: `lbctl config confirm`\n"
        )),
        (None, true) => text.push_str("applied; `lbctl config rollback` takes it back\n"),
        (None, false) => text.push_str("nothing was changed: a dry run\n"),
    }
    text
}

/// "412 of 9830 flows would move, 0 be reset, 0 end".
fn impact(FlowImpact { total, moves, resets, ends }: &FlowImpact, applied: bool) -> String {
    let (would, be) = if applied { ("", "are reset") } else { ("would ", "be reset") };
    format!("{moves} of {total} flows {would}move, {resets} {be}, {ends} end\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, service: Option<&str>, backend: Option<&str>, keys: &[[&str; 3]]) -> Change {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Change {
            kind: kind.to_owned(),
            service: service.map(str::to_owned),
            backend: backend.map(str::to_owned),
            keys: keys
                .iter()
                .map(|[key, from, to]| KeyChange { key: (*key).to_owned(), from: text(from), to: text(to) })
                .collect(),
        }
    }

    #[test]
    fn a_dry_run_tells_changes_and_flows() {
        let answer = Applied {
            applied: false,
            changes: vec![
                change("changed", None, None, &[["timeouts.udp_new", "\"30s\"", "\"10s\""]]),
                change("removed", Some("dns"), None, &[]),
                change("changed", Some("web"), None, &[["slots", "101", ""]]),
                change("changed", Some("web"), Some("b1"), &[["weight", "100", "50"]]),
                change(
                    "added",
                    Some("web"),
                    Some("b3"),
                    &[["address", "", "\"10.0.0.13\""], ["port", "", "8080"]],
                ),
            ],
            flows: FlowImpact { total: 9830, moves: 412, resets: 0, ends: 7 },
            confirm_until: None,
        };
        let text = "\
~ settings: timeouts.udp_new \"30s\" -> \"10s\"
- service dns
~ service web: slots 101 -> none
~ backend web b1: weight 100 -> 50
+ backend web b3: address \"10.0.0.13\", port 8080
412 of 9830 flows would move, 0 be reset, 7 end
nothing was changed: a dry run
";
        assert_eq!(applied(&answer), text);
    }
}
