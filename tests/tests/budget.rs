//! The data path does not become dearer unnoticed.

use aya::{EbpfLoader, maps::Map, programs::Xdp};
use lb_common::maps::OF_CAPTURES;
use lb_tests::{
    budget::{Budget, chains, first, path},
    require_privileged,
};
use lb_userspace::loader::OBJECT;

#[test]
fn captures_cost_nothing_when_there_are_none() {
    require_privileged!();
    let mut ebpf = EbpfLoader::new().load(OBJECT).unwrap();
    let id = |map: &Map| match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::RingBuf(data) => data.info().unwrap().id(),
        other => panic!("{other:?}"),
    };
    let of_captures: Vec<u32> = OF_CAPTURES.iter().map(|name| id(ebpf.map(name).unwrap())).collect();
    let mut used = |name: &str| {
        let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
        program.load().unwrap();
        let maps = program.info().unwrap().map_ids().unwrap().unwrap();
        of_captures.iter().filter(|map| maps.contains(map)).count()
    };
    assert_eq!(used("lb"), 0, "the usual program works on maps of captures");
    assert_eq!(used("lb_capture"), of_captures.len());
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
