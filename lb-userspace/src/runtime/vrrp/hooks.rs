//! Programs that are told of changes of state. They run one at a time for each virtual router, on the runtime of the daemon: none of them
//! keeps the thread of VRRP waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::{
    health::{Outcome, Preparer, Program, Rights},
    model::{Notify, VirtualRouter},
    runtime::Clock,
    vrrp::State,
};

/// Between two lines of the log about the failures of one hook.
const LOG_AGAIN: Duration = Duration::from_secs(10);
/// How long hooks may run on when the daemon ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a hook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) state: State,
    pub(super) cause: String,
    pub(super) priority: u8,
}

impl Change {
    const START: Self = Self { state: State::Initialize, cause: String::new(), priority: 0 };
}

/// A change, on its way to a hook.
#[derive(Debug)]
struct Ring {
    router: String,
    notify: Notify,
    change: Change,
}

/// How many runs failed, by virtual router.
type Failures = Arc<Mutex<BTreeMap<String, u64>>>;

/// The way to the hooks.
#[derive(Debug)]
pub(super) struct Bells {
    rings: mpsc::UnboundedSender<Ring>,
    failures: Failures,
}

impl Bells {
    /// Says what changed, if there is a hook; never waits.
    pub(super) fn ring(&self, router: &VirtualRouter, change: Change) {
        if let Some(notify) = router.notify.clone() {
            // Who would listen is gone when the daemon ends.
            let _ = self.rings.send(Ring { router: router.name.to_string(), notify, change });
        }
    }

    /// How many runs for a virtual router failed.
    pub(super) fn failures(&self, router: &str) -> u64 {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(router).copied().unwrap_or_default()
    }
}

/// The hooks of all virtual routers. They end when the bells are gone and all was told.
#[derive(Debug)]
pub(super) struct Hooks(JoinHandle<()>);

impl Hooks {
    /// Starts them in the runtime that this is called in.
    pub(super) fn start(clock: Clock) -> (Self, Bells) {
        let (rings, inbox) = mpsc::unbounded_channel();
        let failures = Failures::default();
        let task = tokio::spawn(follow(inbox, Arc::clone(&failures), clock));
        (Self(task), Bells { rings, failures })
    }

    /// Waits until all was told; not for long.
    pub(super) async fn end(self) {
        if timeout(PATIENCE, self.0).await.is_err() {
            tracing::warn!("a hook of VRRP took too long and was ended");
        }
    }
}

/// Hands each change to the hook of its virtual router. What was not told yet is replaced by what comes after it.
async fn follow(mut inbox: mpsc::UnboundedReceiver<Ring>, failures: Failures, clock: Clock) {
    let mut hooks: BTreeMap<String, (Notify, watch::Sender<Change>)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    while let Some(Ring { router, notify, change }) = inbox.recv().await {
        let known = hooks.get(&router);
        if let Some((_, changes)) = known.filter(|(before, _)| *before == notify) {
            changes.send_replace(change);
            continue;
        }
        let told = known.map_or(State::Initialize, |(_, changes)| changes.borrow().state);
        match Preparer::new(Rights::Needed).program(&notify.program) {
            Ok(program) => {
                let (changes, inbox) = watch::channel(Change::START);
                changes.send_replace(change);
                let (name, failures) = (router.clone(), Arc::clone(&failures));
                let hook = Hook { name, program, timeout: notify.timeout, failures, clock };
                tasks.spawn(hook.follow(inbox, told));
                hooks.insert(router, (notify, changes));
            }
            // It was checked with the configuration.
            Err(error) => tracing::error!(router, %error, "VRRP cannot use a hook"),
        }
    }
    drop(hooks);
    while tasks.join_next().await.is_some() {}
}

/// The hook of one virtual router.
struct Hook {
    name: String,
    program: Program,
    timeout: Duration,
    failures: Failures,
    clock: Clock,
}

