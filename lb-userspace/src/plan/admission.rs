//! Lists of sources, as the maps have them: each version of a list has a number of its own, so that a service goes from one to the other by
//! one write.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use lb_common::abi::{AclRule, Admission, AdmissionFlags, SettingsFlags};

use super::{MapImage, PlanError};
use crate::acl::ListFiles;
use crate::model::{Draft, Limits, Service, Shared, SourceList};

/// What a list says, by prefix. Shared, because it may be large.
pub type AclRules = Arc<BTreeMap<IpNet, AclRule>>;

/// Who is let in beside what the configuration says.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The content of files that the configuration names.
    pub files: ListFiles,
    /// Prefixes that are blocked for all services, with the last tick of it; 0: there is none.
    pub blocked: Arc<BTreeMap<IpNet, u32>>,
}

/// The lists, and what they were made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    /// By id of the service; 0: the list for all of them.
    known: BTreeMap<u16, Known>,
    last: u32,
}

#[derive(Clone, Debug)]
struct Known {
    number: u32,
    rules: AclRules,
    /// `None`: it was found in the maps.
    made_of: Option<MadeOf>,
}

#[derive(Clone, Debug)]
enum MadeOf {
    All(SourceList, Sources),
    Service(Shared<Service>, ListFiles),
}

impl Lists {
    /// Those that a dump shows.
    pub(super) fn restore(dump: &MapImage) -> Self {
        let known = dump.admissions.iter().filter_map(|(id, admission)| {
            let rules = dump.acls.get(&admission.list)?;
            let (number, rules) = (admission.list, Arc::clone(rules));
            Some((*id, Known { number, rules, made_of: None }))
        });
        let used = dump.admissions.values().map(|admission| admission.list);
        let last = dump.acls.keys().copied().chain(used).max().unwrap_or_default();
        Self { known: known.collect(), last }
    }

    /// Puts all that is wanted into an image; `id` says the ids of services.
    pub(super) fn fill(
        &mut self,
        image: &mut MapImage,
        (config, sources): (&Draft, &Sources),
        id: impl Fn(&Service) -> Option<u16>,
    ) -> Result<(), PlanError> {
        let mut admissions = BTreeMap::new();
        let list = self.of_all(&config.acl, sources);
        admissions.insert(0, Admission { list, ..Admission::default() });
        for service in &config.services {
            let Some(id) = id(service) else { continue };
            let list = self.of_service(id, service, &sources.files);
            admissions.insert(id, admission(service, list));
        }
        admissions.retain(|_, admission| *admission != Admission::default());
        self.known.retain(|id, known| admissions.get(id).is_some_and(|wanted| wanted.list == known.number));
        // A list that holds nothing is nothing in the maps.
        let lists = self.known.values().filter(|known| !known.rules.is_empty());
        image.acls = lists.map(|known| (known.number, Arc::clone(&known.rules))).collect();
        if !admissions.is_empty() {
            image.settings.flags |= SettingsFlags::ADMISSION;
        }
        if admissions.values().any(Admission::counts_packets) {
            image.settings.flags |= SettingsFlags::PACKET_RATES;
        }
        image.admissions = admissions;
        check_room(&image.acls, &config.limits)
    }

    fn of_all(&mut self, list: &SourceList, sources: &Sources) -> u32 {
        if let Some(Known { made_of: Some(MadeOf::All(before, known)), number, .. }) = self.known.get(&0)
            && before == list
            && known.files.is_alike_for(list, &sources.files)
            && (Arc::ptr_eq(&known.blocked, &sources.blocked) || known.blocked == sources.blocked)
        {
            return *number;
        }
        let mut rules: BTreeMap<IpNet, AclRule> =
            sources.blocked.iter().map(|(prefix, until)| (*prefix, rule(prefix, false, *until))).collect();
        let file = sources.files.of(list.deny_file.as_ref());
        rules.extend(list.deny.iter().chain(file.iter()).map(|prefix| (*prefix, rule(prefix, false, 0))));
        self.keep(0, rules, MadeOf::All(list.clone(), sources.clone()))
    }

    fn of_service(&mut self, id: u16, service: &Shared<Service>, files: &ListFiles) -> u32 {
        let list = &service.sources;
        if list.is_empty() {
            self.known.remove(&id);
            return 0;
        }
        if let Some(Known { made_of: Some(MadeOf::Service(before, known)), number, .. }) = self.known.get(&id)
            && before.sources == *list
            && before.address.is_ipv4() == service.address.is_ipv4()
            && known.is_alike_for(list, files)
        {
            return *number;
        }
        let (allowed, denied) = (files.of(list.allow_file.as_ref()), files.of(list.deny_file.as_ref()));
        let allow = list.allow.iter().chain(allowed.iter()).map(|prefix| (*prefix, rule(prefix, true, 0)));
        let deny = list.deny.iter().chain(denied.iter()).map(|prefix| (*prefix, rule(prefix, false, 0)));
        let mut rules: BTreeMap<IpNet, AclRule> = allow.collect();
        rules.extend(deny);
        // A file may be for services of both families.
        rules.retain(|prefix, _| is_v4(prefix) == service.address.is_ipv4());
        // An empty list has a number, too: nobody is on it.
        self.keep(id, rules, MadeOf::Service(service.clone(), files.clone()))
    }

