//! States and timers (RFC 9568 section 6.4), with intervals of 100 ms: the skew of priority 100 is 60.9375 ms.

use super::*;

const SKEW: Duration = Duration::from_nanos(60_937_500);
const DOWN: Duration = Duration::from_nanos(360_937_500);

#[test]
fn a_router_that_is_not_started_does_nothing() {
    let mut fixture = Fixture::new(settings());
    assert_eq!(fixture.router.poll_timeout(), None);
    fixture.hear(LOWER, 1);
    assert_eq!((fixture.router.state(), fixture.done.len()), (State::Initialize, 0));
}

#[test]
fn startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises() {
    let mut fixture = Fixture::started(settings());
    assert_eq!(fixture.changes(), [(State::Backup, Cause::Started)]);
    assert_eq!(fixture.down_in(), Some(DOWN));
    let start = fixture.now;
    fixture.run_until(|fixture| fixture.router.state() == State::Active);
    assert_eq!(fixture.now - start, DOWN);
    let advert = settings().advert(Version::V3, Priority::DEFAULT);
    let ends = Ends::V4(OWN, GROUP_V4);
    assert_eq!(
        fixture.done,
        [
            Command::Take { accept: true },
            Command::Announce,
            Command::Send { ends, advert, form: ChecksumForm::PseudoHeader },
            Command::Changed { state: State::Active, cause: Cause::Silence },
        ]
    );
}

#[test]
fn the_owner_is_active_at_once() {
    let fixture = Fixture::started(Settings { priority: Priority::OWNER, accept_mode: false, ..settings() });
    assert_eq!(fixture.done[0], Command::Take { accept: true }, "the owner always accepts");
    assert_eq!(fixture.changes(), [(State::Active, Cause::Started)]);
}

#[test]
fn without_accept_mode_packets_for_the_addresses_are_not_taken() {
    let fixture = Fixture::active(Settings { accept_mode: false, ..settings() });
    assert_eq!(fixture.done[0], Command::Take { accept: false });
}

#[test]
fn an_active_router_advertises_each_interval() {
    let mut fixture = Fixture::active(settings());
    let done = fixture.run_for(ms(1000));
    assert_eq!(adverts(&done), [100; 10]);
}

#[test]
fn a_late_timer_does_not_slow_the_adverts_down() {
    let mut fixture = Fixture::active(settings());
    let start = fixture.now;
    let mut sent = 0;
    while fixture.now < start + ms(10_000) {
        fixture.now = fixture.router.poll_timeout().unwrap() + ms(7);
        fixture.step(Router::handle_timeout);
        sent += adverts(&fixture.done).len();
    }
    assert_eq!(sent, 100);
}

#[test]
fn shutdown_of_an_active_router_sends_priority_0_and_releases() {
    let mut fixture = Fixture::active(settings());
    fixture.step(|router, _| router.stop());
    assert_eq!(adverts(&fixture.done), [0]);
    assert_eq!(fixture.done[1], Command::Release);
    assert_eq!(fixture.changes(), [(State::Initialize, Cause::Stopped)]);
    assert_eq!(fixture.router.poll_timeout(), None);
}

#[test]
fn shutdown_of_a_backup_says_nothing() {
    let mut fixture = Fixture::started(settings());
    fixture.step(|router, _| router.stop());
    assert_eq!(fixture.done, [Command::Changed { state: State::Initialize, cause: Cause::Stopped }]);
    assert_eq!(fixture.router.poll_timeout(), None);
}

#[test]
fn priority_0_makes_a_backup_wait_for_the_skew_only() {
    let mut fixture = Fixture::started(settings());
    fixture.hear(HIGHER, 200);
    fixture.hear(HIGHER, 0);
    assert_eq!(fixture.down_in(), Some(SKEW));
    fixture.run_until(|fixture| !fixture.done.is_empty());
    assert_eq!(fixture.changes(), [(State::Active, Cause::Resigned)]);
}

#[test]
fn a_higher_or_equal_priority_sets_the_timer_and_teaches_the_interval() {
    for priority in [100, 101, 255] {
        let mut fixture = Fixture::started(settings());
        fixture.now += ms(90);
        let mut advert = settings().advert(Version::V3, Priority::new(priority));
        advert.interval = Interval::from_centiseconds(50).unwrap();
        let accepted = fixture.hear_advert(LOWER, &advert).unwrap();
        assert!(accepted.interval_differs && !accepted.addresses_differ);
        assert_eq!(fixture.down_in(), Some(DOWN * 5), "of what was learned");
        let peer = fixture.router.active_router().unwrap();
        assert_eq!((peer.address, peer.priority), (IpAddr::V4(LOWER), Priority::new(priority)));
    }
}

#[test]
fn a_lower_priority_is_discarded_by_a_backup_that_preempts() {
    let mut fixture = Fixture::started(settings());
    fixture.now += ms(90);
    fixture.hear(HIGHER, 99);
    assert_eq!(fixture.down_in(), Some(DOWN - ms(90)));
    assert_eq!(fixture.router.active_router(), None);
}

#[test]
fn a_lower_priority_is_left_active_by_a_backup_that_does_not_preempt() {
    let mut fixture = Fixture::started(Settings { preemption: Preemption::Never, ..settings() });
    for _ in 0..50 {
        fixture.run_for(ms(90));
        fixture.hear(LOWER, 1);
        assert_eq!(fixture.down_in(), Some(DOWN));
    }
    fixture.hear(LOWER, 0);
    assert_eq!(fixture.down_in(), Some(SKEW), "one that stops is followed all the same");
}

