//! Where two maps differ.

use std::collections::BTreeMap;

/// A key whose values differ; `None`: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change<'a, K, V> {
    pub(super) key: &'a K,
    pub(super) wanted: Option<&'a V>,
    pub(super) found: Option<&'a V>,
}

/// The differences, in the order of the keys. Looks at each element once; nothing is searched.
pub(super) fn changes<'a, K: Ord, V: PartialEq>(
    wanted: &'a BTreeMap<K, V>,
    found: &'a BTreeMap<K, V>,
) -> Vec<Change<'a, K, V>> {
    let (mut left, mut right) = (wanted.iter().peekable(), found.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let key = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => *(a.min(b)),
            (Some((key, _)), None) | (None, Some((key, _))) => *key,
            (None, None) => return changes,
        };
        let wanted = left.next_if(|(other, _)| *other == key).map(|(_, value)| value);
        let found = right.next_if(|(other, _)| *other == key).map(|(_, value)| value);
        if wanted != found {
            changes.push(Change { key, wanted, found });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gone_or_other_is_a_change() {
        let wanted = BTreeMap::from([(1, 'a'), (2, 'b'), (4, 'd')]);
        let found = BTreeMap::from([(2, 'x'), (3, 'c'), (4, 'd'), (5, 'e')]);
        let all: Vec<_> =
            changes(&wanted, &found).iter().map(|c| (*c.key, c.wanted.copied(), c.found.copied())).collect();
        assert_eq!(
            all,
            [(1, Some('a'), None), (2, Some('b'), Some('x')), (3, None, Some('c')), (5, None, Some('e'))]
        );
        assert!(changes(&wanted, &wanted).is_empty());
    }
}
