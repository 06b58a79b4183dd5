//! Which flows are read, and how they are put together.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    api::{TopBy, encode},
    model::Keyword as _,
};

/// Keys by which flows are picked, as the API has them.
const KEYS: [&str; 7] = ["service", "backend", "client", "protocol", "state", "idle_min", "idle_max"];
/// Groups and flows that are asked for.
const GROUPS: usize = 200;
const FLOWS: usize = 1000;

/// What is asked of the flow tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FlowQuery {
    /// What flows are put together by.
    pub(super) by: TopBy,
    /// Whether the flows themselves are listed.
    pub(super) list: bool,
    /// Keys and values.
    pub(super) pick: Vec<(String, String)>,
}

impl FlowQuery {
    /// The request.
    pub(super) fn path(&self) -> String {
        let mut path = if self.list {
            format!("/v1/flows?limit={FLOWS}")
        } else {
            format!("/v1/flows/top?limit={GROUPS}&by={}", self.by.as_str())
        };
        for (key, value) in &self.pick {
            path.push_str(&format!("&{key}={}", encode(value)));
        }
        path
    }
}

/// Reads what flows are picked by: words such as `service=web`, `client=10.0.0.0/8`, or only an address or the name of a service.
/// A later word replaces an earlier one of the same key.
///
/// # Errors
/// A sentence about the word that is not understood.
pub(super) fn pick(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pick: Vec<(String, String)> = Vec::new();
    for word in text.split_whitespace() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key.replace('-', "_"), value),
            None if is_network(word) => ("client".to_owned(), word),
            None => ("service".to_owned(), word),
        };
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("{word}: flows are picked by {}", KEYS.join(", ")));
        }
        pick.retain(|(known, _)| *known != key);
        pick.push((key, value.to_owned()));
    }
    Ok(pick)
}

/// The same as text.
pub(super) fn words(pick: &[(String, String)]) -> String {
    pick.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn is_network(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok() || word.parse::<IpNet>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_picked_by_words() {
        let query =
            |text: &str| FlowQuery { pick: pick(text).unwrap(), list: true, ..FlowQuery::default() }.path();
        assert_eq!(query(""), "/v1/flows?limit=1000");
        assert_eq!(query("web 10.0.0.0/8"), "/v1/flows?limit=1000&service=web&client=10.0.0.0%2F8");
        assert_eq!(
            query("2001:db8::1 idle-min=5m"),
            "/v1/flows?limit=1000&client=2001%3Adb8%3A%3A1&idle_min=5m"
        );
        assert_eq!(query("service=web dns"), "/v1/flows?limit=1000&service=dns");
        assert_eq!(
            pick("colour=red").unwrap_err(),
            "colour=red: flows are picked by service, backend, client, protocol, state, idle_min, idle_max"
        );
        assert_eq!(words(&pick("web protocol=tcp").unwrap()), "service=web protocol=tcp");
    }

    #[test]
    fn groups_are_asked_for_by_what_they_are() {
        let query = FlowQuery { by: TopBy::ClientPrefix, ..FlowQuery::default() };
        assert_eq!(query.path(), "/v1/flows/top?limit=200&by=client-prefix");
    }
}
