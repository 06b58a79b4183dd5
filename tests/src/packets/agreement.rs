//! All packet cases, on the host model and in the kernel.

use std::cell::RefCell;

use anyhow::Result;

use super::{
    cases,
    kernel::{Explain, Kernel, SHORTEST_FRAME},
    world,
};
use crate::netns::Netns;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Cases that ran.
    pub cases: usize,
    /// Frames that ran in the kernel.
    pub frames: u64,
    /// Those of them that were explained before.
    pub explained: u64,
    /// Cases in which the kernel did something else than the model, or than was explained, each with the first difference.
    pub failures: Vec<String>,
}

/// Runs every case on the host model and in the kernel, in a namespace of its own.
///
/// # Errors
///
/// If the namespace cannot be made, or the kernel refuses the program.
pub fn run(explain: Explain) -> Result<Agreement> {
    let netns = Netns::create("packets")?;
    world::build(&netns)?;
    netns.run(|| {
        let kernel = RefCell::new(Kernel::load(explain)?);
        let mut found = Agreement::default();
        for case in cases::all().iter().filter(|case| case.host_only.is_none()) {
            let result = case.run(
                |tables, ingress, frame| {
                    if frame.len() < SHORTEST_FRAME {
                        return Ok(None);
                    }
                    let ran = kernel.borrow_mut().run(tables, ingress, frame);
                    ran.map(Some).map_err(|error| format!("{error:#}"))
                },
                |tables, _, ran, outcome| match ran {
                    Some(ran) => kernel.borrow().compare(tables, ran, outcome),
                    None => Ok(()),
                },
            );
            found.cases += 1;
            found.failures.extend(result.err());
        }
        (found.frames, found.explained) = kernel.borrow().counts();
        Ok(found)
    })
}
