//! Adverts of a group go together. Its members answer other machines each at its own time; if their adverts stayed apart by that, their silence would be
//! noticed apart, too, and a group claims when the last of its members may.

use std::time::Duration;

use super::Node;

impl Node {
    /// When each router advertises next, if it is active.
    pub(super) fn adverts_at(&self) -> Vec<Option<Duration>> {
        self.entries.iter().map(|entry| entry.router.advert_at()).collect()
    }

    /// Where a member of a group advertised since `before`, has those advertise whose time comes soon.
    pub(super) fn join_adverts(&mut self, now: Duration, before: &[Option<Duration>]) {
        for group in &self.groups {
            let at =
                |index: &usize| self.entries[*index].router.advert_at().filter(|_| before[*index].is_some());
            let advertised = group.iter().filter(|index| at(index) != before[**index]);
            let Some(next) = advertised.filter_map(at).max() else { continue };
            for index in group {
                let router = &mut self.entries[*index].router;
                if router.advert_at() == before[*index] {
                    router.join_advert(now, next);
                }
            }
        }
    }
}
