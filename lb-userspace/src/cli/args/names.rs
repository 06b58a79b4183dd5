//! What many commands name: services and backends.

use clap::{Args as ClapArgs, builder::NonEmptyStringValueParser};
use clap_complete::engine::ArgValueCandidates;

use super::complete;

/// A service by its name.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServiceArg {
    /// Name of the service, or its address: 203.0.113.10:80/tcp, 203.0.113.10:80 or 203.0.113.10 if only one has it.
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::services))]
    pub service: String,
}

/// A backend by its service's name and its own.
#[derive(Clone, Debug, ClapArgs)]
pub struct BackendArg {
    #[command(flatten)]
    pub service: ServiceArg,
    /// Name of the backend, or its address: 10.0.0.11:8080, or 10.0.0.11 if only one has it.
    #[arg(value_name = "BACKEND", value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::backends))]
    pub backend: String,
}

/// For every change.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct ChangeArgs {
    /// Do not write the change into the configuration file: it lasts until lbd reads the file again.
    #[arg(long)]
    pub runtime: bool,
}
