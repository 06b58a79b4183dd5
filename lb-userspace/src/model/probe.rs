//! What a health check does to a backend.

/// How one probe is made. When and how often is the business of [`super::HealthCheck`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// A TCP connection is opened and closed again.
    #[default]
    Tcp,
}
