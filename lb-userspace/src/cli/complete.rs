//! Completions of a shell, which ask the daemon for names.

use std::{future::Future, io, path::PathBuf, time::Duration};

use clap::CommandFactory as _;
use clap_complete::{CompleteEnv, engine::CompletionCandidate, env::Shells};
use serde::de::DeserializeOwned;

use super::{
    args::{Args, Shell},
    failure::{Exit, Failure},
};
use crate::api::{Client, Service, VirtualRouter};

/// The variable by which the shell's function asks `lbctl`.
const VARIABLE: &str = "COMPLETE";
/// Nobody waits any longer for a completion.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers the shell, and ends the process, where it asks for completions. Before a runtime is started.
pub fn complete() {
    CompleteEnv::with_factory(Args::command).var(VARIABLE).complete();
}

/// The function of a shell.
pub(super) fn script(shell: Shell) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(Exit::General, error.to_string());
    let shells = Shells::builtins();
    let completer =
        shells.completer(shell.name()).ok_or_else(|| failed(io::ErrorKind::Unsupported.into()))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "lbctl", "lbctl", "lbctl", &mut script).map_err(failed)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// Names of services.
pub(super) fn services() -> Vec<CompletionCandidate> {
    let candidate = |service: &Service| {
        CompletionCandidate::new(&service.name)
            .help(Some(format!("{}:{}/{}", service.address, service.port, service.protocol).into()))
    };
    ask::<Service>("/v1/services").iter().map(candidate).collect()
}

/// Names of virtual routers.
pub(super) fn virtual_routers() -> Vec<CompletionCandidate> {
    let candidate = |router: &VirtualRouter| {
        let help = format!("{} on {}", router.state, router.interface);
        CompletionCandidate::new(&router.name).help(Some(help.into()))
    };
    ask::<VirtualRouter>("/v1/vrrp").iter().map(candidate).collect()
}

/// Names of the backends of all services.
pub(super) fn backends() -> Vec<CompletionCandidate> {
    let services: Vec<Service> = ask("/v1/services");
    let all =
        services.iter().flat_map(|service| service.backends.iter().map(move |backend| (service, backend)));
    all.map(|(service, backend)| {
        let help = format!("{}:{} of {}", backend.address, backend.port, service.name);
        CompletionCandidate::new(&backend.name).help(Some(help.into()))
    })
    .collect()
}

/// A list of the API; nothing if the daemon does not answer. The options of the line are not known here: the environment is.
fn ask<T: DeserializeOwned>(path: &'static str) -> Vec<T> {
    let socket =
        std::env::var_os("LB_SOCKET").map_or_else(|| PathBuf::from("/run/lb/lbd.sock"), PathBuf::from);
    let client = Client::new(socket);
    blocking(async move { client.get(path).await.unwrap_or_default() }).unwrap_or_default()
}

fn blocking<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.ok() })
}
