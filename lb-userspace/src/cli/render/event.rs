//! An event as a line.

use crate::api::{AttributeValue, Event};

/// When, what, about what, and its other attributes.
pub(in crate::cli) fn event(event: &Event) -> String {
    let text = |name: &str| event.attributes.get(name).map(written);
    let subject = match (text("service"), text("backend")) {
        (Some(service), Some(backend)) => format!("{service}/{backend}"),
        (Some(service), None) => service,
        _ => text("router").unwrap_or_default(),
    };
    let change = match (text("from"), text("to")) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (Some(from), None) => format!("was {from}"),
        (None, Some(to)) => to,
        (None, None) => String::new(),
    };
    let others = event.attributes.iter();
    let others =
        others.filter(|(name, _)| !["service", "backend", "router", "from", "to"].contains(&name.as_str()));
    let others = others.map(|(name, value)| format!("{name}={}", written(value)));
    let head = format!("{:<24}  {:<21}  {subject}", event.time, event.kind);
    let parts = [head, change].into_iter().chain(others).filter(|part| !part.is_empty());
    let line = parts.collect::<Vec<_>>().join("  ");
    line.trim_end().to_owned() + "\n"
}

/// A value, in quotation marks where it has spaces.
fn written(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Number(number) => number.to_string(),
        AttributeValue::Text(text) if text.contains(char::is_whitespace) => format!("{text:?}"),
        AttributeValue::Text(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> String {
        event(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_event_is_one_line_that_says_what_changed_and_why() {
        let text = line(
            r#"{"sequence": 7, "time": "2026-11-22T23:10:00.250Z", "topic": "backend", "kind": "backend-state", "attributes": {
                "service": "web", "backend": "b1", "address": "10.0.0.11", "from": "active", "to": "down", "reason": "connection refused"}}"#,
        );
        let expected = "2026-11-22T23:10:00.250Z  backend-state          web/b1  active -> down  address=10.0.0.11  reason=\"connection refused\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_virtual_router_is_what_its_events_are_about() {
        let json = r#"{"sequence": 7, "time": "2026-11-22T23:10:00Z", "topic": "vrrp", "kind": "vrrp-peer-active", "attributes": {
            "router": "outside", "address": "192.0.2.3", "priority": 100}}"#;
        let expected =
            "2026-11-22T23:10:00Z      vrrp-peer-active       outside  address=192.0.2.3  priority=100\n";
        assert_eq!(line(json), expected);
    }

    #[test]
    fn what_an_event_does_not_have_leaves_no_trace() {
        let json = r#"{"sequence": 7, "time": "2026-11-22T23:10:00Z", "topic": "config", "kind": "config-settled", "attributes": {}}"#;
        assert_eq!(line(json), "2026-11-22T23:10:00Z      config-settled\n");
    }
}
