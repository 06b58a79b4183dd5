//! The parts of an image: what is read from the kernel at once.

use crate::plan::MapImage;

/// A part of an image: one map, or two of the same kind for the two families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `SETTINGS`.
    Settings,
    /// `INTERFACES`.
    Interfaces,
    /// `SERVICES_V4` and `SERVICES_V6`.
    Services,
    /// `SLOTS`.
    Slots,
    /// `BACKENDS`.
    Backends,
    /// `BACKEND_LIMITS`.
    Limits,
    /// `ORIGINS_V4` and `ORIGINS_V6`.
    Origins,
    /// `ACL_V4` and `ACL_V6`.
    Acls,
    /// `ADMISSION`.
    Admissions,
    /// `OWN_ADDRESSES`.
    OwnAddresses,
    /// `SNAT_ADDRESSES`.
    SnatAddresses,
}

impl Part {
    /// All of them; together they are an image.
    pub const ALL: [Self; 11] = [
        Self::Settings,
        Self::Interfaces,
        Self::Services,
        Self::Slots,
        Self::Backends,
        Self::Limits,
        Self::Origins,
        Self::Acls,
        Self::Admissions,
        Self::OwnAddresses,
        Self::SnatAddresses,
    ];

    /// Its name in metrics, the API and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Interfaces => "interfaces",
            Self::Services => "services",
            Self::Slots => "slots",
            Self::Backends => "backends",
            Self::Limits => "backend_limits",
            Self::Origins => "origins",
            Self::Acls => "acl",
            Self::Admissions => "admission",
            Self::OwnAddresses => "own_addresses",
            Self::SnatAddresses => "snat_addresses",
        }
    }

    /// Puts this part of one image in the place of another's.
    pub fn copy(self, from: &MapImage, to: &mut MapImage) {
        match self {
            Self::Settings => to.settings = from.settings,
            Self::Interfaces => to.interfaces.clone_from(&from.interfaces),
            Self::Services => to.services.clone_from(&from.services),
            Self::Slots => to.slots.clone_from(&from.slots),
            Self::Backends => to.backends.clone_from(&from.backends),
            Self::Limits => to.limits.clone_from(&from.limits),
            Self::Origins => to.origins.clone_from(&from.origins),
            Self::Acls => to.acls.clone_from(&from.acls),
            Self::Admissions => to.admissions.clone_from(&from.admissions),
            Self::OwnAddresses => to.own_addresses.clone_from(&from.own_addresses),
            Self::SnatAddresses => to.snat_addresses.clone_from(&from.snat_addresses),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HealthView;
    use crate::plan::Planner;
    use crate::plan::tests::{backend, config, plan, service};

    #[test]
    fn the_parts_together_are_the_image() {
        let mut web = service("web", "203.0.113.10", 80, vec![backend("a", "10.0.0.1", 1)]);
        web.mode = crate::model::Mode::FullNat;
        web.snat_addresses = vec!["192.0.2.1".parse().unwrap()];
        web.max_connections = 1;
        web.sources.deny = vec!["198.51.100.0/24".parse().unwrap()];
        let dns = service("dns", "203.0.113.10", 53, vec![backend("d", "10.0.0.2", 1)]);
        let image = plan(&mut Planner::default(), &config(vec![web, dns]), &HealthView::default());
        let mut copy = MapImage::default();
        for part in Part::ALL {
            assert_ne!(copy, image, "{part:?} adds something");
            part.copy(&image, &mut copy);
        }
        assert_eq!(copy, image);
    }
}
