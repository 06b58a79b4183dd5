//! Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT end the daemon.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, notify};
use crate::{control::Handle, model::Config};

/// The signals that the daemon reacts to.
#[derive(Debug)]
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they wait for [`Signals::wait`] instead of ending the process. To be called before anybody can know that it runs.
    pub(super) fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(Failure::system("catch signals"));
        Ok(Self {
            hangup: catch(SignalKind::hangup())?,
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    /// Waits for the signal to end. `started` is the configuration that the daemon was started with.
    pub(super) async fn wait(mut self, control: Handle, started: Config) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => reload(&control, &started).await,
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
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
        ("metrics.latency", started.latency != now.latency),
        ("metrics.program_run_time", started.program_run_time != now.program_run_time),
        ("dashboard.listen", started.dashboard_listen != now.dashboard_listen),
        ("limits", started.limits != now.limits),
        ("replication", started.replication != now.replication),
        ("xdp_mode", started.xdp_mode != now.xdp_mode),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
