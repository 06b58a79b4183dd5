//! The data path does not become dearer unnoticed.

use lb_tests::{
    budget::{Budget, path},
    require_privileged,
};

#[test]
fn instructions_code_stack_and_memory_stay_within_their_budget() {
    require_privileged!();
    let found = Budget::measure().unwrap();
    if std::env::var_os("LB_UPDATE_BUDGET").is_some_and(|value| value == "1") {
        return found.write().unwrap();
    }
    let budget = Budget::read().unwrap();
    let exceeded = budget.exceeded(&found);
    assert!(
        exceeded.is_empty(),
        "more than 10 % over {} (of kernel {}, here {}):\n{exceeded}if that is worth it, run this test with LB_UPDATE_BUDGET=1",
        path().display(),
        budget.measured.kernel,
        found.measured.kernel,
    );
}
