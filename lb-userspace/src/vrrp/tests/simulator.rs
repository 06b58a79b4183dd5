//! Machines on a network that loses, delays and separates, driven by a seed: the same seed is the same run.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
    time::Duration,
};

use crate::{
    model::InterfaceName,
    vrrp::{
        Addresses, Afterwards, Announcing, Cause, Command, Ends, Envelope, HOP_LIMIT, Interval, Member, Node,
        Peers, Priority, Router, RouterId, Settings, State, Tracking, Vrid,
    },
};

/// The only router of each machine.
const ROUTER: RouterId = RouterId(0);
/// What waits in a socket at most.
const SOCKET_PACKETS: usize = 200;

/// A sequence of numbers that a seed decides (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    pub(super) fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        least + Duration::from_nanos(self.below((most - least).as_nanos() as u64 + 1))
    }
}

/// What is under way.
#[derive(Clone, Debug)]
enum Arrival {
    /// An advert, to a machine.
    Packet { to: usize, envelope: Envelope, message: Vec<u8> },
    /// An announcement, to who is next to a machine.
    Announcement { to: usize, from: usize },
}

/// A machine does not run.
#[derive(Clone, Copy, Debug)]
struct Stall {
    until: Duration,
    /// Only the process: what arrives waits in its socket. Else the whole machine, and it is lost.
    process_only: bool,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) settings: Settings,
    address: Ipv4Addr,
    /// `None`: off, or its daemon does not run.
    node: Option<Node>,
    /// Whether the addresses are on its interface.
    pub(super) holds: bool,
    stall: Option<Stall>,
    waiting: VecDeque<(Envelope, Vec<u8>)>,
    /// Which part of the network it is on.
    pub(super) side: usize,
    /// Who announced the addresses last, as seen from here.
    pub(super) announced_by: Option<usize>,
}

impl Machine {
    pub(super) fn router(&self) -> Option<&Router> {
        Some(self.node.as_ref()?.routers().next()?.1)
    }

    pub(super) fn state(&self) -> Option<State> {
        self.router().map(Router::state)
    }
}

/// A change of state: when, where, to what, why.
pub(super) type Change = (Duration, usize, State, Cause);

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) random: Random,
    pub(super) now: Duration,
    pub(super) machines: Vec<Machine>,
    pub(super) changes: Vec<Change>,
    /// Lost packets in a thousand.
    pub(super) loss: u64,
    /// Shortest and longest way of a packet.
    pub(super) delay: (Duration, Duration),
    /// The longest time in which no machine held the addresses, since [`Self::watch`].
    pub(super) longest_unowned: Duration,
    unowned_since: Option<Duration>,
    under_way: BTreeMap<(Duration, u64), Arrival>,
    sent: u64,
}

/// The settings of all machines but for the priority; announcements come as often as adverts.
pub(super) fn settings(interval: Interval) -> Settings {
    let addresses = Addresses::V4(vec![Ipv4Addr::new(10, 0, 0, 100)]);
    let mut settings = Settings::new(Vrid::new(51).unwrap(), addresses);
    settings.interval = interval;
    settings.announcing = Announcing {
        first_gap: interval.duration(),
        longest_gap: interval.duration() * 10,
        limit: interval.duration() * 100_000,
        refresh: None,
        least_repeats: 0,
    };
    settings
}

impl Simulation {
    /// Machines that are off.
    pub(super) fn new(seed: u64, machines: impl IntoIterator<Item = Settings>) -> Self {
        let machine = |(index, settings)| Machine {
            settings,
            address: Ipv4Addr::new(10, 0, 0, index as u8 + 1),
            node: None,
            holds: false,
            stall: None,
            waiting: VecDeque::new(),
            side: 0,
            announced_by: None,
        };
        Self {
            random: Random(seed),
            now: Duration::from_secs(1),
            machines: machines.into_iter().enumerate().map(machine).collect(),
            changes: Vec::new(),
            loss: 0,
            delay: (Duration::from_micros(50), Duration::from_micros(500)),
            longest_unowned: Duration::ZERO,
            unowned_since: None,
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    /// The daemon of a machine starts; what the machine holds it holds from before.
    pub(super) fn start(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        if machine.node.is_some() {
            return;
        }
        let member = Member {
            interface: interface(),
            settings: machine.settings.clone(),
            tracking: Tracking::default(),
            group: None,
        };
        let mut node = Node::new([member]).unwrap();
        node.set_source(self.now, ROUTER, Some(machine.address.into()));
        node.start(self.now, |_| machine.holds);
        machine.node = Some(node);
        machine.stall = None;
        machine.waiting.clear();
        self.collect(index);
    }

    /// The daemon is gone without a word; the addresses remain.
    pub(super) fn kill(&mut self, index: usize) {
        self.machines[index].node = None;
    }

    /// The machine is off.
    pub(super) fn power_off(&mut self, index: usize) {
        self.kill(index);
        self.machines[index].holds = false;
        self.watch_owners();
    }

    pub(super) fn hand_over(&mut self, index: usize, then: Afterwards) {
        self.with_node(index, |node, now| _ = node.hand_over(now, ROUTER, then));
    }

    pub(super) fn resume(&mut self, index: usize) {
        self.with_node(index, |node, now| node.resume(now, ROUTER));
    }

    pub(super) fn stall(&mut self, index: usize, time: Duration, process_only: bool) {
        self.machines[index].stall = Some(Stall { until: self.now + time, process_only });
    }

    pub(super) fn is_stalled(&self, index: usize) -> bool {
        self.machines[index].stall.is_some()
    }

    /// A packet from anywhere.
    pub(super) fn inject(&mut self, to: usize, envelope: Envelope, message: Vec<u8>) {
        self.arrive(Arrival::Packet { to, envelope, message });
    }

    /// How often adverts and announcements were sent, to each receiver.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Begins to look for times without an owner.
    pub(super) fn watch(&mut self) {
        self.unowned_since = None;
        self.longest_unowned = Duration::ZERO;
        self.watch_owners();
    }

    pub(super) fn owners(&self) -> Vec<usize> {
        (0..self.machines.len()).filter(|index| self.machines[*index].holds).collect()
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, wakes)) = self.next_event()
            && at <= end
        {
            self.now = self.now.max(at);
            match wakes {
                Some(index) => self.wake(index),
                None => {
                    if let Some((_, arrival)) = self.under_way.pop_first() {
                        self.arrive(arrival);
                    }
                }
            }
        }
        self.now = end;
        self.watch_owners();
    }

