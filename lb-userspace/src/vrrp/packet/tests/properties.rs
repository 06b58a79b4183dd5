//! Whatever is built is read again, and whatever arrives does no harm.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ends_v4() -> impl Strategy<Value = Ends> {
    (any::<Ipv4Addr>(), any::<Ipv4Addr>()).prop_map(|(source, destination)| Ends::V4(source, destination))
}

fn ends_v6() -> impl Strategy<Value = Ends> {
    (any::<Ipv6Addr>(), any::<Ipv6Addr>()).prop_map(|(source, destination)| Ends::V6(source, destination))
}

fn form() -> impl Strategy<Value = ChecksumForm> {
    prop_oneof![Just(ChecksumForm::MessageOnly), Just(ChecksumForm::PseudoHeader)]
}

fn advert(
    version: Version,
    longest: u16,
    addresses: impl Strategy<Value = Addresses>,
    authentication: impl Strategy<Value = Authentication>,
) -> impl Strategy<Value = Advert> {
    (1..=255u8, any::<u8>(), 1..=longest, addresses, authentication).prop_map(
        move |(vrid, priority, interval, addresses, authentication)| Advert {
            version,
            vrid: Vrid::new(vrid).unwrap(),
            priority: Priority::new(priority),
            interval: match version {
                Version::V2 => Interval::from_seconds(interval as u8).unwrap(),
                Version::V3 => Interval::from_centiseconds(interval).unwrap(),
            },
            addresses,
            authentication,
        },
    )
}

fn list_v4() -> impl Strategy<Value = Addresses> {
    prop::collection::vec(any::<Ipv4Addr>(), 1..=255).prop_map(Addresses::V4)
}

fn list_v6() -> impl Strategy<Value = Addresses> {
    prop::collection::vec(any::<Ipv6Addr>(), 1..=255).prop_map(Addresses::V6)
}

fn sent() -> impl Strategy<Value = (Ends, Advert)> {
    let password =
        prop_oneof![Just(Authentication::None), any::<[u8; 8]>().prop_map(Authentication::SimpleText)];
    prop_oneof![
        (ends_v4(), advert(Version::V2, 255, list_v4(), password)),
        (ends_v4(), advert(Version::V3, 4095, list_v4(), Just(Authentication::None))),
        (ends_v6(), advert(Version::V3, 4095, list_v6(), Just(Authentication::None))),
    ]
}

/// Bytes that come far: mostly a right header and length.
fn nearly_right() -> impl Strategy<Value = (Ends, Vec<u8>)> {
    let header =
        (prop_oneof![9 => Just(0x31u8), 9 => Just(0x21), 1 => any::<u8>()], any::<[u8; 2]>(), 0..4u8);
    (header, any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..72), ends_v4(), any::<bool>()).prop_map(
        |((first, [vrid, priority], count), rest, mut tail, ends, cut)| {
            if cut {
                tail.resize(usize::from(count) * 4 + if first == 0x21 { 8 } else { 0 }, 0);
            }
            let fourth = if first == 0x21 { rest[0] % 3 } else { rest[0] };
            let head = [first, vrid, priority, count, fourth, rest[1], rest[2], rest[3]];
            (ends, [&head[..], &tail].concat())
        },
    )
}

proptest! {
    #[test]
    fn what_is_built_is_read_again((ends, advert) in sent(), form in form()) {
        let message = advert.build(&ends, form).unwrap();
        let parsed = Advert::parse(&ends, &message).unwrap();
        prop_assert_eq!(&parsed.advert, &advert);
        prop_assert_eq!(parsed.advert.build(&ends, parsed.form).unwrap(), message);
    }

    #[test]
    fn one_wrong_bit_is_always_noticed((ends, advert) in sent(), form in form(), bit in any::<prop::sample::Index>()) {
        let mut message = advert.build(&ends, form).unwrap();
        let bit = bit.index(message.len() * 8);
        message[bit / 8] ^= 1 << (bit % 8);
        // The other form of the checksum is right by chance where the addresses of the pseudo-header make up for the bit.
        let is_right = Advert::parse(&ends, &message).is_ok_and(|parsed| parsed.form == form);
        prop_assert!(!is_right, "bit {bit}");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), v4 in ends_v4(), v6 in ends_v6()) {
        let _ = open_v4(&bytes);
        let _ = Advert::parse(&v4, &bytes);
        let _ = Advert::parse(&v6, &bytes);
    }

    #[test]
    fn what_is_accepted_is_rebuilt_but_for_what_is_reserved((ends, mut message) in nearly_right(), form in form()) {
        if message.len() >= HEADER {
            resum(&ends, &mut message, form);
        }
        if let Ok(Parsed { advert, form }) = Advert::parse(&ends, &message) {
            match (advert.version, advert.authentication) {
                (Version::V3, _) => message[4] &= 0x0f,
                (Version::V2, Authentication::None) => {
                    let tail = message.len() - AUTHENTICATION;
                    message[tail..].fill(0);
                }
                (Version::V2, Authentication::SimpleText(_)) => {}
            }
            resum(&ends, &mut message, form);
            prop_assert_eq!(advert.build(&ends, form).unwrap(), message);
        }
    }
}
