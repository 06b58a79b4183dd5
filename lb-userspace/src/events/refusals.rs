//! When services begin to refuse packets that would begin flows, and when that is over. A flood is told of twice, not once a packet.

use std::collections::HashMap;
use std::time::Duration;

use lb_common::abi::{Refusal, Refusals};

use super::{Attribute, Kind, Notice};
use crate::model::ServiceName;

/// After this time without a refusal it is over.
const CALM: Duration = Duration::from_secs(60);

/// What is going on.
#[derive(Debug, Default)]
pub struct RefusalWatch {
    services: HashMap<(u16, ServiceName), [State; Refusal::ALL.len()]>,
}

/// One reason of one service.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The count that was seen last.
    count: u64,
    /// Since it began: the count before, and when the last one was noticed.
    going_on: Option<(u64, Duration)>,
}

impl RefusalWatch {
    /// Takes the counts of all services at a time on a clock that never jumps.
    pub fn update(
        &mut self,
        now: Duration,
        services: impl IntoIterator<Item = (u16, ServiceName, Refusals)>,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut before = std::mem::take(&mut self.services);
        for (id, name, refusals) in services {
            let known = before.remove(&(id, name.clone()));
            // What was refused before this process began to look is no news.
            let mut states =
                known.unwrap_or_else(|| refusals.counts.map(|count| State { count, going_on: None }));
            for refusal in Refusal::ALL {
                let notice = states[refusal as usize].update(now, refusals.of(refusal));
                let tell = |(kind, count)| {
                    Notice::new(kind)
                        .with(Attribute::Service, name.to_string())
                        .with(Attribute::Reason, refusal.reason().as_str())
                        .with(Attribute::Count, count)
                };
                notices.extend(notice.map(tell));
            }
            self.services.insert((id, name), states);
        }
        notices
    }
}

impl State {
    /// What is to be told, with a number of packets.
    fn update(&mut self, now: Duration, count: u64) -> Option<(Kind, u64)> {
        let more = count.checked_sub(self.count);
        let began = self.count;
        self.count = count;
        match (more, self.going_on) {
            // The counters begin anew with the service's id.
            (None, _) => self.going_on = None,
            (Some(0), Some((first, last))) if now.saturating_sub(last) >= CALM => {
                self.going_on = None;
                return Some((Kind::AdmissionCalm, count - first));
            }
            (Some(0), _) => {}
            (Some(_), Some((first, _))) => self.going_on = Some((first, now)),
            (Some(more), None) => {
                self.going_on = Some((began, now));
                return Some((Kind::AdmissionRefusing, more));
            }
        }
        None
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
    fn a_flood_is_told_when_it_begins_and_when_it_is_over() {
        let mut watch = RefusalWatch::default();
        let mut kinds = BTreeSet::new();
        let mut at = |seconds: u64, denied: u64| {
            let refusals = Refusals { counts: [0, denied, 0, 0, 0, 0, 0, 0] };
            let told = watch.update(Duration::from_secs(seconds), [(1, "web".parse().unwrap(), refusals)]);
            let text = |notice: &Notice| -> String {
                notice.attributes().map(|(attribute, value)| format!("{attribute}={value} ")).collect()
            };
            kinds.extend(told.iter().map(|notice| notice.kind.as_str()));
            told.iter().map(text).collect::<String>()
        };
        assert_eq!(at(0, 1000), "", "of before");
        let begin = at(5, 1010);
        assert!(begin.contains("admission-refusing") && begin.contains("source-denied"), "{begin}");
        assert!(begin.contains("10"), "{begin}");
        for second in (10..300).step_by(5) {
            assert_eq!(at(second, 1000 + 10 * second), "");
        }
        assert_eq!(at(350, 3950), "");
        let end = at(356, 3950);
        assert!(end.contains("admission-calm") && end.contains("2950"), "{end}");
        assert_eq!(at(400, 3950), "");
        assert_eq!(at(405, 2), "", "counters that begin anew");
        assert!(at(410, 3).contains("admission-refusing"));
        assert_eq!(kinds, kinds_of(Teller::Refusals), "{TELLERS}");
    }
}
