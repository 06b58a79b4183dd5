//! What happened between two states of control.

use std::{collections::HashMap, sync::Arc};

use lb_common::abi::BackendState;

use super::{Attribute, Kind, Notice, Value};
use crate::{
    control::{BackendView, DrainView, ServiceView, Snapshot},
    model::{Backend, Health, Keyword, Service},
};

/// What happened, in an order in which it can be told: what the operator did before what follows from it.
#[must_use]
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Notice> {
    let mut notices = Vec::new();
    config(before, after, &mut notices);
    blocks(before, after, &mut notices);
    services(before, after, &mut notices);
    maps(before, after, &mut notices);
    notices
}

fn config(before: &Snapshot, after: &Snapshot, notices: &mut Vec<Notice>) {
    if before.config != after.config || before.unsaved != after.unsaved {
        let unsaved = if after.unsaved { "true" } else { "false" };
        let notice = Notice::new(Kind::ConfigChanged).with(Attribute::Services, after.services.len() as u64);
        notices.push(notice.with(Attribute::Unsaved, unsaved));
    }
    match (before.confirm_until, after.confirm_until) {
        (before, Some(until)) if before != Some(until) => {
            notices.push(Notice::new(Kind::ConfigUnconfirmed).with(Attribute::Until, until.to_string()));
        }
        (Some(_), None) => notices.push(Notice::new(Kind::ConfigSettled)),
        _ => {}
    }
}

/// Most sources that are told of one by one.
const FEW: usize = 16;

fn blocks(before: &Snapshot, after: &Snapshot, notices: &mut Vec<Notice>) {
    if Arc::ptr_eq(&before.blocks, &after.blocks) {
        return;
    }
    let changed = after.blocks.iter().filter(|(prefix, block)| before.blocks.get(prefix) != Some(block));
    let changed: Vec<_> = changed.take(FEW + 1).collect();
    let gone = before.blocks.keys().filter(|prefix| !after.blocks.contains_key(prefix));
    let gone: Vec<_> = gone.take(FEW + 1).collect();
    if changed.len() + gone.len() > FEW {
        let count = after.blocks.len() as u64;
        return notices.push(Notice::new(Kind::SourcesChanged).with(Attribute::Count, count));
    }
    for (prefix, block) in changed {
        let mut notice = Notice::new(Kind::SourceBlocked).with(Attribute::Prefix, prefix.to_string());
        if let Some(until) = block.until {
            notice = notice.with(Attribute::Until, until.wall.to_string());
        }
        if !block.reason.is_empty() {
            notice = notice.with(Attribute::Reason, block.reason.clone());
        }
        notices.push(notice);
    }
    for prefix in gone {
        notices.push(Notice::new(Kind::SourceUnblocked).with(Attribute::Prefix, prefix.to_string()));
    }
}

fn maps(before: &Snapshot, after: &Snapshot, notices: &mut Vec<Notice>) {
    let repaired = after.reconciled.drift.total().saturating_sub(before.reconciled.drift.total());
    if repaired > 0 {
        notices.push(Notice::new(Kind::DriftRepaired).with(Attribute::Count, repaired));
    }
    match (&before.problem, &after.problem) {
        (before, Some(problem)) if before.as_ref() != Some(problem) => {
            notices.push(Notice::new(Kind::ConfigProblem).with(Attribute::Reason, problem.clone()));
        }
        (Some(_), None) => notices.push(Notice::new(Kind::ConfigApplied)),
        _ => {}
    }
}

fn services(before: &Snapshot, after: &Snapshot, notices: &mut Vec<Notice>) {
    let shown = |index: usize| before.services.get(index);
    let same = |index: usize, view: &_| shown(index).is_some_and(|before| before.is(view));
    let all = after.services.iter().enumerate();
    let changed: Vec<_> = all.filter(|(index, view)| !same(*index, view)).map(|(_, view)| &**view).collect();
    if !changed.is_empty() || before.services.len() > after.services.len() {
        let kept: Vec<_> = (0..before.services.len())
            .filter(|index| !after.services.get(*index).is_some_and(|view| same(*index, view)))
            .filter_map(shown)
            .collect();
        let mut gone: HashMap<&str, &ServiceView> =
            kept.into_iter().map(|view| (view.desired.name.as_str(), &**view)).collect();
        for view in changed {
            service(gone.remove(view.desired.name.as_str()), view, notices);
        }
        let mut gone: Vec<_> = gone.into_values().collect();
        gone.sort_by(|one, two| one.desired.name.cmp(&two.desired.name));
        gone.into_iter().for_each(|view| removed(view, notices));
    }
    drains(before, after, notices);
}

