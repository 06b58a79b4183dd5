//! What a packet case is, and how it runs.

use std::{fmt, net::SocketAddr};

use lb_common::{
    Action, Verdict,
    abi::{DropReason, FlowState, Histogram, Latency, Signal, Source, Stamp},
    host::{self, FrameSpec, HostTables},
    tables::{Holder, Tier},
};

/// A case: tables, and what happens to frames one after the other.
pub struct Case {
    /// Unique; says the rule.
    pub name: String,
    /// The tables before the first frame, applied to both the host model and the kernel's maps.
    pub tables: HostTables,
    /// What happens.
    pub steps: Vec<Step>,
    /// Why it can't run in the kernel, if it can't.
    pub host_only: Option<&'static str>,
}

/// A change of the tables between frames.
pub type Change = Box<dyn Fn(&HostTables)>;

/// A step of a case.
pub enum Step {
    /// A frame arrives.
    Frame {
        /// Interface it arrives at.
        ingress: u32,
        /// Its bytes.
        frame: Vec<u8>,
        /// What is to become of it.
        expect: Expect,
    },
    /// The world changes: time passes, a backend fails, the LRU drops an entry.
    Change(Change),
    /// The tables are to say this.
    Fact(Fact),
}

/// What is to become of a frame. None of it is computed by the pipeline.
#[derive(Clone, Debug)]
pub enum Expect {
    /// Handed to the host, unchanged.
    Pass,
    /// Handed to the host as this frame.
    PassAs(Vec<u8>),
    /// Dropped, unchanged.
    Drop(DropReason),
    /// Sent out of an interface as this frame.
    Send {
        /// The interface.
        egress: u32,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Dropped with this reason, and answered with this frame.
    Answer {
        /// Why.
        reason: DropReason,
        /// The ICMP error.
        frame: Vec<u8>,
    },
}

/// What the tables are to say.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A packet with these addresses has a flow entry in this tier and state.
    Flow(Tier, Tuple, FlowState),
    /// A packet with these addresses has none.
    NoFlow(Tier, Tuple),
    /// Number of flow entries in both tiers: `Embryonic`, `Established`.
    Count(usize, usize),
    /// A port of a pool is in use, or is not.
    Port(u32, u16, bool),
    /// A packet's entry has this backend.
    Backend(Tier, Tuple, u32),
    /// A packet's entry was last seen at this tick.
    LastSeen(Tier, Tuple, u32),
    /// A packet's entry leads to this interface, and was resolved under this FIB generation.
    Egress(Tier, Tuple, (u32, u32)),
    /// A backend has these signals, as often as said, and no others.
    Signals(u32, &'static [(Signal, u64)]),
    /// A backend has so many latencies in these buckets, and none in others: first handshakes, then round trips.
    Latencies(u32, &'static [(Latency, usize, u64)]),
    /// So many handshakes are being timed.
    Stamps(usize),
    /// So many places are in use.
    Places(Holder, i64),
    /// All sources together have so many flows, and so many that nobody answered.
    Sources(i64, i64),
    /// So many clients' backends are remembered.
    Affinities(usize),
}

/// Source, destination, protocol.
pub type Tuple = (SocketAddr, SocketAddr, u8);

impl Expect {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self, ingress: u32) -> Verdict {
        match self {
            Self::Pass | Self::PassAs(_) => Verdict::PASS,
            Self::Drop(reason) => Verdict::drop(*reason),
            Self::Send { egress, .. } if *egress != ingress => Verdict::redirect(*egress),
            Self::Send { .. } | Self::Answer { .. } => Verdict::TRANSMIT,
        }
    }

    /// The frame afterwards.
    #[must_use]
    pub fn bytes<'a>(&'a self, before: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Pass | Self::Drop(_) => before,
            Self::PassAs(frame) | Self::Send { frame, .. } | Self::Answer { frame, .. } => frame,
        }
    }

    /// The reason that is counted.
    #[must_use]
    pub fn reason(&self) -> Option<DropReason> {
        match self {
            Self::Drop(reason) | Self::Answer { reason, .. } => Some(*reason),
            Self::Pass | Self::PassAs(_) | Self::Send { .. } => None,
        }
    }
}

impl Case {
    /// A case without steps yet.
    #[must_use]
    pub fn new(name: impl Into<String>, tables: HostTables) -> Self {
        Self { name: name.into(), tables, steps: Vec::new(), host_only: None }
    }

