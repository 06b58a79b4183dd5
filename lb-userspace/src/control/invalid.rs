//! What is wrong with a draft, as an error with names instead of positions: who edits by name does not know the positions.

use super::{Error, ErrorKind};
use crate::{
    health::UnusableProbe,
    model::{Draft, Invalid, InvalidDraft, Problem},
};

/// The error of a draft that was edited. The first finding gives the path; all are in the message.
pub(super) fn error(invalid: &InvalidDraft, draft: &Draft) -> Error {
    let Some((first, others)) = invalid.0.split_first() else {
        return Error::invalid("", "invalid");
    };
    let kind = if matches!(first.problem, Problem::Duplicate { .. }) {
        ErrorKind::Conflict
    } else {
        ErrorKind::Invalid
    };
    let mut message = format!("{} {}", first.value, first.problem);
    for other in others {
        message.push_str(&format!("\n{other}"));
    }
    Error::new(kind, by_name(&first.path.to_string(), draft), by_name(message.trim_start(), draft))
}

/// The error of parts of a table, whose paths are from that table. The first finding gives the path; all are in the message.
pub(crate) fn within(found: &[Invalid], table: &str) -> Error {
    let path = |invalid: &Invalid| {
        if table.is_empty() { invalid.path.to_string() } else { format!("{table}.{}", invalid.path) }
    };
    let Some((first, others)) = found.split_first() else { return Error::invalid(table, "invalid") };
    let mut message = format!("{} {}", first.value, first.problem).trim_start().to_owned();
    for other in others {
        message.push_str(&format!(
            "\n{}: {}",
            path(other),
            format!("{} {}", other.value, other.problem).trim_start()
        ));
    }
    Error::invalid(path(first), message)
}

/// The error of probes that cannot be used here.
pub(super) fn unusable(found: &[UnusableProbe]) -> Error {
    let path = |found: &UnusableProbe| format!("services[{}].health.{}", found.service, found.what.key);
    let Some((first, others)) = found.split_first() else { return Error::invalid("", "invalid") };
    let mut message = first.what.to_string().trim_start().to_owned();
    for other in others {
        message.push_str(&format!("\n{}: {}", path(other), other.what));
    }
    Error::invalid(path(first), message)
}

/// `services[1].backends[0]` becomes `services[web].backends[b1]` wherever it occurs.
fn by_name(text: &str, draft: &Draft) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut service = None;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        out.push('[');
        rest = after;
        let Some((index, _)) = after.split_once(']') else { continue };
        let Ok(position) = index.parse::<usize>() else { continue };
        let name = if before.ends_with("services") {
            service = draft.services.get(position);
            service.map(|service| service.name.as_str())
        } else if before.ends_with(".backends") {
            service.and_then(|service| service.backends.get(position)).map(|backend| backend.name.as_str())
        } else {
            None
        };
        if let Some(name) = name {
            out.push_str(name);
            rest = &after[index.len()..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AdminState, Backend, Service, ServiceAddress};

    fn draft() -> Draft {
        let at = ServiceAddress {
            address: "203.0.113.10".parse().unwrap(),
            protocol: "tcp".parse().unwrap(),
            port: 80,
        };
        let mut web = Service::new("web".parse().unwrap(), at);
        let backend = Backend {
            name: "b1".parse().unwrap(),
            address: "10.0.0.1".parse().unwrap(),
            port: 0,
            weight: 1,
            state: AdminState::Enabled,
            drain: None,
            backup: false,
            max_connections: 0,
        };
        web.backends.push(backend);
        Draft {
            services: vec![Service::new("dns".parse().unwrap(), at).into(), web.into()],
            ..Draft::default()
        }
    }

    #[test]
    fn positions_become_names() {
        let draft = draft();
        assert_eq!(by_name("services[1].backends[0].port", &draft), "services[web].backends[b1].port");
        assert_eq!(
            by_name("80 is used by services[0] already", &draft),
            "80 is used by services[dns] already"
        );
        assert_eq!(by_name("services[1].snat_addresses[0]", &draft), "services[web].snat_addresses[0]");
        assert_eq!(by_name("services[7].port [", &draft), "services[7].port [");
    }

    #[test]
    fn the_first_finding_is_the_path_and_all_are_told() {
        let draft = draft();
        let invalid = draft.clone().check().unwrap_err();
        let error = error(&invalid, &draft);
        assert!(invalid.0.len() > 1);
        assert_eq!(error.message.lines().count(), invalid.0.len());
    }
}
