//! Whole configurations applied, confirmed, and taken back, in simulated time.

use super::{
    life::{Life, SECOND},
    *,
};
use crate::{
    config::Document,
    control::{Staged, Store},
    model::Timestamp,
};

impl Life {
    /// Time passes, at the end of which control is woken.
    fn pass(&mut self, time: Duration) {
        self.sleep(time);
        self.control.settle(self.now);
    }

    fn apply(&mut self, config: &Config, confirm: Option<Duration>) -> Result<(), Error> {
        let text = Document::of("new", config).text().to_owned();
        self.tell(Event::Apply { text, confirm })
    }

    /// Model, file and whether the maps hold it.
    fn holds(&self, config: &Config) -> bool {
        let backends: usize = config.services.iter().map(|service| service.backends.len()).sum();
        let live = self.maps.image().backends.values().filter(|backend| backend.state != 0).count();
        self.control.snapshot().config == *config && self.store.config() == *config && live == backends
    }
}

/// The example with a backend less.
fn smaller() -> Config {
    let mut draft = example().draft();
    draft.services[0].backends.remove(0);
    draft.check().unwrap()
}

#[test]
fn what_is_applied_is_in_the_model_the_maps_and_the_file_and_can_be_taken_back() {
    let mut life = Life::begin();
    life.apply(&smaller(), None).unwrap();
    assert!(life.holds(&smaller()));
    life.pass(3600 * SECOND);
    life.restart(SECOND);
    assert!(life.holds(&smaller()));
    life.tell(Event::RollBack).unwrap();
    assert!(life.holds(&example()));
    assert_eq!(life.tell(Event::RollBack).unwrap_err().kind, ErrorKind::Conflict, "nothing before that");
}

#[test]
fn without_a_confirmation_the_previous_configuration_comes_back() {
    let mut life = Life::begin();
    life.apply(&smaller(), Some(60 * SECOND)).unwrap();
    let snapshot = life.control.snapshot();
    assert_eq!(snapshot.confirm_until.unwrap().since(life.now.wall), 60 * SECOND);
    assert_eq!(snapshot.wake_at, Some(life.now.instant + 60 * SECOND));
    life.pass(59 * SECOND);
    assert!(life.holds(&smaller()));
    life.pass(SECOND);
    assert!(life.holds(&example()));
    assert_eq!((life.control.snapshot().confirm_until, life.control.snapshot().wake_at), (None, None));
    assert_eq!(life.store.notes().unwrap(), crate::control::Notes::default());
}

#[test]
fn what_is_confirmed_stays() {
    let mut life = Life::begin();
    assert_eq!(life.tell(Event::Confirm).unwrap_err().kind, ErrorKind::Conflict);
    life.apply(&smaller(), Some(60 * SECOND)).unwrap();
    life.pass(30 * SECOND);
    life.tell(Event::Confirm).unwrap();
    life.pass(3600 * SECOND);
    life.restart(SECOND);
    assert!(life.holds(&smaller()));
}

#[test]
fn a_wait_for_confirmation_survives_kills_and_clocks_that_are_set() {
    for jump in [None, Some(0), Some(4_000_000_000)] {
        let mut life = Life::begin();
        life.apply(&smaller(), Some(60 * SECOND)).unwrap();
        if let Some(seconds) = jump {
            life.now.wall = Timestamp::since_epoch(Duration::from_secs(seconds));
        }
        life.restart(20 * SECOND);
        assert!(life.holds(&smaller()), "{jump:?}");
        life.pass(39 * SECOND);
        assert!(life.holds(&smaller()), "{jump:?}");
        life.pass(SECOND);
        assert!(life.holds(&example()), "{jump:?}");
    }
}

#[test]
fn what_a_rollback_would_undo_is_refused_while_something_waits() {
    let mut life = Life::begin();
    life.apply(&smaller(), Some(60 * SECOND)).unwrap();
    let lasting = Event::Request(Request { edit: set_weight("b2", 5), persist: Persist::File });
    for event in [lasting, Event::Reload] {
        let error = life.tell(event).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains("lbctl config confirm"), "{error}");
    }
    assert_eq!(life.apply(&example(), None).unwrap_err().kind, ErrorKind::Conflict);
    life.tell(Event::Request(Request { edit: set_weight("b2", 5), persist: Persist::Runtime })).unwrap();
    life.pass(60 * SECOND);
    assert!(life.holds(&example()));
    life.apply(&smaller(), None).unwrap();
}

#[test]
fn what_cannot_be_applied_changes_nothing() {
    let mut life = Life::begin();
    let event = |text: &str, confirm| Event::Apply { text: text.to_owned(), confirm };
    let error = life.tell(event("interfaces = [\"eth0\"]\nservices = 1\n", None)).unwrap_err();
    assert_eq!((error.kind, error.path.as_str()), (ErrorKind::Invalid, "services"));
    for confirm in [Duration::ZERO, Duration::from_secs(25 * 3600)] {
        let error = life.apply(&smaller(), Some(confirm)).unwrap_err();
        assert_eq!((error.kind, error.path.as_str()), (ErrorKind::Invalid, "confirm"));
    }
    life.store.set_commit_fails(true);
    assert_eq!(life.apply(&smaller(), Some(60 * SECOND)).unwrap_err().kind, ErrorKind::File);
    life.store.set_commit_fails(false);
    life.maps.set_budget(Some(1));
    assert_eq!(life.apply(&smaller(), Some(60 * SECOND)).unwrap_err().kind, ErrorKind::Maps);
    life.maps.set_budget(None);
    life.pass(60 * SECOND);
    assert!(life.holds(&example()) && !life.store.has_remains());
    assert_eq!(life.control.snapshot().confirm_until, None);
    assert_eq!(life.store.notes().unwrap(), crate::control::Notes::default());

    // Somebody edited the file.
    life.store.stage(&example(), &smaller()).map(Staged::commit).unwrap().unwrap();
    assert_eq!(life.apply(&example(), None).unwrap_err().kind, ErrorKind::Conflict);
}

#[test]
fn a_rollback_that_fails_is_tried_again() {
    let mut life = Life::begin();
    life.apply(&smaller(), Some(60 * SECOND)).unwrap();
    life.maps.set_budget(Some(0));
    life.pass(61 * SECOND);
    assert_eq!(life.store.config(), smaller());
    assert!(life.control.snapshot().confirm_until.is_some());
    life.maps.set_budget(None);
    life.pass(6 * SECOND);
    assert!(life.holds(&example()));
}

#[test]
fn a_preview_changes_nothing() {
    let mut life = Life::begin();
    let before = (life.maps.image(), life.maps.operations());
    let preview = life.control.preview(&smaller(), life.now).unwrap();
    assert_eq!(preview.before.backends.len(), 3);
    let removed = preview.after.backends.values().filter(|backend| backend.state == 0).count();
    assert_eq!((preview.after.backends.len(), removed), (3, 1));
    life.pass(SECOND);
    assert_eq!((life.maps.image(), life.maps.operations()), before);
    assert!(life.holds(&example()));
}
