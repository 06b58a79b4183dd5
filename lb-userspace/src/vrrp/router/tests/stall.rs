//! A process that does not run in time.

use super::*;

#[test]
fn a_backup_that_overslept_listens_for_a_whole_interval() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    fixture.now += ms(5000);
    fixture.step(Router::handle_timeout);
    assert!(fixture.done.is_empty(), "it has not listened: that nothing was heard means nothing");
    assert_eq!(fixture.down_in(), Some(Duration::from_nanos(360_937_500)));
    fixture.hear(HIGHER, 200);
    assert_eq!(changes(&fixture.run_for(ms(300))).len(), 0);
}

#[test]
fn after_a_stall_a_router_that_is_really_silent_is_replaced() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    fixture.now += ms(5000);
    fixture.step(Router::handle_timeout);
    assert_eq!(changes(&fixture.run_for(ms(361))), [(State::Active, Cause::Silence)]);
}

#[test]
fn a_stall_that_ends_just_before_the_timer_counts_too() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    fixture.now += ms(355);
    fixture.step(Router::handle_timeout);
    assert_eq!(changes(&fixture.run_for(ms(300))).len(), 0, "255 ms of the 361 were slept");
}

#[test]
fn wakeups_somewhat_late_do_not_delay_a_takeover() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    let start = fixture.now;
    while fixture.router.state() == State::Backup {
        fixture.now = fixture.router.poll_timeout().unwrap() + ms(60);
        fixture.step(Router::handle_timeout);
    }
    assert!(fixture.now - start <= ms(361 + 60));
}

#[test]
fn a_packet_that_ends_a_stall_is_heard_first() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    fixture.now += ms(5000);
    fixture.hear(LOWER, 50);
    assert_eq!(
        fixture.down_in(),
        Some(Duration::from_nanos(360_937_500)),
        "of lower priority, but the stall counts"
    );
    fixture.step(Router::handle_timeout);
    assert_eq!(fixture.router.state(), State::Backup);
}

#[test]
fn an_active_router_that_overslept_asserts_itself_and_announces_again() {
    let mut fixture = Fixture::active(settings());
    fixture.run_for(ms(1000));
    fixture.step(|router, _| router.traffic_seen());
    fixture.now += ms(5000);
    fixture.step(Router::handle_timeout);
    assert_eq!(
        (adverts(&fixture.done), announcements(&fixture.done)),
        (vec![100], 1),
        "one advert, not fifty"
    );
}

#[test]
fn an_active_router_that_overslept_and_does_not_preempt_leaves_its_successor_active() {
    let mut fixture = Fixture::active(Settings { preemption: Preemption::Never, ..settings() });
    fixture.now += ms(5000);
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.router.state(), State::Backup);
    assert_eq!(adverts(&fixture.done), [0; 0], "of our priority, it would end the other one");
    let mut fixture = Fixture::active(Settings { preemption: Preemption::Never, ..settings() });
    fixture.now += ms(150);
    fixture.hear(LOWER, 50);
    assert_eq!(fixture.router.state(), State::Active, "50 ms late is no reason");
}