    /// A frame that arrives.
    #[must_use]
    pub fn frame(mut self, ingress: u32, frame: &FrameSpec, expect: Expect) -> Self {
        self.steps.push(Step::Frame { ingress, frame: frame.build(), expect });
        self
    }

    /// Bytes that arrive.
    #[must_use]
    pub fn bytes(mut self, ingress: u32, frame: Vec<u8>, expect: Expect) -> Self {
        self.steps.push(Step::Frame { ingress, frame, expect });
        self
    }

    /// A change.
    #[must_use]
    pub fn change(mut self, change: impl Fn(&HostTables) + 'static) -> Self {
        self.steps.push(Step::Change(Box::new(change)));
        self
    }

    /// A fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact) -> Self {
        self.steps.push(Step::Fact(fact));
        self
    }

    /// Further steps.
    #[must_use]
    pub fn then(mut self, steps: Vec<Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// Marks it as one that can't run in the kernel.
    #[must_use]
    pub fn host_only(mut self, why: &'static str) -> Self {
        self.host_only = Some(why);
        self
    }

    /// Runs it on the host model. `before` is called before each frame, `after` with what the model did.
    ///
    /// # Errors
    ///
    /// The first step that went otherwise than expected.
    pub fn run<K>(
        &self,
        mut kernel: impl FnMut(&HostTables, u32, &[u8]) -> Result<K, String>,
        mut compare: impl FnMut(&HostTables, u32, &K, &Outcome) -> Result<(), String>,
    ) -> Result<(), String> {
        for (number, step) in self.steps.iter().enumerate() {
            let result = match step {
                Step::Change(change) => {
                    change(&self.tables);
                    Ok(())
                }
                Step::Fact(fact) => fact.check(&self.tables),
                Step::Frame { ingress, frame, expect } => {
                    kernel(&self.tables, *ingress, frame).and_then(|kernel| {
                        let outcome = Outcome::of(&self.tables, *ingress, frame);
                        outcome.check(*ingress, frame, expect)?;
                        compare(&self.tables, *ingress, &kernel, &outcome)
                    })
                }
            };
            result.map_err(|error| format!("{}, step {}: {error}", self.name, number + 1))?;
        }
        Ok(())
    }
}

/// What the pipeline did with a frame.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// The reasons counted.
    pub drops: Vec<DropReason>,
}

impl Outcome {
    /// Runs the host model.
    #[must_use]
    pub fn of(tables: &HostTables, ingress: u32, frame: &[u8]) -> Self {
        let before = tables.drops.borrow().clone();
        let (verdict, frame) = host::run(frame, ingress, tables);
        let after = tables.drops.borrow();
        let counted = |reason: &DropReason| {
            let number = *reason as u32;
            after.get(&number).copied().unwrap_or(0) - before.get(&number).copied().unwrap_or(0)
        };
        let drops =
            DropReason::ALL.iter().flat_map(|reason| std::iter::repeat_n(*reason, counted(reason) as usize));
        Self { verdict, frame, drops: drops.collect() }
    }

    fn check(&self, ingress: u32, before: &[u8], expect: &Expect) -> Result<(), String> {
        if self.verdict != expect.verdict(ingress) {
            return Err(format!("verdict {:?}, expected {:?}", self.verdict, expect.verdict(ingress)));
        }
        let reasons: Vec<DropReason> = expect.reason().into_iter().collect();
        if self.drops != reasons {
            return Err(format!("counted {:?}, expected {reasons:?}", self.drops));
        }
        if self.frame != expect.bytes(before) {
            return Err(difference(("pipeline", &self.frame), ("expected", expect.bytes(before))));
        }
        let sent = matches!(self.verdict.action(), Action::Transmit | Action::Redirect);
        if sent && host::checksums(before).is_ok() {
            host::checksums(&self.frame)?;
        }
        Ok(())
    }
}

