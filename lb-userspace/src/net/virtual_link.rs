//! The interface of a virtual router's MAC address (RFC 9568 section 7.3): a macvlan on the interface of the router.
//!
//! It is made switched off, and is on only while the router is active here: it has the VIPs then, and answers for them. Nothing else is to come
//! of it: it answers for no other address of the machine, makes no addresses of its MAC address, and listens to no router.

use std::{fs, io, path::PathBuf};

use lb_common::abi::Mac;

use super::{Link, NetError, Requests, View};

/// What it is called begins with this, and the address family's number.
const PREFIX: &str = "lb";
/// Most bytes of the name of an interface (`IFNAMSIZ` without its final zero).
const LONGEST_NAME: usize = 15;

/// Why there is no such interface.
#[derive(Debug, thiserror::Error)]
pub enum VirtualLinkError {
    /// The kernel refused to make it.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A setting of it cannot be written.
    #[error("cannot write {value} to {}: {error}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// Why it cannot be written.
        error: io::Error,
    },
    /// It was made, and is gone.
    #[error("the interface {0} is gone")]
    Gone(String),
}

/// A virtual router's place on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualLink {
    /// Index of the link that the router is on.
    pub below: u32,
    /// The MAC address.
    pub mac: [u8; 6],
    is_v4: bool,
    vrid: u8,
}

impl VirtualLink {
    /// Of the virtual router with this number and address family.
    #[must_use]
    pub fn new(below: u32, is_v4: bool, vrid: u8) -> Self {
        Self { below, mac: Mac::of_virtual_router(is_v4, vrid).octets(), is_v4, vrid }
    }

    /// What it is called: `lb4-51-eth0`, or by the index of the interface below, `lb4-51.7`, where that is too long.
    #[must_use]
    pub fn name(&self, below: &str) -> String {
        let start = format!("{PREFIX}{}-{}", if self.is_v4 { 4 } else { 6 }, self.vrid);
        let name = format!("{start}-{below}");
        if name.len() <= LONGEST_NAME { name } else { format!("{start}.{}", self.below) }
    }

    /// The interface, if it is there.
    #[must_use]
    pub fn find<'a>(&self, view: &'a View) -> Option<&'a Link> {
        view.links().find(|link| is_own(link) && link.below == Some(self.below) && link.mac == self.mac)
    }

    /// All such interfaces, whoever they are for.
    pub fn all(view: &View) -> impl Iterator<Item = &Link> {
        view.links().filter(|link| is_own(link))
    }

    /// Makes it, switched off, unless it is there; and sets what has to be set, so that it may be switched on.
    ///
    /// # Errors
    /// [`VirtualLinkError`].
    pub async fn make(
        &self,
        below: &str,
        requests: &Requests,
        view: &mut View,
    ) -> Result<(), VirtualLinkError> {
        let name = match self.find(view) {
            Some(link) => link.name.clone(),
            None => {
                let name = self.name(below);
                requests.add_macvlan(&name, self.below, self.mac).await?;
                view.handle(requests.link(&name).await?.ok_or(VirtualLinkError::Gone(name.clone()))?);
                name
            }
        };
        self.settings(below).into_iter().try_for_each(|(setting, value)| set(&name, setting, &value))
    }

    /// Files of `/proc/sys/net`, relative to that of the interface, and their values.
    fn settings(&self, below: &str) -> Vec<(&'static str, String)> {
        let forwards = |family| read(family, below, "forwarding").unwrap_or_else(|_| "0".to_owned());
        let mut settings = vec![
            // ARP for other addresses of this machine is none of its business. 8: it has none of IPv4 at all.
            ("ipv4 arp_ignore", if self.is_v4 { "1" } else { "8" }.to_owned()),
            // Answers leave by the interface below. 2 counts also where a value for all interfaces is 1.
            ("ipv4 rp_filter", "2".to_owned()),
        ];
        if self.is_v4 {
            settings.push(("ipv4 forwarding", forwards("ipv4")));
            // That one VIP goes does not take those of the same network along.
            settings.push(("ipv4 promote_secondaries", "1".to_owned()));
            settings.push(("ipv6 disable_ipv6", "1".to_owned()));
        } else {
            settings.push(("ipv6 forwarding", forwards("ipv6")));
            // RFC 9568 section 7.4; 1: none.
            settings.push(("ipv6 addr_gen_mode", "1".to_owned()));
            settings.push(("ipv6 autoconf", "0".to_owned()));
            settings.push(("ipv6 accept_ra", "0".to_owned()));
        }
        settings
    }
}

