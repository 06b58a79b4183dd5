//! Frames by the million, most of them wrong in some way: the loaded program and the host model have to do the same with each.
//!
//! A batch is a scene of the packet cases and some hundred frames one after the other: those of the cases, changed, cut and mended; answers to what was sent; random bytes. The
//! maps are written once before a batch and compared as a whole after it; verdict, bytes and drop reason are compared after each frame. Everything follows from a
//! seed and the number of the batch.

use anyhow::{Context, Result};
use lb_common::{
    Action,
    abi::{InterfaceFlags, Mode, Selector},
    host::HostTables,
    tables::Tier,
    wire::{TCP, UDP},
};
use lb_fuzz::sound;

use super::{
    Step,
    case::{Outcome, difference},
    cases,
    kernel::{Explain, Kernel, SHORTEST_FRAME, xdp_action},
    scene::{BACKEND, SERVICE, Scene},
    world::{CLIENTS, NARROW, SERVERS, learn_neighbours, mac},
};
use crate::topology::Family;

/// Frames of a batch.
pub const BATCH: u64 = 250;
/// More flows than this end a batch early: the kernel's small LRU tables begin to forget some.
const MOST_FLOWS: usize = 150;
/// Frames that were sent and may be answered.
const REMEMBERED: usize = 16;

/// What became of frames.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Frames that were compared.
    pub frames: u64,
    /// Those that were sent on or answered.
    pub sent: u64,
    /// Those that were dropped.
    pub dropped: u64,
    /// Batches that had to be repeated, as the kernel's clock moved on.
    pub repeated: u64,
    /// What kernel and model did differently.
    pub mismatches: Vec<String>,
    /// Frames that should not have been sent as they were.
    pub malformed: Vec<String>,
}

impl Tally {
    /// Adds what another thread saw.
    pub fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.repeated += other.repeated;
        self.mismatches.extend(other.mismatches);
        self.malformed.extend(other.malformed);
    }
}

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Whether something happens that happens so often in a hundred.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The frames of all packet cases with their interfaces.
#[must_use]
pub fn frames_of_cases() -> Vec<(u32, Vec<u8>)> {
    let steps = cases::all().into_iter().flat_map(|case| case.steps);
    let frames = steps.filter_map(|step| match step {
        Step::Frame { ingress, frame, .. } if frame.len() >= SHORTEST_FRAME => Some((ingress, frame)),
        _ => None,
    });
    let mut frames: Vec<_> = frames.collect();
    frames.sort_unstable();
    frames.dedup();
    frames
}

/// Runs batches through a kernel of its own. To be called in a thread that is in the world's namespace.
///
/// # Errors
///
/// If the program cannot be loaded, or a system call fails.
pub fn run(pool: &[(u32, Vec<u8>)], seed: u64, batches: impl Iterator<Item = u64>) -> Result<Tally> {
    let mut kernel = Kernel::load(Explain::Some)?;
    let mut tally = Tally::default();
    for number in batches {
        // A moving clock is no difference; nobody is so unlucky that often.
        let mut result = None;
        for _ in 0..100 {
            result = batch(&mut kernel, pool, (seed, number))?;
            if result.is_some() {
                break;
            }
            tally.repeated += 1;
        }
        tally.add(result.context("the clock moved on in each of 100 attempts")?);
        if tally.mismatches.len() + tally.malformed.len() >= 20 {
            break;
        }
    }
    Ok(tally)
}