#[test]
fn a_preempt_delay_leaves_it_active_for_so_long() {
    let mut fixture = Fixture::started(Settings { preemption: Preemption::After(ms(1000)), ..settings() });
    let start = fixture.now;
    while fixture.router.state() == State::Backup {
        fixture.hear(LOWER, 50);
        fixture.run_for(ms(100));
        assert!(fixture.now < start + ms(5000));
    }
    let waited = fixture.now - start;
    assert!(
        waited >= ms(1200) && waited <= ms(1400),
        "{waited:?}: the delay, and the down interval of the last advert"
    );
}

#[test]
fn a_preempt_delay_does_not_delay_the_successor_of_a_silent_router() {
    let mut fixture = Fixture::started(Settings { preemption: Preemption::After(ms(60_000)), ..settings() });
    fixture.hear(LOWER, 50);
    let start = fixture.now;
    fixture.run_until(|fixture| fixture.router.state() == State::Active);
    assert_eq!(fixture.now - start, DOWN);
}

#[test]
fn a_preempt_delay_begins_again_after_a_better_router() {
    let mut fixture = Fixture::started(Settings { preemption: Preemption::After(ms(500)), ..settings() });
    for priority in [50, 50, 50, 50, 200, 50, 50, 50, 50] {
        fixture.hear(LOWER, priority);
        fixture.run_for(ms(100));
    }
    assert_eq!(fixture.down_in(), Some(DOWN - ms(100)), "400 ms after the better one it is still left");
}

#[test]
fn a_fault_gives_up_what_is_held_and_a_recovery_starts_again() {
    let mut fixture = Fixture::active(settings());
    let fault = Standing { fault: true, priority: Priority::DEFAULT };
    fixture.step(|router, now| router.set_standing(now, fault));
    assert_eq!(adverts(&fixture.done), [0]);
    assert!(fixture.done.contains(&Command::Release));
    assert_eq!(fixture.changes(), [(State::Fault, Cause::Fault)]);
    fixture.hear(LOWER, 1);
    assert_eq!((fixture.router.state(), fixture.router.poll_timeout()), (State::Fault, None));
    fixture.step(|router, now| router.set_standing(now, Standing { fault: false, ..fault }));
    assert_eq!(fixture.changes(), [(State::Backup, Cause::Recovered)]);
    assert_eq!(fixture.down_in(), Some(DOWN));
}

#[test]
fn without_an_address_to_send_from_it_does_not_take_part() {
    let mut fixture = Fixture::started(settings());
    fixture.step(|router, now| router.set_source(now, None));
    assert_eq!(fixture.router.state(), State::Fault);
    fixture.step(|router, now| router.set_source(now, Some("fe80::1".parse().unwrap())));
    assert_eq!(fixture.router.state(), State::Fault, "of the other family");
    fixture.step(|router, now| router.set_source(now, Some(OWN.into())));
    assert_eq!(fixture.router.state(), State::Backup);
}

#[test]
fn a_changed_priority_is_advertised_at_once() {
    let mut fixture = Fixture::active(settings());
    fixture.now += ms(10);
    let standing = Standing { fault: false, priority: Priority::new(50) };
    fixture.step(|router, now| router.set_standing(now, standing));
    assert_eq!(adverts(&fixture.done), [50]);
    fixture.step(|router, now| router.set_standing(now, standing));
    assert!(fixture.done.is_empty(), "nothing changed");
}

#[test]
fn a_restarted_daemon_keeps_the_addresses_if_nobody_is_heard_within_an_interval() {
    let mut fixture = Fixture::new(settings());
    fixture.step(|router, now| router.start(now, true));
    assert_eq!(fixture.done, [Command::Changed { state: State::Backup, cause: Cause::Started }]);
    let start = fixture.now;
    fixture.run_until(|fixture| fixture.router.state() == State::Active);
    assert_eq!(fixture.now - start, ms(100));
}

#[test]
fn a_restarted_daemon_gives_the_addresses_up_for_a_better_router_only() {
    for (priority, gives_up) in [(100, true), (99, false)] {
        let mut fixture = Fixture::new(settings());
        fixture.step(|router, now| router.start(now, true));
        fixture.hear(HIGHER, priority);
        assert_eq!(fixture.done.contains(&Command::Release), gives_up, "priority {priority}");
        fixture.hear(HIGHER, priority);
        assert!(!fixture.done.contains(&Command::Release), "once");
    }
    let mut fixture = Fixture::new(settings());
    fixture.step(|router, now| router.start(now, true));
    fixture.step(|router, _| router.stop());
    assert!(fixture.done.contains(&Command::Release), "what is held is given up at the end");
}

#[test]
fn settings_of_which_no_advert_can_be_made_are_refused() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        Router::new(settings).map(|_| ()).unwrap_err().to_string()
    };
    let slow = Interval::from_seconds(60).unwrap();
    let v6 = |first: &str| Addresses::V6(vec![first.parse().unwrap()]);
    for (text, expected) in [
        (refused(&|settings| settings.priority = Priority::STOPS), "expected 1 to 254"),
        (refused(&|settings| settings.interval = slow), "version 3 has 10ms to 40.95s"),
        (refused(&|settings| settings.addresses = v6("fd00::1")), "expected one in fe80::/10"),
        (refused(&|settings| settings.addresses = Addresses::V4(Vec::new())), "0 addresses"),
        (
            refused(&|settings| (settings.addresses, settings.versions) = (v6("fe80::1"), Versions::Both)),
            "IPv4 in version 2",
        ),
        (
            refused(&|settings| settings.peers = Peers::Unicast { peers: Vec::new(), least_hop_limit: 255 }),
            "no unicast peer",
        ),
        (
            refused(&|settings| {
                let peers = vec!["fe80::2".parse().unwrap()];
                settings.peers = Peers::Unicast { peers, least_hop_limit: 255 };
            }),
            "another family",
        ),
    ] {
        assert!(text.contains(expected), "{text}");
    }
}
