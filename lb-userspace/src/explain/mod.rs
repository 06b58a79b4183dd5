//! What the data path would do with a packet: the program's own code on a copy of the tables.
//!
//! [`Live`] are the pinned maps, which are only read. [`Copy`] takes over what the packet may meet: everything small as a whole, flow
//! entries by their keys. [`Trial`] is a second instance of the program with maps of its own; they are filled from the copy, the frame
//! is run through it (`BPF_PROG_TEST_RUN`), and what its counters and flow tables then say is the answer. Nothing of it is pinned or
//! attached, and it goes with the value.

mod copy;
mod headers;
mod live;
mod trace;
mod trial;

pub use headers::Headers;
pub use live::Live;
pub use trace::{Direction, Entry, Fate, FlowUse, Trace};
pub use trial::{Extent, Trial};

use std::io;

use crate::plan::SlotTable;

/// Gives the slot table of a service; the kernel does not.
pub type SlotTables<'a> = &'a dyn Fn(u16) -> Option<SlotTable>;

/// Rounds after which it is given up to find all flow entries that a packet may meet: each brings at least one.
const MOST_ROUNDS: usize = 64;

/// What the program would do with a frame that arrives at an interface now, at tick `now`. `load` makes the trial for what is needed.
///
/// # Errors
/// What the kernel says; `TimedOut` if the flow tables change faster than they are read.
pub fn explain(
    live: &Live,
    slots: SlotTables<'_>,
    (ingress, frame): (u32, &[u8]),
    now: u32,
    load: impl FnOnce(Extent) -> io::Result<Trial>,
) -> io::Result<Trace> {
    let mut copy = copy::Copy::take(live, now)?;
    copy.follow(live, slots, (ingress, frame))?;
    let mut trial = load(copy.extent())?;
    rerun(&mut trial, &mut copy, live, (ingress, frame))
}

/// As [`explain`], with a trial that was used before.
///
/// # Errors
/// As [`explain`].
pub fn explain_with(
    trial: &mut Trial,
    live: &Live,
    slots: SlotTables<'_>,
    (ingress, frame): (u32, &[u8]),
    now: u32,
) -> io::Result<Trace> {
    let mut copy = copy::Copy::take(live, now)?;
    copy.follow(live, slots, (ingress, frame))?;
    rerun(trial, &mut copy, live, (ingress, frame))
}

/// Runs the frame until it meets no entry that the copy does not have.
fn rerun(
    trial: &mut Trial,
    copy: &mut copy::Copy,
    live: &Live,
    (ingress, frame): (u32, &[u8]),
) -> io::Result<Trace> {
    for _ in 0..MOST_ROUNDS {
        trial.fill(live, copy)?;
        let (action, after) = trial.run(ingress, frame)?;
        if !copy.lacks(live, trial)? {
            return trace::read(trial, copy, (ingress, frame), (action, after));
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the flow tables change faster than they are read"))
}
