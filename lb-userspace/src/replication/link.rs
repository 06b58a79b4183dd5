//! The two machines' connection: handshake, and a stream in each direction.
//!
//! **Handshake.** A session of the other machine is believed when it says back a challenge that this machine drew, in a packet made with the
//! key: it runs now. The challenge is drawn anew each time, so that nothing that was recorded makes an old session come back. A machine
//! whose session is not known yet says hello again and again.
//!
//! **Sweeps.** What happens to flows is sent as it happens. From time to time, and when the other machine asks for it, all flows are named,
//! between a begin and an end: what it does not have then comes, and what it has too many of goes.

use std::{collections::VecDeque, time::Duration};

use lb_common::abi::ticks_from_nanos;
use ring::digest::{SHA256, digest};

use super::{
    Counters, Flow, Keys, Rejection,
    inbox::{Arrival, Inbox},
    message::{Body, Challenge, Frame, Hello, Item, Message},
    outbox::Outbox,
    seal::{Header, Opener, Sealer, SessionId},
};

/// Between two hellos, and between two frames where there is nothing to say.
const HELLO_AGAIN: Duration = Duration::from_millis(200);
const KEEP_ALIVE: Duration = Duration::from_millis(200);
/// After this time without a frame the other machine is taken for silent.
const SILENT: Duration = Duration::from_secs(1);
/// What arrived is confirmed after this time or so many batches, unless something is missing: one packet for many.
const CONFIRM_AFTER: Duration = Duration::from_millis(5);
const CONFIRM_BATCHES: u32 = 32;
/// Between two answers to hellos.
const ANSWER_AGAIN: Duration = Duration::from_millis(50);
/// Between two packets of unknown sessions that are looked at, on average, and how many are at once: deriving a key takes some
/// microseconds.
const TRIAL_AGAIN: Duration = Duration::from_millis(1);
const TRIALS: u32 = 8;
/// Ticks by which the distance of both machines' clocks may seem to change.
const TICK_SLACK: i64 = 2;

/// Random numbers that nobody else knows.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "they are secret")]
pub struct Seeds {
    /// The id of the session.
    pub session: [u8; 16],
    /// What challenges are made of.
    pub challenges: [u8; 32],
}

/// What the owner of a [`Link`] has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other machine was started, or heard for the first time. `knows`: its flow tables are those that this machine knew before, or it
    /// knows this machine's. Else it may have lost what this machine keeps for it: that is this machine's own from now on.
    Began {
        /// See above.
        knows: bool,
    },
    /// A flow, its tick in the time of this machine.
    Flow(Flow),
    /// All flows of the other machine follow, between what happens to them.
    SweepBegan,
    /// They were named; `is_intact`: none was lost.
    SweepEnded {
        /// See above.
        is_intact: bool,
    },
}

/// The connection.
#[derive(Debug)]
pub struct Link {
    keys: Keys,
    sealer: Sealer,
    seed: Secret,
    drawn: u64,
    /// Id of this machine's flow tables.
    tables: u64,
    /// Id of the other's, when it was heard last.
    known: u64,
    refresh: Duration,
    peer: Option<Peer>,
    /// A challenge that is to be answered, and by which id the tables of who drew it were known before.
    answer: Option<(Challenge, u64)>,
    hello_at: Duration,
    answer_at: Duration,
    trial_at: Duration,
    counters: Counters,
}

/// The other machine's session.
#[derive(Debug)]
struct Peer {
    opener: Opener,
    key_id: u8,
    /// It knows this machine's session.
    is_mutual: bool,
    /// Id by which its tables were known before this session.
    known: u64,
    heard_at: Duration,
    frame_at: Duration,
    inbox: Inbox,
    outbox: Outbox,
    events: VecDeque<Event>,
    /// From its ticks to this machine's.
    ahead: Option<i64>,
    /// Until when it is to be told that something arrived.
    owes: Option<Duration>,
    /// Batches that arrived since it was told.
    unconfirmed: u32,
    wanted: u32,
    had: u32,
    incoming: Option<u32>,
    sweeps: Sweeps,
}

