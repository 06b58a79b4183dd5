//! Why the daemon did not start, or ended.

use std::{io, net::SocketAddr};

use super::privileges::Missing;
use crate::{
    api::{PortError, SocketError},
    config::{ConfigError, KeyFileError},
    control,
    loader::LoaderError,
    maps::MapError,
    net::NetError,
};

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data path cannot be brought in.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// The maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapError),
    /// The desired state cannot be reached.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The API's socket cannot be made.
    #[error(transparent)]
    Api(#[from] SocketError),
    /// The API's port cannot be served.
    #[error(transparent)]
    ApiPort(#[from] PortError),
    /// The kernel's network cannot be followed.
    #[error(transparent)]
    Network(#[from] NetError),
    /// The metrics' port cannot be used.
    #[error(
        "metrics.listen: cannot listen on {address}: {error}; stop what uses it, or set another address (\"\": no metrics)"
    )]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The keys of replication cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The system refused something else.
    #[error("cannot {action}: {error}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The process may not do what the daemon must.
    #[error(
        "lbd needs {0}: start it as root, by its systemd unit, or as a user who has them \
         (`setpriv --ambient-caps +bpf,+perfmon,+net_admin,+net_raw`)"
    )]
    Capabilities(Missing),
    /// The process has its capabilities in a user namespace of its own.
    #[error(
        "lbd runs in a user namespace, whose capabilities do not count for bpf(2): start it outside of it"
    )]
    UserNamespace,
    /// The system does not take privileges back.
    #[error("cannot give up privileges that lbd does not need: {0}")]
    Privileges(#[from] caps::errors::CapsError),
    /// What was asked for cannot be printed.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// A part of the daemon ended by itself.
    #[error("{0} ended unexpectedly; forwarding goes on, start lbd again")]
    Ended(&'static str),
}

impl Failure {
    /// For `map_err`: the system refused `action`.
    pub(super) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { action, error }
    }
}
