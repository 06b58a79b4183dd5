//! Carries between the data path, the flow tables, the other machine, and the state machine that decides.

use std::{collections::BTreeMap, io, os::fd::AsFd as _, sync::Arc, time::Duration};

use aya::maps::{MapData, RingBuf};
use lb_common::abi::FlowEvent;
use tokio::{io::unix::AsyncFd, net::UdpSocket, sync::watch};

use super::{
    Prepared, ReplicationBoard, ReplicationStatus, seeds, socket, socket::Train, standing::Standing,
    sweep::Sweep,
};
use crate::{
    control::Snapshot,
    events::{Attribute, Bus, Notice},
    flows::{FlowMaps, Outcome, Replica, told},
    model::Timeouts,
    replication::{Event, Flow, Link, MOST_BYTES, Mark, Rejection, Seeds},
    runtime::{Clock, Failure},
    sys::bpf::{Map, from_bytes},
};

/// What the data path and the other machine tell waits so long, so that it is not read one by one: to wake costs more than to read what has come.
const REST: Duration = Duration::from_millis(8);
/// Between two attempts to open the socket.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Between two lines of the log about rejected packets of one kind.
const LOG_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks at the status, but for a change of it.
const SHOW_AGAIN: Duration = Duration::from_millis(200);
/// Packets that are taken before something else is looked at.
const MOST_PACKETS: usize = 64;
/// Flows of a sweep that are handed on at once.
const CHUNK: usize = 1024;
/// Bytes of a record in the ring.
const RECORD: usize = size_of::<FlowEvent>() + 8;
/// Between two sweeps, at most and at least: flows are to be refreshed before their time-out.
const REFRESH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why it woke.
enum Wake {
    Packets,
    Told,
    Swept(Option<io::Result<Vec<Flow>>>),
    Changed,
    Keys,
    Due,
    Stop,
}

/// All that there is.
pub(super) struct Machine {
    prepared: Prepared,
    clock: Clock,
    board: ReplicationBoard,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    events: Bus,
    maps: Arc<FlowMaps>,
    replica: Replica,
    ring: AsyncFd<RingBuf<MapData>>,
    ring_bytes: usize,
    /// Until when nothing is looked at.
    rests_until: Option<Duration>,
    link: Link,
    mark: Mark,
    socket: Option<UdpSocket>,
    train: Train,
    try_again: Duration,
    sweep: Option<Sweep>,
    outcomes: BTreeMap<Outcome, u64>,
    forgotten: u64,
    is_failing: bool,
    before: Standing,
    show_at: Duration,
    logged: BTreeMap<Rejection, Duration>,
}

impl Machine {
    /// Must be called in the runtime that runs it.
    pub(super) fn new(
        prepared: Prepared,
        seeds: &Seeds,
        board: ReplicationBoard,
        (snapshots, events): (watch::Receiver<Arc<Snapshot>>, Bus),
        maps: Arc<FlowMaps>,
        ring: AsyncFd<RingBuf<MapData>>,
        clock: Clock,
    ) -> Result<Self, Failure> {
        let boot = std::fs::read(BOOT_ID).map_err(Failure::system("read the id of this boot"))?;
        let replica = Replica::new(Arc::clone(&maps));
        let (now, refresh) = (clock.now(), refresh(&snapshots.borrow().config.timeouts));
        let wrong = || Failure::system("use the keys of replication")(io::ErrorKind::InvalidInput.into());
        let link =
            Link::new(now, prepared.keys.clone(), seeds, replica.id(&boot), refresh).ok_or_else(wrong)?;
        let ring_bytes = ring.get_ref().as_fd().try_clone_to_owned().and_then(Map::from_fd);
        Ok(Self {
            mark: Mark::new(u16::from_le_bytes([seeds.challenges[0], seeds.challenges[1]])),
            prepared,
            clock,
            board,
            snapshots,
            events,
            maps,
            replica,
            ring,
            ring_bytes: ring_bytes.map_or(usize::MAX, |map| map.info().shape.max_entries as usize),
            rests_until: None,
            link,
            socket: None,
            train: Train::default(),
            try_again: now,
            sweep: None,
            outcomes: BTreeMap::new(),
            forgotten: 0,
            is_failing: false,
            before: Standing::default(),
            show_at: now,
            logged: BTreeMap::new(),
        })
    }
}

