//! Two machines, their flow tables, and a network between them that loses, delays, repeats and turns packets around: all by a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::*;
use crate::replication::{Decision, Event, Kept, Mark, decide};

/// Between two looks at everything.
const STEP: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_nanos(1 << 30);

/// A flow of a table.
#[derive(Clone, Debug)]
struct Entry {
    flow: Flow,
    is_own: bool,
    mark: u16,
}

/// A machine.
pub(super) struct Machine {
    pub(super) link: Link,
    flows: BTreeMap<u32, Entry>,
    mark: Mark,
    /// How far its clock is ahead.
    ahead: Duration,
    tables: u8,
    /// Flows that the sweep under way has not named yet.
    sweep: Option<Vec<Flow>>,
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Packets of a hundred that are lost.
    pub(super) loss: u64,
    /// Packets of a hundred that come twice.
    pub(super) copies: u64,
    /// The longest time under way.
    pub(super) delay: Duration,
}

/// Everything.
pub(super) struct World {
    pub(super) now: Duration,
    random: u64,
    sessions: u8,
    pub(super) machines: [Machine; 2],
    /// When it arrives, a number that makes it unique, whom it is for.
    under_way: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    pub(super) weather: Weather,
    pub(super) is_cut: bool,
    packets: u64,
    pub(super) next_flow: u32,
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        let machine = |session: u8, ahead: u64| {
            let ahead = Duration::from_secs(ahead);
            let now = Duration::from_secs(3000) + ahead;
            Machine {
                link: link(session, now),
                flows: BTreeMap::new(),
                mark: Mark::new(session.into()),
                ahead,
                tables: session,
                sweep: None,
            }
        };
        Self {
            now: Duration::from_secs(3000),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sessions: 2,
            machines: [machine(1, 0), machine(2, 86_400)],
            under_way: BTreeMap::new(),
            weather,
            is_cut: false,
            packets: 0,
            next_flow: 0,
        }
    }

    /// A random number below `below`.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn step(&mut self) {
        self.now += STEP;
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, packet) = entry.remove();
            let now = self.now + self.machines[to].ahead;
            let _ = self.machines[to].link.handle_packet(now, &packet);
            self.machines[to].follow();
        }
        for from in 0..2 {
            self.machines[from].sweep(self.now);
            let now = self.now + self.machines[from].ahead;
            while let Some(packet) = self.machines[from].link.poll_packet(now) {
                self.send(1 - from, &packet);
            }
        }
    }

    fn send(&mut self, to: usize, packet: &[u8]) {
        let copies = 1 + u64::from(self.below(100) < self.weather.copies);
        for _ in 0..copies {
            if self.is_cut || self.below(100) < self.weather.loss {
                continue;
            }
            let longest = self.weather.delay.as_micros() as u64 + 1;
            let at = self.now + Duration::from_micros(self.below(longest));
            self.packets += 1;
            self.under_way.insert((at, self.packets), (to, packet.to_vec()));
        }
    }

    /// The daemon of a machine is started again; its flow tables stay.
    pub(super) fn restart(&mut self, which: usize) {
        self.sessions += 1;
        let (session, now) = (self.sessions, self.now + self.machines[which].ahead);
        let seeds = Seeds { session: [session; 16], challenges: [session; 32] };
        let machine = &mut self.machines[which];
        machine.link = Link::new(now, keys(), &seeds, machine.tables.into(), Duration::from_secs(5)).unwrap();
        machine.mark = Mark::new(u16::from(session) * 1000);
        machine.sweep = None;
    }

    /// A machine is started again, and has nothing any more.
    pub(super) fn reboot(&mut self, which: usize) {
        self.machines[which].flows.clear();
        self.machines[which].tables = self.sessions + 1;
        self.restart(which);
    }

    /// A flow begins at a machine.
    pub(super) fn begin(&mut self, which: usize) -> u32 {
        let number = self.next_flow;
        self.next_flow += 1;
        let flow = Flow { last_seen: self.machines[which].tick(self.now), ..flow(number) };
        self.machines[which].flows.insert(number, Entry { flow, is_own: true, mark: 0 });
        self.machines[which].link.push(flow);
        number
    }

    /// A packet of a flow arrives at a machine.
    pub(super) fn touch(&mut self, which: usize, number: u32, ends: bool) {
        let (now, machine) = (self.now, &mut self.machines[which]);
        let tick = machine.tick(now);
        let Some(entry) = machine.flows.get_mut(&number).filter(|entry| !entry.flow.phase.is_over()) else {
            return;
        };
        entry.flow.last_seen = tick;
        entry.is_own = true;
        if ends {
            entry.flow.phase = Phase::CLOSING;
            machine.link.push(entry.flow);
        }
    }
}

impl Machine {
    fn tick(&self, now: Duration) -> u32 {
        ((now + self.ahead).as_nanos() / TICK.as_nanos()) as u32
    }

    /// The flows that have not ended.
    pub(super) fn live(&self) -> BTreeSet<u32> {
        let live = self.flows.iter().filter(|(_, entry)| !entry.flow.phase.is_over());
        live.map(|(number, _)| *number).collect()
    }

    /// Names flows, a few at a time.
    fn sweep(&mut self, now: Duration) {
        let at = now + self.ahead;
        if self.link.starts_sweep(at) {
            self.link.begin_sweep();
            let named = self.flows.values().filter(|entry| entry.is_own && !entry.flow.phase.is_over());
            self.sweep = Some(named.map(|entry| entry.flow).collect());
        }
        let Some(flows) = &mut self.sweep else { return };
        match self.link.room() {
            None => self.sweep = None,
            Some(room) => {
                flows.drain(..room.min(100).min(flows.len())).for_each(|flow| self.link.push(flow));
                if flows.is_empty() {
                    self.link.end_sweep(at, true);
                    self.sweep = None;
                }
            }
        }
    }

    fn follow(&mut self) {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Began { knows } => {
                    self.sweep = None;
                    if !knows {
                        self.flows.values_mut().for_each(|entry| entry.is_own = true);
                    }
                }
                Event::SweepBegan => self.mark.begin_sweep(),
                Event::SweepEnded { is_intact } => {
                    let mark = self.mark.number();
                    self.flows.retain(|_, entry| entry.is_own || !is_intact || entry.mark == mark);
                }
                Event::Flow(flow) => self.take(flow),
            }
        }
    }

    fn take(&mut self, flow: Flow) {
        let std::net::IpAddr::V4(client) = flow.client.0 else { panic!("{flow:?}") };
        let number = u32::from(client) & 0xff_ffff;
        let here = self.flows.get(&number).map(|entry| Kept {
            last_seen: entry.flow.last_seen,
            is_over: entry.flow.phase.is_over(),
            is_own: entry.is_own,
            is_same: true,
        });
        let mark = self.mark.number();
        match decide(here, flow.last_seen, flow.phase.is_over()) {
            Decision::Store => drop(self.flows.insert(number, Entry { flow, is_own: false, mark })),
            Decision::Remark => {
                if let Some(entry) = self.flows.get_mut(&number) {
                    entry.mark = mark;
                }
            }
            Decision::Ignore => {}
        }
    }
}
