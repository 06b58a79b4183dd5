//! The kinds of values, and how messages call them.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml_edit::Value;

use super::duration::parse_duration;
use crate::model::{BackendName, InterfaceName, Keyword, RouterName, ServiceName, SnatPorts, Timestamp};

/// A kind of value: how to read it, and what to say if that fails.
pub(super) struct Kind<T> {
    /// With its article: "a port".
    pub(super) what: &'static str,
    /// What would be right.
    pub(super) expected: Cow<'static, str>,
    pub(super) parse: fn(&Value) -> Option<T>,
}

const NAME: &str = "1 to 63 of a-z A-Z 0-9 . _ - in quotes";

fn kind<T>(what: &'static str, expected: &'static str, parse: fn(&Value) -> Option<T>) -> Kind<T> {
    Kind { what, expected: Cow::Borrowed(expected), parse }
}

pub(super) fn service_name() -> Kind<ServiceName> {
    kind("a name", NAME, |value| ServiceName::new(value.as_str()?).ok())
}

pub(super) fn backend_name() -> Kind<BackendName> {
    kind("a name", NAME, |value| BackendName::new(value.as_str()?).ok())
}

pub(super) fn router_name() -> Kind<RouterName> {
    kind("a name", NAME, |value| RouterName::new(value.as_str()?).ok())
}

pub(super) fn interface() -> Kind<InterfaceName> {
    kind("an interface name", "1 to 15 characters such as \"eth0\"", |value| {
        InterfaceName::new(value.as_str()?).ok()
    })
}

pub(super) fn address() -> Kind<IpAddr> {
    let expected = "one such as \"192.0.2.10\" or \"2001:db8::10\", without a prefix length or port";
    kind("an address", expected, |value| value.as_str()?.parse().ok())
}

/// An address and the length of its network's prefix; without one, all bits.
pub(super) fn network() -> Kind<IpNet> {
    let expected = "one such as \"203.0.113.10/24\" or \"2001:db8::10/64\"";
    kind("an address with a prefix length", expected, |value| {
        let text = value.as_str()?;
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    })
}

/// The prefix of a network; an address stands for itself alone.
pub(super) fn prefix_of_addresses() -> Kind<IpNet> {
    let expected = "one such as \"203.0.113.0/24\" or \"2001:db8::/48\"";
    kind("a prefix", expected, |value| {
        let text = value.as_str()?;
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    })
}

pub(super) fn byte() -> Kind<u8> {
    kind("a number", "0 to 255", |value| u8::try_from(value.as_integer()?).ok())
}

pub(super) fn port() -> Kind<u16> {
    kind("a port", "1 to 65535", |value| u16::try_from(value.as_integer()?).ok().filter(|port| *port > 0))
}

/// A port or 0.
pub(super) fn any_port() -> Kind<u16> {
    kind("a port", "0 to 65535", |value| u16::try_from(value.as_integer()?).ok())
}

pub(super) fn weight() -> Kind<u16> {
    kind("a weight", "0 to 65535", |value| u16::try_from(value.as_integer()?).ok())
}

/// What something tracked does to a priority.
pub(super) fn priority_weight() -> Kind<i16> {
    kind("a weight", "-253 to 253", |value| i16::try_from(value.as_integer()?).ok())
}

pub(super) fn prefix() -> Kind<u8> {
    let expected = "1 to 32 for IPv4, 1 to 128 for IPv6";
    kind("a prefix length", expected, |value| {
        u8::try_from(value.as_integer()?).ok().filter(|bits| (1..=128).contains(bits))
    })
}

pub(super) fn number() -> Kind<u32> {
    kind("a number", "a whole number, 0 or more", |value| u32::try_from(value.as_integer()?).ok())
}

pub(super) fn percentage() -> Kind<u8> {
    kind("a percentage", "0 to 100", |value| {
        u8::try_from(value.as_integer()?).ok().filter(|percentage| *percentage <= 100)
    })
}

pub(super) fn boolean() -> Kind<bool> {
    kind("true or false", "one of them, without quotes", Value::as_bool)
}

pub(super) fn seed() -> Kind<u64> {
    kind("a seed", "a 64-bit integer", |value| value.as_integer().map(i64::cast_unsigned))
}

pub(super) fn duration() -> Kind<Duration> {
    let expected = "a whole number and a unit such as \"500ms\", \"30s\", \"5m\" or \"2h\"";
    kind("a duration", expected, |value| parse_duration(value.as_str()?))
}

/// A moment: TOML's own notation, or the same as a string.
pub(super) fn timestamp() -> Kind<Timestamp> {
    kind("a time", "one in UTC such as 2026-11-22T23:10:00Z", |value| match value {
        Value::Datetime(time) => time.value().to_string().parse().ok(),
        _ => value.as_str()?.parse().ok(),
    })
}

pub(super) fn text() -> Kind<String> {
    kind("a text", "a text in quotes", |value| value.as_str().map(str::to_owned))
}

/// A text, or a number that stands for itself.
pub(super) fn setting() -> Kind<String> {
    kind("a text", "a text in quotes", |value| match value.as_integer() {
        Some(number) => Some(number.to_string()),
        None => value.as_str().map(str::to_owned),
    })
}

pub(super) fn flag() -> Kind<bool> {
    kind("true or false", "one of them, without quotes", Value::as_bool)
}

pub(super) fn path() -> Kind<PathBuf> {
    kind("a path", "a path in quotes", |value| {
        value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(PathBuf::from)
    })
}

pub(super) fn group() -> Kind<String> {
    kind("the name of a group", "one such as \"lb\"", |value| {
        value.as_str().filter(|name| !name.is_empty() && !name.contains([':', '/', '\0'])).map(str::to_owned)
    })
}

/// An address and port to listen on; `None` for nowhere.
pub(super) fn listen() -> Kind<Option<SocketAddr>> {
    let expected = "one such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"\" for none";
    kind("an address and port", expected, |value| match value.as_str()? {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    })
}

pub(super) fn port_range() -> Kind<SnatPorts> {
    kind("a port range", "lowest-highest such as \"1024-32767\"", |value| {
        let (min, max) = value.as_str()?.split_once('-')?;
        let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
        (min >= 1 && min <= max).then_some(SnatPorts { min, max })
    })
}

/// One word of a set.
pub(super) fn keyword<T: Keyword>(what: &'static str) -> Kind<T> {
    let expected = Cow::Owned(format!("one of {}", T::words()));
    Kind { what, expected, parse: |value| T::from_word(value.as_str()?).ok() }
}
