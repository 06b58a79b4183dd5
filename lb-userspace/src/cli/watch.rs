//! `--watch`: a command again and again.

use std::{
    future::Future,
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    args::{Args, BackendCommand, Command, FlowCommand, Output, ServiceCommand, VrrpCommand},
    drops::{self, Before},
    failure::{Exit, Failure},
    run::{session, text},
};

/// Clears a terminal, and goes to its first line (ECMA-48: CUP, ED).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// How a round is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// In the place of the round before.
    InPlace,
    /// Below it, with an empty line between.
    Below,
    /// As a line of JSON.
    Line,
}

/// Repeats a command until it is interrupted, or nobody reads any more; both are a good end.
///
/// # Errors
/// The command shows nothing that could change, or fails the first time. Later failures are told, and it goes on: `lbd` may be
/// restarted meanwhile.
pub(super) async fn watch(args: &Args, every: Duration) -> Result<(), Failure> {
    if !shows_something(&args.command) {
        let message = "--watch: this command does not show anything that changes; expected status, stats, drops, vrrp status, replication status, or a list or show of \
                       services, backends or flows";
        return Err(Failure::new(Exit::Invalid, message));
    }
    let shown = match args.output {
        Output::Json => Shown::Line,
        _ if io::stdout().is_terminal() => Shown::InPlace,
        _ => Shown::Below,
    };
    let (mut out, before) = (io::stdout(), Before::new(every));
    tokio::select! {
        ended = repeat(|| again(args.clone(), &before), every, shown, &mut out) => ended,
        () = interrupted() => Ok(()),
    }
}

/// One round.
async fn again(args: Args, before: &Before) -> Result<String, Failure> {
    match &args.command {
        Command::Drops(wanted) => drops::drops(&session(&args)?, wanted, Some(before)).await,
        _ => text(args).await,
    }
}

async fn repeat<F: Future<Output = Result<String, Failure>>>(
    round: impl Fn() -> F,
    every: Duration,
    shown: Shown,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut first = true;
    loop {
        let frame = match round().await {
            Ok(text) => frame(&text, shown, first),
            Err(failure) if first => return Err(failure),
            Err(failure) => {
                eprintln!("lbctl: {failure}");
                String::new()
            }
        };
        first = false;
        match out.write_all(frame.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::new(Exit::General, format!("standard output: {error}"))),
            Ok(()) => {}
        }
        tokio::time::sleep(every).await;
    }
}

fn frame(text: &str, shown: Shown, first: bool) -> String {
    match shown {
        Shown::InPlace => format!("{CLEAR}{text}"),
        Shown::Below if !first => format!("\n{text}"),
        Shown::Below | Shown::Line => text.to_owned(),
    }
}

/// Waits for SIGINT or SIGTERM.
pub(super) async fn interrupted() {
    let signals = signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
    match signals {
        Ok((mut interrupt, mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // They end the process then, as they would any other.
        Err(_) => std::future::pending().await,
    }
}

fn shows_something(command: &Command) -> bool {
    matches!(
        command,
        Command::Status
            | Command::Stats { .. }
            | Command::Drops(_)
            | Command::Vrrp(VrrpCommand::Status)
            | Command::Replication(_)
            | Command::Service(ServiceCommand::List | ServiceCommand::Show { .. })
            | Command::Backend(BackendCommand::List { .. })
            | Command::Flow(FlowCommand::List { .. } | FlowCommand::Top(_) | FlowCommand::Count)
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Takes some writes, and then nobody reads any more.
    struct Reader {
        taken: String,
        writes: usize,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.writes == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.writes -= 1;
            self.taken.push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn watched(
        shown: Shown,
        writes: usize,
        outcomes: &[Result<&str, Exit>],
    ) -> (String, Result<(), Failure>) {
        let mut reader = Reader { taken: String::new(), writes };
        let number = Cell::new(0);
        let round = || {
            let outcome = outcomes[number.get() % outcomes.len()];
            number.set(number.get() + 1);
            async move { outcome.map(str::to_owned).map_err(|exit| Failure::new(exit, "no")) }
        };
        let ended = repeat(round, SECOND, shown, &mut reader).await;
        (reader.taken, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_well_when_nobody_reads_any_more() {
        let (taken, ended) = watched(Shown::Line, 2, &[Ok("{}\n")]).await;
        assert_eq!(taken, "{}\n{}\n");
        ended.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_is_drawn_anew_and_a_file_grows() {
        assert_eq!(
            watched(Shown::InPlace, 2, &[Ok("a\n"), Ok("b\n")]).await.0,
            "\x1b[H\x1b[2Ja\n\x1b[H\x1b[2Jb\n"
        );
        assert_eq!(watched(Shown::Below, 2, &[Ok("a\n"), Ok("b\n")]).await.0, "a\n\nb\n");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_failure_ends_it() {
        let (taken, ended) = watched(Shown::Line, 2, &[Ok("1\n"), Err(Exit::Unreachable), Ok("2\n")]).await;
        assert_eq!(taken, "1\n2\n");
        ended.unwrap();
        let (_, ended) = watched(Shown::Line, 2, &[Err(Exit::Unreachable)]).await;
        assert_eq!(ended.unwrap_err().exit, Exit::Unreachable);
    }
}
