//! Reads the values of options.

use std::net::{IpAddr, SocketAddr};

use clap::builder::PossibleValuesParser;

use crate::model::Keyword;

/// An address with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: Option<u16>,
}

/// Reads an address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "expected one such as 203.0.113.10 or 2001:db8::10".to_owned())
}

/// Reads the seconds of `--watch`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "expected whole seconds, 1 to 86400".to_owned())
}

/// Reads an address with or without a port.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(Endpoint { address: socket.ip(), port: Some(socket.port()) });
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(address) => Ok(Endpoint { address, port: None }),
        Err(_) => Err("expected one such as 10.0.0.14:8080, [2001:db8::14]:8080 or 10.0.0.14".to_owned()),
    }
}

/// Accepts the words of a set.
pub(in crate::cli) fn words<T: Keyword>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::ALL.iter().map(|value| value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_may_be_given_with_and_without_its_port() {
        for (text, address, port) in [
            ("10.0.0.14:8080", "10.0.0.14", Some(8080)),
            ("10.0.0.14", "10.0.0.14", None),
            ("[2001:db8::14]:8080", "2001:db8::14", Some(8080)),
            ("2001:db8::14", "2001:db8::14", None),
            ("[2001:db8::14]", "2001:db8::14", None),
        ] {
            assert_eq!(endpoint(text), Ok(Endpoint { address: address.parse().unwrap(), port }), "{text}");
        }
        for text in ["", "web", "10.0.0.14:", "10.0.0.14:70000", "10.0.0:80", "[2001:db8::14", "10.0.0.14/32"]
        {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
