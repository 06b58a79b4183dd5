//! The configuration as a whole, by command.

use std::sync::atomic::Ordering;

use super::*;
use crate::{config::Document, control::Event};

/// A file with the example, changed.
fn file(directory: &Path, change: impl FnOnce(&mut crate::model::Draft)) -> String {
    let mut draft = example().draft();
    change(&mut draft);
    let path = directory.join("new.toml");
    fs::write(&path, Document::of("new", &draft).text()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn without_b1(draft: &mut crate::model::Draft) {
    draft.services[0].backends.remove(0);
}

#[tokio::test]
async fn a_difference_is_told_and_has_an_exit_code_of_its_own() {
    let (daemon, directory) = (Daemon::start(), tempfile::tempdir().unwrap());
    let same = file(directory.path(), |_| ());
    assert_eq!(run(&daemon, &format!("config diff {same}")).await, "");
    let other = file(directory.path(), |draft| {
        without_b1(draft);
        draft.services[1].slots = Some(103);
    });
    for (output, printed) in
        [("table", "- backend web b1\n~ service dns: slots 101 -> 103\n"), ("json", "[\n  {")]
    {
        let failure = run_at(&daemon.socket, &format!("-o {output} config diff {other}")).await.unwrap_err();
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Negative, ""));
        assert!(failure.printed.starts_with(printed), "{}", failure.printed);
    }
    assert_eq!(daemon.store.config(), example());
}

#[tokio::test]
async fn a_dry_run_tells_what_an_apply_does_and_a_rollback_takes_it_back() {
    let (daemon, directory) = (Daemon::start(), tempfile::tempdir().unwrap());
    let other = file(directory.path(), without_b1);
    let text = run(&daemon, &format!("config apply {other} --dry-run")).await;
    assert_eq!(
        text,
        "- backend web b1\n6 of 10 flows would move, 0 be reset, 0 end\nnothing was changed: a dry run\n"
    );
    assert_eq!(daemon.store.config(), example());
    let text = run(&daemon, &format!("config apply {other}")).await;
    assert_eq!(
        text,
        "- backend web b1\n6 of 10 flows move, 0 are reset, 0 end\napplied; `lbctl config rollback` takes it back\n"
    );
    assert_eq!(daemon.store.config().services[0].backends.len(), 1);
    let shown = run(&daemon, "config show").await;
    assert_eq!(Document::new("shown", shown).config().unwrap(), daemon.store.config());
    assert_eq!(
        run(&daemon, "config rollback").await,
        "the previous configuration is back; services: 2, backends: 3\n"
    );
    assert_eq!(daemon.store.config(), example());
    assert_eq!(fail(&daemon, "config rollback").await.0, Exit::Conflict);
}

#[tokio::test]
async fn an_apply_waits_to_be_confirmed() {
    let (daemon, directory) = (Daemon::start(), tempfile::tempdir().unwrap());
    let other = file(directory.path(), without_b1);
    let apply = format!("config apply {other} --confirm 60s");
    for confirmed in [false, true] {
        assert_eq!(fail(&daemon, "config confirm").await.0, Exit::Conflict);
        let text = run(&daemon, &apply).await;
        assert!(text.contains("\napplied; comes back unless confirmed until 1970-01-01T00:0"), "{text}");
        assert!(
            run(&daemon, "status")
                .await
                .contains("\nunconfirmed      the previous configuration comes back at ")
        );
        assert_eq!(fail(&daemon, &apply).await.0, Exit::Conflict);
        if confirmed {
            assert_eq!(run(&daemon, "config confirm").await, "the new configuration is confirmed\n");
        }
        daemon.clock.fetch_add(60_000, Ordering::Relaxed);
        daemon.control.report(Event::Tick).await.unwrap();
        while daemon.control.snapshot().confirm_until.is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(daemon.store.config().services[0].backends.len(), if confirmed { 1 } else { 2 });
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_with_its_name_and_line() {
    let (daemon, directory) = (Daemon::start(), tempfile::tempdir().unwrap());
    let path = file(directory.path(), |_| ());
    let text = fs::read_to_string(&path).unwrap().replace("port = 80\n", "port = 70000\n");
    fs::write(&path, text).unwrap();
    for command in ["config diff", "config apply", "config apply --dry-run"] {
        let (exit, message) = fail(&daemon, &format!("{command} {path}")).await;
        assert_eq!(exit, Exit::Invalid);
        assert!(message.starts_with(&format!("{path}:")) && message.contains("70000"), "{message}");
    }
    assert_eq!(fail(&daemon, "config apply /nonexistent").await.0, Exit::NotFound);
    let (exit, message) =
        fail(&daemon, &format!("config apply {} --confirm 60", file(directory.path(), |_| ()))).await;
    assert_eq!(exit, Exit::Invalid);
    assert!(message.starts_with("confirm: \"60\" is not a duration"), "{message}");
}
