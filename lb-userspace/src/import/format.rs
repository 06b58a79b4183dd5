//! Which balancer a text is for.

use clap::ValueEnum;
use serde::Serialize;

/// A format that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// What `ipvsadm -Sn` prints.
    Ipvsadm,
    /// `keepalived.conf`.
    Keepalived,
    /// HAProxy's configuration.
    Haproxy,
}

/// Words that begin a statement at the top level of `keepalived.conf`.
const KEEPALIVED: [&str; 16] = [
    "global_defs",
    "virtual_server",
    "virtual_server_group",
    "vrrp_instance",
    "vrrp_sync_group",
    "vrrp_script",
    "vrrp_track_process",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "bfd_instance",
    "track_file",
    "include",
    "includer",
    "linkbeat_use_polling",
    "net_namespace",
];

/// Words that begin a section of HAProxy's configuration.
const HAPROXY: [&str; 9] =
    ["global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "mailers"];

impl Format {
    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipvsadm => "ipvsadm",
            Self::Keepalived => "keepalived",
            Self::Haproxy => "haproxy",
        }
    }

    /// The format of a text by the first word that only one of them has at the beginning of a line.
    #[must_use]
    pub fn detect(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            match (words.next()?, words.next()) {
                ("-A" | "-a" | "--add-service" | "--add-server", Some(_)) => Some(Self::Ipvsadm),
                (word, _) if KEEPALIVED.contains(&word.trim_end_matches('{')) => Some(Self::Keepalived),
                (word, Some(definition)) if word.starts_with('$') && definition.starts_with('=') => {
                    Some(Self::Keepalived)
                }
                (word, _) if word.starts_with('$') && word.contains('=') => Some(Self::Keepalived),
                (word, next) if HAPROXY.contains(&word) && next != Some("{") => Some(Self::Haproxy),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_telling_line_decides() {
        for (text, expected) in [
            ("-A -t 10.0.0.1:80 -s rr\n", Some(Format::Ipvsadm)),
            ("! comment\n\nglobal_defs {\n}\n", Some(Format::Keepalived)),
            ("$VIP=10.0.0.1\n", Some(Format::Keepalived)),
            ("virtual_server 10.0.0.1 80 {\n", Some(Format::Keepalived)),
            ("# x\nglobal\n  daemon\n", Some(Format::Haproxy)),
            ("listen web\n  bind :80\n", Some(Format::Haproxy)),
            ("", None),
            ("server { listen 80; }", None),
            ("interfaces = [\"eth0\"]", None),
        ] {
            assert_eq!(Format::detect(text), expected, "{text:?}");
        }
    }
}
