//! `lbctl events`: what happens, as it happens.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args as ClapArgs;

use super::{
    args::values::words,
    commands::Session,
    failure::{Exit, Failure},
    render,
    watch::interrupted,
};
use crate::{
    api::{Client, ClientError, Event, Events, Message, encode},
    events::{Attribute, Filter, Topic},
};

/// Pause before another attempt when `lbd` cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// `events`.
#[derive(Clone, Debug, ClapArgs)]
pub struct EventArgs {
    /// Only events of this topic; several: repeat it or separate them by commas.
    #[arg(long = "topic", value_delimiter = ',', value_parser = words::<Topic>())]
    pub topics: Vec<String>,
    /// Only events whose attributes are so: 'service=web to=down', 'address in 10.0.0.0/8 or service^=web-', 'healthy in ..2'.
    #[arg(long = "match", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Begin after the event of this number; 0: with the oldest that lbd keeps.
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<u64>,
    /// End after so many events.
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Show the last events that lbd keeps, and end.
    #[arg(long, conflicts_with_all = ["after", "count"])]
    pub past: bool,
}

/// The last events.
pub(super) async fn past(session: &Session, args: &EventArgs) -> Result<String, Failure> {
    let events: Events = session.client.get(&path(args)?).await?;
    session.show(&events, |events| events.events.iter().map(render::event).collect())
}

/// Shows events until it is interrupted, nobody reads any more, or there were as many as were wanted; all are good ends.
///
/// # Errors
/// The first connection fails, or `lbd` refuses. Later failures are told, and it goes on: `lbd` may be restarted meanwhile.
pub(super) async fn follow(client: &Client, args: &EventArgs, json: bool) -> Result<(), Failure> {
    let path = path(args)?;
    let mut printer = Printer { json, left: args.count, last: args.after };
    tokio::select! {
        ended = repeat(client, &path, &mut printer) => ended,
        () = interrupted() => Ok(()),
    }
}

async fn repeat(client: &Client, path: &str, printer: &mut Printer) -> Result<(), Failure> {
    let mut stream = client.stream(path, printer.last).await?;
    loop {
        let mut gave_something = false;
        while let Some(message) = stream.next().await {
            gave_something = true;
            if printer.print(&message, &mut io::stdout())? {
                return Ok(());
            }
        }
        if !gave_something {
            // An lbd that is ending ends each stream at once.
            tokio::time::sleep(PAUSE).await;
        }
        stream = loop {
            match client.stream(path, printer.last).await {
                Ok(stream) => break stream,
                Err(refused @ ClientError::Refused { .. }) => return Err(refused.into()),
                Err(error) => eprintln!("lbctl: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        };
    }
}

/// Prints messages, and knows where to go on.
struct Printer {
    /// Lines of JSON instead of text.
    json: bool,
    left: Option<u64>,
    last: Option<u64>,
}

impl Printer {
    /// Prints a message; true: that was the last.
    fn print(&mut self, message: &Message, out: &mut impl Write) -> Result<bool, Failure> {
        let line = match message {
            Message::Event(event) => {
                self.last = Some(event.sequence);
                self.left = self.left.map(|left| left - 1);
                if self.json { json(event)? } else { render::event(event) }
            }
            Message::Lost(lost) => {
                match lost.at_most {
                    Some(count) => eprintln!("lbctl: up to {count} events are lost"),
                    None => eprintln!("lbctl: events of an earlier run of lbd are lost"),
                }
                return Ok(false);
            }
        };
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
            Err(error) => Err(Failure::new(Exit::General, format!("standard output: {error}"))),
            Ok(()) => Ok(self.left == Some(0)),
        }
    }
}

fn json(event: &Event) -> Result<String, Failure> {
    let line = serde_json::to_string(event);
    line.map(|line| line + "\n").map_err(|error| Failure::new(Exit::General, error.to_string()))
}

/// The request for what is wanted; what is wrong with it is said here, before there is a connection.
fn path(args: &EventArgs) -> Result<String, Failure> {
    let invalid = |error| Failure::new(Exit::Invalid, format!("--match: {error}"));
    let filter = args.filter.as_deref().unwrap_or_default();
    let _: Filter = filter.parse().map_err(invalid)?;
    let topics: Vec<String> =
        args.topics.iter().map(|topic| format!("{}={topic}", Attribute::Topic)).collect();
    let topics = topics.join(" or ");
    let both = match (topics.is_empty(), filter.trim().is_empty()) {
        (false, false) => format!("({topics}) and ({filter})"),
        (true, _) => filter.to_owned(),
        (false, true) => topics,
    };
    Ok(format!("/v1/events?filter={}", encode(&both)))
}
