//! Frames that are wrong in many ways, in the kernel and on the host model; `cargo xtask measure faults --only fuzzed` tries ten million.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use lb_fuzz::pipeline;
use lb_tests::{
    netns::Netns,
    packets::{bulk, case::Step, cases, world},
    require_privileged,
};

#[test]
fn kernel_and_host_model_agree_on_frames_that_were_changed_at_random() {
    require_privileged!();
    let netns = Netns::create("bulk").unwrap();
    world::build(&netns).unwrap();
    let pool = bulk::frames_of_cases();
    let tally = netns.run(|| bulk::run(&pool, 0x1b, 0..45)).unwrap();
    println!("{} frames, {} sent, {} dropped", tally.frames, tally.sent, tally.dropped);
    assert!(tally.mismatches.is_empty(), "{}", tally.mismatches.join("\n\n"));
    assert!(tally.malformed.is_empty(), "{}", tally.malformed.join("\n\n"));
    assert!(tally.frames > 5000 && tally.sent * 10 > tally.frames && tally.dropped * 20 > tally.frames);
}

/// One case in eight, as this takes its time; all of them with `LB_FUZZ_SEEDS=<directory>`, where the inputs are written to, for the corpus of the target.
#[test]
fn frames_of_the_cases_are_judged_alike_by_pipeline_and_reference() {
    let directory = std::env::var_os("LB_FUZZ_SEEDS");
    let step = if directory.is_some() { 1 } else { 8 };
    let (mut inputs, mut judged) = (0, 0);
    for (number, case) in cases::all().into_iter().enumerate().step_by(step) {
        let frames = case.steps.into_iter().filter_map(|step| match step {
            Step::Frame { ingress, frame, .. } => Some((ingress, frame)),
            _ => None,
        });
        let frames: Vec<_> = frames.collect();
        for is_full_nat in [false, true] {
            let input = pipeline::input_of(&frames, is_full_nat);
            if frames.is_empty() || input.len() > pipeline::TARGET.longest {
                continue;
            }
            let counts = pipeline::counts(&input).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            inputs += 1;
            judged += counts.judged;
            if let Some(directory) = &directory {
                let file = Path::new(directory).join(format!("case-{number}-{is_full_nat}"));
                std::fs::write(file, input).unwrap();
            }
        }
    }
    println!("{inputs} inputs, {judged} frames judged");
    assert!(inputs > 500 && judged > inputs, "{inputs} inputs, {judged} frames judged");
}