fn service(before: Option<&ServiceView>, after: &ServiceView, notices: &mut Vec<Notice>) {
    let desired = &*after.desired;
    match before {
        None => notices.push(of_service(Kind::ServiceAdded, desired)),
        Some(before) if !is_alike(&before.desired, desired) => {
            notices.push(of_service(Kind::ServiceChanged, desired));
        }
        Some(_) => {}
    }
    let known: HashMap<&str, &BackendView> = before
        .into_iter()
        .flat_map(|view| &view.backends)
        .map(|backend| (backend.desired.name.as_str(), backend))
        .collect();
    for view in &after.backends {
        backend(desired, known.get(view.desired.name.as_str()).copied(), view, notices);
    }
    let is_gone = |backend: &&BackendView| after.backend(backend.desired.name.as_str()).is_none();
    for view in before.into_iter().flat_map(|view| &view.backends).filter(is_gone) {
        notices.push(
            of_backend(Kind::BackendRemoved, desired, &view.desired)
                .with(Attribute::From, view.state.as_str()),
        );
    }
    let was = before.map(|view| view.pool.condition).unwrap_or_default();
    if was != after.pool.condition {
        let notice = Notice::new(Kind::ServicePool).with(Attribute::Service, desired.name.to_string());
        let notice =
            notice.with(Attribute::From, was.as_str()).with(Attribute::To, after.pool.condition.as_str());
        let notice = notice.with(Attribute::Healthy, after.pool.healthy as u64);
        notices.push(notice.with(Attribute::Wanted, after.pool.wanted as u64));
    }
}

fn removed(view: &ServiceView, notices: &mut Vec<Notice>) {
    for backend in &view.backends {
        let notice = of_backend(Kind::BackendRemoved, &view.desired, &backend.desired);
        notices.push(notice.with(Attribute::From, backend.state.as_str()));
    }
    notices.push(of_service(Kind::ServiceRemoved, &view.desired));
}

fn backend(service: &Service, before: Option<&BackendView>, after: &BackendView, notices: &mut Vec<Notice>) {
    let desired = &after.desired;
    let Some(before) = before else {
        let notice = of_backend(Kind::BackendAdded, service, desired);
        return notices.push(notice.with(Attribute::To, after.state.as_str()));
    };
    if before.desired != *desired {
        notices.push(of_backend(Kind::BackendChanged, service, desired));
    }
    let reason = after.finding.reason.as_ref().map(|reason| Value::Text(reason.clone()));
    let with_reason = |notice: Notice, bad: bool| match &reason {
        Some(reason) if bad => notice.with(Attribute::Reason, reason.clone()),
        _ => notice,
    };
    let kind = match after.health {
        Health::Up => Some(Kind::HealthUp),
        Health::Down => Some(Kind::HealthDown),
        Health::Unknown => None,
    };
    if let Some(kind) = kind.filter(|_| before.health != after.health) {
        let notice = of_backend(kind, service, desired).with(Attribute::From, before.health.as_str());
        notices
            .push(with_reason(notice.with(Attribute::To, after.health.as_str()), kind == Kind::HealthDown));
    }
    if before.state != after.state {
        let notice = of_backend(Kind::BackendState, service, desired);
        let notice =
            notice.with(Attribute::From, before.state.as_str()).with(Attribute::To, after.state.as_str());
        notices.push(with_reason(notice, after.state == BackendState::Down));
    }
}

fn drains(before: &Snapshot, after: &Snapshot, notices: &mut Vec<Notice>) {
    for (id, view) in &*after.drains {
        let was = before.drains.get(id);
        let begins = |is: fn(&DrainView) -> bool| is(view) && !was.is_some_and(is);
        let (drained, expired) = (begins(|view| view.drained), begins(|view| view.expired));
        if !drained && !expired {
            continue;
        }
        let Some((service, backend)) = after.backend_by_id(*id) else { continue };
        if drained {
            notices.push(of_backend(Kind::BackendDrained, &service.desired, &backend.desired));
        } else if view.flows != Some(0) {
            let notice = of_backend(Kind::BackendDrainExpired, &service.desired, &backend.desired);
            notices.push(match view.flows {
                Some(flows) => notice.with(Attribute::Flows, flows),
                None => notice,
            });
        }
    }
}

/// Whether two services differ in their backends at most.
fn is_alike(one: &Service, two: &Service) -> bool {
    let bare = |service: &Service| Service { backends: Vec::new(), ..service.clone() };
    bare(one) == bare(two)
}

fn of_service(kind: Kind, service: &Service) -> Notice {
    Notice::new(kind)
        .with(Attribute::Service, service.name.to_string())
        .with(Attribute::Address, service.address)
}

fn of_backend(kind: Kind, service: &Service, backend: &Backend) -> Notice {
    Notice::new(kind)
        .with(Attribute::Service, service.name.to_string())
        .with(Attribute::Backend, backend.name.to_string())
        .with(Attribute::Address, backend.address)
}
