//! Who of a pool takes flows: a pure function of what the operator wants and who is healthy.

use std::time::Instant;

use crate::model::{AdminState, Backend, Condition, Pool, Service, Share, Standing};

/// A backend as the rules see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) backend: &'a Backend,
    pub(super) unhealthy: bool,
    /// Since when its health is what it is; `None`: since before anything was found.
    pub(super) since: Option<Instant>,
}

impl Member<'_> {
    /// Whether the operator wants it to take flows.
    fn is_wanted(&self) -> bool {
        self.backend.state == AdminState::Enabled && self.backend.weight > 0
    }
}

/// The wanted ones of the backups, or of all others.
struct Group<'a> {
    members: Vec<&'a Member<'a>>,
    healthy: usize,
}

impl<'a> Group<'a> {
    fn new(members: &'a [Member<'a>], backup: bool) -> Self {
        let wanted = members.iter().filter(|member| member.is_wanted() && member.backend.backup == backup);
        let members: Vec<_> = wanted.collect();
        let healthy = members.iter().filter(|member| !member.unhealthy).count();
        Self { members, healthy }
    }

    /// The backends that may not be taken out, as `max_ejected` percent of the group are: those that were healthy longest.
    fn kept(&self, max_ejected: u8) -> Vec<&Backend> {
        let allowed = self.members.len() * usize::from(max_ejected) / 100;
        let mut unhealthy: Vec<_> = self.members.iter().filter(|member| member.unhealthy).collect();
        unhealthy.sort_by_key(|member| (member.since, &member.backend.name));
        unhealthy.into_iter().skip(allowed).map(|member| member.backend).collect()
    }
}

/// What becomes of a group.
struct Rules<'a> {
    /// Whether it is to take flows.
    called: bool,
    /// Whether its unhealthy ones take flows, too.
    panic: bool,
    kept: Vec<&'a Backend>,
}

/// The pool of a service, without slow start.
pub(super) fn pool(service: &Service, members: &[Member<'_>]) -> Pool {
    let (primaries, backups) = (Group::new(members, false), Group::new(members, true));
    let check = service.health.as_ref();
    let (threshold, max_ejected) = check.map_or((0, 100), |check| (check.panic_threshold, check.max_ejected));
    let only_backups = primaries.members.is_empty();
    let expected = if only_backups { backups.members.len() } else { primaries.members.len() };
    let too_few = |healthy: usize| healthy * 100 < expected * usize::from(threshold);

    let needed = (primaries.healthy as u64) < u64::from(service.backup_below) || too_few(primaries.healthy);
    let called = needed && (only_backups || backups.healthy > 0);
    let panic = too_few(primaries.healthy + if called { backups.healthy } else { 0 });
    let of_primaries = Rules { called: true, panic, kept: primaries.kept(max_ejected) };
    let of_backups = Rules { called, panic: panic && only_backups, kept: backups.kept(max_ejected) };
    let share =
        |member: &Member<'_>| share(member, if member.backend.backup { &of_backups } else { &of_primaries });
    let in_their_place =
        called && !backups.members.is_empty() && members.iter().any(|member| !member.backend.backup);
    Pool {
        condition: match (panic, in_their_place) {
            (true, _) => Condition::Panic,
            (false, true) => Condition::Backup,
            (false, false) => Condition::Normal,
        },
        healthy: primaries.healthy + backups.healthy,
        wanted: primaries.members.len() + backups.members.len(),
        scale: 1,
        shares: members.iter().map(share).collect(),
    }
}

fn share(member: &Member<'_>, rules: &Rules<'_>) -> Share {
    if !member.is_wanted() {
        return Share { standing: Standing::Idle, down: member.unhealthy, weight: 0 };
    }
    let standing = match (member.unhealthy, rules.called) {
        (false, true) => Standing::Serving,
        (false, false) => Standing::Standby,
        (true, true) if rules.panic => Standing::Panic,
        (true, true) if rules.kept.iter().any(|kept| kept.name == member.backend.name) => Standing::Kept,
        (true, _) => Standing::Ejected,
    };
    let weight = if standing.takes_flows() { u32::from(member.backend.weight) } else { 0 };
    Share { standing, down: standing == Standing::Ejected, weight }
}