/// Whether `lbd` made a link: a macvlan with a name and a MAC address as above.
fn is_own(link: &Link) -> bool {
    let families = [("4-", 1), ("6-", 2)];
    let rest = link.name.strip_prefix(PREFIX);
    let is_of = |(number, octet): (&str, u8)| {
        rest.is_some_and(|rest| rest.starts_with(number)) && link.mac[..5] == [0, 0, 0x5e, 0, octet]
    };
    link.below.is_some() && families.into_iter().any(is_of)
}

fn path(family: &str, link: &str, setting: &str) -> PathBuf {
    ["/proc/sys/net", family, "conf", link, setting].iter().collect()
}

fn read(family: &str, link: &str, setting: &str) -> io::Result<String> {
    fs::read_to_string(path(family, link, setting)).map(|text| text.trim().to_owned())
}

fn set(link: &str, setting: &str, value: &str) -> Result<(), VirtualLinkError> {
    let (family, setting) = setting.split_once(' ').unwrap_or((setting, ""));
    let written = match read(family, link, setting) {
        Ok(present) if present == value => Ok(()),
        // A kernel without this family.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => fs::write(path(family, link, setting), value),
    };
    let failure = |error| VirtualLinkError::Setting {
        path: path(family, link, setting),
        value: value.to_owned(),
        error,
    };
    written.map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Notice;

    fn link(name: &str, mac: [u8; 6], below: Option<u32>) -> Link {
        Link { ifindex: 9, name: name.into(), mac, mtu: 1500, running: true, xdp: None, below }
    }

    #[test]
    fn names_say_family_number_and_interface_and_are_never_too_long() {
        let name = |is_v4, vrid, below| VirtualLink::new(7, is_v4, vrid).name(below);
        assert_eq!(name(true, 51, "eth0"), "lb4-51-eth0");
        assert_eq!(name(false, 51, "eth0"), "lb6-51-eth0");
        assert_eq!(name(true, 255, "enp0s31"), "lb4-255-enp0s31");
        assert_eq!(name(true, 255, "enp0s31f"), "lb4-255.7");
        let longest = VirtualLink::new(65_535, false, 255).name("fifteen-letters");
        assert!(longest.len() <= LONGEST_NAME, "{longest}");
    }

    #[test]
    fn only_macvlans_of_lbd_itself_are_taken_over_or_removed() {
        let place = VirtualLink::new(2, true, 51);
        let own = link("lb4-51-eth0", place.mac, Some(2));
        let cases = [
            (own.clone(), true, true),
            (Link { name: "lb4-51.2".into(), ..own.clone() }, true, true),
            (Link { below: Some(3), ..own.clone() }, true, false),
            (Link { mac: [0, 0, 0x5e, 0, 1, 52], ..own.clone() }, true, false),
            (Link { below: None, ..own.clone() }, false, false),
            (Link { name: "vrrp.51".into(), ..own.clone() }, false, false),
            (Link { name: "lb6-51-eth0".into(), ..own.clone() }, false, false),
            (Link { mac: [2, 0, 0, 0, 0, 1], ..own }, false, false),
        ];
        for (link, is_own, is_it) in cases {
            let mut view = View::default();
            view.handle(Notice::Link(link.clone()));
            assert_eq!(VirtualLink::all(&view).count(), usize::from(is_own), "{link:?}");
            assert_eq!(place.find(&view).is_some(), is_it, "{link:?}");
        }
    }
}
