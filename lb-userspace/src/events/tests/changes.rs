//! What control's states come to.

use std::time::Duration;

use super::*;
use crate::{
    config::Document,
    control::{
        BackendChange, Control, Edit, Event, NewBlocks, Now, Persist, Request, ServiceChange,
        fixture::{MemoryStore, SharedMaps, backend, control, example, moment, name},
    },
    events::changes,
    model::{AdminState, DrainEnd, Health, Keyword as _, Timestamp},
};

const SECOND: Duration = Duration::from_secs(1);

/// Control, and what is said of it.
struct Story {
    control: Control,
    maps: SharedMaps,
    now: Now,
    told: Vec<Notice>,
}

impl Story {
    fn begin() -> Self {
        let (store, maps) = (MemoryStore::new(example()), SharedMaps::default());
        let now = Now { instant: moment(), wall: Timestamp::default(), boot: SECOND, monotonic: SECOND };
        Self { control: control(&store, &maps), maps, now, told: Vec::new() }
    }

    /// What is said after an event, a line for each.
    fn tell(&mut self, event: Event) -> Vec<String> {
        let before = self.control.snapshot();
        // An event that fails is said in what follows.
        let _ = self.control.handle(event, self.now);
        self.control.settle(self.now);
        self.control.settle(self.now);
        let told = changes(&before, &self.control.snapshot());
        let line = |notice: &Notice| {
            let own = notice.attributes().skip(2).filter(|(attribute, _)| *attribute != Attribute::Address);
            let own = own.map(|(_, value)| value.to_string());
            [notice.kind.to_string()].into_iter().chain(own).collect::<Vec<_>>().join(" ")
        };
        let lines = told.iter().map(line).collect();
        self.told.extend(told);
        lines
    }

    fn edit(&mut self, edit: Edit) -> Vec<String> {
        self.tell(Event::Request(Request { edit, persist: Persist::File }))
    }

    fn set(&mut self, service: &str, backend: &str, change: BackendChange) -> Vec<String> {
        self.edit(Edit::SetBackend { service: name(service), backend: backend.parse().unwrap(), change })
    }

    fn health(&mut self, backend: &str, up: bool) -> Vec<String> {
        let id = self.control.snapshot().service("web").unwrap().backend(backend).unwrap().id;
        let reason = (!up).then(|| "connection refused".into());
        let backend = backend.parse().unwrap();
        let health = if up { Health::Up } else { Health::Down };
        self.tell(Event::Health { service: name("web"), backend, id, health, reason, held: None })
    }

    fn pass(&mut self, time: Duration, flows: &[(u32, u64)]) -> Vec<String> {
        self.now.instant += time;
        self.now.boot += time;
        self.now.wall = self.now.wall.after(time);
        let census = Event::Census { began: self.now.instant, flows: flows.iter().copied().collect() };
        let mut lines = self.tell(census);
        lines.extend(self.tell(Event::Tick));
        lines
    }
}

#[test]
fn each_kind_of_event_is_told_and_nothing_else() {
    let mut story = Story::begin();
    assert_eq!(story.tell(Event::Tick), [""; 0]);
    assert_eq!(
        story.edit(Edit::AddBackend { service: name("dns"), backend: backend("d2", "10.0.0.54", 53) }),
        ["config-changed 2 false", "backend-added dns d2 active"]
    );
    let weight = BackendChange { weight: Some(7), ..BackendChange::default() };
    assert_eq!(story.set("dns", "d2", weight), ["config-changed 2 false", "backend-changed dns d2"]);
    let remove = Edit::RemoveBackend { service: name("dns"), backend: "d2".parse().unwrap() };
    assert_eq!(story.edit(remove), ["config-changed 2 false", "backend-removed dns d2 active"]);

    let change = ServiceChange { slots: Some(103), ..ServiceChange::default() };
    let edit = Edit::SetService { service: name("web"), change: Box::new(change) };
    assert_eq!(story.edit(edit), ["config-changed 2 false", "service-changed web"]);

    assert_eq!(
        story.health("b1", false),
        [
            "health-down web b1 unknown down connection refused",
            "backend-state web b1 active down connection refused"
        ]
    );
    assert_eq!(
        story.health("b2", false),
        [
            // All are used again, as none is healthy.
            "backend-state web b1 down active",
            "health-down web b2 unknown down connection refused",
            "service-pool web normal panic 0 2"
        ]
    );
    assert_eq!(
        story.health("b1", true),
        [
            "health-up web b1 down up",
            "backend-state web b2 active down connection refused",
            "service-pool web panic normal 1 2"
        ]
    );
    let removed = story.edit(Edit::RemoveService { service: name("web") });
    assert_eq!(
        removed,
        [
            "config-changed 1 false",
            "backend-removed web b1 active",
            "backend-removed web b2 down",
            "service-removed web"
        ]
    );
    blocks(&mut story);
    drains(&mut story);
    config(&mut story);
    maps(&mut story);

    let told: BTreeSet<&str> = story.told.iter().map(|notice| notice.kind.as_str()).collect();
    assert_eq!(told, kinds_of(Teller::Control), "{TELLERS}");
}

