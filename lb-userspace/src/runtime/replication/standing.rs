//! How the other machine stands, and what is told when that changes.

use crate::events::Kind;

/// What is known of the other machine at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// It is heard.
    pub(super) is_connected: bool,
    /// This machine has all of its flows.
    pub(super) is_synced: bool,
}

impl Standing {
    /// What is to be told of it, after it was otherwise.
    pub(super) fn kinds_since(self, before: Self) -> impl Iterator<Item = Kind> {
        let heard = match (before.is_connected, self.is_connected) {
            (false, true) => Some(Kind::ReplicationPeerHeard),
            (true, false) => Some(Kind::ReplicationPeerSilent),
            _ => None,
        };
        let synced = (self.is_synced && !before.is_synced).then_some(Kind::ReplicationSynced);
        heard.into_iter().chain(synced)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        events::tests::{TELLERS, Teller, kinds_of},
        model::Keyword as _,
    };

    #[test]
    fn each_change_is_told_once_and_again_when_it_happens_again() {
        let [silent, heard, synced] = [(false, false), (true, false), (true, true)]
            .map(|(is_connected, is_synced)| Standing { is_connected, is_synced });
        let looks = [silent, silent, heard, synced, synced, silent, heard, heard, synced];
        let told: Vec<&str> =
            looks.windows(2).flat_map(|pair| pair[1].kinds_since(pair[0])).map(Kind::as_str).collect();
        let once = ["replication-peer-heard", "replication-synced"];
        assert_eq!(told, [&once[..], &["replication-peer-silent"], &once[..]].concat());
        assert_eq!(BTreeSet::from_iter(told), kinds_of(Teller::Replication), "{TELLERS}");
    }
}
