//! Runs what the state machines want, and tells them what happens.

use std::{collections::BTreeMap, fs, io, net::IpAddr, time::Duration};

use futures_util::future::select_all;
use ipnet::IpNet;
use tokio::sync::{mpsc, watch};

use super::{
    RouterStatus, Status, StatusBoard, Teller, TrackedStatus,
    chronicle::Chronicle,
    fence::Fence,
    hooks::{Bells, Change},
    orders::{Message, Order, Switch},
    relays::Relays,
    remembered::Remembered,
    trackers::Inbox,
};
use crate::{
    control::Error,
    model::{InterfaceName, VirtualRouter},
    net::{AdvertSocket, Link, Notice, Notices, Requests, View},
    runtime::{Clock, Failure, replication::Synced},
    sys::packet::FrameSender,
    vrrp::{
        Afterwards, Cause, Command, Ends, Envelope, Impact, Member, Node, Reading, Rejection, Router,
        RouterId, State, Tracked, announcement, tracked_interface,
    },
};

/// Between two lines of the log about rejected packets of one kind.
const LOG_AGAIN: Duration = Duration::from_secs(1);
/// Who sends nothing but packets that are rejected is listened to so often: each time the processor is woken costs more than a packet.
const NAP: Duration = Duration::from_millis(2);
/// Between two attempts to open a socket.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// An interface and an address family: what has a socket of its own.
pub(super) type Place = (InterfaceName, bool);

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
    /// Something that is tracked.
    Reading(String, Reading),
    /// It is to end.
    Stop,
}

/// The virtual routers and what they work with.
pub(super) struct Machine {
    pub(super) clock: Clock,
    board: StatusBoard,
    remembered: Remembered,
    /// Those that are configured, and behind them those that leave.
    pub(super) routers: Vec<VirtualRouter>,
    /// How many are configured.
    pub(super) configured: usize,
    pub(super) node: Node,
    pub(super) chronicles: Vec<Chronicle>,
    pub(super) teller: Teller,
    pub(super) fence: Fence,
    pub(super) relays: Relays,
    pub(super) requests: Requests,
    notices: Notices,
    pub(super) view: View,
    pub(super) sockets: BTreeMap<Place, AdvertSocket>,
    /// When a socket that could not be opened is tried again.
    try_again: Option<Duration>,
    /// `None`: nothing was announced so far.
    frames: Option<FrameSender>,
    logged: BTreeMap<&'static str, Duration>,
    /// Until when packets are left to wait, but for a timer.
    nap: Option<Duration>,
    synced: Option<Synced>,
    readings: Inbox,
    /// What was found last of everything that was tracked once.
    pub(super) known: BTreeMap<String, Reading>,
    bells: Bells,
}