fn blocks(story: &mut Story) {
    let prefixes = |list: &[&str]| list.iter().map(|prefix| prefix.parse().unwrap()).collect::<Vec<_>>();
    let block = |prefixes, time| {
        Event::Block(NewBlocks { prefixes, time, reason: "scans".to_owned(), replace: false })
    };
    let told = story.tell(block(prefixes(&["10.0.0.0/8", "2001:db8::/48"]), None));
    assert_eq!(told, ["source-blocked 10.0.0.0/8 scans", "source-blocked 2001:db8::/48 scans"]);
    let told = story.tell(block(prefixes(&["10.0.0.0/8"]), Some(SECOND)));
    assert!(told.len() == 1 && told[0].starts_with("source-blocked 10.0.0.0/8 1970-"), "{told:?}");
    let told = story.tell(Event::Unblock(prefixes(&["10.0.0.0/8"])));
    assert_eq!(told, ["source-unblocked 10.0.0.0/8"]);
    let many: Vec<String> = (0..20).map(|number| format!("11.{number}.0.0/16")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(story.tell(block(prefixes(&many), None)), ["sources-changed 21"]);
}

fn drains(story: &mut Story) {
    let id = story.control.snapshot().service("dns").unwrap().backends[0].id;
    let drain =
        |deadline| Edit::DrainBackend { service: name("dns"), backend: "d1".parse().unwrap(), deadline };
    let begun = ["config-changed 1 false", "backend-changed dns d1", "backend-state dns d1 active draining"];
    assert_eq!(story.edit(drain(None)), begun);
    assert_eq!(story.pass(SECOND, &[(id, 3)]), [""; 0]);
    assert_eq!(story.pass(SECOND, &[]), ["backend-drained dns d1"]);
    assert_eq!(story.pass(SECOND, &[]), [""; 0], "once");
    let enabled = BackendChange { state: Some(AdminState::Enabled), ..BackendChange::default() };
    story.set("dns", "d1", enabled);
    story.edit(drain(Some((10 * SECOND, DrainEnd::Keep))));
    assert_eq!(story.pass(9 * SECOND, &[(id, 3)]), [""; 0]);
    assert_eq!(story.pass(SECOND, &[(id, 3)]), ["backend-drain-expired dns d1 3"]);
}

fn config(story: &mut Story) {
    let text = Document::of("new", &example()).text().to_owned();
    let told = story.tell(Event::Apply { text: text.clone(), confirm: Some(60 * SECOND) });
    assert!(told.contains(&"service-added web".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("config-unconfirmed 1970-01-01T00:0")), "{told:?}");
    assert_eq!(story.tell(Event::Confirm), ["config-settled"]);
    let weight = BackendChange { weight: Some(9), ..BackendChange::default() };
    let edit = Edit::SetBackend { service: name("dns"), backend: "d1".parse().unwrap(), change: weight };
    assert_eq!(
        story.tell(Event::Request(Request { edit, persist: Persist::Runtime })),
        ["config-changed 2 true", "backend-changed dns d1"]
    );
}

fn maps(story: &mut Story) {
    story.maps.tamper(|image| {
        image.backends.retain(|id, _| *id != 2);
    });
    let told = story.tell(Event::Repair);
    assert!(told.len() == 1 && told[0].starts_with("drift-repaired "), "{told:?}");
    story.maps.set_budget(Some(0));
    let told = story.health("b1", false);
    assert!(told.last().unwrap().starts_with("config-problem "), "{told:?}");
    story.maps.set_budget(None);
    let told = story.pass(60 * SECOND, &[]);
    assert!(told.contains(&"config-applied".to_owned()), "{told:?}");
}

#[test]
fn services_that_only_move_are_not_told() {
    let mut story = Story::begin();
    let before = story.control.snapshot();
    story.edit(Edit::RemoveService { service: name("web") });
    let told = story.tell(Event::Tick);
    assert_eq!(told, [""; 0]);
    let after = story.control.snapshot();
    assert!(changes(&before, &after).iter().all(|notice| {
        notice.value(Attribute::Service).is_none_or(|service| service.to_string() == "web")
    }));
}

/// A backend becomes suspect only by traffic, and packets are captured only where there are some: tests with a running daemon name these kinds.
#[test]
fn what_needs_traffic_is_told_in_tests_with_a_running_daemon() {
    for (teller, file) in [(Teller::Checks, "signals.rs"), (Teller::Captures, "capture.rs")] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tests").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        for kind in kinds_of(teller) {
            assert!(text.contains(&format!("kind={kind}")), "{kind} is not in {}: {TELLERS}", path.display());
        }
    }
}

#[test]
fn the_documentation_lists_every_kind_with_its_attributes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- kinds -->\n", "<!-- end -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    let mut table = "\n| topic | kind | when | attributes |\n|---|---|---|---|\n".to_owned();
    for kind in Kind::ALL {
        let attributes: Vec<String> =
            kind.attributes().iter().map(|attribute| format!("`{attribute}`")).collect();
        table +=
            &format!("| `{}` | `{kind}` | {} | {} |\n", kind.topic(), kind.about(), attributes.join(", "));
    }
    let expected = format!("{head}{begin}{table}\n{end}{tail}");
    if std::env::var_os("LB_UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        return std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(text, expected, "{}; LB_UPDATE_GOLDEN=1 writes it anew", path.display());
}
