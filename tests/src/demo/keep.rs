//! Ctrl-C, and `--keep`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use super::{say, step, target_of};
use crate::{daemon, site::Site};

/// Whether Ctrl-C was pressed (or SIGTERM received).
pub(super) struct Interrupt {
    seen: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C does not end the process, but makes [`Self::check`] fail, so that everything is cleaned up.
    pub(super) fn watch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        let runtime = Builder::new_current_thread().enable_all().build().context("no event loop")?;
        let (mut interrupt, mut terminate) = {
            let _guard = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let noted = Arc::clone(&seen);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                }
            });
            noted.store(true, Ordering::Relaxed);
        });
        Ok(Self { seen })
    }

    /// Fails once Ctrl-C was pressed.
    pub(super) fn check(&self) -> Result<()> {
        if self.seen() {
            bail!("interrupted; everything is removed");
        }
        Ok(())
    }

    fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

/// Leaves everything running, says what can be tried, and waits for Ctrl-C.
pub(super) fn until_interrupted(site: &Site, interrupt: &Interrupt) -> Result<()> {
    step("Everything goes on until Ctrl-C, which also cleans up. In another terminal, try");
    let client = site.topology.client.name();
    say(&format!("export LB_SOCKET={}", site.daemon.socket().display()));
    say(&format!("alias lbctl={}", daemon::binary("lbctl")?.display()));
    for line in [
        "status",
        "backend list",
        "stats --rate",
        "flow list --limit 10",
        "drops",
        "backend set web-v4 server-1 --state draining",
        "backend set web-v4 server-1 --state enabled --weight 300",
    ] {
        say(&format!("lbctl {line}"));
    }
    say(&format!("less {}", site.daemon.config_file().display()));
    say(&format!("ip netns exec {client} curl http://{}/   # if curl is installed", target_of("web-v4")));
    say(&format!("ip netns exec {} bpftool net show", site.topology.balancer.name()));
    while !interrupt.seen() {
        // Only the pace of looking for Ctrl-C.
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
