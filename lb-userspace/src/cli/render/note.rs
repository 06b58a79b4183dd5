//! What is to be said about a backend besides its state.

use super::objects::duration;
use crate::api::Backend;

/// Why it is down and since when, or why it takes more or less than its share; `None`: nothing to say.
pub(in crate::cli) fn note(backend: &Backend) -> Option<String> {
    let mut notes = Vec::new();
    if backend.health == "down" {
        let since = backend
            .since_seconds
            .map(|seconds| format!("down for {}", duration(seconds)))
            .unwrap_or_default();
        let reason = backend.reason.clone().unwrap_or_default();
        let why = if since.is_empty() || reason.is_empty() { "" } else { ": " };
        notes.extend(Some(format!("{since}{why}{reason}")).filter(|note| !note.is_empty()));
    }
    if let Some(reason) = &backend.suspect {
        notes.push(format!("suspect: {reason}"));
    }
    if backend.health != "down" {
        // It is neither down nor checked.
        notes.extend(backend.reason.clone());
    }
    if let Some(seconds) = backend.held_seconds {
        notes.push(format!("went down too often: held down for {} more", duration(seconds)));
    }
    match backend.standing.as_str() {
        "panic" => notes.push("used all the same: too few are healthy".to_owned()),
        "kept" => notes.push("used all the same: as many are out as may be".to_owned()),
        "standby" => notes.push("backup, not needed".to_owned()),
        "serving" if backend.backup => notes.push("backup, in use".to_owned()),
        "serving" if backend.effective_weight < u32::from(backend.weight) => {
            notes.push(format!("slow start: weight {}", backend.effective_weight));
        }
        _ => {}
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> Backend {
        serde_json::from_str(
            r#"{"name": "b1", "id": 1, "address": "10.0.0.1", "port": 80, "weight": 100, "state": "enabled",
                "effective": "active", "health": "up", "standing": "serving", "effective_weight": 100}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_backend_that_is_as_it_should_be_has_no_note() {
        assert_eq!(note(&backend()), None);
    }

    #[test]
    fn a_backend_that_cannot_be_checked_says_why() {
        let reason = Some("cannot be checked: Too many open files (os error 24)".to_owned());
        assert_eq!(note(&Backend { reason: reason.clone(), ..backend() }), reason);
    }

    #[test]
    fn a_backend_that_is_down_says_since_when_and_why() {
        let mut down = Backend {
            health: "down".to_owned(),
            standing: "ejected".to_owned(),
            since_seconds: Some(65),
            reason: Some("connection refused".to_owned()),
            ..backend()
        };
        assert_eq!(note(&down).unwrap(), "down for 1m 5s: connection refused");
        down.held_seconds = Some(18);
        down.standing = "panic".to_owned();
        let said = "down for 1m 5s: connection refused; went down too often: held down for 18s more; \
                    used all the same: too few are healthy";
        assert_eq!(note(&down).unwrap(), said);
    }

    #[test]
    fn a_suspect_says_why() {
        let suspect = Backend { suspect: Some("3 of 3 SYNs refused within 0.25 s".to_owned()), ..backend() };
        assert_eq!(note(&suspect).unwrap(), "suspect: 3 of 3 SYNs refused within 0.25 s");
    }

    #[test]
    fn a_share_that_is_not_the_configured_one_is_explained() {
        let ramping = Backend { effective_weight: 35, ..backend() };
        assert_eq!(note(&ramping).unwrap(), "slow start: weight 35");
        let standby =
            Backend { effective_weight: 0, backup: true, standing: "standby".to_owned(), ..backend() };
        assert_eq!(note(&standby).unwrap(), "backup, not needed");
    }
}
