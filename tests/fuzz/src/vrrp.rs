//! Target `vrrp`: packets of versions 2 and 3, IPv4 and IPv6, to a virtual router in any of its states. One that is rejected changes no state and no
//! timer; what is read can be built again.
//!
//! Input: the router (versions, family, priority), then packets: how long before it time passes (2 bytes of milliseconds), ends and checksum (1), hop
//! limit (1), length (1) and message.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use lb_userspace::vrrp::{
    Addresses, Advert, Authentication, ChecksumForm, Ends, Envelope, GROUP_V4, GROUP_V6, Interval, PROTOCOL,
    Priority, Router, Settings, Version, Versions, Vrid, open_v4,
};

use crate::{
    Target,
    input::{Input, sum},
};

/// See above.
pub const TARGET: Target = Target {
    name: "vrrp",
    run,
    seeds,
    longest: 1024,
    words: &["\x31\x33\x64\x01\x00\x0a", "\x21\x33\x64\x01\x00\x01"],
};

const VRID: u8 = 51;

/// Number `host` on the link.
fn address(is_v6: bool, host: u8) -> IpAddr {
    if is_v6 {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host.into()).into()
    } else {
        Ipv4Addr::new(10, 0, 0, host).into()
    }
}

fn router(input: &mut Input<'_>) -> (Router, bool) {
    let choice = input.byte();
    let is_v6 = choice & 4 != 0;
    let versions = if is_v6 {
        Versions::V3
    } else {
        [Versions::V3, Versions::V2, Versions::Both][usize::from(choice & 3) % 3]
    };
    let vips = if is_v6 {
        Addresses::V6(vec![
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x51),
            Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0x100),
        ])
    } else {
        Addresses::V4(vec![Ipv4Addr::new(10, 0, 0, 100)])
    };
    let mut settings = Settings::new(Vrid::new(VRID).expect("it is not 0"), vips);
    settings.versions = versions;
    settings.priority = Priority::new(input.byte().max(1));
    if versions == Versions::V3 {
        settings.interval = Interval::from_centiseconds(10).expect("it is not 0");
    }
    if choice & 8 != 0 && versions != Versions::V3 {
        settings.authentication = Authentication::simple_text("s3cr3tpw");
    }
    // The owner of the addresses and a password beside version 3 are what settings may not say.
    let mut router = Router::new(settings.clone()).unwrap_or_else(|_| {
        settings.authentication = Authentication::None;
        Router::new(settings).expect("these settings are right")
    });
    router.set_source(Duration::ZERO, Some(address(is_v6, 5)));
    router.start(Duration::from_secs(1), choice & 16 != 0);
    (router, is_v6)
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (mut router, is_v6) = router(&mut input);
    let mut now = Duration::from_secs(1);
    while !input.is_empty() {
        now += Duration::from_millis(input.half().into());
        let choice = input.byte();
        if choice & 1 == 0 {
            pass_time(&mut router, now);
        }
        take_commands(&mut router);
        let hop_limit = if choice & 2 == 0 { 255 } else { input.byte() };
        let source = address(is_v6, [2, 5, 7, 9][usize::from(choice >> 2 & 3)]);
        let group = if is_v6 { IpAddr::from(GROUP_V6) } else { GROUP_V4.into() };
        let destination = if choice & 16 == 0 { group } else { address(is_v6, 5) };
        let ends = Ends::new(source, destination).expect("they are of one family");
        let length = input.byte();
        let mut message = input.bytes(length.into()).to_vec();
        if choice & 32 == 0 {
            put_checksum(&ends, &mut message, choice & 64 != 0);
        }
        hear(&mut router, now, Envelope { ends, hop_limit }, &message);
        let _ = open_v4(&message);
    }
}

/// Wakes it whenever it wants.
fn pass_time(router: &mut Router, until: Duration) {
    for _ in 0..200 {
        let Some(due) = router.poll_timeout().filter(|due| *due <= until) else { return };
        router.handle_timeout(due);
        take_commands(router);
    }
}

fn take_commands(router: &mut Router) {
    while router.poll_command().is_some() {}
}

