//! Two active routers (RFC 9568 section 6.4.3).

use super::*;

#[test]
fn the_higher_priority_wins_and_its_interval_is_learned() {
    let mut fixture = Fixture::active(settings());
    let mut advert = settings().advert(Version::V3, Priority::new(101));
    advert.interval = Interval::from_centiseconds(30).unwrap();
    fixture.hear_advert(LOWER, &advert).unwrap();
    assert_eq!(fixture.done[0], Command::Release);
    let better = Cause::Better { router: LOWER.into(), priority: Priority::new(101) };
    assert_eq!(fixture.changes(), [(State::Backup, better)]);
    assert_eq!(fixture.down_in(), Some(Duration::from_nanos(360_937_500) * 3));
    assert_eq!(adverts(&fixture.done), [100], "so that the winner knows, and announces again");
    assert_eq!(adverts(&fixture.run_for(ms(1000))), [0; 0], "the loser says nothing more");
}

#[test]
fn of_equal_priorities_the_greater_address_wins() {
    for (other, state) in [(HIGHER, State::Backup), (LOWER, State::Active)] {
        let mut fixture = Fixture::active(settings());
        fixture.hear(other, 100);
        assert_eq!(fixture.router.state(), state, "{other}");
    }
    let mut fixture = Fixture::active(settings());
    fixture.hear(Ipv4Addr::new(200, 0, 0, 1), 100);
    assert_eq!(fixture.router.state(), State::Backup, "addresses are unsigned");
}

#[test]
fn the_winner_asserts_itself_and_announces_again() {
    let mut fixture = Fixture::active(settings());
    fixture.run_for(ms(2000));
    fixture.step(|router, _| router.traffic_seen());
    fixture.now += ms(5);
    fixture.hear(HIGHER, 99);
    assert_eq!((adverts(&fixture.done), announcements(&fixture.done)), (vec![100], 1));
    assert_eq!(announcements(&fixture.run_for(ms(1000))), 3, "100, 300 and 700 ms later once more");
}

#[test]
fn a_flood_of_lower_priorities_is_answered_a_hundred_times_a_second_at_most() {
    let mut fixture = Fixture::active(settings());
    fixture.run_for(ms(1000));
    let (mut answers, mut announced) = (0, 0);
    for _ in 0..10_000 {
        let done = fixture.run_for(Duration::from_micros(100));
        announced += announcements(&done);
        fixture.hear(LOWER, 99);
        answers += adverts(&fixture.done).len();
        announced += announcements(&fixture.done);
    }
    assert_eq!(answers, 100);
    assert!((9..=11).contains(&announced), "{announced}");
    assert_eq!(fixture.router.state(), State::Active);
}

#[test]
fn an_active_router_answers_one_that_stops() {
    let mut fixture = Fixture::active(settings());
    fixture.now += ms(50);
    fixture.hear(HIGHER, 0);
    assert_eq!(adverts(&fixture.done), [100]);
    assert_eq!(adverts(&fixture.run_for(ms(99))), [0; 0], "the advert timer began again");
    assert_eq!(adverts(&fixture.run_for(ms(1))), [100]);
}

#[test]
fn a_foreign_announcement_of_an_address_is_answered() {
    let mut fixture = Fixture::active(settings());
    fixture.run_for(ms(2000));
    fixture.step(Router::address_claimed);
    assert_eq!(announcements(&fixture.done), 1);
    let mut fixture = Fixture::started(settings());
    fixture.step(Router::address_claimed);
    assert!(fixture.done.is_empty(), "not by a backup");
}

#[test]
fn announcements_are_repeated_until_traffic_arrives() {
    let mut fixture = Fixture::active(settings());
    assert_eq!(announcements(&fixture.run_for(ms(100_000))), 20, "16 of a minute, then one each 10 s");
    let mut fixture = Fixture::active(settings());
    fixture.run_for(ms(250));
    fixture.step(|router, _| router.traffic_seen());
    assert_eq!(announcements(&fixture.run_for(ms(500))), 2, "three repetitions in any case");
    assert_eq!(announcements(&fixture.run_for(ms(99_500))), 9, "and then one each 10 s");
    let mut fixture = Fixture::active(settings());
    fixture.run_for(ms(5000));
    assert_eq!(fixture.router.awaits_traffic(), Some(1));
    fixture.step(|router, _| router.traffic_seen());
    assert_eq!(announcements(&fixture.run_for(ms(7000))), 0, "it was repeated six times already");
    assert_eq!(fixture.router.awaits_traffic(), None);
    assert_eq!(Fixture::started(settings()).router.awaits_traffic(), None, "a backup announces nothing");
}

#[test]
fn two_owners_are_noticed() {
    let mut fixture = Fixture::active(Settings { priority: Priority::OWNER, ..settings() });
    assert!(fixture.hear(LOWER, 255).two_owners);
    assert!(!fixture.hear(LOWER, 254).two_owners);
    let mut advert = settings().advert(Version::V3, Priority::LOWEST);
    advert.addresses = Addresses::V4(vec![OWN]);
    assert!(fixture.hear_advert(LOWER, &advert).unwrap().addresses_differ);
}
