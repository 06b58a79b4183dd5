//! Names for services and backends.

use std::collections::HashSet;

/// Longest name.
const MOST: usize = 63;

/// Gives out names, each once.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A valid name like `wanted` that was not given out before.
    pub(super) fn take(&mut self, wanted: &str) -> String {
        let base = valid(wanted);
        let mut name = base.clone();
        let mut number = 1_u64;
        while !self.0.insert(name.clone()) {
            number += 1;
            let suffix = format!("-{number}");
            name = format!("{}{suffix}", &base[..base.len().min(MOST - suffix.len())]);
        }
        name
    }
}

/// A text as a name: ASCII, at most [`MOST`] bytes.
fn valid(wanted: &str) -> String {
    let mut name = String::new();
    for c in wanted.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
        if name.len() >= MOST {
            break;
        }
    }
    let name = name.trim_end_matches('-').to_owned();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ServiceName;

    #[test]
    fn names_are_kept_where_they_can_be() {
        let mut names = Names::default();
        for (wanted, name) in [
            ("web", "web"),
            ("web", "web-2"),
            ("web", "web-3"),
            ("shop & blog", "shop-blog"),
            ("tcp-[2001:db8::1]:80", "tcp-2001-db8-1-80"),
            ("", "unnamed"),
            ("äöü", "unnamed-2"),
        ] {
            assert_eq!(names.take(wanted), name, "{wanted}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_valid_and_unique(wanted in proptest::collection::vec(".{0,80}", 0..20)) {
            let mut names = Names::default();
            let taken: Vec<String> = wanted.iter().map(|wanted| names.take(wanted)).collect();
            let unique: HashSet<&String> = taken.iter().collect();
            prop_assert_eq!(unique.len(), taken.len());
            for name in &taken {
                prop_assert!(ServiceName::new(name.as_str()).is_ok(), "{}", name);
            }
        }
    }
}
