//! Runs what the state machines want, and tells them what happens.

use std::{collections::BTreeMap, io, time::Duration};

use futures_util::future::select_all;
use tokio::sync::{mpsc, watch};

use super::{
    StatusBoard, Teller,
    chronicle::Chronicle,
    fence::Fence,
    hooks::Bells,
    orders::Message,
    relays::Relays,
    remembered::Remembered,
    trackers::{Finding, Inbox},
    virtual_macs::Seats,
};
use crate::{
    model::{InterfaceName, RouterName, VirtualRouter},
    net::{AdvertSocket, Notice, Notices, Requests, View},
    runtime::{Clock, Failure, replication::Synced},
    sys::packet::FrameSender,
    vrrp::{Member, Node, Reading, RouterId, State},
};

/// An interface and an address family: what has a socket of its own.
pub(super) type Place = (InterfaceName, bool);

/// The thread itself waits for the end of a timer: the runtime counts in milliseconds, and rounds up.
const FINE: Duration = Duration::from_micros(2500);

/// Why it woke.
enum Wake {
    /// A packet, or a timer.
    Due,
    /// The network changed; `None`: it can't be followed any more.
    Notice(Option<Notice>),
    /// An operator wants something, or another configuration.
    Message(Message),
    /// This machine has the flows of the others, or has them no more.
    Synced,
    /// A tracker has found something.
    Found(Finding),
    /// It is to end.
    Stop,
}

/// The virtual routers and what they work with.
pub(super) struct Machine {
    pub(super) clock: Clock,
    pub(super) board: StatusBoard,
    pub(super) remembered: Remembered,
    /// Those that are configured, and behind them those that leave.
    pub(super) routers: Vec<VirtualRouter>,
    /// How many are configured.
    pub(super) configured: usize,
    pub(super) node: Node,
    pub(super) chronicles: Vec<Chronicle>,
    pub(super) teller: Teller,
    pub(super) fence: Fence,
    pub(super) relays: Relays,
    pub(super) seats: Seats,
    pub(super) requests: Requests,
    pub(super) notices: Notices,
    pub(super) view: View,
    pub(super) sockets: BTreeMap<Place, AdvertSocket>,
    /// When a socket that could not be opened is tried again.
    pub(super) try_again: Option<Duration>,
    /// `None`: nothing was announced so far.
    pub(super) frames: Option<FrameSender>,
    pub(super) logged: BTreeMap<&'static str, Duration>,
    /// Until when packets are left to wait, but for a timer.
    pub(super) nap: Option<Duration>,
    synced: Option<Synced>,
    findings: Inbox,
    /// What was found last of everything that was tracked once.
    pub(super) known: BTreeMap<String, Reading>,
    pub(super) bells: Bells,
    /// Why this thread has no real-time priority, until that was said.
    unpreferred: Option<io::Error>,
}

impl Machine {
    /// Nothing is started. Must be called in the runtime that runs it.
    pub(super) fn new(
        routers: &[VirtualRouter],
        synced: Option<Synced>,
        clock: Clock,
        board: StatusBoard,
        remembered: Remembered,
        (teller, findings, bells): (Teller, Inbox, Bells),
        (fence, relays, seats): (Fence, Relays, Seats),
    ) -> Result<Self, Failure> {
        let wrong = || Failure::system("use [[vrrp]]")(io::ErrorKind::InvalidInput.into());
        let members: Option<Vec<Member>> = routers.iter().map(Member::of).collect();
        let mut node = Node::new(members.ok_or_else(wrong)?)
            .map_err(|error| Failure::system("use [[vrrp]]")(io::Error::other(error)))?;
        for (index, router) in routers.iter().enumerate() {
            if let Some(standby) = remembered.of(&router.name) {
                node.restore(RouterId(index), standby);
            }
        }
        Ok(Self {
            clock,
            board,
            remembered,
            routers: routers.to_vec(),
            configured: routers.len(),
            node,
            chronicles: routers.iter().map(|router| Chronicle::new(router.name.clone())).collect(),
            teller,
            fence,
            relays,
            seats,
            requests: Requests::open()?,
            notices: Notices::open()?,
            view: View::default(),
            sockets: BTreeMap::new(),
            try_again: None,
            frames: match routers {
                [] => None,
                _ => Some(FrameSender::open().map_err(Failure::system("open a socket for gratuitous ARP"))?),
            },
            logged: BTreeMap::new(),
            nap: None,
            synced,
            findings,
            known: BTreeMap::new(),
            bells,
            unpreferred: None,
        })
    }

