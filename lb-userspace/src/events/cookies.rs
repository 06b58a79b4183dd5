//! When SYNs of services begin to be answered by cookies, and when that is over.

use std::collections::HashMap;

use super::{Attribute, Kind, Notice};
use crate::model::ServiceName;

/// Which services have SYNs answered by cookies, and how many were when that began.
#[derive(Debug, Default)]
pub struct CookieWatch {
    active: HashMap<(u16, ServiceName), u64>,
}

impl CookieWatch {
    /// Takes what all services do: id, name, whether cookies are sent because of too many half-open connections, and how many were sent.
    pub fn update(
        &mut self,
        services: impl IntoIterator<Item = (u16, ServiceName, bool, u64)>,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut before = std::mem::take(&mut self.active);
        for (id, name, active, sent) in services {
            let key = (id, name);
            let notice = |kind| Notice::new(kind).with(Attribute::Service, key.1.to_string());
            match (before.remove(&key), active) {
                (None, true) => {
                    notices.push(notice(Kind::SynCookiesBegan));
                    self.active.insert(key, sent);
                }
                (Some(first), true) => {
                    self.active.insert(key, first);
                }
                (Some(first), false) => {
                    let count = sent.saturating_sub(first);
                    notices.push(notice(Kind::SynCookiesEnded).with(Attribute::Count, count));
                }
                (None, false) => {}
            }
        }
        notices
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
    fn the_beginning_and_the_end_of_cookies_are_told_once() {
        let mut watch = CookieWatch::default();
        let mut kinds = BTreeSet::new();
        let mut at = |active, sent| {
            let told = watch.update([(1, "web".parse().unwrap(), active, sent)]);
            kinds.extend(told.iter().map(|notice| notice.kind.as_str()));
            let text = |notice: &Notice| -> String {
                notice.attributes().map(|(attribute, value)| format!("{attribute}={value} ")).collect()
            };
            told.iter().map(text).collect::<String>()
        };
        assert_eq!(at(false, 7), "");
        assert!(at(true, 10).contains("syn-cookies-began"));
        assert_eq!(at(true, 1000), "");
        let end = at(false, 2010);
        assert!(end.contains("syn-cookies-ended") && end.contains("2000"), "{end}");
        assert_eq!(at(false, 2010), "");
        assert!(at(true, 2011).contains("syn-cookies-began"));
        assert_eq!(kinds, kinds_of(Teller::Cookies), "{TELLERS}");
    }
}
