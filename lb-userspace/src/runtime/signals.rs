//! Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT end the daemon.

use tokio::signal::unix::{SignalKind, signal};

use super::notify;
use crate::{control::Handle, model::Config};

/// Waits for the signal to end. `started` is the configuration that the daemon was started with.
pub(super) async fn wait(control: Handle, started: Config) {
    let signals = signal(SignalKind::hangup())
        .and_then(|hangup| Ok((hangup, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)));
    let (mut hangup, mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "cannot catch signals");
            return std::future::pending().await;
        }
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => reload(&control, &started).await,
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
        }
    }
}

async fn reload(control: &Handle, started: &Config) {
    notify::reloading();
    match control.reload().await {
        Ok(snapshot) => {
            for key in needs_restart(started, &snapshot.config) {
                tracing::warn!(key, "this change takes effect when lbd is started again");
            }
        }
        Err(error) => tracing::error!(%error, "the configuration was not loaded: all is as it was"),
    }
    notify::ready();
}

/// Keys whose values are used only at the start.
fn needs_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let changes = [
        ("pin_directory", started.pin_directory != now.pin_directory),
        ("api.socket", started.api_socket != now.api_socket),
        ("api.group", started.api_group != now.api_group),
        ("api.listen", started.api_tcp != now.api_tcp),
        ("metrics.listen", started.metrics_listen != now.metrics_listen),
        ("limits", started.limits != now.limits),
        ("vrrp", started.vrrp != now.vrrp),
        ("xdp_mode", started.xdp_mode != now.xdp_mode),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