impl Hook {
    async fn follow(self, mut changes: watch::Receiver<Change>, mut told: State) {
        let mut log_at = Duration::ZERO;
        // An error means that nothing comes any more, and all was seen.
        while changes.changed().await.is_ok() {
            let change = changes.borrow_and_update().clone();
            if change.state == told {
                continue;
            }
            let environment = environment(&self.name, &change, told);
            told = change.state;
            let reason = match self.program.run(&environment, self.timeout).await {
                Outcome::Healthy => continue,
                Outcome::Failed(reason) | Outcome::NotTried(reason) => reason,
            };
            let failures = self.count_failure();
            if self.clock.now() >= log_at {
                log_at = self.clock.now() + LOG_AGAIN;
                tracing::error!(router = self.name, %reason, failures, "the hook of a virtual router failed");
            }
        }
    }
}

impl Hook {
    fn count_failure(&self) -> u64 {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let own = failures.entry(self.name.clone()).or_default();
        *own += 1;
        *own
    }
}

fn environment(name: &str, change: &Change, previous: State) -> [(&'static str, String); 5] {
    [
        ("LB_ROUTER", name.to_owned()),
        ("LB_STATE", change.state.to_string()),
        ("LB_PREVIOUS_STATE", previous.to_string()),
        ("LB_CAUSE", change.cause.clone()),
        ("LB_PRIORITY", change.priority.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

    use nix::unistd::{User, geteuid};

    use super::*;
    use crate::model::{InterfaceName, RouterName, SCRIPT_USER, ScriptProbe};

    /// A virtual router whose hook is this shell script, in a directory that everybody may write to.
    fn router(directory: &Path, script: &str) -> VirtualRouter {
        let path = directory.join("hook");
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", directory.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Who is not root can only run it as themselves.
        let own = || User::from_uid(geteuid()).unwrap().unwrap().name;
        let user = if geteuid().is_root() { SCRIPT_USER.to_owned() } else { own() };
        let interface = InterfaceName::new("eth0").unwrap();
        let mut router = VirtualRouter::new(RouterName::new("outside").unwrap(), interface, 51);
        let program = ScriptProbe { path, args: Vec::new(), user };
        router.notify = Some(Notify { program, timeout: Duration::from_secs(10) });
        router
    }

    fn change(state: State) -> Change {
        Change { state, cause: "a test".to_owned(), priority: 70 }
    }

    #[tokio::test]
    async fn a_slow_hook_is_told_the_latest_state_and_one_run_follows_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&fifo).status().unwrap().success());
        let told =
            "echo $LB_ROUTER $LB_PREVIOUS_STATE $LB_STATE $LB_CAUSE $LB_PRIORITY >> told\ncat fifo > read";
        let (hooks, bells) = Hooks::start(Clock);
        let router = router(directory.path(), told);
        // Returns when the script reads.
        let reads = || {
            let fifo = fifo.clone();
            async {
                tokio::task::spawn_blocking(|| fs::OpenOptions::new().write(true).open(fifo))
                    .await
                    .unwrap()
                    .unwrap()
            }
        };
        bells.ring(&router, change(State::Backup));
        let first = reads().await;
        for state in [State::Active, State::Backup, State::Active, State::Fault] {
            bells.ring(&router, change(state));
        }
        drop(first);
        drop(reads().await);
        assert_eq!(bells.failures("outside"), 0);
        drop(bells);
        hooks.end().await;
        let told = fs::read_to_string(directory.path().join("told")).unwrap();
        assert_eq!(told, "outside initialize backup a test 70\noutside backup fault a test 70\n");
    }

    #[tokio::test]
    async fn failures_are_counted_and_the_next_change_is_told_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (hooks, bells) = Hooks::start(Clock);
        let router = router(directory.path(), "echo $LB_STATE > told\nexit 3");
        bells.ring(&router, change(State::Active));
        let failures = Arc::clone(&bells.failures);
        drop(bells);
        hooks.end().await;
        assert_eq!(failures.lock().unwrap().get("outside"), Some(&1));
        assert_eq!(fs::read_to_string(directory.path().join("told")).unwrap(), "active\n");
    }
}
