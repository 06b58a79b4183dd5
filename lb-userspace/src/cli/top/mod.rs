//! `lbctl top`: a screen that shows what `lbd` does, as it does it.
//!
//! [`state`] is what is shown and what keys do, [`rows`] what of it makes a row, [`draw`] the characters; [`source`] asks the API, and
//! [`terminal`] is where all of it meets.

mod draw;
mod keys;
mod meter;
mod pick;
mod rows;
mod screen;
mod source;
mod state;
mod table;
mod terminal;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::{Args as ClapArgs, builder::NonEmptyStringValueParser};
use clap_complete::engine::ArgValueCandidates;

use self::{draw::Theme, screen::Screen, state::State};
use super::{
    args::{Args, values::words},
    complete,
    failure::{Exit, Failure},
    server::server,
};
use crate::{api::Client, model::Keyword as _};

/// Columns where nobody says how wide the text is to be.
const WIDTH: u16 = 80;

/// `top`.
#[derive(Clone, Debug, ClapArgs)]
pub struct TopScreenArgs {
    /// Begin with the backends of this service.
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new(), add = ArgValueCandidates::new(complete::services))]
    pub service: Option<String>,
    /// Begin with this screen.
    #[arg(long, value_parser = words::<Screen>(), conflicts_with = "service")]
    pub screen: Option<String>,
    /// Time between two readings: 250ms to 60s.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    pub interval: Duration,
    /// Print one screen as text, with rates over one interval, and end.
    #[arg(long)]
    pub once: bool,
    /// Show only what has this text; on the screen `flows` such as 'web', 'client=10.0.0.0/8 protocol=udp'.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let interval = seconds.or_else(|| humantime::parse_duration(text).ok());
    let range = Duration::from_millis(250)..=Duration::from_secs(60);
    interval
        .filter(|interval| range.contains(interval))
        .ok_or_else(|| "expected 250ms to 60s, such as 2s".to_owned())
}

/// Shows the screen until somebody ends it.
///
/// # Errors
/// There is no terminal, `lbd` refuses, or with `--once` cannot be reached.
pub(super) async fn top(args: &Args, wanted: &TopScreenArgs) -> Result<(), Failure> {
    let client = Client::new(server(args)?);
    let mut state = begin(args, wanted)?;
    if wanted.once {
        return super::run::print(&once(&client, &mut state, width()).await?);
    }
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() || is_dumb {
        let message = "top: needs a terminal; `--once` prints one screen as text";
        return Err(Failure::new(Exit::Invalid, message));
    }
    terminal::run(&client, state, Theme::of_environment(true)).await
}

/// The state to begin with.
fn begin(args: &Args, wanted: &TopScreenArgs) -> Result<State, Failure> {
    let invalid = |message: String| Failure::new(Exit::Invalid, message);
    if args.output == super::args::Output::Json {
        return Err(invalid("top: has no JSON; `lbctl stats -o json --watch` has".to_owned()));
    }
    let screen = match (&wanted.service, &wanted.screen) {
        (Some(_), _) => Screen::Service,
        (None, Some(word)) => {
            Screen::from_word(word).map_err(|error| invalid(format!("--screen: {error}")))?
        }
        (None, None) => Screen::Overview,
    };
    let name = match &args.server {
        Some(url) => url.to_string(),
        None => args.socket.display().to_string(),
    };
    let mut state = State::new(name, screen, wanted.service.clone(), wanted.interval);
    if let Some(filter) = &wanted.filter {
        state.filter(filter).map_err(|error| invalid(format!("--filter: {error}")))?;
    }
    Ok(state)
}

/// One screen as text: two readings, since one has no rates.
async fn once(client: &Client, state: &mut State, width: u16) -> Result<String, Failure> {
    for pause in [Duration::ZERO, state.interval] {
        tokio::time::sleep(pause).await;
        // What only was looked up, such as the first service, is read in the second round.
        let wanted = state.wanted();
        let round = source::read(client, &wanted).await?;
        state.take(&wanted, round);
    }
    if let Some(refusal) = &state.refusal {
        return Err(Failure::new(Exit::Invalid, refusal.clone()));
    }
    if let (Screen::Service, None, Some(name)) = (state.screen, state.shown_service(), &state.service) {
        return Err(Failure::new(Exit::NotFound, format!("there is no service `{name}`")));
    }
    Ok(draw::text(state, Theme::of_environment(false), width))
}

/// How wide a text is to be: as the terminal, as `COLUMNS` says, or 80 columns.
fn width() -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || io::stdout().is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
    let width = columns.or_else(|| of_terminal().map(|(columns, _)| columns)).unwrap_or(WIDTH);
    width.clamp(WIDTH, 500)
}