    /// The next moment something happens: which machine wakes, or `None`: something arrives. What arrives comes first.
    fn next_event(&self) -> Option<(Duration, Option<usize>)> {
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| (*at, None));
        let wakes = self.machines.iter().enumerate().filter_map(|(index, machine)| {
            let node = machine.node.as_ref()?;
            let at = machine.stall.map_or_else(|| node.poll_timeout(), |stall| Some(stall.until))?;
            Some((at, Some(index)))
        });
        arrival.into_iter().chain(wakes).min()
    }

    fn wake(&mut self, index: usize) {
        self.machines[index].stall = None;
        while let Some((envelope, message)) = self.machines[index].waiting.pop_front() {
            self.receive(index, &envelope, &message);
        }
        self.with_node(index, Node::handle_timeout);
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Announcement { to, from } => self.machines[to].announced_by = Some(from),
            Arrival::Packet { to, envelope, message } => match self.machines[to].stall {
                None => self.receive(to, &envelope, &message),
                Some(Stall { process_only: true, .. })
                    if self.machines[to].waiting.len() < SOCKET_PACKETS =>
                {
                    self.machines[to].waiting.push_back((envelope, message));
                }
                Some(_) => {}
            },
        }
    }

    fn receive(&mut self, index: usize, envelope: &Envelope, message: &[u8]) {
        // What is rejected is counted by the node.
        self.with_node(index, |node, now| _ = node.handle_packet(now, &interface(), envelope, message));
    }

    fn with_node(&mut self, index: usize, act: impl FnOnce(&mut Node, Duration)) {
        if let Some(node) = &mut self.machines[index].node {
            act(node, self.now);
            self.collect(index);
        }
    }

    /// Does what a machine wants done.
    fn collect(&mut self, index: usize) {
        while let Some((_, command)) = self.machines[index].node.as_mut().and_then(Node::poll_command) {
            match command {
                Command::Send { ends, advert, form } => {
                    let message = advert.build(&ends, form).unwrap();
                    self.send(index, &ends, &message);
                }
                Command::Take { .. } => self.machines[index].holds = true,
                Command::Release => self.machines[index].holds = false,
                Command::Announce => {
                    self.machines[index].announced_by = Some(index);
                    for to in self.reached(index) {
                        self.put_under_way(Arrival::Announcement { to, from: index });
                    }
                }
                Command::Changed { state, cause } => self.changes.push((self.now, index, state, cause)),
            }
        }
        let machine = &mut self.machines[index];
        if machine.state() == Some(State::Initialize) {
            // The daemon has ended.
            machine.node = None;
        }
        self.watch_owners();
    }

    fn send(&mut self, from: usize, ends: &Ends, message: &[u8]) {
        let envelope = Envelope { ends: *ends, hop_limit: HOP_LIMIT };
        for to in self.reached(from) {
            let is_addressee = match &self.machines[to].settings.peers {
                Peers::Multicast => true,
                Peers::Unicast { .. } => ends.destination() == self.machines[to].address,
            };
            if is_addressee {
                self.put_under_way(Arrival::Packet { to, envelope, message: message.to_vec() });
            }
        }
    }

    fn reached(&self, from: usize) -> Vec<usize> {
        let side = self.machines[from].side;
        (0..self.machines.len()).filter(|to| *to != from && self.machines[*to].side == side).collect()
    }

    fn put_under_way(&mut self, arrival: Arrival) {
        self.sent += 1;
        let at = self.now + self.random.between(self.delay);
        if self.random.below(1000) >= self.loss {
            self.under_way.insert((at, self.sent), arrival);
        }
    }

    fn watch_owners(&mut self) {
        let is_unowned = self.owners().is_empty();
        let since = if is_unowned { *self.unowned_since.get_or_insert(self.now) } else { self.now };
        self.longest_unowned = self.longest_unowned.max(self.now - self.unowned_since.unwrap_or(since));
        if !is_unowned {
            self.unowned_since = None;
        }
    }
}

pub(super) fn interface() -> InterfaceName {
    InterfaceName::new("eth0").unwrap()
}

/// An interval of a number of centiseconds.
pub(super) fn interval(centiseconds: u16) -> Interval {
    Interval::from_centiseconds(centiseconds).unwrap()
}

/// The priority of a machine.
pub(super) fn with_priority(interval: Interval, priority: u8) -> Settings {
    Settings { priority: Priority::new(priority), ..settings(interval) }
}
