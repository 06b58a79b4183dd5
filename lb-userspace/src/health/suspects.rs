//! Which backends are suspect, for those who show it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::model::Reason;

/// Backends that are or were suspect, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspects(BTreeMap<u32, Suspect>);

/// A backend that is or was suspect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspect {
    /// How often it became so.
    pub times: u64,
    /// Why and since when it is; `None`: its check succeeded, or failed so often that it is down.
    pub present: Option<(Reason, Instant)>,
}

impl Suspects {
    /// A backend became suspect.
    pub fn raise(&mut self, id: u32, reason: Reason, now: Instant) {
        let suspect = self.0.entry(id).or_default();
        suspect.times += 1;
        suspect.present = Some((reason, now));
    }

    /// It is so no more.
    pub fn clear(&mut self, id: u32) {
        if let Some(suspect) = self.0.get_mut(&id) {
            suspect.present = None;
        }
    }

    /// Forgets the backends for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.0.retain(|id, _| keep(*id));
    }

    /// What is known of a backend; `None`: it never was suspect.
    #[must_use]
    pub fn of(&self, id: u32) -> Option<&Suspect> {
        self.0.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::moment;

    #[test]
    fn suspicions_are_counted_and_end() {
        let (mut suspects, now) = (Suspects::default(), moment());
        suspects.raise(3, "2 of 3 SYNs refused".into(), now);
        suspects.raise(3, "again".into(), now);
        assert_eq!(suspects.of(3), Some(&Suspect { times: 2, present: Some(("again".into(), now)) }));
        suspects.clear(3);
        assert_eq!(suspects.of(3), Some(&Suspect { times: 2, present: None }));
        suspects.clear(4);
        suspects.retain(|id| id != 3);
        assert_eq!((suspects.of(3), suspects.of(4)), (None, None));
    }
}
