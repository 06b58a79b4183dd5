//! Ten million frames, most of them wrong in some way: kernel and model do the same, and nothing malformed leaves.

use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context, Result};

use super::super::{Depth, Required, Row, number};
use crate::{
    clock,
    netns::Netns,
    packets::{
        bulk::{self, BATCH, Tally},
        world,
    },
};

/// Kernels that run side by side.
const THREADS: u64 = 2;

/// Runs them. `LB_FUZZED_SEED` repeats another run; with `LB_FUZZED_BATCH` only this batch of it.
pub(super) fn measure(depth: Depth) -> Result<Vec<Row>> {
    let wanted = match depth {
        Depth::Full => 10_000_000,
        Depth::Quick => 200_000,
    };
    let setting = |name: &str| -> Result<Option<u64>> {
        let Ok(text) = std::env::var(name) else { return Ok(None) };
        let digits =
            text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
        digits.map(Some).with_context(|| format!("{name}={text} is no number"))
    };
    let seed = match setting("LB_FUZZED_SEED")? {
        Some(seed) => seed,
        None => RandomState::new().hash_one(wanted) & 0xffff_ffff,
    };
    let only = setting("LB_FUZZED_BATCH")?;
    eprintln!("fuzzed: LB_FUZZED_SEED={seed:#x}");
    let netns = Netns::create("fuzzed")?;
    world::build(&netns)?;
    let pool = bulk::frames_of_cases();
    let started = clock::now();
    let tally = match only {
        Some(batch) => netns.run(|| bulk::run(&pool, seed, batch..=batch))?,
        None => side_by_side(&netns, &pool, seed, wanted)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "fuzzed: {} frames in {seconds:.0} s, {} sent, {} dropped, {} batches repeated",
        tally.frames, tally.sent, tally.dropped, tally.repeated
    );
    for text in tally.mismatches.iter().take(5).chain(tally.malformed.iter().take(5)) {
        eprintln!("{text}");
    }
    let case = "fuzzed frames, kernel and model";
    Ok(vec![
        Row::new(
            format!("{case}: compared"),
            number(tally.frames),
            "frames",
            Required::AtLeast(number(if only.is_some() { 1 } else { wanted })),
        ),
        Row::new(
            format!("{case}: sent on or answered"),
            number(tally.sent),
            "frames",
            Required::AtLeast(1.0),
        ),
        Row::none(
            format!("{case}: verdict, bytes, reason or maps differ"),
            tally.mismatches.len() as u64,
            "frames",
        ),
        Row::none(format!("{case}: malformed frames sent"), tally.malformed.len() as u64, "frames"),
    ])
}

/// Shares the batches among threads until so many frames were compared.
fn side_by_side(netns: &Netns, pool: &[(u32, Vec<u8>)], seed: u64, wanted: u64) -> Result<Tally> {
    let mut total = Tally::default();
    let mut next = 0;
    while total.frames < wanted && total.mismatches.is_empty() && total.malformed.is_empty() {
        // Batches may end early: another round makes up for it.
        let batches = (wanted - total.frames).div_ceil(BATCH).div_ceil(THREADS) + 1;
        let tallies: Vec<Result<Tally>> = std::thread::scope(|scope| {
            let run = |thread: u64| {
                let from = next + thread * batches;
                scope.spawn(move || netns.run(|| bulk::run(pool, seed, from..from + batches)))
            };
            let threads: Vec<_> = (0..THREADS).map(run).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        next += batches * THREADS;
        for tally in tallies {
            total.add(tally?);
        }
    }
    Ok(total)
}