/// The sweeps that this machine makes.
#[derive(Debug, Default)]
struct Sweeps {
    asked: u32,
    answered: u32,
    number: u32,
    /// The one under way: what it answers.
    current: Option<u32>,
    /// Flows were lost since it began.
    is_lossy: bool,
    next_at: Duration,
    /// When the next one may be for flows that were lost.
    repair_at: Duration,
}

struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Link {
    /// Nothing is sent yet. `tables` names this machine's flow tables: another number, never 0, when they were made anew. `refresh` is
    /// between two sweeps. `None` never happens.
    #[must_use]
    pub fn new(now: Duration, keys: Keys, seeds: &Seeds, tables: u64, refresh: Duration) -> Option<Self> {
        let (id, key) = keys.first();
        Some(Self {
            sealer: Sealer::new(key, id, seeds.session)?,
            keys,
            seed: Secret(seeds.challenges),
            drawn: 0,
            tables,
            known: 0,
            refresh,
            peer: None,
            answer: None,
            hello_at: now,
            answer_at: now,
            trial_at: now,
            counters: Counters::default(),
        })
    }

    /// Goes on with other keys. If that changes the one that is sent with, or the one that the other machine sends with, this machine begins
    /// another session, named by `session`: the other machine then names all its flows again. Otherwise nothing else changes.
    pub fn set_keys(&mut self, now: Duration, keys: Keys, session: SessionId) {
        let of_peer = self.peer.as_ref().map(|peer| peer.key_id);
        let is_kept = of_peer.is_none_or(|id| keys.of(id) == self.keys.of(id));
        let (id, key) = keys.first();
        if is_kept && (id, key) == self.keys.first() {
            self.keys = keys;
            return;
        }
        // `None` never happens: see `new`.
        let Some(sealer) = Sealer::new(key, id, session) else { return };
        (self.sealer, self.keys) = (sealer, keys);
        (self.peer, self.answer) = (None, None);
        self.hello_at = now;
        self.drawn += 1;
    }

    /// Between two sweeps from now on.
    pub fn set_refresh(&mut self, refresh: Duration) {
        self.refresh = refresh;
    }

    /// A packet arrived.
    ///
    /// # Errors
    /// Why it was not taken; it is counted, and changes nothing else.
    pub fn handle_packet(&mut self, now: Duration, packet: &[u8]) -> Result<(), Rejection> {
        let result = self.receive(now, packet);
        match result {
            Ok(()) => self.counters.packets_received += 1,
            Err(rejection) => *self.counters.rejected.entry(rejection).or_default() += 1,
        }
        result
    }

    fn receive(&mut self, now: Duration, packet: &[u8]) -> Result<(), Rejection> {
        let header = Header::read(packet)?;
        if header.session == *self.sealer.session() {
            return Err(Rejection::Reflected);
        }
        match self.peer.as_mut().filter(|peer| *peer.opener.session() == header.session) {
            Some(peer) => {
                let message = Message::read(&peer.opener.open(&header, packet)?)?;
                self.hear(now, message)
            }
            None => self.meet(now, &header, packet),
        }
    }

    /// A packet of the other machine's session.
    fn hear(&mut self, now: Duration, message: Message) -> Result<(), Rejection> {
        let is_addressed = message.to == *self.sealer.session();
        let Some(peer) = &mut self.peer else { return Err(Rejection::Session) };
        match message.body {
            Body::Hello(hello) => {
                if is_addressed {
                    peer.is_mutual = true;
                } else {
                    self.answer = Some((hello.challenge, peer.known));
                }
                Ok(())
            }
            Body::Frame(_) if !is_addressed => Err(Rejection::Addressee),
            Body::Frame(frame) => {
                peer.is_mutual = true;
                peer.take(now, frame, &mut self.counters)
            }
        }
    }

    /// A packet of an unknown session.
    fn meet(&mut self, now: Duration, header: &Header, packet: &[u8]) -> Result<(), Rejection> {
        let key = self.keys.of(header.key_id).ok_or(Rejection::KeyId)?;
        if self.trial_at > now + TRIAL_AGAIN * TRIALS {
            return Err(Rejection::Rate);
        }
        self.trial_at = self.trial_at.max(now) + TRIAL_AGAIN;
        let mut opener = Opener::new(key, header).ok_or(Rejection::Authentication)?;
        let message = Message::read(&opener.open(header, packet)?)?;
        let Body::Hello(hello) = message.body else { return Err(Rejection::Session) };
        self.answer = Some((hello.challenge, self.known));
        if hello.answer != self.challenge() {
            return Ok(());
        }
        self.drawn += 1;
        let knows = hello.known == self.tables || self.known == hello.tables;
        opener.close();
        let mut peer = Peer::new(now, opener, header.key_id, self.known);
        self.known = hello.tables;
        peer.is_mutual = message.to == *self.sealer.session();
        peer.events.push_back(Event::Began { knows });
        self.peer = Some(peer);
        self.counters.sessions += 1;
        Ok(())
    }

    /// What the other machine has to say back.
    fn challenge(&self) -> Challenge {
        let mut text = self.seed.0.to_vec();
        text.extend_from_slice(&self.drawn.to_be_bytes());
        let mut challenge = [0; 16];
        challenge.copy_from_slice(&digest(&SHA256, &text).as_ref()[..16]);
        challenge
    }

    /// The next packet to send; `None`: nothing for now.
    pub fn poll_packet(&mut self, now: Duration) -> Option<Vec<u8>> {
        let message = self.hello(now).or_else(|| self.frame(now))?;
        let packet = self.sealer.seal(|packet| message.write(packet))?;
        self.counters.packets_sent += 1;
        Some(packet)
    }

    fn hello(&mut self, now: Duration) -> Option<Message> {
        let is_mutual = self.peer.as_ref().is_some_and(|peer| peer.is_mutual);
        let answer = if now >= self.answer_at { self.answer.take() } else { None };
        if answer.is_none() && (is_mutual || now < self.hello_at) {
            return None;
        }
        if answer.is_some() {
            self.answer_at = now + ANSWER_AGAIN;
        }
        self.hello_at = now + HELLO_AGAIN;
        let before = self.peer.as_ref().map_or(self.known, |peer| peer.known);
        let (answer, known) = answer.unwrap_or(([0; 16], before));
        let hello = Hello { challenge: self.challenge(), answer, tables: self.tables, known };
        Some(Message { to: self.addressee(), body: Body::Hello(hello) })
    }

    fn frame(&mut self, now: Duration) -> Option<Message> {
        let to = self.addressee();
        let peer = self.peer.as_mut().filter(|peer| peer.is_mutual)?;
        let (next, came) = peer.inbox.state();
        let mut frame =
            Frame { wanted: peer.wanted, next, came, tick: tick(now), batch: 0, items: Vec::new() };
        if let Some(batch) = peer.outbox.next_batch(now) {
            frame.batch = batch.number;
            frame.items = batch.items.to_vec();
            self.counters.flows_sent += batch.flows;
            self.counters.resent += u64::from(batch.is_again);
        } else if peer.owes.is_none_or(|owes| now < owes) && now < peer.frame_at {
            return None;
        }
        (peer.owes, peer.unconfirmed) = (None, 0);
        peer.frame_at = now + KEEP_ALIVE;
        Some(Message { to, body: Body::Frame(frame) })
    }

    fn addressee(&self) -> SessionId {
        self.peer.as_ref().map_or([0; 16], |peer| *peer.opener.session())
    }

    /// When [`Self::poll_packet`], [`Self::starts_sweep`] or [`Self::is_synced`] may say something else.
    #[must_use]
    pub fn poll_timeout(&self, now: Duration) -> Duration {
        let answer = self.answer.map(|_| self.answer_at);
        let Some(peer) = self.peer.as_ref().filter(|peer| peer.is_mutual) else {
            return answer.map_or(self.hello_at, |answer| answer.min(self.hello_at));
        };
        let silent = Some(peer.heard_at + SILENT).filter(|silent| *silent > now);
        let sweep = peer.sweeps.current.is_none().then(|| peer.sweeps.due().max(now));
        let frame = peer.owes.map_or(peer.frame_at, |owes| owes.min(peer.frame_at));
        [answer, silent, sweep, peer.outbox.poll_timeout(now)]
            .into_iter()
            .flatten()
            .fold(frame, Duration::min)
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.peer.as_mut()?.events.pop_front()
    }

    /// Something happened to a flow.
    pub fn push(&mut self, flow: Flow) {
        let Some(peer) = self.peer.as_mut().filter(|peer| peer.is_mutual) else { return };
        if !peer.outbox.push(&Item::Flow(flow)) {
            self.counters.flows_lost += 1;
            peer.sweeps.is_lossy = true;
        }
    }

    /// Something that happened was not seen: the other machine does not have everything until the next sweep.
    pub fn lost(&mut self, flows: u64) {
        self.counters.flows_lost += flows;
        if let Some(peer) = &mut self.peer {
            peer.sweeps.is_lossy = true;
        }
    }

    /// Whether to name all flows now: then call [`Self::begin_sweep`].
    #[must_use]
    pub fn starts_sweep(&self, now: Duration) -> bool {
        self.peer.as_ref().is_some_and(|peer| {
            peer.is_mutual
                && peer.sweeps.current.is_none()
                && peer.sweeps.due() <= now
                && !peer.is_silent(now)
        })
    }

    /// All flows that are this machine's own follow.
    pub fn begin_sweep(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let sweeps = &mut peer.sweeps;
        sweeps.is_lossy = false;
        sweeps.number += 1;
        sweeps.current = Some(sweeps.asked);
        let begin = Item::Begin { sweep: sweeps.number, wanted: sweeps.asked };
        sweeps.is_lossy |= !peer.outbox.push(&begin);
    }

    /// How many flows of the sweep may be pushed now; `None`: it was cut off.
    #[must_use]
    pub fn room(&self) -> Option<usize> {
        self.peer.as_ref().filter(|peer| peer.sweeps.current.is_some()).map(|peer| peer.outbox.room())
    }

    /// All flows were named; `is_whole`: without a mistake.
    pub fn end_sweep(&mut self, now: Duration, is_whole: bool) {
        let refresh = self.refresh;
        let Some(peer) = &mut self.peer else { return };
        let Some(asked) = peer.sweeps.current.take() else { return };
        let sweep = peer.sweeps.number;
        let is_intact = is_whole && !peer.sweeps.is_lossy;
        let is_said = peer.outbox.push(&Item::End { sweep, is_intact });
        let sweeps = &mut peer.sweeps;
        sweeps.repair_at = now + SILENT;
        if !is_intact || !is_said {
            sweeps.is_lossy = true;
            return;
        }
        sweeps.answered = asked;
        sweeps.next_at = if sweeps.asked > asked { now } else { now + refresh };
    }

    /// Whether the other machine is heard.
    #[must_use]
    pub fn is_connected(&self, now: Duration) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.is_mutual && !peer.is_silent(now))
    }

    /// Whether this machine has all flows of the other one.
    #[must_use]
    pub fn is_synced(&self, now: Duration) -> bool {
        self.is_connected(now) && self.peer.as_ref().is_some_and(|peer| peer.had == peer.wanted)
    }

    /// Whether the other machine has all flows of this one, but for those under way.
    #[must_use]
    pub fn has_told_all(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| {
            let sweeps = &peer.sweeps;
            sweeps.asked > 0 && sweeps.answered == sweeps.asked && !sweeps.is_lossy
        })
    }

    /// How long the oldest flow that the other machine does not have waits.
    #[must_use]
    pub fn lag(&self, now: Duration) -> Duration {
        let oldest = self.peer.as_ref().and_then(|peer| peer.outbox.oldest());
        oldest.map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest))
    }

    /// Flows that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.peer.as_ref().map_or(0, |peer| peer.outbox.waiting())
    }

    /// What there was.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Sweeps {
    fn due(&self) -> Duration {
        if self.is_lossy { self.next_at.min(self.repair_at) } else { self.next_at }
    }
}

