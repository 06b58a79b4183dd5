//! What is shown: no I/O, no clock, no terminal.

use std::time::Duration;

use super::{
    meter::Meters,
    pick::{self, FlowQuery},
    rows,
    screen::Screen,
    table::{Sort, Table},
};
use crate::{
    api::{Event, FlowTop, Flows, Overview, Replication, Service},
    model::Keyword as _,
};

/// Times between two readings that `+` and `-` go through.
const INTERVALS: [Duration; 8] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// Flows that are read in a second at most: reading a million takes `lbd` some 0.3 s.
const FLOWS_PER_SECOND: u64 = 200_000;

/// What one reading found.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    pub(super) overview: Overview,
    /// What the screen needs besides, or why there is none.
    pub(super) besides: Option<Result<Besides, String>>,
}

/// What only one screen needs.
#[derive(Clone, Debug)]
pub(super) enum Besides {
    /// Groups of flows.
    Top(FlowTop),
    /// Flows.
    Flows(Flows),
    /// Replication, and what was told of virtual routers.
    Vrrp(Box<Replication>, Vec<Event>),
}

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The service whose backends are shown.
    pub(super) backends_of: Option<String>,
    pub(super) flows: Option<FlowQuery>,
    pub(super) vrrp: bool,
}

/// What the one who reads and draws is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Command {
    /// Draw.
    #[default]
    Draw,
    /// Read now.
    Read,
    /// Give the terminal back until the shell lets it go on.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// End.
    Quit,
}

/// How a screen is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The key of the row that is marked.
    pub(super) marked: Option<String>,
}

/// A text that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) text: String,
    /// Why it cannot be taken.
    pub(super) wrong: Option<String>,
}

/// Everything that is shown.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The daemon, as the user named it.
    pub(super) server: String,
    pub(super) screen: Screen,
    views: [View; Screen::ALL.len()],
    /// The service of its screen.
    pub(super) service: Option<String>,
    pub(super) query: FlowQuery,
    /// What was picked before the flows of a group were listed.
    group: Option<FlowQuery>,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) draft: Option<Draft>,
    pub(super) interval: Duration,
    pub(super) meters: Meters,
    pub(super) overview: Option<Overview>,
    pub(super) top: Option<FlowTop>,
    pub(super) flows: Option<Flows>,
    pub(super) vrrp: Option<(Box<Replication>, Vec<Event>)>,
    /// Why the last reading failed, and how many did in a row.
    pub(super) failure: Option<(String, u64)>,
    /// Why what only this screen needs cannot be read.
    pub(super) refusal: Option<String>,
    /// Time since flows were read.
    age: Option<Duration>,
}

impl State {
    /// The state before anything was read.
    pub(super) fn new(server: String, screen: Screen, service: Option<String>, interval: Duration) -> Self {
        let views = std::array::from_fn(|index| View {
            sort: rows::default_sort(Screen::ALL[index]),
            ..View::default()
        });
        Self {
            server,
            screen,
            views,
            service,
            query: FlowQuery::default(),
            group: None,
            paused: false,
            help: false,
            draft: None,
            interval,
            meters: Meters::default(),
            overview: None,
            top: None,
            flows: None,
            vrrp: None,
            failure: None,
            refusal: None,
            age: None,
        }
    }

    /// What the next reading is to find.
    pub(super) fn wanted(&self) -> Wanted {
        let busy = self.overview.as_ref().map_or(0, |seen| seen.status.flows / FLOWS_PER_SECOND);
        let is_due = self.age.is_none_or(|age| age.as_secs() >= busy);
        Wanted {
            backends_of: self.service.clone().filter(|_| self.screen == Screen::Service),
            flows: (self.screen == Screen::Flows && is_due).then(|| self.query.clone()),
            vrrp: self.screen == Screen::Vrrp,
        }
    }

    /// Takes in what was read, and what had been wanted.
    pub(super) fn take(&mut self, wanted: &Wanted, round: Round) {
        self.failure = None;
        self.meters.feed(&round.overview);
        self.overview = Some(round.overview);
        self.age = self.age.map(|age| age + self.interval);
        if self.screen == Screen::Service && self.service.is_none() {
            self.service = self.first_service();
        }
        let is_stale = wanted.flows.as_ref().is_some_and(|query| *query != self.query);
        match round.besides {
            // The answer to what is not asked any more.
            _ if is_stale => return,
            None => return,
            Some(Err(why)) => self.refusal = Some(why),
            Some(Ok(besides)) => {
                self.refusal = None;
                match besides {
                    Besides::Top(top) => self.top = Some(top),
                    Besides::Flows(flows) => self.flows = Some(flows),
                    Besides::Vrrp(replication, events) => self.vrrp = Some((replication, events)),
                }
            }
        }
        if wanted.flows.is_some() {
            self.age = Some(Duration::ZERO);
        }
    }

