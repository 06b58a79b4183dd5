//! Names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A string that is not a name of the wanted kind.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{value:?} is not {what}; expected {expected}")]
pub struct NameError {
    /// What was given.
    pub value: String,
    /// The kind of name, with its article.
    pub what: &'static str,
    /// What such a name looks like.
    pub expected: &'static str,
}

const NAME: &str = "1 to 63 of a-z A-Z 0-9 . _ -";
const INTERFACE: &str = "1 to 15 characters other than '/', ':', space and control characters";

fn is_name(value: &str) -> bool {
    (1..=63).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// What the kernel accepts (`dev_valid_name`).
fn is_interface(value: &str) -> bool {
    (1..=15).contains(&value.len())
        && value != "."
        && value != ".."
        && !value.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
}

macro_rules! name {
    ($(#[doc = $doc:literal])+ $type:ident, $what:literal, $valid:path, $expected:path) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            /// [`NameError`] says what such a name looks like.
            pub fn new(value: impl Into<Arc<str>>) -> Result<Self, NameError> {
                let value = value.into();
                if $valid(&value) {
                    Ok(Self(value))
                } else {
                    let value = String::from(&*value);
                    Err(NameError { value, what: $what, expected: $expected })
                }
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(value: &str) -> Result<Self, NameError> {
                Self::new(value)
            }
        }
    };
}

name!(
    /// Name of a service: unique in the configuration.
    ServiceName, "a name", is_name, NAME
);
name!(
    /// Name of a backend: unique in its service.
    BackendName, "a name", is_name, NAME
);
name!(
    /// Name of a virtual router, unique in the configuration, or of a group of them.
    RouterName, "a name", is_name, NAME
);
name!(
    /// Name of a network interface.
    InterfaceName, "an interface name", is_interface, INTERFACE
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_1_to_63_of_the_listed_characters() {
        for good in ["a", "web-1", "A.b_C-9", &"x".repeat(63)] {
            assert_eq!(ServiceName::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(64)] {
            assert!(BackendName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_are_what_the_kernel_accepts() {
        for good in ["eth0", "br-lan.10", "veth@x"] {
            assert!(InterfaceName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "eth0:1", &"x".repeat(16)] {
            assert!(InterfaceName::new(bad).is_err(), "{bad:?}");
        }
    }
}
