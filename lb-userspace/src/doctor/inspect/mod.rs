//! Gathers the facts. Nothing is changed; what cannot be found out is left open.

mod capabilities;
mod genl;
mod host;
mod links;
mod namespaces;
mod netlink;
mod pins;
mod ways;

use std::path::PathBuf;

use super::facts::{Answer, Daemon, Facts, Interface};
use crate::model::{Config, Draft, InterfaceName};
use crate::net::NetError;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The configuration file.
    pub config_file: PathBuf,
    /// What it says, or what is wrong with it.
    pub config: Option<Result<Config, String>>,
    /// The socket of the daemon.
    pub socket: PathBuf,
    /// What the daemon says of itself, or why it could not be asked.
    pub answer: Option<Result<Answer, String>>,
}

/// Gathers the facts. Must be called in a tokio runtime.
pub async fn inspect(subject: Subject) -> Facts {
    let valid = subject.config.as_ref().and_then(|config| config.as_ref().ok());
    let daemon_process =
        subject.answer.as_ref().is_some_and(Result::is_ok).then(|| capabilities::behind(&subject.socket));
    let daemon_process = daemon_process.flatten();
    let mut facts = Facts {
        host: host::inspect(),
        daemon: Daemon {
            missing_capabilities: daemon_process.and_then(|pid| capabilities::missing(Some(pid))),
            open_files: daemon_process.and_then(capabilities::open_files),
            answer: subject.answer.clone(),
        },
        ..Facts::default()
    };
    let usual = Draft::default().pin_directory;
    facts.pins = pins::inspect(valid.map_or(&usual, |config| &config.pin_directory));
    if let Some(config) = valid {
        let asked = network(config, &mut facts).await;
        facts.netlink = Some(asked.map_err(|error| error.to_string()));
    }
    facts.config_file = subject.config_file;
    facts.config = subject.config;
    facts
}

/// What netlink is asked for.
async fn network(config: &Config, facts: &mut Facts) -> Result<(), NetError> {
    let seen = links::inspect(config, &facts.pins).await?;
    let interface =
        |name: &InterfaceName| Interface { name: name.to_string(), link: seen.link(name.as_str()) };
    facts.interfaces = config.interfaces.iter().map(interface).collect();
    facts.addresses = seen.addresses.clone();
    facts.backends = ways::inspect(config, &seen).await?;
    Ok(())
}
