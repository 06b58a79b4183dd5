//! Adverts against captures of keepalived, against each check, and against arbitrary bytes.

pub(crate) mod captures;
mod properties;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use captures::bytes;

/// Envelope and message of an Ethernet frame.
fn open(frame: &[u8]) -> (Envelope, Vec<u8>) {
    let (ethernet, packet) = frame.split_at(14);
    if ethernet[12..] == [0x08, 0x00] {
        let (envelope, message) = open_v4(packet).unwrap();
        return (envelope, message.to_vec());
    }
    let address = |at: usize| <[u8; 16]>::try_from(&packet[at..at + 16]).unwrap().into();
    let ends = Ends::V6(address(8), address(24));
    (Envelope { ends, hop_limit: packet[7] }, packet[40..].to_vec())
}

fn captured(name: &str) -> (Envelope, Vec<u8>) {
    let (_, frame) = captures::ADVERTS.iter().find(|(capture, _)| *capture == name).unwrap();
    open(&bytes(frame))
}

/// The message with bytes replaced, and its checksum put right.
fn changed(ends: &Ends, message: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut message = message.to_vec();
    for (at, byte) in changes {
        message[*at] = *byte;
    }
    resum(ends, &mut message, ChecksumForm::PseudoHeader);
    message
}

/// Puts the checksum right in a form, if there is a choice.
fn resum(ends: &Ends, message: &mut [u8], form: ChecksumForm) {
    message[6..8].fill(0);
    let version = if message[0] >> 4 == 2 { Version::V2 } else { Version::V3 };
    let sum = computed(message, ends, form_of(version, ends).unwrap_or(form));
    message[6..8].copy_from_slice(&sum.to_ne_bytes());
}

fn v3() -> (Ends, Vec<u8>) {
    let (envelope, message) = captured("v3, priority 150");
    (envelope.ends, message)
}

#[test]
fn adverts_of_keepalived_are_read_and_built_byte_for_byte() {
    assert_eq!(captures::ADVERTS.len(), 18);
    for (name, frame) in captures::ADVERTS {
        let (envelope, message) = open(&bytes(frame));
        assert_eq!(envelope.hop_limit, HOP_LIMIT, "{name}");
        assert_eq!(envelope.ends.is_to_group(), !name.contains("unicast"), "{name}");
        let Parsed { advert, form } =
            Advert::parse(&envelope.ends, &message).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(advert.vrid, Vrid::new(51).unwrap(), "{name}");
        assert_eq!(name.rsplit(' ').next().unwrap(), advert.priority.to_string(), "{name}");
        assert_eq!(advert.interval.duration(), std::time::Duration::from_secs(1), "{name}");
        assert_eq!(advert.version, if name.starts_with("v2") { Version::V2 } else { Version::V3 }, "{name}");
        let addresses: Vec<String> = advert.addresses.iter().map(|address| address.to_string()).collect();
        let expected: &[&str] = match *name {
            name if name.contains("two") => &["10.99.0.100", "10.99.0.101"],
            name if name.contains("IPv6") => &["fe80::51", "fd99::100"],
            _ => &["10.99.0.100"],
        };
        assert_eq!(addresses, expected, "{name}");
        assert_eq!(advert.build(&envelope.ends, form).unwrap(), message, "{name}");
    }
}

#[test]
fn the_password_is_what_keepalived_sends() {
    let (envelope, message) = captured("v2, PASS s3cr3tpw, priority 150");
    let advert = Advert::parse(&envelope.ends, &message).unwrap().advert;
    assert_eq!(advert.authentication, Authentication::simple_text("s3cr3tpw"));
    assert_eq!(advert.authentication, Authentication::simple_text("s3cr3tpw and what is cut"));
    assert_ne!(advert.authentication, Authentication::simple_text("s3cr3tp"));
}

#[test]
fn announcements_are_those_of_keepalived() {
    assert_eq!(captures::ANNOUNCEMENTS.len(), 8);
    for (address, mac, frame) in captures::ANNOUNCEMENTS {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(announcement(address, *mac, false), bytes(frame), "{address}");
    }
}

