//! The terminal: keys come from it, screens go onto it, and it is given back as it was.

use std::{io, pin::Pin, time::Duration};

use crossterm::{
    event::{Event, EventStream, KeyEventKind, KeyModifiers},
    execute,
    terminal::{EnterAlternateScreen, enable_raw_mode},
};
use futures_util::StreamExt as _;
use nix::sys::signal::{Signal, raise};
use ratatui::{DefaultTerminal, layout::Rect};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Sleep, sleep},
};

use super::{
    draw::{Theme, draw},
    source,
    state::{Command, Round, State, Wanted},
};
use crate::{
    api::{Client, ClientError},
    cli::failure::{Exit, Failure},
};

/// Longest pause before another attempt while nothing can be read.
const RETRY: Duration = Duration::from_secs(2);

/// A reading that is under way.
type Reading<'a> = Pin<Box<dyn Future<Output = (Wanted, Result<Round, ClientError>)> + 'a>>;

/// The terminal in its other screen; however this ends, it is given back.
struct Stage(DefaultTerminal);

impl Stage {
    /// Takes the terminal. A panic gives it back before it says anything.
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    /// Forgets what is on the terminal: the next screen is drawn as a whole. `Terminal::clear` would ask the terminal where the cursor
    /// is, and whoever waits for keys would get the answer.
    fn wipe(&mut self) -> io::Result<()> {
        let size = self.0.size()?;
        self.0.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Gives the terminal to the shell until that lets this process go on.
    fn suspend(&mut self) -> io::Result<()> {
        self.0.show_cursor()?;
        ratatui::try_restore()?;
        raise(Signal::SIGTSTP)?;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        self.wipe()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the state until somebody ends it.
///
/// # Errors
/// The terminal cannot be used.
pub(super) async fn run(client: &Client, state: State, theme: Theme) -> Result<(), Failure> {
    show(client, state, theme)
        .await
        .map_err(|error| Failure::new(Exit::General, format!("terminal: {error}")))
}

async fn show(client: &Client, mut state: State, theme: Theme) -> io::Result<()> {
    let mut stage = Stage::take()?;
    let mut keys = EventStream::new();
    let mut ends =
        [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()]
            .map(signal)
            .into_iter()
            .collect::<io::Result<Vec<_>>>()?;
    let mut reading: Option<Reading<'_>> = Some(read(client, state.wanted()));
    let mut pause: Pin<Box<Sleep>> = Box::pin(sleep(state.interval));
    loop {
        stage.0.draw(|frame| draw(&state, theme, frame.area(), frame.buffer_mut()))?;
        let ended = futures_util::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv())));
        let command = tokio::select! {
            _ = ended => Command::Quit,
            event = keys.next() => match event {
                Some(event) => pressed(&mut state, &event?),
                // Nobody is at the keyboard any more.
                None => Command::Quit,
            },
            (wanted, round) = finished(&mut reading), if reading.is_some() => {
                reading = None;
                let failed = round.is_err();
                match round {
                    Ok(round) => state.take(&wanted, round),
                    Err(error) => state.fail(error.to_string()),
                }
                pause = Box::pin(sleep(if failed { state.interval.min(RETRY) } else { state.interval }));
                Command::Draw
            }
            () = &mut pause, if reading.is_none() && !state.paused => Command::Read,
        };
        match command {
            Command::Draw => {}
            Command::Read => reading = Some(read(client, state.wanted())),
            Command::Redraw => stage.wipe()?,
            Command::Suspend => stage.suspend()?,
            Command::Quit => return Ok(()),
        }
    }
}

fn read(client: &Client, wanted: Wanted) -> Reading<'_> {
    Box::pin(async move {
        let round = source::read(client, &wanted).await;
        (wanted, round)
    })
}

async fn finished(reading: &mut Option<Reading<'_>>) -> (Wanted, Result<Round, ClientError>) {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

fn pressed(state: &mut State, event: &Event) -> Command {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            state.press(key.code, key.modifiers.contains(KeyModifiers::CONTROL))
        }
        // A terminal of another size is drawn anew.
        _ => Command::Draw,
    }
}
