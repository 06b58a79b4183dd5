//! Which packets are for a virtual router: the checks on receipt (RFC 9568 section 7.1, RFC 3768 section 7.1), none of which
//! changes anything.

use std::net::IpAddr;

use crate::vrrp::{Advert, Envelope, Parsed, Peers, Rejection, Settings, Version, Versions};

/// Reads a packet that came to a virtual router whose own address is `own`.
pub(super) fn admit(
    settings: &Settings,
    own: Option<IpAddr>,
    envelope: &Envelope,
    message: &[u8],
) -> Result<Parsed, Rejection> {
    let (found, least) = (envelope.hop_limit, settings.least_hop_limit());
    if found < least {
        return Err(Rejection::HopLimit { found, least });
    }
    sender(settings, own, envelope)?;
    let parsed = Advert::parse(&envelope.ends, message)?;
    configured(settings, &parsed.advert)?;
    Ok(parsed)
}

/// What does not depend on the message.
fn sender(settings: &Settings, own: Option<IpAddr>, envelope: &Envelope) -> Result<(), Rejection> {
    let source = envelope.ends.source();
    if envelope.ends.is_to_group() != (settings.peers == Peers::Multicast) {
        return Err(Rejection::Destination);
    }
    if own == Some(source) {
        return Err(Rejection::OwnAddress);
    }
    match &settings.peers {
        Peers::Unicast { peers, .. } if !peers.contains(&source) => Err(Rejection::UnknownSource),
        Peers::Unicast { .. } | Peers::Multicast => Ok(()),
    }
}

/// What has to be as it is configured here.
fn configured(settings: &Settings, advert: &Advert) -> Result<(), Rejection> {
    if advert.vrid != settings.vrid {
        return Err(Rejection::Vrid { found: advert.vrid.number() });
    }
    if !settings.versions.sent().contains(&advert.version) {
        let expected = settings.versions.sent()[0].number();
        return Err(Rejection::OtherVersion { found: advert.version.number(), expected });
    }
    if advert.version == Version::V2 {
        if advert.authentication != settings.authentication {
            return Err(Rejection::Authentication);
        }
        // With both versions, the interval of version 2 is learned (RFC 9568 section 8.4.2).
        let (found, expected) = (advert.interval.seconds(), settings.interval.seconds());
        if settings.versions == Versions::V2 && found != expected {
            return Err(Rejection::OtherInterval { found, expected });
        }
    }
    Ok(())
}