#[test]
fn a_router_says_so_in_its_neighbor_advertisement() {
    let (address, mac, _) =
        captures::ANNOUNCEMENTS.iter().find(|(address, ..)| *address == "fd99::100").unwrap();
    let frame = announcement(address.parse().unwrap(), *mac, true);
    assert_eq!(frame[14 + 40 + 4], 0xa0, "R and O, not S");
    let ends: Vec<u8> = frame[22..54].to_vec();
    let sum = checksum::sum(&ends) + checksum::sum(&frame[54..]) + checksum::sum(&[0, 32, 0, 58]);
    assert_eq!(checksum::fold(sum), 0xffff, "the checksum is right");
}

#[test]
fn both_checksums_of_version_3_over_ipv4_are_right_and_told_apart() {
    let (ends, message) = v3();
    let advert = Advert::parse(&ends, &message).unwrap().advert;
    for (form, sum) in [(ChecksumForm::PseudoHeader, [0x42, 0xac]), (ChecksumForm::MessageOnly, [0x2d, 0xa0])]
    {
        let message = advert.build(&ends, form).unwrap();
        assert_eq!(message[6..8], sum, "{form:?}");
        assert_eq!(Advert::parse(&ends, &message).unwrap().form, form);
    }
}

#[test]
fn version_2_and_ipv6_have_one_checksum() {
    for name in ["v2, priority 150", "v3, IPv6, priority 150"] {
        let (Envelope { ends, .. }, message) = captured(name);
        let advert = Advert::parse(&ends, &message).unwrap().advert;
        for form in [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly] {
            assert_eq!(advert.build(&ends, form).unwrap(), message, "{name} {form:?}");
        }
        let mut other = message.clone();
        let form = form_of(advert.version, &ends).unwrap();
        other[6..8].fill(0);
        let wrong = match form {
            ChecksumForm::MessageOnly => ChecksumForm::PseudoHeader,
            ChecksumForm::PseudoHeader => ChecksumForm::MessageOnly,
        };
        let sum = computed(&other, &ends, wrong);
        other[6..8].copy_from_slice(&sum.to_ne_bytes());
        assert!(matches!(Advert::parse(&ends, &other), Err(Rejection::Checksum { .. })), "{name}");
    }
}

