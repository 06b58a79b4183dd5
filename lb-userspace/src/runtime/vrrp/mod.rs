//! The virtual routers of a running daemon, on a thread of their own: nothing else that the daemon does makes an advert late.

mod chronicle;
mod configure;
mod fence;
mod hooks;
mod machine;
mod network;
mod obey;
mod orders;
mod publish;
mod receive;
mod relays;
mod remembered;
mod seat;
mod trackers;
mod virtual_macs;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use self::trackers::Outbox;
use self::{
    chronicle::Figures, fence::Fence, hooks::Hooks, machine::Machine, orders::Orders, relays::Relays,
    remembered::Remembered, virtual_macs::Seats,
};
pub(super) use self::{
    seat::Seat,
    trackers::{Sources, Trackers},
};
use super::{Clock, Failure, replication::Synced};
use crate::{
    api::Switch,
    config::StandbyFile,
    control::{Error, Handle},
    events::{Bus, Notice},
    model::{Timestamp, VirtualRouter},
    vrrp::{Impact, Peer, Reading, State, Switchover},
};

/// How long the end may take beyond what handing over takes.
const GRACE: Duration = Duration::from_secs(1);

/// What one virtual router is doing.
#[derive(Clone, Debug)]
pub(super) struct RouterStatus {
    pub(super) router: VirtualRouter,
    pub(super) state: State,
    pub(super) priority: u8,
    /// What it tracks, and what comes of it.
    pub(super) tracked: Vec<TrackedStatus>,
    pub(super) active: Option<Peer>,
    pub(super) switchover: Option<Switchover>,
    /// It waits only for its time to become active.
    pub(super) is_about_to_claim: bool,
    /// It is to be told when packets for its VIPs arrive ([`Router::awaits_traffic`](crate::vrrp::Router::awaits_traffic)).
    pub(super) awaits_traffic: Option<u64>,
    /// The interface of its virtual MAC address.
    pub(super) device: Option<String>,
    /// Changes of state since the start.
    pub(super) transitions: u64,
    pub(super) figures: Figures,
    /// Rejected packets by reason.
    pub(super) rejected: Vec<(&'static str, u64)>,
    /// Runs of its hook that failed.
    pub(super) hook_failures: u64,
}

/// Something tracked.
#[derive(Clone, Debug)]
pub(super) struct TrackedStatus {
    pub(super) name: String,
    pub(super) reading: Option<Reading>,
    /// It is there again, and has to prove itself.
    pub(super) held: bool,
    pub(super) impact: Impact,
}

/// What all of them are doing.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// In the order of the configuration.
    pub(super) routers: Vec<RouterStatus>,
    /// Rejected packets for none of them, by reason.
    pub(super) unknown: Vec<(&'static str, u64)>,
}

#[derive(Clone, Debug, Default)]
struct StatusBoard(Arc<Mutex<Status>>);

impl StatusBoard {
    fn snapshot(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, status: Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// Tells what happens, by a task that keeps no advert waiting.
#[derive(Clone, Debug)]
struct Teller {
    clock: Clock,
    notices: mpsc::UnboundedSender<(Timestamp, Notice)>,
}

impl Teller {
    /// Starts the task.
    fn start(clock: Clock, events: Bus) -> Self {
        let (notices, mut told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some((at, notice)) = told.recv().await {
                events.publish(at, [notice]);
            }
        });
        Self { clock, notices }
    }

    fn tell(&self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            // At the end nobody listens any more.
            drop(self.notices.send((self.clock.moment().wall, notice)));
        }
    }
}

/// The way to the virtual routers.
#[derive(Clone, Debug)]
pub(super) struct Routers {
    board: StatusBoard,
    orders: Orders,
}

impl Routers {
    /// What they are doing.
    pub(super) fn snapshot(&self) -> Status {
        self.board.snapshot()
    }

    /// Switches one of them over with its sync group, or all; see [`Orders::give`].
    pub(super) fn switch_over(
        &self,
        router: Option<String>,
        switch: Switch,
    ) -> Result<Vec<RouterStatus>, Error> {
        self.orders.give(router, switch)
    }

    /// Has them follow the desired state until control ends.
    pub(super) async fn follow(self, control: Handle) {
        let mut snapshots = control.watch();
        let mut told = None;
        loop {
            let routers = snapshots.borrow_and_update().config.vrrp.clone();
            if told.as_ref() != Some(&routers) {
                if !self.orders.configure(routers.clone()) {
                    return;
                }
                told = Some(routers);
            }
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The virtual routers of the daemon.
#[derive(Debug)]
pub(super) struct Vrrp {
    routers: Routers,
    findings: Outbox,
    hooks: Hooks,
    thread: thread::JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// Gives the thread its work. `config` is the configuration file, `tables` where the maps are pinned.
pub(super) fn start(
    routers: &[VirtualRouter],
    synced: Option<Synced>,
    config: &Path,
    tables: &Path,
    clock: Clock,
    events: Bus,
    seat: Seat,
) -> Result<Vrrp, Failure> {
    let board = StatusBoard::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("start a thread for VRRP"))?;
    let teller = Teller::start(clock, events);
    let (outbox, findings) = mpsc::unbounded_channel();
    let (hooks, bells) = Hooks::start(clock);
    let machine = {
        let _entered = runtime.enter();
        let remembered = Remembered::read(StandbyFile::beside(config));
        Machine::new(
            routers,
            synced,
            clock,
            board.clone(),
            remembered,
            (teller, findings, bells),
            (Fence::open(tables)?, Relays::open(tables)?, Seats::open(tables)?),
        )?
    };
    let (stop, stopped) = watch::channel(false);
    let (orders, inbox) = mpsc::unbounded_channel();
    let thread = seat.begin(move |unpreferred| runtime.block_on(machine.run(inbox, stopped, unpreferred)));
    let routers = Routers { board, orders: Orders(orders) };
    Ok(Vrrp { routers, thread, stop, findings: outbox, hooks })
}

impl Vrrp {
    /// The way to them.
    pub(super) fn routers(&self) -> Routers {
        self.routers.clone()
    }

    /// What looks at what the virtual routers track.
    pub(super) fn trackers(&self) -> Trackers {
        Trackers::new(self.findings.clone(), self.routers.board.clone())
    }

    /// Hands over what is active here, waits until it is taken over, and ends.
    pub(super) async fn end(self) {
        let Self { routers, thread, stop, hooks, .. } = self;
        let intervals = routers.snapshot().routers.into_iter().map(|status| status.router.advert_interval);
        // The longest that handing over may take.
        let patience = intervals.max().unwrap_or_default() * 5 + GRACE;
        stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(patience, joined).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => tracing::error!("VRRP ended with a defect"),
            Err(_) => tracing::error!("VRRP did not end in time"),
        }
        hooks.end().await;
    }
}
