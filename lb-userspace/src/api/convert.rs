//! Requests become model types, or an error that says what was expected.

use std::{fmt::Display, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use ipnet::IpNet;

use super::{
    check::Health,
    error::ApiError,
    types::{BackendPatch, NewBackend, NewDrain, NewService, ServicePatch},
};
use crate::{
    config::parse_duration,
    control::{BackendChange, HealthChange, HealthRules, RateChange, ServiceChange, SourceChange},
    model::{Backend, DEFAULT_WEIGHT, DrainEnd, FlowRates, Service, ServiceAddress},
};

/// The service that a body describes.
pub(super) fn new_service(body: &NewService) -> Result<Service, ApiError> {
    let at = ServiceAddress {
        address: address("address", &body.address)?,
        protocol: word("protocol", &body.protocol)?,
        port: body.port,
    };
    let mut service = Service::new(word("name", &body.name)?, at);
    if let Some(mode) = &body.mode {
        service.mode = word("mode", mode)?;
    }
    if let Some(algorithm) = &body.algorithm {
        service.algorithm = word("algorithm", algorithm)?;
    }
    service.slots = body.slots;
    service.affinity_prefix = body.affinity_prefix;
    let timeout = duration("affinity_timeout", body.affinity_timeout.as_deref())?;
    service.affinity_timeout = timeout.unwrap_or(service.affinity_timeout);
    service.max_connections = body.max_connections.unwrap_or(service.max_connections);
    policies(body, &mut service)?;
    service.sources.allow = prefixes("allow", &body.allow)?;
    service.sources.allow_file = body.allow_file.as_deref().map(PathBuf::from);
    service.sources.deny = prefixes("deny", &body.deny)?;
    service.sources.deny_file = body.deny_file.as_deref().map(PathBuf::from);
    service.rates = FlowRates {
        flow_rate: body.flow_rate.unwrap_or_default(),
        flow_burst: body.flow_burst.unwrap_or_default(),
        source_flow_rate: body.source_flow_rate.unwrap_or_default(),
        source_flow_burst: body.source_flow_burst.unwrap_or_default(),
        packet_rate: body.packet_rate.unwrap_or_default(),
        packet_burst: body.packet_burst.unwrap_or_default(),
        source_packet_rate: body.source_packet_rate.unwrap_or_default(),
        source_packet_burst: body.source_packet_burst.unwrap_or_default(),
        source_max_connections: body.source_max_connections.unwrap_or_default(),
        source_max_embryonic: body.source_max_embryonic.unwrap_or_default(),
        source_prefix: body.source_prefix,
    };
    service.snat_addresses = addresses("snat_addresses", &body.snat_addresses)?;
    service.slow_start = duration("slow_start", body.slow_start.as_deref())?.unwrap_or(service.slow_start);
    service.backup_below = body.backup_below.unwrap_or(service.backup_below);
    service.health = match &body.health {
        Some(health) => {
            let applied = health_change(health)?.apply(None);
            applied.map_err(|found| crate::control::invalid::within(&found, "health"))?
        }
        None => None,
    };
    for (index, body) in body.backends.iter().enumerate() {
        let backend = new_backend(body, service.port).map_err(|mut error| {
            error.detail.path = format!("backends[{index}].{}", error.detail.path);
            error
        })?;
        service.backends.push(backend);
    }
    Ok(service)
}

/// Takes the policies that a body names.
fn policies(body: &NewService, service: &mut Service) -> Result<(), ApiError> {
    if let Some(on_full) = &body.on_full {
        service.on_full = word("on_full", on_full)?;
    }
    if let Some(syn_cookies) = &body.syn_cookies {
        service.syn_cookies = word("syn_cookies", syn_cookies)?;
    }
    if let Some(on_down) = &body.on_down {
        service.on_down = word("on_down", on_down)?;
    }
    Ok(())
}

/// The change of a service that a body describes.
pub(super) fn service_change(body: &ServicePatch) -> Result<ServiceChange, ApiError> {
    Ok(ServiceChange {
        mode: body.mode.as_deref().map(|mode| word("mode", mode)).transpose()?,
        algorithm: body.algorithm.as_deref().map(|algorithm| word("algorithm", algorithm)).transpose()?,
        slots: body.slots,
        affinity_prefix: body.affinity_prefix,
        affinity_timeout: duration("affinity_timeout", body.affinity_timeout.as_deref())?,
        max_connections: body.max_connections,
        on_full: body.on_full.as_deref().map(|on_full| word("on_full", on_full)).transpose()?,
        syn_cookies: body.syn_cookies.as_deref().map(|policy| word("syn_cookies", policy)).transpose()?,
        sources: SourceChange {
            allow: body.allow.as_deref().map(|list| prefixes("allow", list)).transpose()?,
            allow_file: body.allow_file.as_ref().map(|file| file.as_deref().map(PathBuf::from)),
            deny: body.deny.as_deref().map(|list| prefixes("deny", list)).transpose()?,
            deny_file: body.deny_file.as_ref().map(|file| file.as_deref().map(PathBuf::from)),
        },
        rates: RateChange {
            flow_rate: body.flow_rate,
            flow_burst: body.flow_burst,
            source_flow_rate: body.source_flow_rate,
            source_flow_burst: body.source_flow_burst,
            packet_rate: body.packet_rate,
            packet_burst: body.packet_burst,
            source_packet_rate: body.source_packet_rate,
            source_packet_burst: body.source_packet_burst,
            source_max_connections: body.source_max_connections,
            source_max_embryonic: body.source_max_embryonic,
            source_prefix: body.source_prefix,
        },
        snat_addresses: body
            .snat_addresses
            .as_deref()
            .map(|list| addresses("snat_addresses", list))
            .transpose()?,
        on_down: body.on_down.as_deref().map(|on_down| word("on_down", on_down)).transpose()?,
        slow_start: duration("slow_start", body.slow_start.as_deref())?,
        backup_below: body.backup_below,
        health: match &body.health {
            None => None,
            Some(None) => Some(HealthChange::Remove),
            Some(Some(health)) => Some(health_change(health)?),
        },
    })
}

/// The backend that a body describes, of a service with a port.
pub(super) fn new_backend(body: &NewBackend, service_port: u16) -> Result<Backend, ApiError> {
    Ok(Backend {
        name: word("name", &body.name)?,
        address: address("address", &body.address)?,
        port: body.port.unwrap_or(service_port),
        weight: body.weight.unwrap_or(DEFAULT_WEIGHT),
        state: body.state.as_deref().map(|state| word("state", state)).transpose()?.unwrap_or_default(),
        drain: None,
        backup: body.backup.unwrap_or_default(),
        max_connections: body.max_connections.unwrap_or_default(),
    })
}

/// The change of a backend that a body describes.
pub(super) fn backend_change(body: &BackendPatch) -> Result<BackendChange, ApiError> {
    let state = body.state.as_deref().map(|state| word("state", state)).transpose()?;
    let BackendPatch { weight, backup, max_connections, .. } = *body;
    Ok(BackendChange { weight, state, backup, max_connections })
}

/// The deadline that a body describes.
pub(super) fn new_drain(body: &NewDrain) -> Result<Option<(Duration, DrainEnd)>, ApiError> {
    let then = body.then.as_deref().map(|then| word("then", then)).transpose()?;
    match (duration("deadline", body.deadline.as_deref())?, then) {
        (None, Some(_)) => {
            Err(ApiError::invalid("then", "has no meaning without `deadline`; give one, or leave it out"))
        }
        (deadline, then) => Ok(deadline.map(|deadline| (deadline, then.unwrap_or_default()))),
    }
}

/// An address without a prefix length.
pub(super) fn address(path: &str, text: &str) -> Result<IpAddr, ApiError> {
    text.parse().map_err(|_| {
        let message =
            format!("{text:?} is not an address; expected one such as 203.0.113.10 or 2001:db8::10");
        ApiError::invalid(path, message)
    })
}

fn addresses(path: &str, list: &[String]) -> Result<Vec<IpAddr>, ApiError> {
    list.iter().enumerate().map(|(index, text)| address(&format!("{path}[{index}]"), text)).collect()
}

/// Addresses and networks.
pub(super) fn prefixes(path: &str, list: &[String]) -> Result<Vec<IpNet>, ApiError> {
    let prefix = |(index, text): (usize, &String)| {
        let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
        text.parse().ok().or_else(address).ok_or_else(|| {
            let message = format!(
                "{text:?} is not an address or a network; expected one such as 203.0.113.10, 198.51.100.0/24 or 2001:db8::/48"
            );
            ApiError::invalid(&format!("{path}[{index}]"), message)
        })
    };
    list.iter().enumerate().map(prefix).collect()
}

/// A word of a set.
pub(super) fn word<T: FromStr<Err: Display>>(path: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(path, format!("{error}")))
}