impl Fact {
    fn check(&self, tables: &HostTables) -> Result<(), String> {
        let find = |tier: &Tier, tuple: &Tuple| tables.flow_of(*tier, tuple.0, tuple.1, tuple.2);
        let holds = match self {
            Self::Flow(tier, tuple, state) => {
                find(tier, tuple).is_some_and(|flow| flow.state == Some(*state))
            }
            Self::NoFlow(tier, tuple) => find(tier, tuple).is_none(),
            Self::Count(embryonic, established) => {
                let counts = [Tier::Embryonic, Tier::Established].map(|tier| tables.flow_count(tier));
                counts == [*embryonic, *established]
            }
            Self::Port(pool, port, used) => {
                let word = pool * lb_common::maps::PORT_WORDS + u32::from(port / 64);
                let bits = tables.ports.borrow().get(&word).copied().unwrap_or(0);
                (bits >> (port % 64) & 1 == 1) == *used
            }
            Self::Backend(tier, tuple, id) => find(tier, tuple).is_some_and(|flow| flow.backend == *id),
            Self::LastSeen(tier, tuple, tick) => {
                find(tier, tuple).is_some_and(|flow| flow.last_seen == *tick)
            }
            Self::Egress(tier, tuple, egress) => find(tier, tuple).is_some_and(|flow| flow.egress == *egress),
            Self::Signals(backend, expected) => signals(tables, *backend) == *expected,
            Self::Latencies(backend, expected) => latencies(tables, *backend) == *expected,
            Self::Stamps(number) => stamps(tables) == *number,
            Self::Places(holder, places) => tables.places_in_use(*holder) == *places,
            Self::Sources(flows, embryonic) => sources(tables) == (*flows, *embryonic),
            Self::Affinities(number) => tables.affinity.borrow().len() == *number,
        };
        if holds {
            return Ok(());
        }
        let found = match self {
            Self::Flow(tier, tuple, _)
            | Self::NoFlow(tier, tuple)
            | Self::Backend(tier, tuple, _)
            | Self::Egress(tier, tuple, _)
            | Self::LastSeen(tier, tuple, _) => format!("{:?}", find(tier, tuple)),
            Self::Count(..) => {
                format!("{}, {}", tables.flow_count(Tier::Embryonic), tables.flow_count(Tier::Established))
            }
            Self::Port(..) => String::new(),
            Self::Signals(backend, _) => format!("{:?}", signals(tables, *backend)),
            Self::Latencies(backend, _) => format!("{:?}", latencies(tables, *backend)),
            Self::Stamps(_) => stamps(tables).to_string(),
            Self::Places(holder, _) => tables.places_in_use(*holder).to_string(),
            Self::Sources(..) => format!("{:?}", sources(tables)),
            Self::Affinities(_) => format!("{:?}", tables.affinity.borrow()),
        };
        Err(format!("does not hold: {self:?} (found {found})"))
    }
}

/// The signals of a backend that were seen, in the order of their numbers.
fn signals(tables: &HostTables, backend: u32) -> Vec<(Signal, u64)> {
    let found = tables.backend_signals.borrow().get(&backend).copied().unwrap_or_default();
    Signal::ALL.into_iter().map(|signal| (signal, found.of(signal))).filter(|(_, count)| *count > 0).collect()
}

/// The buckets of a backend that have something.
fn latencies(tables: &HostTables, backend: u32) -> Vec<(Latency, usize, u64)> {
    let found = tables.latencies.borrow().get(&backend).copied().unwrap_or_default();
    let filled = |what, histogram: Histogram| {
        let counts = histogram.counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        counts.map(move |(bucket, count)| (what, bucket, count))
    };
    filled(Latency::Handshake, found.handshake).chain(filled(Latency::Rtt, found.rtt)).collect()
}

/// Flows of all sources, and those that nobody answered.
fn sources(tables: &HostTables) -> (i64, i64) {
    let sources = tables.sources.borrow();
    let sum = |of: fn(&Source) -> i64| sources.values().map(of).sum();
    (sum(|source| source.flows.in_use()), sum(|source| source.embryonic.in_use()))
}

/// How many handshakes are being timed.
fn stamps(tables: &HostTables) -> usize {
    tables.handshakes.borrow().values().filter(|stamp| **stamp != Stamp::default()).count()
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { ingress, expect, .. } => write!(f, "frame at interface {ingress}: {expect:?}"),
            Self::Change(_) => f.write_str("change"),
            Self::Fact(fact) => write!(f, "{fact:?}"),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Two frames side by side, rows of 16 bytes, those that differ.
#[must_use]
pub fn difference(one: (&str, &[u8]), other: (&str, &[u8])) -> String {
    let mut text =
        format!("frames differ: {} has {} bytes, {} {}", one.0, one.1.len(), other.0, other.1.len());
    for row in (0..one.1.len().max(other.1.len())).step_by(16) {
        let part = |bytes: &[u8]| bytes.get(row..bytes.len().min(row + 16)).unwrap_or_default().to_vec();
        let (a, b) = (part(one.1), part(other.1));
        if a != b {
            text.push_str(&format!("\n  {row:4}  {:8}  {a:02x?}\n        {:8}  {b:02x?}", one.0, other.0));
        }
    }
    text
}
