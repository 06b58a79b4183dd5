//! The data path does not become dearer unnoticed.

use lb_tests::{
    budget::{Budget, chains, first, path},
    require_privileged,
};
use lb_userspace::loader::OBJECT;

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
