//! The text of a list.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;

/// What is wrong with a list.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say what the variants mean; fields are what they show")]
pub enum ListError {
    #[error("cannot read it: {0}")]
    Read(String),
    #[error("has {length} bytes; expected at most 16 MiB")]
    Large { length: u64 },
    #[error(
        "line {line}: {text:?} is not a prefix; expected one a line, such as 203.0.113.0/24 or 2001:db8::/48, and # before comments"
    )]
    NotPrefix { line: usize, text: String },
    #[error(
        "line {line}: {prefix} is not the first address of its network; expected {expected}, or a longer prefix"
    )]
    HostBits { line: usize, prefix: IpNet, expected: IpNet },
}

/// Reads prefixes, one a line; `#` begins a comment, an address stands for itself alone. Each once, in order.
///
/// # Errors
/// The first line that is something else.
pub fn parse_list(text: &str) -> Result<Vec<IpNet>, ListError> {
    let mut prefixes = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        let address = || word.parse::<IpAddr>().map(IpNet::from).ok();
        let wrong = || ListError::NotPrefix { line: index + 1, text: word.chars().take(60).collect() };
        let prefix: IpNet = word.parse().ok().or_else(address).ok_or_else(wrong)?;
        if prefix.trunc() != prefix {
            return Err(ListError::HostBits { line: index + 1, prefix, expected: prefix.trunc() });
        }
        prefixes.insert(prefix);
    }
    Ok(prefixes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_addresses_one_a_line_with_comments() {
        let text = "# who\n203.0.113.0/24\n\n  2001:db8::/48 # them\n203.0.113.0/24\n198.51.100.7\n";
        let found: Vec<String> = parse_list(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["198.51.100.7/32", "203.0.113.0/24", "2001:db8::/48"]);
        assert_eq!(parse_list("").unwrap(), []);
    }

    #[test]
    fn what_is_no_prefix_is_told_with_its_line() {
        let told = |text| parse_list(text).unwrap_err().to_string();
        assert!(
            told("10.0.0.0/8\n10.0.0.0/33").starts_with("line 2: \"10.0.0.0/33\" is not a prefix; expected")
        );
        assert!(told("10.0.0.1/8").contains("expected 10.0.0.0/8"));
        assert!(told("10.0.0.0/8, 11.0.0.0/8").starts_with("line 1"));
    }
}
