//! The packet cases, on the host model and in the kernel.

use std::collections::HashSet;

use lb_common::abi::{DropReason, FlowState};
use lb_tests::{
    packets::{
        Fact, Step, agreement, cases,
        kernel::{Explain, Kernel},
    },
    require_privileged,
};

#[test]
fn names_of_cases_are_unique() {
    let mut names = HashSet::new();
    for case in cases::all() {
        assert!(names.insert(case.name.clone()), "{}", case.name);
    }
}

/// `WriteFailed` can't be reached: parsing has read every header that is written.
#[test]
fn every_drop_reason_and_many_cases_are_in_the_table() {
    let cases = cases::all();
    let reasons: HashSet<DropReason> = cases
        .iter()
        .flat_map(|case| &case.steps)
        .filter_map(|step| match step {
            Step::Frame { expect, .. } => expect.reason(),
            Step::Change(_) | Step::Fact(_) => None,
        })
        .collect();
    let missing: Vec<&DropReason> =
        DropReason::ALL.iter().filter(|reason| !reasons.contains(reason)).collect();
    assert_eq!(missing, [&DropReason::WriteFailed]);
    let in_kernel = cases.iter().filter(|case| case.host_only.is_none()).count();
    println!("{} cases, {in_kernel} of them in the kernel", cases.len());
    assert!(in_kernel >= 250);
}

/// Beside the drop reasons: what the other stages can come to.
#[test]
fn every_stage_is_reached() {
    let (mut states, mut tiers, mut actions) = (HashSet::new(), HashSet::new(), HashSet::new());
    let (mut fragments, mut ports, mut events, mut selectors) = (0, 0, 0, HashSet::new());
    for case in cases::all() {
        case.run(|_, _, _| Ok(()), |_, _, (), _| Ok(())).unwrap();
        for step in &case.steps {
            match step {
                Step::Fact(Fact::Flow(tier, _, state)) => {
                    states.insert(*state as u8);
                    tiers.insert(*tier as u8);
                }
                Step::Frame { ingress, expect, .. } => {
                    actions.insert(expect.verdict(*ingress).action() as u8);
                }
                Step::Fact(_) | Step::Change(_) => {}
            }
        }
        let tables = &case.tables;
        fragments += tables.v4.fragments.borrow().len() + tables.v6.fragments.borrow().len();
        ports += tables.ports.borrow().len();
        events += tables.events.borrow().len();
        selectors.extend(tables.v4.services.borrow().values().map(|service| service.selector));
    }
    let all: HashSet<u8> = FlowState::ALL.iter().map(|state| *state as u8).collect();
    assert_eq!(states, all);
    assert_eq!((tiers.len(), actions.len()), (2, 4));
    assert!(fragments > 0 && ports > 0 && events > 0, "{fragments} {ports} {events}");
    assert!((1..=5).all(|selector| selectors.contains(&selector)), "{selectors:?}");
}

#[test]
fn every_case_holds_on_the_host_model() {
    let failures: Vec<String> = cases::all()
        .iter()
        .filter_map(|case| case.run(|_, _, _| Ok(()), |_, _, (), _| Ok(())).err())
        .collect();
    report(&failures);
}

#[test]
fn kernel_and_host_model_agree_on_every_case() {
    require_privileged!();
    let found = agreement::run(Explain::wanted()).unwrap();
    println!("{} cases, {} frames, {} of them explained", found.cases, found.frames, found.explained);
    report(&found.failures);
}

/// Far from the million at which the verifier gives up, so that other kernels' verifiers have room, too.
#[test]
fn the_verifier_accepts_the_program_with_room_to_spare() {
    require_privileged!();
    let count = Kernel::load(Explain::Some).unwrap().verified_instructions().unwrap();
    println!("{count} instructions verified");
    assert!(count < 500_000, "{count}");
}

fn report(failures: &[String]) {
    let shown = failures.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} cases fail, among them:\n\n{shown}", failures.len());
}
