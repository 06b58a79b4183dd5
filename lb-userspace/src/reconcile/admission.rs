//! Lists of sources: a list is there before somebody refers to it, and goes when nobody does.

use std::collections::BTreeMap;

use lb_common::abi::Admission;

use super::changes::changes;
use crate::maps::Operation;
use crate::plan::MapImage;

/// Writes lists, and then who has which.
pub(super) fn set(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    let none = BTreeMap::new();
    for change in changes(&wanted.acls, &found.acls) {
        let Some(rules) = change.wanted else { continue };
        let before = change.found.map_or(&none, |before| &**before);
        let other = rules.iter().filter(|(prefix, rule)| before.get(prefix) != Some(rule));
        let rules: Vec<_> = other.map(|(prefix, rule)| (*prefix, *rule)).collect();
        if !rules.is_empty() {
            operations.push(Operation::AclRules { list: *change.key, rules });
        }
    }
    for change in changes(&wanted.admissions, &found.admissions) {
        if let Some(admission) = change.wanted {
            operations.push(Operation::Admission { service: *change.key, admission: *admission });
        }
    }
}

/// Removes what nobody wants.
pub(super) fn remove(wanted: &MapImage, found: &MapImage, operations: &mut Vec<Operation>) {
    for change in changes(&wanted.admissions, &found.admissions) {
        if change.wanted.is_none() {
            let admission = Admission::default();
            operations.push(Operation::Admission { service: *change.key, admission });
        }
    }
    let none = BTreeMap::new();
    for change in changes(&wanted.acls, &found.acls) {
        let Some(before) = change.found else { continue };
        let rules = change.wanted.map_or(&none, |rules| &**rules);
        let prefixes: Vec<_> = before.keys().filter(|prefix| !rules.contains_key(prefix)).copied().collect();
        if !prefixes.is_empty() {
            operations.push(Operation::RemoveAclRules { list: *change.key, prefixes });
        }
    }
}
