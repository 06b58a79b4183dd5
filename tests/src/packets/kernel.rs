//! Runs frames through the program in the kernel, and compares with the host model.

use std::fmt;

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, RingBuf},
    programs::{TestRun, TestRunOptions, Xdp},
};
use lb_common::{
    Action, Verdict,
    abi::{Event, TICK_SHIFT},
    host::HostTables,
    maps as names,
};
use lb_userspace::{
    capture::Packet,
    explain::{Extent, Fate, Live, Trace, Trial, explain_with},
    plan::SlotTable,
    sys::bpf::from_bytes,
};
use nix::time::{ClockId, clock_gettime};

use super::{
    case::{Outcome, difference},
    copies::{self, Copies, told_alike},
    maps::{Maps, SIZES},
};
use crate::temporary::BpfFs;

/// Of so many frames one is explained before it runs, unless all are.
const EXPLAINED: u64 = 8;
/// Frames that are shorter are refused by `BPF_PROG_TEST_RUN`.
pub const SHORTEST_FRAME: usize = 14;
/// Frames that run one after the other begin only if so much of a tick is left.
const LEAST_OF_TICK: std::time::Duration = std::time::Duration::from_millis(80);
/// Room for what a frame may grow by.
const GROWTH: usize = 256;

/// Which frames are explained before they run: to explain one takes as long as all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// Some of them.
    Some,
    /// All.
    All,
}

impl Explain {
    /// All with `LB_EXPLAIN_ALL`, else some.
    #[must_use]
    pub fn wanted() -> Self {
        if std::env::var_os("LB_EXPLAIN_ALL").is_some() { Self::All } else { Self::Some }
    }
}

/// The loaded program with its maps.
pub struct Kernel {
    ebpf: Ebpf,
    maps: Maps,
    events: RingBuf<MapData>,
    live: Live,
    trial: Trial,
    copies: Copies,
    explain: Explain,
    /// Frames that ran, and those that were explained before.
    frames: u64,
    explained: u64,
    _pins: BpfFs,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("maps", &self.maps).finish_non_exhaustive()
    }
}

/// What the program did with a frame.
#[derive(Debug)]
pub struct Ran {
    /// The XDP action.
    pub action: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
    /// Tick of the kernel's clock at which it ran.
    tick: u32,
    events: Vec<Event>,
    /// What was said before that it would do, if it was asked.
    trace: Option<Trace>,
    /// What was told of it, if it was captured: the frame as it arrived, and where.
    captured: Option<(Vec<Packet>, Vec<u8>, u32)>,
}