impl Peer {
    fn new(now: Duration, opener: Opener, key_id: u8, known: u64) -> Self {
        Self {
            opener,
            key_id,
            is_mutual: false,
            known,
            heard_at: now,
            frame_at: now,
            inbox: Inbox::new(),
            outbox: Outbox::new(now),
            events: VecDeque::new(),
            ahead: None,
            owes: Some(now),
            unconfirmed: 0,
            wanted: 1,
            had: 0,
            incoming: None,
            sweeps: Sweeps { next_at: Duration::MAX, ..Sweeps::default() },
        }
    }

    fn is_silent(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard_at) > SILENT
    }

    fn take(&mut self, now: Duration, frame: Frame, counters: &mut Counters) -> Result<(), Rejection> {
        if frame.batch != 0 {
            match self.inbox.receive(frame.batch, frame.items) {
                Arrival::New { gap: 0 } => {
                    self.unconfirmed += 1;
                    let owes = self.owes.unwrap_or(now + CONFIRM_AFTER);
                    self.owes = Some(if self.unconfirmed < CONFIRM_BATCHES { owes } else { owes.min(now) });
                }
                Arrival::New { gap } => {
                    counters.gaps += gap;
                    self.owes = Some(now);
                }
                Arrival::Duplicate => {
                    counters.duplicates += 1;
                    self.owes = Some(now);
                }
                Arrival::TooFar => return Err(Rejection::Message),
            }
        }
        if self.is_silent(now) {
            // It may have given up what it wanted to say.
            self.wanted += 1;
            self.owes = Some(now);
        }
        self.heard_at = now;
        self.outbox.acknowledge(now, frame.next, frame.came);
        if frame.wanted > self.sweeps.asked {
            self.sweeps.asked = frame.wanted;
            self.sweeps.next_at = now;
        }
        let ahead = i64::from(tick(now)) - i64::from(frame.tick);
        let kept = self.ahead.filter(|kept| (kept - ahead).abs() <= TICK_SLACK);
        let ahead = *self.ahead.insert(kept.unwrap_or(ahead));
        while let Some(items) = self.inbox.pop() {
            for item in Item::read_all(&items).unwrap_or_default() {
                self.follow(item, ahead, tick(now), counters);
            }
        }
        Ok(())
    }

    fn follow(&mut self, item: Item, ahead: i64, now: u32, counters: &mut Counters) {
        match item {
            Item::Flow(mut flow) => {
                counters.flows_received += 1;
                let last_seen = (i64::from(flow.last_seen) + ahead).clamp(0, now.into());
                flow.last_seen = u32::try_from(last_seen).unwrap_or(now);
                self.events.push_back(Event::Flow(flow));
            }
            Item::Begin { wanted, .. } => {
                self.incoming = Some(wanted);
                self.events.push_back(Event::SweepBegan);
            }
            Item::End { is_intact, .. } => {
                let answered = self.incoming.take();
                if is_intact {
                    self.had = answered.unwrap_or(self.had);
                }
                self.events.push_back(Event::SweepEnded { is_intact: is_intact && answered.is_some() });
            }
        }
    }
}

fn tick(now: Duration) -> u32 {
    ticks_from_nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
