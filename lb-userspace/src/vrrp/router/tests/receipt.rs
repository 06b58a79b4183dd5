//! What is rejected, and that it changes nothing.

use proptest::prelude::*;

use super::*;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

fn unicast(least_hop_limit: u8) -> Settings {
    let peers = Peers::Unicast { peers: vec![PEER.into(), HIGHER.into()], least_hop_limit };
    Settings { peers, ..settings() }
}

/// What comes of an advert of priority 200.
fn outcome(settings: &Settings, ends: Ends, hop_limit: u8) -> Result<Accepted, Rejection> {
    let mut fixture = Fixture::started(settings.clone());
    let advert = settings.advert(Version::V3, Priority::new(200));
    let message = advert.build(&ends, ChecksumForm::MessageOnly).unwrap();
    fixture.step(|router, now| router.handle_packet(now, &Envelope { ends, hop_limit }, &message))
}

#[test]
fn the_hop_limit_is_255_unless_peers_are_farther_away() {
    let to_group = Ends::V4(PEER, GROUP_V4);
    assert!(outcome(&settings(), to_group, 255).is_ok());
    for found in [0, 1, 64, 254] {
        assert_eq!(outcome(&settings(), to_group, found), Err(Rejection::HopLimit { found, least: 255 }));
    }
    let to_us = Ends::V4(PEER, OWN);
    assert_eq!(outcome(&unicast(255), to_us, 254), Err(Rejection::HopLimit { found: 254, least: 255 }));
    assert!(outcome(&unicast(253), to_us, 253).is_ok());
    assert_eq!(outcome(&unicast(253), to_us, 252), Err(Rejection::HopLimit { found: 252, least: 253 }));
}

#[test]
fn unicast_is_taken_from_configured_peers_only() {
    assert!(outcome(&unicast(255), Ends::V4(HIGHER, OWN), 255).is_ok());
    assert_eq!(outcome(&unicast(255), Ends::V4(LOWER, OWN), 255), Err(Rejection::UnknownSource));
    assert_eq!(outcome(&unicast(255), Ends::V4(PEER, GROUP_V4), 255), Err(Rejection::Destination));
    assert_eq!(outcome(&settings(), Ends::V4(PEER, OWN), 255), Err(Rejection::Destination));
}

#[test]
fn unicast_is_sent_to_each_peer() {
    let fixture = Fixture::active(unicast(255));
    let to: Vec<IpAddr> = fixture
        .done
        .iter()
        .filter_map(|command| match command {
            Command::Send { ends, .. } => Some(ends.destination()),
            _ => None,
        })
        .collect();
    assert_eq!(to, [IpAddr::V4(PEER), IpAddr::V4(HIGHER)]);
}

#[test]
fn what_comes_from_our_own_address_is_rejected() {
    assert_eq!(outcome(&settings(), Ends::V4(OWN, GROUP_V4), 255), Err(Rejection::OwnAddress));
}

#[test]
fn another_virtual_router_is_rejected() {
    let mut fixture = Fixture::started(settings());
    let advert =
        Advert { vrid: Vrid::new(52).unwrap(), ..settings().advert(Version::V3, Priority::new(200)) };
    assert_eq!(fixture.hear_advert(PEER, &advert), Err(Rejection::Vrid { found: 52 }));
}

/// A packet that may or may not be right.
fn packet() -> impl Strategy<Value = (Envelope, Vec<u8>)> {
    let source = prop_oneof![Just(OWN), Just(LOWER), Just(HIGHER)];
    let destination = prop_oneof![4 => Just(GROUP_V4), 1 => Just(OWN)];
    let hop_limit = prop_oneof![4 => Just(255u8), 1 => any::<u8>()];
    let damage = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (source, destination, hop_limit, any::<u8>(), 50..54u8, any::<bool>(), damage).prop_map(
        |(source, destination, hop_limit, priority, vrid, is_v3, damage)| {
            let version = if is_v3 { Version::V3 } else { Version::V2 };
            let mut advert = settings().advert(version, Priority::new(priority));
            advert.vrid = Vrid::new(vrid).unwrap();
            let ends = Ends::V4(source, destination);
            let mut message = advert.build(&ends, ChecksumForm::MessageOnly).unwrap();
            if let Some((at, byte)) = damage {
                let at = at.index(message.len());
                message[at] = byte;
            }
            (Envelope { ends, hop_limit }, message)
        },
    )
}

proptest! {
    #[test]
    fn a_rejected_packet_changes_no_state_and_no_timer(
        packets in prop::collection::vec((packet(), 0..200u64), 1..60),
        versions in prop_oneof![Just(Versions::V2), Just(Versions::V3), Just(Versions::Both)],
        stalled in any::<bool>(),
    ) {
        let interval = if versions == Versions::V2 { Interval::from_seconds(1).unwrap() } else { settings().interval };
        let mut fixture = Fixture::started(Settings { interval, versions, ..settings() });
        for ((envelope, message), wait) in packets {
            if stalled { fixture.now += ms(wait) } else { fixture.run_for(ms(wait)); }
            let before = format!("{:?}", fixture.router);
            let result = fixture.step(|router, now| router.handle_packet(now, &envelope, &message));
            if result.is_err() {
                prop_assert_eq!(format!("{:?}", fixture.router), before);
                prop_assert!(fixture.done.is_empty());
            }
        }
    }
}
