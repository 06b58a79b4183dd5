//! The whole file applied and brought back, on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{EXAMPLE, config};
use crate::config::FileStore;
use crate::control::fixture::{SharedMaps, moment};
use crate::control::{Control, ErrorKind, Event, Now};
use crate::model::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// A machine with a file, and its clocks.
struct Machine {
    directory: tempfile::TempDir,
    now: Now,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("lb.toml"), EXAMPLE).unwrap();
        let wall = Timestamp::since_epoch(Duration::from_secs(1_795_389_000));
        Self { directory, now: Now { instant: moment(), wall, boot: 10 * MINUTE, monotonic: 10 * MINUTE } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn store(&self) -> FileStore {
        FileStore::new(self.path("lb.toml"))
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.boot += time;
        self.now.wall = self.now.wall.after(time);
    }

    /// A start of `lbd`, as far as the file is concerned.
    fn start(&self) -> Control {
        self.store().recover(&self.now).unwrap();
        let maps = Box::new(SharedMaps::default());
        Control::start(Box::new(self.store()), maps, [].into(), 7, self.now).unwrap()
    }

    /// The names of the files there are.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn other() -> String {
    format!("# from elsewhere\n{}", EXAMPLE.replace("weight = 100", "weight = 7 # less"))
}

fn apply(confirm: Option<Duration>) -> Event {
    Event::Apply { text: other(), confirm }
}

#[test]
fn the_text_is_taken_as_it_is_and_the_one_before_is_kept() {
    let machine = Machine::new();
    let mut control = machine.start();
    control.handle(apply(None), machine.now).unwrap();
    assert_eq!(
        (machine.read("lb.toml"), machine.read("lb.toml.previous")),
        (Some(other()), Some(EXAMPLE.into()))
    );
    assert_eq!(machine.names(), ["lb.toml", "lb.toml.previous"]);
    control.handle(Event::RollBack, machine.now).unwrap();
    assert_eq!(
        (machine.read("lb.toml"), machine.read("lb.toml.rejected")),
        (Some(EXAMPLE.into()), Some(other()))
    );
    assert_eq!(machine.names(), ["lb.toml", "lb.toml.rejected"]);
    assert_eq!(control.snapshot().config, config(EXAMPLE));
    let error = control.handle(Event::RollBack, machine.now).unwrap_err();
    assert!(error.message.contains("lb.toml.previous: there is no such file"), "{error}");
}

#[test]
fn a_file_that_was_edited_or_must_not_be_written_is_let_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new();
    let mut control = machine.start();
    let edited = EXAMPLE.replace("weight = 100", "weight = 9");
    fs::write(machine.path("lb.toml"), &edited).unwrap();
    assert_eq!(control.handle(apply(Some(MINUTE)), machine.now).unwrap_err().kind, ErrorKind::Conflict);
    fs::write(machine.path("lb.toml"), EXAMPLE).unwrap();
    fs::set_permissions(machine.path("lb.toml"), fs::Permissions::from_mode(0o444)).unwrap();
    let error = control.handle(apply(Some(MINUTE)), machine.now).unwrap_err();
    assert!(error.kind == ErrorKind::File && error.message.contains("is read-only"), "{error}");
    assert_eq!(
        (machine.read("lb.toml"), machine.names()),
        (Some(EXAMPLE.into()), vec!["lb.toml".to_owned()])
    );
    assert_eq!(control.snapshot().config, config(EXAMPLE));
}

#[test]
fn a_start_after_the_deadline_has_the_previous_file_and_one_before_it_still_waits() {
    let mut machine = Machine::new();
    machine.start().handle(apply(Some(2 * MINUTE)), machine.now).unwrap();
    machine.pass(MINUTE);
    let waiting = machine.start();
    assert_eq!(waiting.snapshot().wake_at, Some(machine.now.instant + MINUTE));
    drop(waiting);
    machine.pass(MINUTE);
    assert_eq!(machine.start().snapshot().config, config(EXAMPLE));
    assert_eq!(machine.names(), ["lb.toml", "lb.toml.rejected"], "and nothing waits any more");
}

#[test]
fn a_configuration_with_which_nothing_starts_comes_back_all_the_same() {
    let mut machine = Machine::new();
    machine.start().handle(apply(Some(MINUTE)), machine.now).unwrap();
    machine.pass(2 * MINUTE);
    // All that the daemon does before it looks at the file.
    machine.store().recover(&machine.now).unwrap();
    assert_eq!(machine.read("lb.toml"), Some(EXAMPLE.into()));
}

#[test]
fn what_was_written_down_but_never_done_or_edited_since_does_not_come_back() {
    for text in [EXAMPLE.to_owned(), EXAMPLE.replace("weight = 100", "weight = 9")] {
        let mut machine = Machine::new();
        machine.start().handle(apply(Some(MINUTE)), machine.now).unwrap();
        // As after a kill between the note and the file, or an edit by hand.
        fs::write(machine.path("lb.toml"), &text).unwrap();
        machine.pass(2 * MINUTE);
        let control = machine.start();
        assert_eq!((machine.read("lb.toml"), control.snapshot().confirm_until), (Some(text), None));
        assert!(!Path::new(&machine.path("lb.toml.state")).exists());
    }
}