fn hear(router: &mut Router, now: Duration, envelope: Envelope, message: &[u8]) {
    let (before, due) = (format!("{router:?}"), router.poll_timeout());
    if let Err(rejection) = router.handle_packet(now, &envelope, message) {
        assert_eq!(format!("{router:?}"), before, "it was rejected ({rejection:?}), but changed something");
        assert_eq!(router.poll_timeout(), due);
        assert!(router.poll_command().is_none());
    }
    let Ok(parsed) = Advert::parse(&envelope.ends, message) else { return };
    let built = parsed.advert.build(&envelope.ends, parsed.form).expect("what was read can be built");
    let again = Advert::parse(&envelope.ends, &built).expect("what was built can be read");
    assert_eq!(again.advert, parsed.advert);
}

/// Puts the checksum of RFC 9568 section 5.2.8 right, or that of RFC 5798, with pseudo-header.
fn put_checksum(ends: &Ends, message: &mut [u8], with_pseudo_header: bool) {
    let Some(version) = message.first().map(|first| first >> 4).filter(|_| message.len() >= 8) else {
        return;
    };
    message[6..8].fill(0);
    let mut covered = Vec::new();
    if matches!(ends, Ends::V6(..)) || (version == 3 && with_pseudo_header) {
        for address in [ends.source(), ends.destination()] {
            match address {
                IpAddr::V4(address) => covered.extend(address.octets()),
                IpAddr::V6(address) => covered.extend(address.octets()),
            }
        }
        covered.extend((message.len() as u16).to_be_bytes());
        covered.extend([0, PROTOCOL]);
    }
    covered.extend_from_slice(message);
    message[6..8].copy_from_slice(&(!sum(&covered)).to_be_bytes());
}

fn advert(settings: &Settings, version: Version, priority: u8) -> Advert {
    Advert {
        version,
        vrid: settings.vrid,
        priority: Priority::new(priority),
        interval: settings.interval,
        addresses: settings.addresses.clone(),
        authentication: if version == Version::V2 { settings.authentication } else { Authentication::None },
    }
}

/// What keepalived 2.2.7 sends: the router's first byte, and the message.
const CAPTURED: [(u8, &str); 7] = [
    (9, "213396010101c2710a6300647333637233747077"),
    (9, "21330001010158720a6300647333637233747077"),
    (1, "2133960100013e030a6300640000000000000000"),
    (1, "213300010001d4030a6300640000000000000000"),
    (0, "31339602006437df0a6300640a630065"),
    (0, "313300020064cddf0a6300640a630065"),
    (4, "3133960200643dcafe800000000000000000000000000051fd990000000000000000000000000100"),
];

/// Each of them, as it is and with the checksum put right for the ends here.
fn captured() -> impl Iterator<Item = Vec<u8>> {
    CAPTURED.into_iter().map(|(router, digits)| {
        let byte = |pair: &[u8]| {
            let nibble = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
            nibble(pair[0]) << 4 | nibble(pair[1])
        };
        let message: Vec<u8> = digits.as_bytes().chunks_exact(2).map(byte).collect();
        let mut seed = vec![router, 100];
        for choice in [2 << 2, 2 << 2 | 32, 2 << 2 | 64] {
            seed.extend([50, 0, choice, message.len() as u8]);
            seed.extend(&message);
        }
        seed
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = captured().collect();
    for choice in [0_u8, 1, 2, 4, 9, 16, 20] {
        let is_v6 = choice & 4 != 0;
        let (group, from) = if is_v6 { (IpAddr::from(GROUP_V6), 7) } else { (GROUP_V4.into(), 7) };
        let ends = Ends::new(address(is_v6, from), group).expect("they are of one family");
        let (router, _) = router(&mut Input::new(&[choice, 100]));
        let versions = router.settings().versions.sent();
        let mut seed = vec![choice, 100];
        for (version, priority) in
            versions.iter().flat_map(|version| [0, 90, 100, 200, 255].map(|p| (*version, p)))
        {
            let message = advert(router.settings(), version, priority)
                .build(&ends, ChecksumForm::PseudoHeader)
                .expect("the settings are right");
            seed.extend([50, 0, 2 << 2, message.len() as u8]);
            seed.extend(message);
        }
        seeds.push(seed);
    }
    seeds
}
