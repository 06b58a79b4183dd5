//! Makes snapshots.

use lb_common::abi::BackendState;

use super::{BackendView, ServiceView, Snapshot, target::Target};
use crate::model::{Backend, BackendName, Config, Draft, Health, HealthView, Service, ServiceName};

/// The configuration at three stages.
pub(super) struct Configs<'a> {
    /// When `lbd` was started.
    pub(super) started: &'a Config,
    /// In the file.
    pub(super) saved: &'a Config,
    /// Desired now.
    pub(super) current: &'a Config,
}

/// The state of everything.
pub(super) fn snapshot(
    generation: u64,
    configs: &Configs<'_>,
    health: &HealthView,
    problem: Option<String>,
    target: &Target,
) -> Snapshot {
    let Configs { started, saved, current } = *configs;
    let services = current.services.iter().map(|desired| service(desired, health, target)).collect();
    Snapshot {
        generation,
        config: current.clone(),
        unsaved: current != saved,
        restart_needed: restart_needed(started, current),
        problem,
        services,
        releasing: target.releasing(),
        reconciled: target.statistics(),
    }
}

/// The keys that differ and that are only looked at when `lbd` starts.
fn restart_needed(started: &Draft, current: &Draft) -> Vec<&'static str> {
    [
        ("pin_directory", started.pin_directory != current.pin_directory),
        ("api.socket", started.api_socket != current.api_socket),
        ("metrics.listen", started.metrics_listen != current.metrics_listen),
        ("limits", started.limits != current.limits),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

fn service(desired: &Service, health: &HealthView, target: &Target) -> ServiceView {
    let backends = desired.backends.iter().map(|backend| {
        let (id, state) = target.backend(desired, backend);
        let checked = desired.health.is_some();
        BackendView {
            id,
            desired: backend.clone(),
            health: if checked { health.of(&desired.name, &backend.name) } else { Health::Unknown },
            state,
        }
    });
    ServiceView { id: target.service(desired), desired: desired.clone(), backends: backends.collect() }
}

/// Whether what is known of a backend's health still holds under another configuration: the service is still checked, and the
/// backend of that name is still the same one.
pub(super) fn is_same_check(
    before: &Config,
    after: &Config,
    service: &ServiceName,
    backend: &BackendName,
) -> bool {
    let at = |config: &Config| {
        let service = config.service(service)?;
        let check = service.health?;
        let Backend { address, port, .. } = service.backend(backend)?;
        Some((service.at(), *address, *port, check.port))
    };
    let before = at(before);
    before.is_some() && before == at(after)
}

/// The state of a number in the maps.
pub(super) fn state(number: u8) -> BackendState {
    [BackendState::Active, BackendState::Draining, BackendState::Down, BackendState::Disabled]
        .into_iter()
        .find(|state| *state as u8 == number)
        .unwrap_or(BackendState::Unused)
}