/// One batch; `None`: the clock moved on meanwhile.
fn batch(kernel: &mut Kernel, pool: &[(u32, Vec<u8>)], (seed, number): (u64, u64)) -> Result<Option<Tally>> {
    let mut chance = Chance(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let tables = tables(&mut chance);
    let mut tally = Tally::default();
    let mut sent: Vec<(u32, Vec<u8>)> = Vec::new();
    let tick = kernel.begin(&tables)?;
    let mut is_comparable = true;
    for index in 0..BATCH {
        let (ingress, frame) = frame(&mut chance, pool, &sent);
        learn_neighbours(&tables, &frame);
        let random = tables.random.get();
        let (action, after) = kernel.pass(ingress, &frame)?;
        let outcome = Outcome::of(&tables, ingress, &frame);
        if tables.random.get() != random {
            // The kernel draws other numbers; what follows from them is another story.
            is_comparable = false;
            break;
        }
        tally.frames += 1;
        let about = |what: &str| {
            format!(
                "seed {seed:#x}, batch {number}, frame {index}, interface {ingress}: {what}\n  {frame:02x?}"
            )
        };
        if let Err(error) = alike(kernel, &tables, (action, &after), &outcome) {
            if kernel.tick_is(tick)? {
                tally.mismatches.push(about(&error));
            }
            return Ok(kernel.tick_is(tick)?.then_some(tally));
        }
        match outcome.verdict.action() {
            Action::Transmit | Action::Redirect => {
                tally.sent += 1;
                let egress = if outcome.verdict.action() == Action::Redirect {
                    outcome.verdict.argument()
                } else {
                    ingress
                };
                // Whoever was asked by a second MAC address answers with it.
                let source = if outcome.drops.is_empty() { mac(egress) } else { frame[..6].try_into()? };
                let is_echo = action == 3 && after[6..12] == frame[..6];
                let source = if is_echo { frame[..6].try_into()? } else { source };
                tally.malformed.extend(sound::malformed(&frame, &after, source).map(|error| about(&error)));
                if sent.len() == REMEMBERED {
                    sent.remove(0);
                }
                sent.push((egress, after));
            }
            Action::Drop => tally.dropped += 1,
            Action::Pass => {}
        }
        if tables.flow_count(Tier::Embryonic).max(tables.flow_count(Tier::Established)) > MOST_FLOWS {
            break;
        }
    }
    let compared = if is_comparable { kernel.end(&tables, tick) } else { Ok(()) };
    if !kernel.tick_is(tick)? {
        return Ok(None);
    }
    tally
        .mismatches
        .extend(compared.err().map(|error| format!("seed {seed:#x}, after batch {number}: {error}")));
    Ok(Some(tally))
}

/// Whether a frame became the same in both.
fn alike(kernel: &Kernel, tables: &HostTables, ran: (u32, &[u8]), outcome: &Outcome) -> Result<(), String> {
    let (action, after) = ran;
    if action != xdp_action(outcome.verdict) {
        return Err(format!(
            "the kernel returned XDP action {action} for {after:02x?}, the model {:?}",
            outcome.verdict
        ));
    }
    if after != outcome.frame {
        return Err(difference(("kernel", after), ("model", &outcome.frame)));
    }
    for reason in &outcome.drops {
        let model = tables.drops.borrow().get(&(*reason as u32)).copied().unwrap_or(0);
        let found = kernel.dropped(*reason as u32)?;
        if found != model {
            return Err(format!("the model counted {}, the kernel did not", reason.as_str()));
        }
    }
    Ok(())
}

/// A scene, with what may be otherwise. No selector by chance: the kernel's is another one.
fn tables(chance: &mut Chance) -> HostTables {
    let family = Family::ALL[chance.below(2)];
    let proto = [TCP, UDP][chance.below(2)];
    let mode = [Mode::Nat, Mode::FullNat][chance.below(2)];
    let scene = Scene::new(family, proto, mode);
    let selector = [Selector::FlowHash, Selector::SourceHash, Selector::Rotation][chance.below(3)];
    let slots: &[u32] =
        [&[BACKEND][..], &[BACKEND, BACKEND + 1], &[BACKEND, BACKEND + 1, BACKEND + 2, BACKEND]]
            [chance.below(3)];
    let tables = scene.tables_with(selector, slots);
    if mode == Mode::Nat && chance.percent(60) {
        tables.make_exclusive(SERVICE, scene.vip(), proto);
    }
    if chance.percent(20) {
        tables.set_limits(3, &[(BACKEND, 2), (BACKEND + 1, 1)]);
    }
    if chance.percent(20) {
        tables.change_service(SERVICE, |service| service.affinity_timeout = 30);
    }
    if chance.percent(15) {
        tables.set_backend_reset(BACKEND, true);
    }
    if chance.percent(10) {
        tables.interfaces.borrow_mut().entry(CLIENTS).and_modify(|interface| interface.mtu = 1280);
    }
    if chance.percent(5) {
        tables
            .interfaces
            .borrow_mut()
            .entry(SERVERS)
            .and_modify(|interface| interface.flags &= !InterfaceFlags::ATTACHED);
    }
    tables
}

/// The next frame.
fn frame(chance: &mut Chance, pool: &[(u32, Vec<u8>)], sent: &[(u32, Vec<u8>)]) -> (u32, Vec<u8>) {
    let (mut ingress, mut frame) = match chance.below(20) {
        0..=6 if !sent.is_empty() => {
            let (egress, mut frame) = sent[chance.below(sent.len())].clone();
            sound::reverse(&mut frame);
            frame[..6].copy_from_slice(&mac(egress));
            (egress, frame)
        }
        7 => (CLIENTS, noise(chance)),
        _ => pool[chance.below(pool.len())].clone(),
    };
    if chance.percent(5) {
        ingress = [CLIENTS, SERVERS, NARROW][chance.below(3)];
        frame[..6].copy_from_slice(&mac(ingress));
    }
    for _ in 0..[0, 0, 1, 1, 2, 4, 9][chance.below(7)] {
        mutate(chance, &mut frame);
    }
    if chance.percent(60) {
        sound::mend(&mut frame);
    }
    frame.resize(frame.len().clamp(SHORTEST_FRAME, 2000), 0);
    // Nobody has the address of a group, or none (IEEE 802): what was learned from it, or answers it, would be sent there.
    frame[6] = frame[6] & !1 | 2;
    (ingress, frame)
}

/// Random bytes behind a header that leads somewhere.
fn noise(chance: &mut Chance) -> Vec<u8> {
    let mut frame = mac(CLIENTS).to_vec();
    frame.extend([2, 4, 198, 51, 100, 10]);
    frame.extend([[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x08, 0x06]][chance.below(4)]);
    let length = chance.below(120);
    frame.extend((0..length).map(|_| chance.next() as u8));
    if let Some(version) = frame.get_mut(14).filter(|_| chance.percent(80)) {
        *version = [0x45, 0x60, 0x46][chance.below(3)];
    }
    frame
}

/// Changes a byte, a bit or a header's field; cuts, or appends.
fn mutate(chance: &mut Chance, frame: &mut Vec<u8>) {
    if frame.is_empty() {
        return;
    }
    // Most of what matters lies in the first 80 bytes.
    let reach = if chance.percent(80) { frame.len().min(80) } else { frame.len() };
    let at = chance.below(reach);
    match chance.below(10) {
        0..=3 => frame[at] = chance.next() as u8,
        4 | 5 => frame[at] ^= 1 << chance.below(8),
        6 => frame[at] = [0, 1, 2, 0x7f, 0x80, 0xff, 6, 17, 1, 58, 44, 60, 43][chance.below(13)],
        // TCP flags, of frames without options.
        7 => {
            if let Some(flags) = frame.get_mut(if chance.percent(50) { 47 } else { 67 }) {
                *flags = [2, 16, 18, 4, 20, 17, 0, 24][chance.below(8)];
            }
        }
        8 => frame.truncate(SHORTEST_FRAME.max(chance.below(frame.len() + 1))),
        _ => {
            let more = chance.below(64);
            frame.extend((0..more).map(|_| 0));
        }
    }
}
