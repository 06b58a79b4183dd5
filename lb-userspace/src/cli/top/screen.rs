//! The screens of `lbctl top`.

use crate::model::keyword::keyword;

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::cli) enum Screen {
    /// All services.
    #[default]
    Overview,
    /// The backends of one service.
    Service,
    /// Who has most flows, and the flows of one of them.
    Flows,
    /// Dropped packets by reason.
    Drops,
    /// Virtual routers, and the replication of flows.
    Vrrp,
    /// Interfaces.
    Interfaces,
}

keyword!(Screen {
    Overview = "overview",
    Service = "service",
    Flows = "flows",
    Drops = "drops",
    Vrrp = "vrrp",
    Interfaces = "interfaces",
});