    /// The number of a list: the one it has if it is the same, or may change in place.
    fn keep(&mut self, id: u16, rules: BTreeMap<IpNet, AclRule>, made_of: MadeOf) -> u32 {
        if rules.is_empty() && id == 0 {
            self.known.remove(&id);
            return 0;
        }
        let number = match self.known.get(&id) {
            Some(known) if changes_in_place(&known.rules, &rules) => known.number,
            _ => {
                self.last = self.last.checked_add(1).unwrap_or(1);
                self.last
            }
        };
        let rules = match self.known.get(&id) {
            Some(known) if *known.rules == rules => Arc::clone(&known.rules),
            _ => Arc::new(rules),
        };
        self.known.insert(id, Known { number, rules, made_of: Some(made_of) });
        number
    }
}

/// What a service lets in, with the number of its list.
fn admission(service: &Service, list: u32) -> Admission {
    let rates = service.rates;
    let default_prefix = if service.address.is_ipv4() { 32 } else { 64 };
    let burst = |rate: u32, burst: u32| if rate > 0 { burst } else { 0 };
    Admission {
        list,
        flags: if service.sources.is_exclusive() { AdmissionFlags::LISTED_ONLY } else { 0 },
        flow_rate: rates.flow_rate,
        flow_burst: burst(rates.flow_rate, rates.burst()),
        source_rate: rates.source_flow_rate,
        source_burst: burst(rates.source_flow_rate, rates.source_burst()),
        source_prefix: if rates.has_sources() {
            rates.source_prefix.unwrap_or(default_prefix).into()
        } else {
            0
        },
        source_flows: rates.source_max_connections,
        source_embryonic: rates.source_max_embryonic,
        packet_rate: rates.packet_rate,
        packet_burst: burst(rates.packet_rate, rates.packet_burst()),
        source_packet_rate: rates.source_packet_rate,
        source_packet_burst: burst(rates.source_packet_rate, rates.source_packet_burst()),
        reserved: 0,
    }
}

/// Whether a packet that meets a part of the change meets nothing worse than before or after: where one prefix comes, goes or says something
/// else, or where prefixes go that were there for a time only. How long they stay does not matter.
fn changes_in_place(before: &BTreeMap<IpNet, AclRule>, after: &BTreeMap<IpNet, AclRule>) -> bool {
    let other = after
        .iter()
        .filter(|(prefix, rule)| before.get(prefix).is_none_or(|before| before.allow != rule.allow));
    let other = other.take(2).count();
    let gone = before.iter().filter(|(prefix, rule)| rule.until == 0 && !after.contains_key(prefix));
    other + gone.take(2).count() <= 1
}

fn rule(prefix: &IpNet, allow: bool, until: u32) -> AclRule {
    AclRule { until, allow: allow.into(), bits: prefix.prefix_len().into() }
}

fn is_v4(prefix: &IpNet) -> bool {
    matches!(prefix.addr(), IpAddr::V4(_))
}

/// The maps have twice the room: a list that takes another's place is there before the other goes.
fn check_room(acls: &BTreeMap<u32, AclRules>, limits: &Limits) -> Result<(), PlanError> {
    for v4 in [true, false] {
        let wanted: usize = acls.values().map(|rules| rules.keys().filter(|p| is_v4(p) == v4).count()).sum();
        let needed = u32::try_from(wanted).unwrap_or(u32::MAX).saturating_sub(limits.prefixes);
        if needed > 0 {
            let (key, allowed) = ("limits.prefixes", limits.prefixes);
            return Err(PlanError::Limit { key, allowed, needed, waiting: 0 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(list: &[(&str, bool, u32)]) -> BTreeMap<IpNet, AclRule> {
        let each = list.iter().map(|(prefix, allow, until)| {
            let prefix = prefix.parse().unwrap();
            (prefix, rule(&prefix, *allow, *until))
        });
        each.collect()
    }

    #[test]
    fn one_change_is_made_in_place_and_two_are_not() {
        let before = rules(&[("10.0.0.0/8", false, 0), ("11.0.0.0/8", false, 9), ("12.0.0.0/8", false, 9)]);
        let after = |list: &[_]| changes_in_place(&before, &rules(list));
        let [ten, eleven, twelve] = ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"];
        assert!(after(&[(ten, false, 0), (eleven, false, 9), (twelve, false, 9)]));
        assert!(after(&[(ten, false, 0)]), "what was there for a time goes");
        assert!(after(&[(ten, false, 0), (eleven, false, 5), (twelve, false, 8)]), "and may go sooner");
        assert!(after(&[(eleven, false, 9), (twelve, false, 9)]), "one goes");
        assert!(after(&[(ten, false, 0), ("13.0.0.0/8", false, 0)]), "one comes");
        assert!(!after(&[("13.0.0.0/8", false, 0)]), "one comes and one goes");
        assert!(!after(&[(ten, false, 0), ("13.0.0.0/8", false, 0), ("14.0.0.0/8", false, 0)]));
        assert!(!after(&[(ten, true, 0), (eleven, true, 9)]));
    }
}