impl Kernel {
    /// Loads the program with small maps of its own.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub fn load(explain: Explain) -> Result<Self> {
        let pins = BpfFs::mount()?;
        let mut loader = EbpfLoader::new();
        for name in names::ALL {
            loader.map_pin_path(name, pins.path().join(name));
        }
        for (name, entries) in SIZES {
            loader.map_max_entries(name, entries);
        }
        loader.map_max_entries(names::CAPTURE_RING, copies::RING_BYTES);
        let mut ebpf = loader.load(lb_userspace::loader::OBJECT).context("cannot load the object")?;
        let events = ebpf.take_map(names::EVENTS).context("the object has no ring buffer")?;
        let events = RingBuf::try_from(events)?;
        program(&mut ebpf)?.load().context("the kernel refuses the program")?;
        let copies = Copies::load(&mut ebpf)?;
        let live = Live::open(pins.path())?;
        let trial = Trial::load(lb_userspace::loader::OBJECT, &live, Extent::of(&live))?;
        let maps = Maps::open(pins.path())?;
        let (frames, explained) = (0, 0);
        Ok(Self { ebpf, maps, events, live, trial, copies, explain, frames, explained, _pins: pins })
    }

    /// Frames that ran, and those of them that were explained before.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.frames, self.explained)
    }

    /// Instructions that the verifier followed; it gives up at a million.
    ///
    /// # Errors
    ///
    /// If the kernel does not say (before Linux 5.16).
    pub fn verified_instructions(&mut self) -> Result<u32> {
        let info = program(&mut self.ebpf)?.info()?;
        info.verified_instruction_count().context("the kernel does not count verified instructions")
    }

    /// Copies the tables to the maps and runs a frame. To be called in a thread that is in the world's namespace. The model's
    /// counters are set to 0, as are the maps'.
    ///
    /// # Errors
    ///
    /// If a system call fails.
    pub fn run(&mut self, tables: &HostTables, ingress: u32, frame: &[u8]) -> Result<Ran> {
        clear_counters(tables);
        self.frames += 1;
        // Every other frame takes the way of packets that are captured.
        let capture = self.frames.is_multiple_of(2);
        let explain = self.explain == Explain::All || self.frames % EXPLAINED == 1;
        self.explained += u64::from(explain);
        loop {
            let tick = tick()?;
            self.maps.write(tables, tick).context("cannot write the maps")?;
            while self.events.next().is_some() {}
            let trace = if explain { Some(self.explain(tables, ingress, frame, tick)?) } else { None };
            self.copies.take();
            let (action, after) = self.test_run(ingress, frame, capture)?;
            // The clock may have moved meanwhile, about once a second.
            if self::tick()? == tick {
                let captured = capture.then(|| (self.copies.take(), frame.to_vec(), ingress));
                return Ok(Ran { action, frame: after, tick, events: self.events(), trace, captured });
            }
        }
    }

    /// Copies the tables to the maps, for frames that run one after the other: the tick at which they have to. In the world's namespace, as
    /// [`Kernel::run`].
    ///
    /// # Errors
    ///
    /// If a system call fails.
    pub fn begin(&mut self, tables: &HostTables) -> Result<u32> {
        clear_counters(tables);
        let (tick, left) = clock()?;
        let tick = if left < LEAST_OF_TICK {
            std::thread::sleep(left + std::time::Duration::from_millis(5));
            self::tick()?
        } else {
            tick
        };
        self.maps.write(tables, tick).context("cannot write the maps")?;
        while self.events.next().is_some() {}
        Ok(tick)
    }

    /// Runs a frame on the maps as they are: the XDP action, and the frame afterwards.
    ///
    /// # Errors
    ///
    /// If a system call fails.
    pub fn pass(&mut self, ingress: u32, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        self.test_run(ingress, frame, false)
    }

    /// How many packets were dropped for a reason since the maps were written.
    ///
    /// # Errors
    ///
    /// If the map cannot be read.
    pub fn dropped(&self, reason: u32) -> Result<u64, String> {
        self.maps.dropped(reason)
    }

    /// Whether the kernel's clock is where it was.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn tick_is(&self, tick: u32) -> Result<bool> {
        Ok(self::tick()? == tick)
    }

    /// Compares all maps and events after frames that began at `tick`.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn end(&mut self, tables: &HostTables, tick: u32) -> Result<(), String> {
        let found = self.events();
        let events = tables.events.borrow();
        if found != *events {
            return Err(format!("events differ: kernel {found:?}, model {events:?}"));
        }
        self.maps.compare(tables, tick)
    }

    /// What would become of a frame; whatever this changes of the maps is seen by the comparison.
    fn explain(&mut self, tables: &HostTables, ingress: u32, frame: &[u8], tick: u32) -> Result<Trace> {
        let slots = |service| slot_table(tables, service);
        explain_with(&mut self.trial, &self.live, &slots, (ingress, frame), tick)
            .context("cannot explain the frame")
    }

    fn test_run(&mut self, ingress: u32, frame: &[u8], capture: bool) -> Result<(u32, Vec<u8>)> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: Vec<u8> =
            [0, frame.len() as u32, 0, ingress, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut out = vec![0; frame.len() + GROWTH];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        let program = if capture { copies::program(&mut self.ebpf)? } else { program(&mut self.ebpf)? };
        let result = program.test_run(options).with_context(|| {
            format!("BPF_PROG_TEST_RUN with {} bytes at interface {ingress}", frame.len())
        })?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }

    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(item) = self.events.next() {
            events.extend(from_bytes::<Event>(&item));
        }
        events
    }

    /// Compares what the program did with what the model did, maps and counters included.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn compare(&self, tables: &HostTables, ran: &Ran, outcome: &Outcome) -> Result<(), String> {
        if ran.action != xdp_action(outcome.verdict) {
            return Err(format!(
                "the kernel returned XDP action {}, the model {:?}",
                ran.action, outcome.verdict
            ));
        }
        if ran.frame != outcome.frame {
            return Err(difference(("kernel", &ran.frame), ("model", &outcome.frame)));
        }
        if let Some(trace) = &ran.trace {
            explained_alike(trace, ran, outcome)?;
        }
        if let Some((packets, arrived, ingress)) = &ran.captured {
            told_alike(packets, arrived, *ingress, outcome)?;
        }
        let events = tables.events.borrow();
        if ran.events != *events {
            return Err(format!("events differ: kernel {:?}, model {events:?}", ran.events));
        }
        self.maps.compare(tables, ran.tick)
    }
}

/// Whether it was said before what came to pass.
fn explained_alike(trace: &Trace, ran: &Ran, outcome: &Outcome) -> Result<(), String> {
    let action = match trace.fate {
        Fate::Aborted => 0,
        Fate::Drop => 1,
        Fate::Pass => 2,
        Fate::Transmit => 3,
        Fate::Redirect => 4,
    };
    let egress = (outcome.verdict.action() == Action::Redirect).then(|| outcome.verdict.argument());
    let told = trace.egress.filter(|_| trace.fate == Fate::Redirect);
    if action != ran.action || trace.reason != outcome.drops.first().copied() || told != egress {
        return Err(format!("explained as {:?} {:?}, egress {:?}", trace.fate, trace.reason, trace.egress));
    }
    if trace.frame != ran.frame {
        return Err(difference(("explained", &trace.frame), ("kernel", &ran.frame)));
    }
    Ok(())
}

/// The slots of a service, as `lbd` knows them.
fn slot_table(tables: &HostTables, service: u16) -> Option<SlotTable> {
    let slots = tables.slots.borrow();
    let (header, pairs) = slots.get(&service)?.split_first()?;
    Some(pairs.iter().flatten().copied().take(header[0] as usize).collect())
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut("lb").context("the object has no program named lb")?.try_into()?)
}

fn clear_counters(tables: &HostTables) {
    tables.service_counters.borrow_mut().clear();
    tables.backend_counters.borrow_mut().clear();
    tables.interface_counters.borrow_mut().clear();
    tables.drops.borrow_mut().clear();
    tables.refusals_counted.borrow_mut().clear();
    tables.events.borrow_mut().clear();
}

/// The tick that the program sees now: it reads the same coarse clock.
fn tick() -> Result<u32> {
    clock().map(|(tick, _)| tick)
}

/// The tick, and what is left of it.
fn clock() -> Result<(u32, std::time::Duration)> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
    let nanos = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
    let left = (1 << TICK_SHIFT) - nanos % (1 << TICK_SHIFT);
    Ok(((nanos >> TICK_SHIFT) as u32, std::time::Duration::from_nanos(left)))
}

/// What the program returns for a verdict.
pub(super) fn xdp_action(verdict: Verdict) -> u32 {
    match verdict.action() {
        Action::Drop => 1,
        Action::Pass => 2,
        Action::Transmit => 3,
        Action::Redirect => 4,
    }
}
