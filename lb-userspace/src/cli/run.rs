//! Runs a command.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use super::{
    acl,
    args::{Args, Command, ConfigCommand, Output},
    capture,
    commands::{self, Session},
    complete::script,
    config, doctor, drops, events, explain,
    failure::{Exit, Failure},
    flow, import,
    man::man,
    render::Style,
    replication,
    server::server,
    top, vrrp,
    watch::watch,
};
use crate::api::Client;

/// Runs a command and prints what it says. Needs a tokio runtime.
///
/// # Errors
/// A [`Failure`] with a sentence for the operator.
pub async fn run(args: Args) -> Result<(), Failure> {
    if let Some(seconds) = args.watch {
        return watch(&args, Duration::from_secs(seconds)).await;
    }
    if let Command::Events(wanted) = &args.command
        && !wanted.past
    {
        return events::follow(&Client::new(server(&args)?), wanted, args.output == Output::Json).await;
    }
    if let Command::Top(wanted) = &args.command {
        return top::top(&args, wanted).await;
    }
    if let Command::Capture(wanted) = &args.command
        && !wanted.list
        && wanted.stop.is_none()
    {
        return capture::capture(&Client::new(server(&args)?), wanted, args.output == Output::Json).await;
    }
    match text(args).await {
        Ok(text) => print(&text),
        Err(failure) => {
            print(&failure.printed)?;
            Err(failure)
        }
    }
}

pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        // Whoever read has seen enough (`lbctl flow list | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::General, format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// What a command needs.
pub(super) fn session(args: &Args) -> Result<Session, Failure> {
    let coloured =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(Session {
        client: Client::new(server(args)?),
        json: args.output == Output::Json,
        lines: args.watch.is_some(),
        style: Style { coloured, wide: args.output == Output::Wide },
    })
}

pub(super) async fn text(args: Args) -> Result<String, Failure> {
    let session = session(&args)?;
    match args.command {
        Command::Status => commands::status(&session).await,
        Command::Service(command) => commands::service(&session, command).await,
        Command::Backend(command) => commands::backend(&session, command).await,
        Command::Flow(command) => flow::flow(&session, command).await,
        Command::Acl(command) => acl::acl(&session, command).await,
        Command::Limit(command) => acl::limit(&session, command).await,
        Command::Stats { rate } => commands::stats(&session, rate).await,
        Command::Drops(args) => drops::drops(&session, &args, None).await,
        Command::Capture(wanted) => capture::others(&session, &wanted).await,
        Command::Explain(args) => explain::explain(&session, *args).await,
        Command::Top(_) => Err(Failure::new(Exit::General, "top is no text")),
        Command::Vrrp(command) => vrrp::vrrp(&session, command).await,
        Command::Replication(command) => replication::replication(&session, command).await,
        Command::Events(wanted) => events::past(&session, &wanted).await,
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
        Command::Completions { shell } => script(shell),
        Command::Man { directory } => man(directory.as_deref()),
    }
}