impl Machine {
    /// Nothing is started. Must be called in the runtime that runs it.
    pub(super) fn new(
        routers: &[VirtualRouter],
        synced: Option<Synced>,
        clock: Clock,
        board: StatusBoard,
        remembered: Remembered,
        (teller, readings, bells): (Teller, Inbox, Bells),
        (fence, relays): (Fence, Relays),
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
            readings,
            known: BTreeMap::new(),
            bells,
        })
    }

    /// Takes part until it is told to stop, and what is active here is handed over.
    pub(super) async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        mut stop: watch::Receiver<bool>,
    ) {
        self.ask_again().await;
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
            self.find_others().await;
            self.forget_stopped();
            self.publish();
            if is_stopping && self.node.routers().all(|(_, router)| router.state() == State::Initialize) {
                return self.remembered.end().await;
            }
            match self.wait(&mut messages, &mut stop, is_stopping).await {
                Wake::Due => {}
                Wake::Notice(notice) => self.take(notice).await,
                Wake::Message(Message::Order(order)) => self.carry_out(order).await,
                Wake::Message(Message::Configure(routers)) => self.configure(routers).await,
                Wake::Synced => self.follow_sync(),
                Wake::Reading(name, reading) => {
                    self.node.take_reading(self.clock.now(), &name, &reading);
                    self.known.insert(name, reading);
                }
                Wake::Stop => {
                    is_stopping = true;
                    self.hand_over();
                }
            }
            // What was said in time is heard before a timer says that it was not.
            self.receive();
            let now = self.clock.now();
            if self.try_again.take_if(|try_again| *try_again <= now).is_some() {
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
        let due = [self.node.poll_timeout(), roster, self.try_again].into_iter().flatten().min();
        let sockets: Vec<_> = self.sockets.values().map(|socket| Box::pin(socket.readable())).collect();
        let (clock, nap) = (self.clock, self.nap.take());
        let readable = async {
            if nap.is_some() {
                return clock.sleep_until(nap).await;
            }
            if sockets.is_empty() {
                return std::future::pending().await;
            }
            let (_, _, _) = select_all(sockets).await;
        };
        tokio::select! {
            () = readable => Wake::Due,
            () = self.clock.sleep_until(due) => Wake::Due,
            notice = self.notices.next() => Wake::Notice(notice),
            Some(message) = messages.recv(), if !is_stopping => Wake::Message(message),
            () = changed(&mut self.synced) => Wake::Synced,
            Some((name, reading)) = self.readings.recv() => Wake::Reading(name, reading),
            // An error means that who would say it is gone.
            _ = stop.wait_for(|stop| *stop), if !is_stopping => Wake::Stop,
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

    fn hand_over(&mut self) {
        for index in 0..self.routers.len() {
            self.node.hand_over(self.clock.now(), RouterId(index), Afterwards::Stop);
        }
    }

    /// Does what an operator wants, and answers when it has begun.
    async fn carry_out(&mut self, order: Order) {
        let configured = &self.routers[..self.configured];
        let index_of = |name: &String| configured.iter().position(|router| router.name.as_str() == *name);
        let concerned = match order.router.as_ref().map(|name| index_of(name).ok_or(name)) {
            None => (0..self.configured).collect(),
            Some(Ok(index)) => self.node.companions(RouterId(index)),
            Some(Err(name)) => {
                let error = self.unknown(name);
                return order.answer(Err(error));
            }
        };
        let now = self.clock.now();
        for index in &concerned {
            let id = RouterId(*index);
            match order.switch {
                Switch::Failover { force } => {
                    let then = if force { Afterwards::Leave } else { Afterwards::Stay };
                    self.node.hand_over(now, id, then);
                }
                Switch::Release => self.node.resume(now, id),
            }
        }
        self.obey().await;
        let status = self.publish();
        let of_concerned = |(index, router)| concerned.contains(&index).then_some(router);
        order.answer(Ok(status.into_iter().enumerate().filter_map(of_concerned).collect()));
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> =
            self.routers[..self.configured].iter().map(|router| router.name.as_str()).collect();
        Error::unknown(format!("vrrp[{name}]"), "virtual router", name, &known)
    }

    /// Which routers have their addresses already, as the daemon was restarted.
    fn held(&self) -> Vec<bool> {
        let holds = |router: &VirtualRouter| {
            let link = self.view.link_named(router.interface.as_str());
            link.is_some_and(|link| {
                let is_there =
                    |address: IpAddr| self.view.address_of(link.ifindex, |other| *other == address).is_some();
                router.virtual_addresses.iter().all(|network| is_there(network.addr()))
            })
        };
        self.routers.iter().map(holds).collect()
    }

    async fn ask_again(&mut self) {
        match self.requests.dump().await {
            Ok(notices) => {
                self.view.restart();
                for notice in notices {
                    self.view.handle(notice);
                }
            }
            Err(error) => tracing::error!(%error, "VRRP cannot ask for links and addresses"),
        }
    }

    /// The network changed.
    async fn take(&mut self, notice: Option<Notice>) {
        let effect = match notice {
            Some(notice) => self.view.handle(notice),
            None => {
                match Notices::open() {
                    Ok(notices) => self.notices = notices,
                    Err(error) => tracing::error!(%error, "VRRP cannot follow the network"),
                }
                self.view.handle(Notice::Lost)
            }
        };
        if effect.lost {
            self.ask_again().await;
        }
        if effect.interfaces {
            self.follow_network();
        }
    }

    /// Tells the routers what became of links and addresses, and opens sockets where there are none.
    pub(super) fn follow_network(&mut self) {
        let now = self.clock.now();
        let mut names: Vec<InterfaceName> = Vec::new();
        for router in &self.routers {
            names.push(router.interface.clone());
            names.extend(router.track.interfaces.iter().map(|tracked| tracked.interface.clone()));
        }
        names.sort_unstable();
        names.dedup();
        for index in 0..self.routers.len() {
            let source = self.source(&self.routers[index]);
            if let Some(place) = source.is_some().then(|| place(&self.routers[index])) {
                self.open(now, place);
            }
            let can_send = self.sockets.contains_key(&place(&self.routers[index]));
            self.node.set_source(now, RouterId(index), source.filter(|_| can_send));
        }
        for name in names {
            let reading = match self.view.link_named(name.as_str()) {
                None => Reading::Missing("there is no such interface".into()),
                Some(link) if !link.running => Reading::Missing("it is down".into()),
                Some(_) => Reading::There,
            };
            self.node.take_reading(now, &tracked_interface(&name), &reading);
        }
    }

    /// The address that adverts come from: the first of the interface that is none of the VIPs.
    fn source(&self, router: &VirtualRouter) -> Option<IpAddr> {
        let link = self.view.link_named(router.interface.as_str())?;
        let is_vip = |address: &IpAddr| {
            let mut all = self.routers.iter().flat_map(|router| &router.virtual_addresses);
            all.any(|network| network.addr() == *address)
        };
        let is_multicast = router.unicast_peers.is_empty();
        let is_usable = |address: &IpAddr| match address {
            IpAddr::V4(_) => router.is_v4(),
            IpAddr::V6(address) => !router.is_v4() && address.is_unicast_link_local() == is_multicast,
        };
        self.view.address_of(link.ifindex, |address| is_usable(address) && !is_vip(address))
    }

    fn open(&mut self, now: Duration, place: Place) {
        let Some(link) = self.view.link_named(place.0.as_str()) else { return };
        if self.sockets.get(&place).is_some_and(|socket| socket.ifindex() == link.ifindex) {
            return;
        }
        match AdvertSocket::open(link.ifindex, &link.name, place.1) {
            Ok(socket) => drop(self.sockets.insert(place, socket)),
            Err(error) => {
                tracing::error!(interface = %place.0, %error, "VRRP has no socket; trying again");
                self.sockets.remove(&place);
                self.try_again = Some(now + TRY_AGAIN);
            }
        }
    }

    fn receive(&mut self) {
        let now = self.clock.now();
        let (node, logged) = (&mut self.node, &mut self.logged);
        let (chronicles, teller) = (&mut self.chronicles, &self.teller);
        let (mut accepted, mut rejected) = (false, false);
        for ((interface, _), socket) in &self.sockets {
            let result = socket.receive(|envelope, message| {
                match node.handle_packet(now, interface, &envelope, message) {
                    Ok((RouterId(index), advert)) => {
                        accepted = true;
                        teller.tell(chronicles[index].heard(now, envelope.ends.source(), &advert));
                    }
                    Err(rejection) => {
                        rejected = true;
                        log_rejection(logged, now, interface, &envelope, &rejection);
                    }
                }
            });
            if let Err(error) = result {
                tracing::debug!(%interface, %error, "VRRP cannot receive");
            }
        }
        self.nap = (rejected && !accepted).then_some(now + NAP);
    }

    /// Does what the routers want, in their order.
    pub(super) async fn obey(&mut self) {
        while let Some((RouterId(index), command)) = self.node.poll_command() {
            let Some(router) = self.routers.get(index).cloned() else { continue };
            match command {
                Command::Send { ends, advert, form } => match advert.build(&ends, form) {
                    Ok(message) => {
                        self.chronicles[index].figures.sent += 1;
                        self.send(&router, &ends, &message);
                    }
                    Err(error) => tracing::error!(router = %router.name, %error, "VRRP cannot advertise"),
                },
                Command::Take { .. } => {
                    self.take_addresses(&router).await;
                    let serves = router.virtual_addresses.iter().any(|vip| self.relays.is_vip(vip.addr()));
                    self.node.set_serving(RouterId(index), serves);
                    let predecessor = self.chronicles[index].roster().predecessor();
                    self.relay(&router, predecessor);
                }
                Command::Release => self.remove_addresses(index, &router, &router.virtual_addresses).await,
                Command::Announce => {
                    self.chronicles[index].figures.announcements += 1;
                    let other = self.chronicles[index].roster().beside(self.clock.now());
                    self.relay(&router, other);
                    self.announce(&router);
                }
                Command::Changed { state, cause } => {
                    self.teller.tell(self.chronicles[index].changed(state, cause));
                    tracing::info!(router = %router.name, %state, %cause, "VRRP");
                    self.ring(index, state, &cause);
                }
            }
        }
    }

    /// Tells the hook.
    fn ring(&self, index: usize, state: State, cause: &Cause) {
        let priority = self.node.routers().nth(index).map_or(0, |(_, router)| router.priority().number());
        self.bells.ring(&self.routers[index], Change { state, cause: cause.to_string(), priority });
    }

    fn send(&self, router: &VirtualRouter, ends: &Ends, message: &[u8]) {
        let Some(socket) = self.sockets.get(&place(router)) else { return };
        if let Err(error) = socket.send(ends, message) {
            // The link went down just now, or its queue is full: the next advert comes soon.
            tracing::debug!(router = %router.name, %error, "VRRP cannot send");
        }
    }

    async fn take_addresses(&self, router: &VirtualRouter) {
        let Some(Link { ifindex, .. }) = self.view.link_named(router.interface.as_str()) else { return };
        for address in &router.virtual_addresses {
            if let Err(error) = self.requests.add_address(*ifindex, *address).await {
                tracing::error!(router = %router.name, %address, %error, "VRRP cannot add an address");
            }
        }
    }

    /// Removes addresses of a router, but for those that another one holds.
    pub(super) async fn remove_addresses(&self, index: usize, router: &VirtualRouter, addresses: &[IpNet]) {
        let Some(Link { ifindex, .. }) = self.view.link_named(router.interface.as_str()) else { return };
        let others = self.node.routers().zip(&self.routers).enumerate();
        let others = others.filter(|(other, ((_, state), wanted))| {
            *other != index && state.holds_addresses() && wanted.interface == router.interface
        });
        let held: Vec<IpNet> =
            others.flat_map(|(_, (_, wanted))| wanted.virtual_addresses.iter().copied()).collect();
        for address in addresses.iter().filter(|address| !held.contains(address)) {
            if let Err(error) = self.requests.remove_address(*ifindex, *address).await {
                tracing::error!(router = %router.name, %address, %error, "VRRP cannot remove an address");
            }
        }
    }

    fn announce(&mut self, router: &VirtualRouter) {
        let Some(link) = self.view.link_named(router.interface.as_str()) else { return };
        if self.frames.is_none() {
            match FrameSender::open() {
                Ok(frames) => self.frames = Some(frames),
                Err(error) => tracing::error!(%error, "VRRP has no socket for gratuitous ARP"),
            }
        }
        let Some(frames) = &self.frames else { return };
        let is_router = forwards_ipv6(&link.name);
        let (vips, others): (Vec<&IpNet>, Vec<&IpNet>) =
            router.virtual_addresses.iter().partition(|network| self.relays.is_vip(network.addr()));
        // What backends answer to first, as `Node::poll_command` has it of routers.
        for network in others.into_iter().chain(vips) {
            let frame = announcement(network.addr(), link.mac, is_router);
            if let Err(error) = frames.send(link.ifindex, &frame) {
                tracing::debug!(router = %router.name, %error, "VRRP cannot announce");
            }
        }
    }

    /// Says what the routers are doing.
    fn publish(&mut self) -> Vec<RouterStatus> {
        let of = |(index, ((_, router), wanted)): (usize, ((_, &Router), &VirtualRouter))| {
            let id = RouterId(index);
            let own = self.node.rejected().iter().filter(|((of, _), _)| *of == Some(id));
            RouterStatus {
                router: wanted.clone(),
                state: router.state(),
                priority: router.priority().number(),
                tracked: self.node.tracked(id).map(tracked_status).collect(),
                active: router.active_router(),
                switchover: router.switchover(),
                is_about_to_claim: self.node.is_about_to_claim(id),
                transitions: self.chronicles[index].transitions(),
                figures: self.chronicles[index].figures.clone(),
                rejected: own.map(|((_, label), count)| (*label, *count)).collect(),
                hook_failures: self.bells.failures(wanted.name.as_str()),
            }
        };
        let configured = || self.node.routers().zip(&self.routers).take(self.configured);
        let status: Vec<_> = configured().enumerate().map(of).collect();
        for (chronicle, (_, router)) in self.chronicles.iter_mut().zip(self.node.routers()) {
            self.teller.tell(chronicle.switched(router.switchover()));
        }
        let unknown = self.node.rejected().iter().filter(|((of, _), _)| of.is_none());
        let unknown = unknown.map(|((_, label), count)| (*label, *count)).collect();
        self.board.set(Status { routers: status.clone(), unknown });
        let standby = |((_, router), wanted): ((_, &Router), &VirtualRouter)| {
            Some((wanted.name.clone(), router.standby()?))
        };
        self.remembered.set(configured().filter_map(standby).collect());
        status
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

fn tracked_status((name, tracked, impact): (&str, &Tracked, Impact)) -> TrackedStatus {
    let (reading, held) = (tracked.reading().cloned(), tracked.is_held());
    TrackedStatus { name: name.to_owned(), reading, held, impact }
}

pub(super) fn place(router: &VirtualRouter) -> Place {
    (router.interface.clone(), router.is_v4())
}

/// Whether a machine says in its Neighbor Advertisements that it is a router.
fn forwards_ipv6(interface: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/forwarding"))
        .is_ok_and(|text| text.trim() == "1")
}

/// At most one line a second for each reason.
fn log_rejection(
    logged: &mut BTreeMap<&'static str, Duration>,
    now: Duration,
    interface: &InterfaceName,
    envelope: &Envelope,
    rejection: &Rejection,
) {
    let last = logged.entry(rejection.label()).or_insert(now);
    if *last <= now {
        *last = now + LOG_AGAIN;
        let source = envelope.ends.source();
        tracing::warn!(%interface, %source, reason = rejection.label(), %rejection, "VRRP: a packet was rejected");
    }
}
