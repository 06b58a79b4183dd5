//! Runs a command.

use std::io::{self, IsTerminal as _, Write as _};

use clap::CommandFactory as _;

use super::{
    args::{Args, Command, ConfigCommand, Output},
    commands::{self, Session},
    config, doctor,
    failure::{Exit, Failure},
    import,
    render::Style,
};
use crate::api::Client;

/// Runs a command and prints what it says. Needs a tokio runtime.
///
/// # Errors
/// A [`Failure`] with a sentence for the operator.
pub async fn run(args: Args) -> Result<(), Failure> {
    match text(args).await {
        Ok(text) => print(&text),
        Err(failure) => {
            print(&failure.printed)?;
            Err(failure)
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        // Whoever read has seen enough (`lbctl flow list | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::General, format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

pub(super) async fn text(args: Args) -> Result<String, Failure> {
    let coloured =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let session = Session {
        client: Client::new(args.socket),
        json: args.output == Output::Json,
        style: Style { coloured },
    };
    match args.command {
        Command::Status => commands::status(&session).await,
        Command::Service(command) => commands::service(&session, command).await,
        Command::Backend(command) => commands::backend(&session, command).await,
        Command::Flow(command) => commands::flow(&session, command).await,
        Command::Stats { rate } => commands::stats(&session, rate).await,
        Command::Drops => commands::drops(&session).await,
        Command::Doctor(args) => doctor::doctor(&session, args).await,
        Command::Config(ConfigCommand::Check { file }) => config::check(&session, &file),
        Command::Config(ConfigCommand::Import(args)) => import::import(&session, *args),
        Command::Config(ConfigCommand::Show) => config::show(&session).await,
        Command::Config(ConfigCommand::Diff { file }) => config::diff(&session, file.as_deref()).await,
        Command::Config(ConfigCommand::Apply(args)) => config::apply(&session, args).await,
        Command::Config(ConfigCommand::Confirm) => config::confirm(&session).await,
        Command::Config(ConfigCommand::Rollback) => config::roll_back(&session).await,
        Command::Config(ConfigCommand::Reload) => commands::reload(&session).await,
        Command::Config(ConfigCommand::Repair) => commands::repair(&session).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "lbctl", &mut script);
            Ok(String::from_utf8_lossy(&script).into_owned())
        }
    }
}
