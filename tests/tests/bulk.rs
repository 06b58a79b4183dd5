//! Frames that are wrong in many ways, in the kernel and on the host model; `cargo xtask measure faults --only fuzzed` tries ten million.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lb_tests::{
    netns::Netns,
    packets::{bulk, world},
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
