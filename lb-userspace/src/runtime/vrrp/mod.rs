//! The virtual routers of a running daemon, on a thread of their own: nothing else that the daemon does makes an advert late.

mod machine;

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::watch;

use self::machine::Machine;
use super::{Clock, Failure, privileges::Privileges};
use crate::{model::VirtualRouter, sys::process::prefer_this_thread};

/// How long the end may take beyond what handing over takes.
const GRACE: Duration = Duration::from_secs(1);

/// What one virtual router is doing.
#[derive(Clone, Debug)]
pub(super) struct RouterStatus {
    pub(super) router: VirtualRouter,
    pub(super) state: crate::vrrp::State,
    pub(super) priority: u8,
    pub(super) active: Option<crate::vrrp::Peer>,
    /// Changes of state since the start.
    pub(super) transitions: u64,
    /// Rejected packets by reason.
    pub(super) rejected: Vec<(&'static str, u64)>,
}

/// What all of them are doing, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct StatusBoard(Arc<Mutex<Vec<RouterStatus>>>);

impl StatusBoard {
    pub(super) fn snapshot(&self) -> Vec<RouterStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, status: Vec<RouterStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// The virtual routers of the daemon.
#[derive(Debug)]
pub(super) struct Vrrp {
    board: StatusBoard,
    /// `None`: none is configured.
    thread: Option<Running>,
}

#[derive(Debug)]
struct Running {
    thread: thread::JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// The longest that handing over may take.
    patience: Duration,
}

/// Starts the thread, if there is a virtual router.
pub(super) fn start(
    routers: &[VirtualRouter],
    clock: Clock,
    privileges: &Privileges,
) -> Result<Vrrp, Failure> {
    let board = StatusBoard::default();
    let Some(longest) = routers.iter().map(|router| router.advert_interval).max() else {
        return Ok(Vrrp { board, thread: None });
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("start a thread for VRRP"))?;
    let machine = {
        let _entered = runtime.enter();
        Machine::new(routers, clock, board.clone())?
    };
    let (stop, stopped) = watch::channel(false);
    let privileges = privileges.clone();
    let work = move || {
        if let Err(error) = prefer_this_thread() {
            tracing::debug!(%error, "VRRP has no real-time priority");
        }
        privileges.limit_thread();
        runtime.block_on(machine.run(stopped));
    };
    let thread = thread::Builder::new()
        .name("vrrp".to_owned())
        .spawn(work)
        .map_err(Failure::system("start a thread for VRRP"))?;
    Ok(Vrrp { board, thread: Some(Running { thread, stop, patience: longest * 5 + GRACE }) })
}

impl Vrrp {
    /// Where it is written what the virtual routers are doing.
    pub(super) fn board(&self) -> StatusBoard {
        self.board.clone()
    }

    /// Hands over what is active here, waits until it is taken over, and ends.
    pub(super) async fn end(self) {
        let Some(Running { thread, stop, patience }) = self.thread else { return };
        stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(patience, joined).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => tracing::error!("VRRP ended with a defect"),
            Err(_) => tracing::error!("VRRP did not end in time"),
        }
    }
}
