//! Follows the kernel's network: interfaces that come and go, routes and neighbours that change.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use lb_common::abi::{self, EventKind};
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, oneshot},
};

use super::{Clock, attached::Attacher, neighbours::Message};
use crate::{
    control::{Event, Handle},
    loader::{CaptureProgram, LoaderError},
    net::{
        Debounce, Effect, Neighbour, NeighbourKey, NeighbourState, NetError, Notice, Notices, Requests, View,
    },
    plan::address_of,
    sys::bpf::from_bytes,
};

/// How often it is looked whether the links are still in place.
const CHECK: Duration = Duration::from_secs(10);

/// The connection to the kernel, and what is known.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) requests: Requests,
    pub(super) view: View,
    notices: Notices,
}

impl Network {
    /// Connects and asks for everything.
    pub(super) async fn open() -> Result<Self, NetError> {
        let (notices, requests) = (Notices::open()?, Requests::open()?);
        let mut network = Self { requests, view: View::default(), notices };
        network.ask_again().await?;
        Ok(network)
    }

    async fn ask_again(&mut self) -> Result<(), NetError> {
        let notices = self.requests.dump().await?;
        self.view.restart();
        for notice in notices {
            self.view.handle(notice);
        }
        Ok(())
    }

    /// The next change. Can be cancelled without loss.
    async fn next(&mut self) -> Result<Notice, NetError> {
        match self.notices.next().await {
            Some(notice) => Ok(notice),
            None => {
                self.notices = Notices::open()?;
                Ok(Notice::Lost)
            }
        }
    }
}

fn lost_neighbour(notice: &Notice) -> Option<NeighbourKey> {
    match notice {
        Notice::NeighbourGone(Neighbour { ifindex, address, .. })
        | Notice::Neighbour(Neighbour { ifindex, address, state: NeighbourState::Failed, .. }) => {
            Some((*ifindex, *address))
        }
        _ => None,
    }
}

/// The interfaces are to run the program that captures, or the usual one again.
pub(super) struct Capture {
    pub(super) program: Option<CaptureProgram>,
    pub(super) done: oneshot::Sender<Result<(), LoaderError>>,
}

/// Whom the task below talks to.
pub(super) struct Peers {
    pub(super) control: Handle,
    pub(super) neighbours: mpsc::Sender<Message>,
    pub(super) events: AsyncFd<RingBuf<MapData>>,
    pub(super) captures: mpsc::Receiver<Capture>,
    pub(super) clock: Clock,
}

/// Follows the network until control ends.
pub(super) async fn run(network: Network, attacher: Attacher, peers: Peers) {
    let clock = peers.clock;
    let mut snapshots = peers.control.watch();
    let mut follower =
        Follower { network, attacher, peers, debounce: Debounce::default(), pending: Effect::default() };
    follower.note(Effect { interfaces: true, next_hops: true, lost: false });
    let mut check = clock.now() + CHECK;
    loop {
        let going_on = tokio::select! {
            changed = snapshots.changed() => {
                let config = snapshots.borrow_and_update().config.clone();
                if follower.attacher.set_wanted(&config) {
                    follower.note(LINKS);
                }
                changed.is_ok()
            }
            notice = follower.network.next() => {
                follower.take(notice).await;
                true
            }
            ready = follower.peers.events.readable_mut() => match ready {
                Ok(mut ready) => {
                    let missing = read_missing(ready.get_inner_mut());
                    ready.clear_ready();
                    missing.into_iter().for_each(|key| follower.peers.tell(Message::Missing(key)));
                    true
                }
                Err(_) => false,
            },
            Some(Capture { program, done }) = follower.peers.captures.recv() => {
                // Nobody waits for the end of a capture.
                drop(done.send(follower.attacher.capture_with(program)));
                true
            }
            () = clock.sleep_until(follower.debounce.poll_timeout()) => follower.act().await.is_some(),
            () = clock.sleep_until(Some(check)) => {
                check = clock.now() + CHECK;
                follower.note(LINKS);
                true
            }
        };
        if !going_on {
            return;
        }
    }
}

/// Interfaces are to be looked at, but nothing is known to have changed.
const LINKS: Effect = Effect { interfaces: true, next_hops: false, lost: false };

struct Follower {
    network: Network,
    attacher: Attacher,
    peers: Peers,
    debounce: Debounce,
    /// What follows from the changes since the last action.
    pending: Effect,
}

impl Follower {
    fn note(&mut self, effect: Effect) {
        if effect != Effect::default() {
            self.pending = self.pending | effect;
            self.debounce.handle_change(self.peers.clock.now());
        }
    }

    async fn take(&mut self, notice: Result<Notice, NetError>) {
        let notice = match notice {
            Ok(notice) => notice,
            Err(error) => {
                tracing::error!(%error, "cannot follow the network; trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
                Notice::Lost
            }
        };
        if let Some(key) = lost_neighbour(&notice) {
            self.peers.tell(Message::Lost(key));
        }
        let effect = self.network.view.handle(notice);
        if effect.lost {
            tracing::debug!("netlink messages were lost; asking for everything");
            if let Err(error) = self.network.ask_again().await {
                tracing::error!(%error, "cannot ask for links and addresses");
            }
        }
        self.note(effect);
    }

    /// Does what follows from the changes of the last moments; `None`: control has ended.
    async fn act(&mut self) -> Option<()> {
        if !self.debounce.handle_timeout(self.peers.clock.now()) {
            return Some(());
        }
        let (effect, view, control) =
            (std::mem::take(&mut self.pending), &self.network.view, &self.peers.control);
        let mut moved = false;
        if effect.interfaces {
            // Some milliseconds of system calls, and rare.
            moved = self.attacher.follow(view);
            let interfaces = self.attacher.interfaces(view);
            control.report(Event::Interfaces(interfaces)).await.ok()?;
        }
        if effect.next_hops || moved {
            control.report(Event::RoutesChanged).await.ok()?;
            let attached = self.attacher.list().snapshot().iter().map(|attached| attached.ifindex).collect();
            self.peers.tell(Message::Changed { attached, fixed: view.fixed_neighbours() });
        }
        Some(())
    }
}

impl Peers {
    /// Full, it is being flooded with misses, and what is lost comes again.
    fn tell(&self, message: Message) {
        drop(self.neighbours.try_send(message));
    }
}

/// The neighbours that the data path missed.
fn read_missing(ring: &mut RingBuf<MapData>) -> Vec<NeighbourKey> {
    let mut missing = Vec::new();
    while let Some(record) = ring.next() {
        let Some(event) = from_bytes::<abi::Event>(&record) else { continue };
        let family = u8::try_from(event.family).unwrap_or_default();
        if event.kind == EventKind::NeighbourMissing as u32
            && let Some(address) = address_of(event.addr, family)
        {
            missing.push((event.ifindex, address));
        }
    }
    missing.sort_unstable();
    missing.dedup();
    missing
}
