//! The data path does not become dearer unnoticed.

use lb_common::maps::OF_CAPTURES;
use lb_tests::{
    budget::{Budget, chains, first, maps_used, path},
    require_privileged,
};
use lb_userspace::loader::OBJECT;

#[test]
fn captures_cost_nothing_when_there_are_none() {
    require_privileged!();
    let used = |name: &str| {
        let used = maps_used(name).unwrap();
        OF_CAPTURES.iter().filter(|map| used.iter().any(|name| name == *map)).count()
    };
    assert_eq!(used("lb"), 0, "the usual program works on maps of captures");
    assert_eq!(used("lb_capture"), OF_CAPTURES.len());
}

#[test]
fn instructions_code_stack_and_memory_stay_within_their_budget() {
    require_privileged!();
    let found = Budget::measure().unwrap();
    if std::env::var_os("LB_UPDATE_BUDGET").is_some_and(|value| value == "1") {
        return found.write().unwrap();
    }
    let budget = Budget::read().unwrap();
    let exceeded = budget.exceeded(&found);
    let deepest = &chains(OBJECT).unwrap()["lb"];
    assert!(
        exceeded.is_empty(),
        "more than 10 % over {} (of kernel {}, here {}):\n{exceeded}if that is worth it, run this test with LB_UPDATE_BUDGET=1\n\
         the deepest chains of calls (`cargo xtask stack` has all):\n{}",
        path().display(),
        budget.measured.kernel,
        found.measured.kernel,
        first(deepest, 5),
    );
}
