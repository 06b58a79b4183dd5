//! Versions 2 and 3, each alone and together (RFC 9568 section 8.4), and the checksums of version 3.

use super::*;

fn v2() -> Settings {
    let interval = Interval::from_seconds(1).unwrap();
    Settings { versions: Versions::V2, interval, ..settings() }
}

fn both() -> Settings {
    Settings { versions: Versions::Both, ..settings() }
}

fn forms(commands: &[Command]) -> Vec<ChecksumForm> {
    let form = |command: &Command| match command {
        Command::Send { form, .. } => Some(*form),
        _ => None,
    };
    commands.iter().filter_map(form).collect()
}

#[test]
fn version_2_counts_in_seconds() {
    let fixture = Fixture::started(v2());
    assert_eq!(fixture.down_in(), Some(Duration::from_nanos(3_609_375_000)));
    let ten = Interval::from_seconds(10).unwrap();
    let fixture = Fixture::started(Settings { interval: ten, ..v2() });
    assert_eq!(fixture.down_in(), Some(Duration::from_nanos(30_609_375_000)), "a skew of less than a second");
}

#[test]
fn version_2_needs_the_same_interval_and_authentication() {
    let mut fixture = Fixture::started(v2());
    let good = v2().advert(Version::V2, Priority::new(200));
    assert!(fixture.hear_advert(LOWER, &good).is_ok());
    let other = Advert { interval: Interval::from_seconds(2).unwrap(), ..good.clone() };
    assert_eq!(fixture.hear_advert(LOWER, &other), Err(Rejection::OtherInterval { found: 2, expected: 1 }));
    let other = Advert { authentication: Authentication::simple_text("secret"), ..good.clone() };
    assert_eq!(fixture.hear_advert(LOWER, &other), Err(Rejection::Authentication));
    let mut fixture =
        Fixture::started(Settings { authentication: Authentication::simple_text("secret"), ..v2() });
    assert!(fixture.hear_advert(LOWER, &other).is_ok());
    assert_eq!(fixture.hear_advert(LOWER, &good), Err(Rejection::Authentication));
}

#[test]
fn a_version_that_is_not_configured_is_rejected() {
    let mut fixture = Fixture::started(settings());
    let advert = v2().advert(Version::V2, Priority::new(200));
    assert_eq!(fixture.hear_advert(LOWER, &advert), Err(Rejection::OtherVersion { found: 2, expected: 3 }));
    let mut fixture = Fixture::started(v2());
    let advert = settings().advert(Version::V3, Priority::new(200));
    assert_eq!(fixture.hear_advert(LOWER, &advert), Err(Rejection::OtherVersion { found: 3, expected: 2 }));
}

#[test]
fn with_both_versions_both_are_sent_at_the_configured_rate() {
    let mut fixture = Fixture::active(both());
    let done = fixture.run_for(ms(300));
    let sent: Vec<(Version, u16)> = done
        .iter()
        .filter_map(|command| match command {
            Command::Send { advert, .. } => Some((advert.version, advert.interval.centiseconds())),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [(Version::V3, 10), (Version::V2, 10)].repeat(3));
}

#[test]
fn with_both_versions_a_backup_goes_by_the_rate_of_a_version_2_router() {
    let mut fixture = Fixture::started(both());
    let advert = Advert {
        interval: Interval::from_seconds(2).unwrap(),
        ..v2().advert(Version::V2, Priority::new(200))
    };
    fixture.hear_advert(LOWER, &advert).unwrap();
    assert_eq!(fixture.down_in(), Some(Duration::from_nanos(6_609_375_000)));
}

#[test]
fn with_both_versions_version_2_is_ignored_from_who_sends_version_3() {
    let mut fixture = Fixture::started(both());
    let down = Duration::from_nanos(360_937_500);
    let v2_advert = v2().advert(Version::V2, Priority::new(200));
    for _ in 0..20 {
        fixture.hear(LOWER, 200);
        assert_eq!(fixture.down_in(), Some(down));
        fixture.hear_advert(LOWER, &v2_advert).unwrap();
        assert_eq!(fixture.down_in(), Some(down), "not the seconds of version 2");
        fixture.run_for(ms(100));
    }
    fixture.run_for(ms(110));
    fixture.hear_advert(LOWER, &v2_advert).unwrap();
    assert_eq!(
        fixture.down_in(),
        Some(Duration::from_nanos(3_609_375_000)),
        "when it sends version 2 only, that counts before it is missed"
    );
}

#[test]
fn checksums_mirror_the_peer_or_are_what_is_configured() {
    for (checksum, unheard, heard) in [
        (Checksum::Auto, ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly),
        (Checksum::Rfc9568, ChecksumForm::MessageOnly, ChecksumForm::MessageOnly),
        (Checksum::Rfc5798, ChecksumForm::PseudoHeader, ChecksumForm::PseudoHeader),
    ] {
        let mut fixture = Fixture::active(Settings { checksum, ..settings() });
        assert_eq!(forms(&fixture.done), [unheard], "{checksum:?}");
        fixture.now += ms(20);
        fixture.hear(LOWER, 50);
        assert_eq!(forms(&fixture.done), [heard], "{checksum:?}");
    }
}