    /// Takes part until it is told to stop, and what is active here is handed over.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        mut stop: watch::Receiver<bool>,
        unpreferred: Option<io::Error>,
    ) {
        self.unpreferred = unpreferred;
        self.say_whether_preferred();
        self.ask_again().await;
        self.follow_devices().await;
        self.follow_network();
        let held = self.held();
        self.follow_sync();
        self.node.start(self.clock.now(), |RouterId(index)| held[index]);
        let mut is_stopping = false;
        loop {
            self.obey().await;
            self.vouch();
            self.obey().await;
            self.end_relays();
            self.follow_macs();
            self.find_others().await;
            self.forget_stopped().await;
            self.publish();
            if is_stopping && self.node.routers().all(|(_, router)| router.state() == State::Initialize) {
                self.leave_devices().await;
                return self.remembered.end().await;
            }
            match self.wait(&mut messages, &mut stop, is_stopping).await {
                Wake::Due => {}
                Wake::Notice(notice) => self.take(notice).await,
                Wake::Message(Message::Order(order)) => self.carry_out(order).await,
                Wake::Message(Message::Configure(routers)) => self.configure(routers).await,
                Wake::Synced => self.follow_sync(),
                Wake::Found(Finding::Reading(name, reading)) => {
                    self.node.take_reading(self.clock.now(), &name, &reading);
                    self.known.insert(name, reading);
                }
                Wake::Found(Finding::Traffic { router, begun }) => self.traffic_seen(&router, begun),
                Wake::Stop => {
                    is_stopping = true;
                    self.hand_over();
                }
            }
            // What was said in time is heard before a timer says that it was not.
            self.receive();
            let now = self.clock.now();
            if self.try_again.take_if(|try_again| *try_again <= now).is_some() {
                self.follow_devices().await;
                self.follow_network();
            }
            self.node.handle_timeout(now);
            for chronicle in &mut self.chronicles {
                self.teller.tell(chronicle.handle_timeout(now));
            }
        }
    }

    /// Sleeps until there is something to do.
    async fn wait(
        &mut self,
        messages: &mut mpsc::UnboundedReceiver<Message>,
        stop: &mut watch::Receiver<bool>,
        is_stopping: bool,
    ) -> Wake {
        let roster = self.chronicles.iter().filter_map(Chronicle::poll_timeout).min();
        let due = [self.node.poll_timeout(), roster, self.try_again, self.macs_due()];
        let due = due.into_iter().flatten().min();
        let sockets: Vec<_> = self.sockets.values().map(|socket| Box::pin(socket.readable())).collect();
        let now = self.clock.now();
        // The runtime's timers are late by up to two milliseconds: it rounds to one, and so does what it waits by.
        let near = due.filter(|due| *due <= now + FINE);
        let nap = self.nap.take().or(near);
        if let Some(nap) = nap {
            // The thread itself: each packet would wake the runtime, whoever waits for it.
            let until = due.map_or(nap, |due| due.min(nap));
            std::thread::sleep(until.saturating_sub(now));
        }
        let readable = async {
            if nap.is_some() {
                return;
            }
            if sockets.is_empty() {
                return std::future::pending().await;
            }
            let (_, _, _) = select_all(sockets).await;
        };
        tokio::select! {
            () = readable => Wake::Due,
            () = self.clock.sleep_until(due.map(|due| due.saturating_sub(FINE))) => Wake::Due,
            notice = self.notices.next() => Wake::Notice(notice),
            Some(message) = messages.recv(), if !is_stopping => Wake::Message(message),
            () = changed(&mut self.synced) => Wake::Synced,
            Some(finding) = self.findings.recv() => Wake::Found(finding),
            // An error means that who would say it is gone.
            _ = stop.wait_for(|stop| *stop), if !is_stopping => Wake::Stop,
        }
    }

    /// Once there are virtual routers: a backup that nobody hears in time is replaced.
    pub(super) fn say_whether_preferred(&mut self) {
        if !self.routers.is_empty()
            && let Some(error) = self.unpreferred.take()
        {
            tracing::warn!(
                %error,
                "VRRP has no real-time priority: on a busy machine its adverts come late, and another machine takes over; \
                 LimitRTPRIO=1 of systemd allows it"
            );
        }
    }

    /// Packets for the VIPs of a router arrive, unless that is of an earlier time.
    fn traffic_seen(&mut self, name: &RouterName, begun: u64) {
        let index = self.routers.iter().position(|router| router.name == *name);
        let state = index.and_then(|index| Some((index, self.node.routers().nth(index)?.1)));
        if let Some((index, router)) = state
            && router.awaits_traffic() == Some(begun)
        {
            self.node.traffic_seen(RouterId(index));
        }
    }

    /// Tells the routers whether this machine has the flows of the others.
    pub(super) fn follow_sync(&mut self) {
        let wait = self.synced.as_mut().and_then(|(synced, deadline)| {
            let is_synced = *synced.borrow_and_update();
            (!is_synced).then_some(*deadline)
        });
        self.node.set_sync_wait(wait);
    }
}

/// Returns when it changed; never if there is nothing that changes.
async fn changed(synced: &mut Option<Synced>) {
    let is_known = match synced {
        Some((synced, _)) => synced.changed().await.is_ok(),
        None => false,
    };
    if !is_known {
        std::future::pending::<()>().await;
    }
}
