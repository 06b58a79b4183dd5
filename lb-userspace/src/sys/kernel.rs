//! Which kernel this is.

use std::fs;

/// Whether the kernel's version is this or a later one. An unknown one is the oldest.
#[must_use]
pub fn is_at_least(wanted: (u32, u32)) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(&release) >= wanted
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, expected) in
            [("6.18.44-fc", true), ("5.16.0", true), ("5.15.99-generic", false), ("10.1", true), ("", false)]
        {
            assert_eq!(version(release) >= (5, 16), expected, "{release}");
        }
    }
}