    /// Takes in that nothing could be read.
    pub(super) fn fail(&mut self, why: String) {
        let attempts = self.failure.as_ref().map_or(0, |(_, attempts)| *attempts);
        self.failure = Some((why, attempts + 1));
    }

    /// How the screen is looked at.
    pub(super) fn view(&self) -> &View {
        &self.views[self.screen as usize]
    }

    pub(super) fn view_mut(&mut self) -> &mut View {
        &mut self.views[self.screen as usize]
    }

    /// The rows as they are shown.
    pub(super) fn table(&self) -> Table {
        let mut table = rows::table(self);
        let view = self.view();
        if self.screen != Screen::Flows {
            table.search(&view.filter);
        }
        table.sort(view.sort);
        table
    }

    /// The service of the screen, as it was read.
    pub(super) fn shown_service(&self) -> Option<&Service> {
        let name = self.service.as_ref()?;
        self.overview.as_ref()?.services.iter().find(|service| service.name == *name)
    }

    fn first_service(&self) -> Option<String> {
        self.overview.as_ref()?.services.first().map(|service| service.name.clone())
    }

    /// Goes to a screen.
    pub(super) fn go(&mut self, screen: Screen) -> Command {
        if screen == Screen::Service && self.service.is_none() {
            let marked = self.views[Screen::Overview as usize].marked.clone();
            self.service = marked.or_else(|| self.first_service());
        }
        self.screen = screen;
        self.refusal = None;
        self.age = None;
        Command::Read
    }

    /// Goes into the row that is marked.
    pub(super) fn enter(&mut self) -> Command {
        let table = self.table();
        let marked = table.position(self.view().marked.as_deref()).unwrap_or(0);
        let Some(row) = table.rows.get(marked) else { return Command::Draw };
        match self.screen {
            Screen::Overview => {
                self.service = Some(row.key.clone());
                self.go(Screen::Service)
            }
            Screen::Service => {
                let Some(service) = self.service.clone() else { return Command::Draw };
                let pick = vec![("service".to_owned(), service), ("backend".to_owned(), row.key.clone())];
                self.group = None;
                self.ask(FlowQuery { pick, list: true, ..self.query });
                self.go(Screen::Flows)
            }
            Screen::Flows if !self.query.list => {
                let picked = rows::picked_by(self, &row.key);
                let mut query = self.query.clone();
                self.group = Some(query.clone());
                query.pick.retain(|(key, _)| picked.iter().all(|(other, _)| other != key));
                query.pick.extend(picked);
                self.ask(FlowQuery { list: true, ..query })
            }
            Screen::Flows | Screen::Drops | Screen::Vrrp | Screen::Interfaces => Command::Draw,
        }
    }

    /// Goes back to where one came from.
    pub(super) fn leave(&mut self) -> Command {
        match self.screen {
            Screen::Flows if self.query.list => {
                let group =
                    self.group.take().unwrap_or(FlowQuery { by: self.query.by, ..FlowQuery::default() });
                self.ask(group)
            }
            Screen::Flows if !self.query.pick.is_empty() => {
                self.ask(FlowQuery { pick: Vec::new(), ..self.query })
            }
            _ if !self.view().filter.is_empty() => {
                self.view_mut().filter.clear();
                Command::Draw
            }
            _ => self.go(Screen::Overview),
        }
    }

    /// Asks something else of the flow tables.
    pub(super) fn ask(&mut self, query: FlowQuery) -> Command {
        if self.query.list != query.list || self.query.by != query.by {
            let view = &mut self.views[Screen::Flows as usize];
            *view = View { sort: rows::flow_sort(query.list), ..View::default() };
        }
        if self.query != query {
            (self.top, self.flows) = (None, None);
        }
        self.query = query;
        self.refusal = None;
        self.age = None;
        Command::Read
    }

    /// Takes the text of a filter.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(super) fn filter(&mut self, text: &str) -> Result<Command, String> {
        if self.screen == Screen::Flows {
            let pick = pick::pick(text)?;
            return Ok(self.ask(FlowQuery { pick, ..self.query.clone() }));
        }
        text.trim().clone_into(&mut self.view_mut().filter);
        Ok(Command::Draw)
    }

    /// What the filter of the screen is at present.
    pub(super) fn filter_text(&self) -> String {
        if self.screen == Screen::Flows { pick::words(&self.query.pick) } else { self.view().filter.clone() }
    }

    /// Reads more often, or less often.
    pub(super) fn pace(&mut self, faster: bool) -> Command {
        let mut others = INTERVALS.iter().copied();
        let next = if faster {
            others.rfind(|interval| *interval < self.interval)
        } else {
            others.find(|interval| *interval > self.interval)
        };
        self.interval = next.unwrap_or(self.interval);
        Command::Read
    }
}
