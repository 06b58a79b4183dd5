//! The corpora and seeds of all fuzz targets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lb_fuzz::{TARGETS, corpus};

/// Runs every input of a target; a panic says which one.
fn replay(name: &str) {
    let target = lb_fuzz::target(name).unwrap();
    let kept = corpus::read(target).unwrap();
    let seeds =
        (target.seeds)().into_iter().enumerate().map(|(number, seed)| (format!("seed {number}"), seed));
    let mut count = 0;
    for (input, bytes) in seeds.chain(kept) {
        count += 1;
        let failed = std::panic::catch_unwind(|| (target.run)(&bytes)).is_err();
        assert!(!failed, "{name}: input {input}, {} bytes: {bytes:02x?}", bytes.len());
    }
    println!("{name}: {count} inputs");
    assert!(count > 0);
}

macro_rules! replays {
    ($($test:ident $name:literal),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                replay($name);
            }
        )+

        #[test]
        fn every_target_is_replayed() {
            let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            names.sort_unstable();
            let mut replayed = [$($name),+];
            replayed.sort_unstable();
            assert_eq!(names, replayed);
        }
    };
}

replays! {
    packets_are_judged_alike_by_pipeline_and_reference "pipeline",
    adverts_do_no_harm "vrrp",
    replicated_messages_do_no_harm "replication",
    configurations_mean_the_same_once_written "config",
    requests_are_answered "api",
    answers_to_health_checks_do_no_harm "health",
    imported_configurations_are_valid "import",
}

#[test]
fn corpora_are_small() {
    let sizes =
        TARGETS.iter().filter_map(|target| corpus::archive(target).metadata().ok()).map(|file| file.len());
    let total: u64 = sizes.sum();
    assert!(total < 1 << 20, "{total} bytes of archives");
}