#[test]
fn each_check_has_its_rejection() {
    let (ends, message) = v3();
    let cases: [(Vec<u8>, Rejection); 9] = [
        (Vec::new(), Rejection::Length { found: 0, expected: 8 }),
        (message[..11].to_vec(), Rejection::Length { found: 11, expected: 12 }),
        ([&message[..], &[0]].concat(), Rejection::Length { found: 13, expected: 12 }),
        (changed(&ends, &message, &[(0, 0x41)]), Rejection::UnknownVersion { found: 4 }),
        (changed(&ends, &message, &[(0, 0x32)]), Rejection::Type { found: 2 }),
        (changed(&ends, &message, &[(1, 0)]), Rejection::Vrid { found: 0 }),
        (changed(&ends, &message[..8], &[(3, 0)]), Rejection::NoAddress),
        (changed(&ends, &message, &[(4, 0xf0), (5, 0)]), Rejection::NoInterval),
        (
            [&message[..6], &[0x42, 0xad], &message[8..]].concat(),
            Rejection::Checksum { found: 0x42ad, expected: 0x2da0 },
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(Advert::parse(&ends, &message), Err(expected), "{message:02x?}");
        assert!(Rejection::LABELS.contains(&expected.label()));
    }
}

#[test]
fn version_2_has_no_ipv6_and_no_other_authentication() {
    let (Envelope { ends, .. }, message) = captured("v3, IPv6, priority 150");
    let message = changed(&ends, &message, &[(0, 0x21)]);
    assert_eq!(Advert::parse(&ends, &message), Err(Rejection::UnknownVersion { found: 2 }));
    let (Envelope { ends, .. }, message) = captured("v2, priority 150");
    for kind in [2, 3, 255] {
        let message = changed(&ends, &message, &[(4, kind)]);
        assert_eq!(Advert::parse(&ends, &message), Err(Rejection::Authentication), "type {kind}");
    }
    let message = changed(&ends, &message, &[(5, 0)]);
    assert_eq!(Advert::parse(&ends, &message), Err(Rejection::NoInterval));
}

#[test]
fn what_is_reserved_is_ignored_and_sent_as_zero() {
    let (ends, message) = v3();
    let strange = changed(&ends, &message, &[(4, 0xf0)]);
    let parsed = Advert::parse(&ends, &strange).unwrap();
    assert_eq!(parsed.advert.build(&ends, parsed.form).unwrap(), message);
    let (Envelope { ends, .. }, message) = captured("v2, priority 150");
    let strange = changed(&ends, &message, &[(12, 1), (19, 9)]);
    let advert = Advert::parse(&ends, &strange).unwrap().advert;
    assert_eq!(advert.build(&ends, ChecksumForm::MessageOnly).unwrap(), message);
}

#[test]
fn what_a_packet_cannot_say_is_not_built() {
    let (ends, message) = v3();
    let good = Advert::parse(&ends, &message).unwrap().advert;
    let build = |change: &dyn Fn(&mut Advert)| {
        let mut advert = good.clone();
        change(&mut advert);
        advert.build(&ends, ChecksumForm::MessageOnly)
    };
    let none = Addresses::V4(Vec::new());
    assert_eq!(build(&|advert| advert.addresses = none.clone()), Err(Unbuildable::Addresses(0)));
    let many = Addresses::V4(vec![Ipv4Addr::LOCALHOST; 256]);
    assert_eq!(build(&|advert| advert.addresses = many.clone()), Err(Unbuildable::Addresses(256)));
    let v6 = Addresses::V6(vec![GROUP_V6]);
    assert_eq!(build(&|advert| advert.addresses = v6.clone()), Err(Unbuildable::Family));
    let slow = Interval::from_centiseconds(4096).unwrap();
    assert_eq!(build(&|advert| advert.interval = slow), Err(Unbuildable::Interval(slow)));
    assert!(build(&|advert| advert.interval = Interval::LONGEST_V3).is_ok());
    let password = Authentication::simple_text("x");
    assert_eq!(build(&|advert| advert.authentication = password), Err(Unbuildable::Authentication));
}

#[test]
fn an_ipv4_packet_is_opened_by_its_own_lengths() {
    let (_, frame) = captures::ADVERTS.iter().find(|(name, _)| *name == "v3, priority 150").unwrap();
    let packet = bytes(frame)[14..].to_vec();
    let (envelope, message) = open_v4(&packet).unwrap();
    assert_eq!(envelope.ends, Ends::V4(Ipv4Addr::new(10, 99, 0, 2), GROUP_V4));
    assert_eq!(message, &packet[20..]);
    let padded = [&packet[..], &[0; 14]].concat();
    assert_eq!(open_v4(&padded).unwrap().1, message, "what Ethernet fills up is not part of it");
    let mut with_options = [&packet[..20], &[1; 4], &packet[20..]].concat();
    with_options[0] = 0x46;
    with_options[3] += 4;
    assert_eq!(open_v4(&with_options).unwrap().1, message);
    for cut in 0..packet.len() {
        assert!(matches!(open_v4(&packet[..cut]), Err(Rejection::Length { .. })), "cut to {cut}");
    }
}

#[test]
fn lists_are_compared_whatever_their_order() {
    let list = |last: &[u8]| Addresses::V4(last.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect());
    assert!(list(&[1, 2]).same_set(&list(&[2, 1])));
    assert!(!list(&[1, 2]).same_set(&list(&[1, 3])));
    assert!(!list(&[1]).same_set(&list(&[1, 1])));
}
