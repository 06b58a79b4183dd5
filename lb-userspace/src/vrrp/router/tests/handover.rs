//! Planned switchovers: make before break.

use super::*;

fn handing(then: Afterwards) -> Fixture {
    let mut fixture = Fixture::active(settings());
    assert!(fixture.step(|router, now| router.hand_over(now, then)));
    assert_eq!(adverts(&fixture.done), [0]);
    assert!(!fixture.done.contains(&Command::Release), "the addresses are held on");
    assert_eq!(fixture.router.state(), State::Active);
    fixture
}

#[test]
fn the_addresses_are_held_until_the_successor_is_heard() {
    let mut fixture = handing(Afterwards::Stay);
    assert_eq!(adverts(&fixture.run_for(ms(60))), [0; 0]);
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.done[0], Command::Release);
    assert_eq!(fixture.changes(), [(State::Backup, Cause::HandedOver { router: LOWER.into() })]);
}

#[test]
fn after_a_switchover_the_successor_is_left_active_until_resume() {
    let mut fixture = handing(Afterwards::Stay);
    for _ in 0..100 {
        fixture.hear(LOWER, 50);
        assert_eq!(changes(&fixture.run_for(ms(100))).len(), 0);
    }
    fixture.step(|router, _| router.resume());
    for _ in 0..4 {
        fixture.hear(LOWER, 50);
        fixture.run_for(ms(100));
    }
    assert_eq!(fixture.router.state(), State::Active);
}

#[test]
fn after_a_switchover_a_silent_successor_is_replaced() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.hear(LOWER, 50);
    assert_eq!(changes(&fixture.run_for(ms(361))), [(State::Active, Cause::Silence)]);
}

#[test]
fn a_lost_resignation_is_said_again() {
    let mut fixture = handing(Afterwards::Stay);
    assert_eq!(adverts(&fixture.run_for(ms(399))), [0], "200 ms later, once");
}

#[test]
fn without_a_successor_it_remains_active() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.run_for(ms(399));
    fixture.run_until(|fixture| !fixture.changes().is_empty());
    assert_eq!(fixture.changes(), [(State::Active, Cause::NoSuccessor)]);
    assert_eq!(adverts(&fixture.done), [100]);
    assert_eq!(adverts(&fixture.run_for(ms(500))), [100; 5]);
}

#[test]
fn a_daemon_that_ends_waits_for_its_successor_but_not_for_ever() {
    let mut fixture = handing(Afterwards::Stop);
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.done[0], Command::Release);
    assert_eq!(fixture.changes(), [(State::Initialize, Cause::HandedOver { router: LOWER.into() })]);
    let mut fixture = handing(Afterwards::Stop);
    let done = fixture.run_for(ms(400));
    assert_eq!(changes(&done), [(State::Initialize, Cause::Stopped)]);
    assert!(done.contains(&Command::Release));
}

#[test]
fn a_router_that_stops_is_no_successor() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.hear(LOWER, 0);
    assert!(fixture.done.is_empty());
    assert_eq!(fixture.router.state(), State::Active);
}

#[test]
fn a_backup_has_nothing_to_hand_over() {
    let mut fixture = Fixture::started(settings());
    assert!(!fixture.step(|router, now| router.hand_over(now, Afterwards::Stay)));
    for _ in 0..20 {
        fixture.hear(LOWER, 50);
        assert_eq!(changes(&fixture.run_for(ms(100))).len(), 0, "but leaves the other one active");
    }
    assert!(!fixture.step(|router, now| router.hand_over(now, Afterwards::Stop)));
    assert_eq!(fixture.router.state(), State::Initialize);
}
