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

/// The other one is left active for so many tenths of a second, and no longer once this one takes part again.
fn yields_until_it_is_resumed(fixture: &mut Fixture, times: usize) {
    for _ in 0..times {
        fixture.hear(LOWER, 50);
        assert_eq!(changes(&fixture.run_for(ms(100))).len(), 0);
    }
    fixture.step(Router::resume);
    for _ in 0..4 {
        fixture.hear(LOWER, 50);
        fixture.run_for(ms(100));
    }
    assert_eq!(fixture.router.state(), State::Active);
}

#[test]
fn after_a_switchover_the_successor_is_left_active_until_resume() {
    let mut fixture = handing(Afterwards::Stay);
    yields_until_it_is_resumed(&mut fixture, 100);
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

#[test]
fn a_switchover_asked_for_again_is_the_same_one() {
    let mut fixture = handing(Afterwards::Stay);
    let began = fixture.now;
    for _ in 0..3 {
        assert!(fixture.step(|router, now| router.hand_over(now, Afterwards::Stay)));
        assert!(fixture.done.is_empty());
        fixture.run_for(ms(100));
    }
    assert_eq!(fixture.router.switchover(), Some(Switchover::HandingOver));
    fixture.run_until(|fixture| !fixture.changes().is_empty());
    assert_eq!(fixture.now - began, ms(400), "it is not put off");
}

#[test]
fn a_switchover_can_be_taken_back_while_it_is_under_way() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.step(Router::resume);
    assert_eq!(adverts(&fixture.done), [100], "who prepares to take over is told at once");
    assert_eq!((fixture.router.switchover(), fixture.router.standby()), (None, None));
    assert_eq!(adverts(&fixture.run_for(ms(1000))), [100; 10]);
}

#[test]
fn what_the_successor_announces_is_not_contradicted() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.step(Router::address_claimed);
    assert!(fixture.done.is_empty());
    fixture.step(Router::resume);
    fixture.step(Router::address_claimed);
    assert!(fixture.done.contains(&Command::Announce));
}

#[test]
fn a_daemon_that_ends_is_not_kept_by_resume() {
    let mut fixture = handing(Afterwards::Stop);
    fixture.step(Router::resume);
    fixture.step(|router, now| router.hand_over(now, Afterwards::Stay));
    assert_eq!(changes(&fixture.run_for(ms(400))), [(State::Initialize, Cause::Stopped)]);
}

#[test]
fn the_outcome_can_be_asked_for() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.run_for(ms(400));
    assert_eq!(fixture.router.switchover(), Some(Switchover::NoSuccessor));
    assert_eq!(fixture.router.standby(), None, "nothing of it is to be remembered");
    fixture.step(|router, now| router.hand_over(now, Afterwards::Stay));
    assert_eq!(fixture.router.switchover(), Some(Switchover::HandingOver));
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.router.switchover(), Some(Switchover::Standby(Standby::Yielding)));
    fixture.step(Router::resume);
    assert_eq!(fixture.router.switchover(), None);
}

#[test]
fn with_force_the_addresses_are_given_up_although_nobody_takes_over() {
    let mut fixture = handing(Afterwards::Leave);
    let done = fixture.run_for(ms(400));
    assert_eq!(changes(&done), [(State::Backup, Cause::GivenUp)]);
    assert!(done.contains(&Command::Release));
    assert_eq!(fixture.router.standby(), Some(Standby::Forced));
    assert!(changes(&fixture.run_for(ms(10_000))).is_empty(), "nobody is active");
    assert!(!fixture.router.is_about_to_claim());
    fixture.step(Router::resume);
    assert!(fixture.router.is_about_to_claim());
    assert_eq!(changes(&fixture.run_for(ms(1))), [(State::Active, Cause::Silence)]);
}

#[test]
fn with_force_a_successor_that_comes_later_is_replaced_when_it_is_silent() {
    let mut fixture = handing(Afterwards::Leave);
    fixture.run_for(ms(5_000));
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.router.standby(), Some(Standby::Yielding));
    assert_eq!(changes(&fixture.run_for(ms(361))), [(State::Active, Cause::Silence)]);
    assert_eq!(fixture.router.standby(), None, "it ends where it becomes active");
}

#[test]
fn with_force_a_successor_that_is_heard_in_time_is_an_ordinary_one() {
    let mut fixture = handing(Afterwards::Leave);
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.router.standby(), Some(Standby::Yielding));
    let mut backup = Fixture::started(settings());
    backup.hear(HIGHER, 200);
    backup.step(|router, now| router.hand_over(now, Afterwards::Leave));
    assert_eq!(backup.router.standby(), Some(Standby::Yielding));
}

#[test]
fn a_backup_that_was_about_to_replace_another_one_leaves_it() {
    let mut fixture = Fixture::started(settings());
    for _ in 0..3 {
        fixture.hear(LOWER, 50);
        fixture.run_for(ms(100));
    }
    assert!(fixture.router.is_about_to_claim(), "61 ms before its time");
    fixture.step(|router, now| router.hand_over(now, Afterwards::Stay));
    assert!(!fixture.router.is_about_to_claim());
    fixture.run_for(ms(90));
    for _ in 0..20 {
        fixture.hear(LOWER, 50);
        assert_eq!(changes(&fixture.run_for(ms(100))).len(), 0);
    }
}

#[test]
fn asking_a_backup_again_and_again_does_not_put_off_a_takeover() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    fixture.step(|router, now| router.hand_over(now, Afterwards::Stay));
    for _ in 0..7 {
        assert_eq!(changes(&fixture.run_for(ms(50))).len(), 0);
        fixture.step(|router, now| router.hand_over(now, Afterwards::Stay));
    }
    assert_eq!(changes(&fixture.run_for(ms(11))), [(State::Active, Cause::Silence)]);
}

#[test]
fn a_standby_router_that_hears_that_the_active_one_stops_takes_over() {
    let mut fixture = handing(Afterwards::Stay);
    fixture.hear(LOWER, 50);
    fixture.hear(LOWER, 0);
    assert_eq!(changes(&fixture.run_for(ms(61))), [(State::Active, Cause::Resigned)]);
}

#[test]
fn what_was_wanted_outlives_a_restart_and_a_fault() {
    for standby in [Standby::Yielding, Standby::Forced] {
        let mut fixture = Fixture::new(settings());
        fixture.router.restore(standby);
        fixture.step(|router, now| router.start(now, false));
        fixture.step(|router, now| router.set_source(now, None));
        assert_eq!(fixture.router.state(), State::Fault);
        fixture.step(|router, now| router.set_source(now, Some(OWN.into())));
        assert_eq!(fixture.router.standby(), Some(standby));
        for _ in 0..10 {
            fixture.hear(LOWER, 50);
            assert_eq!(changes(&fixture.run_for(ms(100))).len(), 0, "{standby:?}");
        }
    }
    let mut fixture = Fixture::new(settings());
    fixture.router.restore(Standby::Forced);
    fixture.step(|router, now| router.start(now, true));
    assert!(fixture.done.contains(&Command::Release), "what is held from before is given up");
    assert_eq!(changes(&fixture.run_for(ms(5_000))).len(), 0);
}

#[test]
fn an_owner_that_is_standby_waits_as_others_do() {
    let mut owner = settings();
    owner.priority = Priority::OWNER;
    let mut fixture = Fixture::new(owner);
    fixture.router.restore(Standby::Yielding);
    fixture.step(|router, now| router.start(now, false));
    yields_until_it_is_resumed(&mut fixture, 10);
}
