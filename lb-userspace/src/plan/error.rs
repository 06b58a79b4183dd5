//! Why no image could be made.

use thiserror::Error;

/// Why no image could be made; nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// A map is too small.
    #[error(
        "{key} = {allowed} is reached: {needed} more are needed{}; raise it and restart lbd, or remove some",
        waiting_text(*waiting)
    )]
    Limit {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        allowed: u32,
        /// What did not fit.
        needed: u32,
        /// Removed ones whose flows are not gone yet.
        waiting: u32,
    },
}

fn waiting_text(waiting: u32) -> String {
    if waiting == 0 {
        return String::new();
    }
    format!(" ({waiting} removed backends are held until their flows are gone, which takes some seconds)")
}
