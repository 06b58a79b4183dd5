//! Keeps the neighbours of backends and gateways resolved.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tokio::sync::mpsc;

use super::Clock;
use crate::{
    control::{BackendView, Handle, ServiceView},
    model::{AdminState, Shared},
    net::{Action, DEFAULT_LIMIT, KeepResolved, NeighbourKey, NeighbourRoom, NextHop, Requests},
    sys::kernel,
};

/// The first Linux that knows `NTF_EXT_MANAGED`. Older ones ignore it silently.
const KEEPS_NEIGHBOURS: (u32, u32) = (5, 16);
/// Between two looks at everything although nothing changed.
const FULL_ROUND: Duration = Duration::from_secs(30);
/// The same on kernels that do not keep neighbours resolved by themselves.
const SHORT_ROUND: Duration = Duration::from_secs(3);
/// Most gateways kept resolved.
const MOST_GATEWAYS: usize = 512;

/// Where the kernel says how many neighbours of a family it holds at most. Only the first network namespace has these files.
const LIMITS: [&str; 2] =
    ["/proc/sys/net/ipv4/neigh/default/gc_thresh3", "/proc/sys/net/ipv6/neigh/default/gc_thresh3"];

/// What the task is told.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// The data path missed a neighbour.
    Missing(NeighbourKey),
    /// A neighbour's entry is gone or failed.
    Lost(NeighbourKey),
    /// Routes, links or neighbours changed. These may be used, and those of them are set by the operator.
    Changed {
        /// Indexes of the interfaces that the program is on.
        attached: BTreeSet<u32>,
        /// Neighbours whose MAC addresses the operator set.
        fixed: BTreeSet<NeighbourKey>,
    },
}

/// Runs until control ends or nobody sends messages any more.
pub(super) async fn run(
    control: Handle,
    requests: Requests,
    mut inbox: mpsc::Receiver<Message>,
    clock: Clock,
) {
    let managed = kernel::is_at_least(KEEPS_NEIGHBOURS);
    let round = if managed { FULL_ROUND } else { SHORT_ROUND };
    let mut keeper = Keeper {
        requests,
        managed,
        keep: KeepResolved::default(),
        room: <[NeighbourRoom; 2]>::default(),
        attached: BTreeSet::new(),
        fixed: BTreeSet::new(),
        services: Vec::new(),
        backends: BTreeSet::new(),
    };
    let mut snapshots = control.watch();
    let mut due = clock.now() + round;
    loop {
        tokio::select! {
            message = inbox.recv() => match message {
                None => return,
                Some(Message::Missing(key)) => {
                    let action = keeper.keep.handle_missing(clock.now(), key);
                    keeper.act(action).await;
                }
                Some(Message::Lost(key)) => {
                    let action = keeper.keep.handle_lost(clock.now(), key);
                    keeper.act(action).await;
                }
                Some(Message::Changed { attached, fixed }) => {
                    (keeper.attached, keeper.fixed) = (attached, fixed);
                    keeper.renew(&control).await;
                }
            },
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                snapshots.mark_unchanged();
                if keeper.backends_changed(&control) {
                    keeper.renew(&control).await;
                }
            }
            () = clock.sleep_until(Some(due)) => {
                due = clock.now() + round;
                keeper.renew(&control).await;
            }
        }
    }
}

struct Keeper {
    requests: Requests,
    managed: bool,
    keep: KeepResolved,
    /// Of IPv4 and of IPv6.
    room: [NeighbourRoom; 2],
    attached: BTreeSet<u32>,
    fixed: BTreeSet<NeighbourKey>,
    /// The services that were looked at last, and where their backends are.
    services: Vec<Shared<ServiceView>>,
    backends: BTreeSet<IpAddr>,
}

impl Keeper {
    /// Notes where the backends are; whether that is somewhere else than before.
    fn backends_changed(&mut self, control: &Handle) -> bool {
        let snapshot = control.snapshot();
        let same = |(a, b): (&Shared<ServiceView>, &Shared<ServiceView>)| a.is(b);
        if self.services.len() == snapshot.services.len()
            && self.services.iter().zip(&snapshot.services).all(same)
        {
            return false;
        }
        self.services.clone_from(&snapshot.services);
        let used =
            |(_, backend): &(&ServiceView, &BackendView)| backend.desired.state != AdminState::Disabled;
        let backends = snapshot.backends().filter(used).map(|(_, backend)| backend.desired.address).collect();
        let changed = self.backends != backends;
        self.backends = backends;
        changed
    }

    /// Finds out which neighbours are to be kept resolved, and has them resolved.
    async fn renew(&mut self, control: &Handle) {
        self.backends_changed(control);
        let mut wanted = BTreeSet::new();
        for address in self.backends.iter().copied() {
            match self.requests.next_hop(address).await {
                Ok(Some(NextHop { ifindex, address })) => drop(wanted.insert((ifindex, address))),
                Ok(None) => tracing::debug!(%address, "no route to this backend"),
                Err(error) => tracing::debug!(%error, %address, "cannot look its route up"),
            }
        }
        match self.requests.gateways().await {
            Ok(gateways) => wanted.extend(gateways.into_iter().take(MOST_GATEWAYS)),
            Err(error) => tracing::debug!(%error, "cannot list the gateways"),
        }
        wanted.retain(|key| self.attached.contains(&key.0) && !self.fixed.contains(key));
        self.look_at_room(&wanted);
        for action in self.keep.set(wanted) {
            self.act(Some(action)).await;
        }
    }

    fn look_at_room(&mut self, wanted: &BTreeSet<NeighbourKey>) {
        let v4 = wanted.iter().filter(|(_, address)| address.is_ipv4()).count();
        for ((kept, path), room) in [v4, wanted.len() - v4].into_iter().zip(LIMITS).zip(&mut self.room) {
            let read = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
            let limit = read.unwrap_or(DEFAULT_LIMIT);
            if room.update(kept, limit) {
                let assumed = read.is_none();
                tracing::warn!(
                    kept,
                    limit,
                    assumed,
                    sysctl = path,
                    "the neighbours that are kept resolved take more than 3/4 of the machine's neighbour table; \
                     raise the sysctl: full, the host reaches nobody new"
                );
            }
        }
    }

    async fn act(&self, action: Option<Action>) {
        let Some(action) = action else { return };
        let done = match action {
            Action::Keep(key) if self.managed => self.requests.keep(key).await,
            Action::Keep(key) | Action::Resolve(key) | Action::Release(key) => {
                self.requests.resolve(key).await
            }
        };
        if let Err(error) = done {
            tracing::debug!(%error, ?action, "neighbour");
        }
    }
}
