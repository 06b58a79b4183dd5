//! A machine that comes back waits until it has the flows of the active one.

use super::*;

const WAIT: Duration = Duration::from_secs(5);

/// A backup of priority 100 without the flows of others.
fn unsynced() -> Fixture {
    let mut fixture = Fixture::new(settings());
    fixture.step(|router, now| {
        router.set_sync_wait(Some(WAIT));
        router.start(now, false);
    });
    fixture
}

/// Hears adverts of priority 50 each 100 ms for some time, or until it is active; how long that took.
fn hear_lower(fixture: &mut Fixture, time: Duration) -> Duration {
    let begin = fixture.now;
    while fixture.now < begin + time && fixture.router.state() != State::Active {
        fixture.hear(LOWER, 50);
        fixture.run_for(ms(100));
    }
    fixture.now - begin
}

#[test]
fn an_active_router_is_not_replaced_before_its_flows_are_here() {
    let mut fixture = unsynced();
    assert_eq!(hear_lower(&mut fixture, ms(4000)), ms(4000));
    fixture.step(|router, _| router.set_sync_wait(None));
    let took = hear_lower(&mut fixture, ms(4000));
    assert!(took <= ms(400), "a down interval: {took:?}");
}

#[test]
fn after_the_deadline_it_is_replaced_without_them() {
    let mut fixture = unsynced();
    let took = hear_lower(&mut fixture, ms(20_000));
    assert!(took >= WAIT && took <= WAIT + ms(500), "{took:?}");
}

#[test]
fn the_deadline_begins_when_the_active_router_is_heard() {
    let mut fixture = unsynced();
    for _ in 0..100 {
        fixture.hear(HIGHER, 200);
        fixture.run_for(ms(100));
    }
    assert!(hear_lower(&mut fixture, ms(20_000)) >= WAIT);
}

#[test]
fn the_time_in_which_the_flows_were_here_does_not_count() {
    let mut settings = settings();
    settings.preemption = Preemption::Never;
    let mut fixture = Fixture::new(settings);
    fixture.step(|router, now| router.start(now, false));
    hear_lower(&mut fixture, ms(8000));
    let Phase::Backup(backup) = &mut fixture.router.phase else { panic!() };
    let before = backup.clone();
    fixture.step(|router, _| router.set_sync_wait(Some(WAIT)));
    hear_lower(&mut fixture, ms(1000));
    assert_eq!(fixture.router.state(), State::Backup, "{before:?}");
}

#[test]
fn a_silent_router_and_one_that_stops_are_replaced_in_any_case() {
    let mut fixture = unsynced();
    hear_lower(&mut fixture, ms(1000));
    assert_eq!(changes(&fixture.run_for(ms(400))), [(State::Active, Cause::Silence)]);
    let mut fixture = unsynced();
    hear_lower(&mut fixture, ms(1000));
    fixture.hear(LOWER, 0);
    assert_eq!(changes(&fixture.run_for(ms(100))), [(State::Active, Cause::Resigned)]);
}

#[test]
fn both_the_delay_and_the_flows_are_waited_for() {
    let mut settings = settings();
    settings.preemption = Preemption::After(ms(3000));
    let mut fixture = Fixture::new(settings);
    fixture.step(|router, now| {
        router.set_sync_wait(Some(WAIT));
        router.start(now, false);
    });
    hear_lower(&mut fixture, ms(1000));
    fixture.step(|router, _| router.set_sync_wait(None));
    let took = hear_lower(&mut fixture, ms(20_000));
    assert!(took >= ms(2000) && took <= ms(2500), "{took:?}");
}