fn health_change(health: &Health) -> Result<HealthChange, ApiError> {
    Ok(HealthChange::Set {
        interval: duration("health.interval", health.interval.as_deref())?,
        timeout: duration("health.timeout", health.timeout.as_deref())?,
        rise: health.rise,
        fall: health.fall,
        port: health.port,
        rules: Box::new(HealthRules {
            fast_interval: duration("health.fast_interval", health.fast_interval.as_deref())?,
            jitter: duration("health.jitter", health.jitter.as_deref())?,
            max_flaps: health.max_flaps,
            flap_window: duration("health.flap_window", health.flap_window.as_deref())?,
            hold_down: duration("health.hold_down", health.hold_down.as_deref())?,
            max_hold_down: duration("health.max_hold_down", health.max_hold_down.as_deref())?,
            max_ejected: health.max_ejected,
            panic_threshold: health.panic_threshold,
            passive: health.passive,
            passive_window: duration("health.passive_window", health.passive_window.as_deref())?,
            passive_count: health.passive_count,
            passive_percent: health.passive_percent,
        }),
        probe_type: health.probe_type.as_deref().map(|word| self::word("health.type", word)).transpose()?,
        source: health.source.as_deref().map(|text| address("health.source", text)).transpose()?,
        settings: super::probe::settings(health),
    })
}

/// A duration, if there is one.
pub(super) fn duration(path: &str, text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || {
        let message =
            format!("{text:?} is not a duration; expected one such as \"500ms\", \"30s\", \"5m\" or \"2h\"");
        ApiError::invalid(path, message)
    };
    parse_duration(text).map(Some).ok_or_else(wrong)
}