impl Machine {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.refresh();
        loop {
            let now = self.clock.now();
            self.open(now);
            if self.link.starts_sweep(now) {
                self.link.begin_sweep();
                self.sweep = Some(Sweep::start(&self.maps, self.clock.tick()));
            }
            self.send(now);
            self.show(now);
            match self.wait(now, &mut stop).await {
                Wake::Packets => self.receive(),
                Wake::Told => self.read_ring(),
                Wake::Swept(chunk) => self.name(chunk),
                Wake::Changed => self.refresh(),
                Wake::Keys => self.change_keys(),
                Wake::Due => {}
                Wake::Stop => return,
            }
        }
    }

    async fn wait(&mut self, now: Duration, stop: &mut watch::Receiver<bool>) -> Wake {
        let (clock, due) = (self.clock, self.due(now));
        if let Some(until) = self.rests_until.take() {
            // The thread itself: timers of the runtime, and sockets, would wake it.
            std::thread::sleep(until.saturating_sub(now));
        }
        let has_room = self.link.room().is_none_or(|room| room >= CHUNK);
        let readable = async {
            match &self.socket {
                Some(socket) => drop(socket.readable().await),
                None => std::future::pending().await,
            }
        };
        let swept = async {
            match &mut self.sweep {
                Some(sweep) if has_room => sweep.next().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => Wake::Stop,
            () = readable => Wake::Packets,
            ready = self.ring.readable_mut() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                Wake::Told
            }
            chunk = swept => Wake::Swept(chunk),
            changed = self.snapshots.changed() => if changed.is_ok() { Wake::Changed } else { Wake::Stop },
            // Without a sender, the daemon ends.
            Ok(()) = self.prepared.reloaded.changed() => Wake::Keys,
            () = clock.sleep_until(Some(due)) => Wake::Due,
        }
    }

    fn due(&self, now: Duration) -> Duration {
        let mut due = self.link.poll_timeout(now).min(self.show_at.max(now));
        if self.socket.is_none() {
            due = due.min(self.try_again);
        }
        // What may be sent later is looked at later, even if the socket refused it just now.
        due.max(now + Duration::from_millis(1))
    }

    fn open(&mut self, now: Duration) {
        if self.socket.is_some() || now < self.try_again {
            return;
        }
        self.try_again = now + TRY_AGAIN;
        match socket::open(&self.prepared.wanted) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => {
                let address = self.prepared.wanted.local_address;
                tracing::warn!(%address, %error, "replication has no socket; trying again every second");
            }
        }
    }

    fn send(&mut self, now: Duration) {
        let Some(socket) = &self.socket else { return };
        let send = |train: &mut Train| match train.send(socket) {
            Ok(()) => true,
            Err(error) => {
                // It comes again if it was of importance.
                tracing::trace!(%error, "replication cannot send");
                false
            }
        };
        while let Some(packet) = self.link.poll_packet(now) {
            if !self.train.add(&packet) {
                if !send(&mut self.train) {
                    return;
                }
                self.train.add(&packet);
            }
        }
        send(&mut self.train);
    }

    fn receive(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        let mut packet = [0; MOST_BYTES + 1];
        for _ in 0..MOST_PACKETS {
            match socket.try_recv(&mut packet) {
                Ok(length) => {
                    let now = self.clock.now();
                    if let Err(rejection) = self.link.handle_packet(now, &packet[..length]) {
                        self.log_rejection(now, rejection);
                    }
                    self.follow();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rests_until = Some(self.clock.now() + REST);
                    break;
                }
                // Nobody listens there, or there is no way: it is asked again.
                Err(error) => tracing::trace!(%error, "replication cannot receive"),
            }
        }
        self.socket = Some(socket);
    }

    /// Takes in what the other machine said.
    fn follow(&mut self) {
        while let Some(event) = self.link.poll_event() {
            let done = match event {
                Event::Began { knows } => {
                    let peer = self.prepared.wanted.peer_address;
                    tracing::info!(%peer, knows, "replication: the other machine is there");
                    self.sweep = None;
                    if knows { Ok(()) } else { self.replica.adopt().map(drop) }
                }
                Event::SweepBegan => {
                    self.mark.begin_sweep();
                    Ok(())
                }
                Event::SweepEnded { is_intact: false } => Ok(()),
                Event::SweepEnded { is_intact: true } => {
                    self.replica.forget_unnamed(self.mark).map(|forgotten| self.forgotten += forgotten)
                }
                Event::Flow(flow) => {
                    let stored = self.replica.store(&flow, self.mark, self.clock.tick());
                    stored.map(|outcome| *self.outcomes.entry(outcome).or_default() += 1)
                }
            };
            self.note("replication cannot write the flow tables", &done);
        }
    }

    /// Reads what the data path told.
    fn read_ring(&mut self) {
        let mut bytes = 0;
        while let Some(record) = self.ring.get_mut().next() {
            bytes += RECORD;
            if let Some(flow) = from_bytes::<FlowEvent>(&record).as_ref().and_then(told) {
                self.link.push(flow);
            }
        }
        if bytes + RECORD >= self.ring_bytes {
            // It was full, or nearly.
            self.link.lost(1);
        }
        self.rests_until = Some(self.clock.now() + REST);
    }

    /// Goes on with the sweep.
    fn name(&mut self, chunk: Option<io::Result<Vec<Flow>>>) {
        let now = self.clock.now();
        let is_under_way = self.link.room().is_some();
        match chunk {
            Some(Ok(flows)) if is_under_way => flows.into_iter().for_each(|flow| self.link.push(flow)),
            Some(Ok(_)) => self.sweep = None,
            Some(Err(error)) => {
                self.sweep = None;
                self.link.end_sweep(now, false);
                self.note("replication cannot read the flow tables", &Err(error));
            }
            None => {
                self.sweep = None;
                self.link.end_sweep(now, true);
                self.note("", &Ok(()));
            }
        }
    }

    /// Reads which services there are.
    fn refresh(&mut self) {
        let timeouts = self.snapshots.borrow_and_update().config.timeouts;
        self.link.set_refresh(refresh(&timeouts));
        let read = self.replica.refresh();
        self.note("replication cannot read the services", &read);
    }

    /// The configuration was read again, and the keys with it.
    fn change_keys(&mut self) {
        let keys = self.prepared.reloaded.borrow_and_update().clone();
        let Some(keys) = keys.filter(|keys| *keys != self.prepared.keys) else { return };
        match seeds() {
            Ok(Seeds { session, .. }) => {
                self.link.set_keys(self.clock.now(), keys.clone(), session);
                self.prepared.keys = keys;
                tracing::info!("replication: the keys were changed");
            }
            Err(error) => tracing::error!(%error, "replication goes on with the keys that it has"),
        }
    }

    /// Logs the first of several failures.
    fn note(&mut self, what: &str, done: &io::Result<()>) {
        if let Err(error) = done
            && !self.is_failing
        {
            tracing::error!(%error, "{what}; trying again");
        }
        self.is_failing = done.is_err();
    }

    /// At most one line a second for each reason.
    fn log_rejection(&mut self, now: Duration, rejection: Rejection) {
        let again_at = self.logged.entry(rejection).or_insert(now);
        if *again_at <= now {
            *again_at = now + LOG_AGAIN;
            let (peer, reason) = (self.prepared.wanted.peer_address, rejection.label());
            // What a daemon that was just started says, or hears, of the session before.
            if matches!(rejection, Rejection::Session | Rejection::Addressee) {
                tracing::debug!(%peer, reason, "replication: a packet was rejected");
            } else {
                tracing::warn!(%peer, reason, "replication: a packet was rejected");
            }
        }
    }

    fn show(&mut self, now: Duration) {
        let (is_connected, is_synced) = (self.link.is_connected(now), self.link.is_synced(now));
        self.prepared.synced.send_if_modified(|synced| std::mem::replace(synced, is_synced) != is_synced);
        let before = std::mem::replace(&mut self.before, Standing { is_connected, is_synced });
        if before.is_connected && !is_connected {
            let peer = self.prepared.wanted.peer_address;
            tracing::warn!(%peer, "replication: the other machine is silent");
        }
        self.tell(before);
        if now < self.show_at && self.before == before {
            return;
        }
        self.show_at = now + SHOW_AGAIN;
        let status = ReplicationStatus {
            is_connected,
            is_synced,
            has_told_all: self.link.has_told_all(),
            lag: self.link.lag(now),
            waiting: self.link.waiting(),
            counters: self.link.counters().clone(),
            outcomes: self.outcomes.clone(),
            forgotten: self.forgotten,
        };
        self.board.set(&self.prepared.wanted, status);
    }
}

impl Machine {
    /// Publishes what is another way than it was.
    fn tell(&mut self, before: Standing) {
        let peer = self.prepared.wanted.peer_address;
        let notice = |kind| Notice::new(kind).with(Attribute::Address, peer);
        let notices: Vec<Notice> = self.before.kinds_since(before).map(notice).collect();
        if !notices.is_empty() {
            self.events.publish(self.clock.moment().wall, notices);
        }
    }
}

/// A third of the shortest time-out of flows that may be idle for long.
fn refresh(timeouts: &Timeouts) -> Duration {
    (timeouts.tcp_established.min(timeouts.udp_established) / 3).clamp(REFRESH.0, REFRESH.1)
}
