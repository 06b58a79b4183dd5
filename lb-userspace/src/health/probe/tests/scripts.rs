//! Scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use nix::unistd::{User, geteuid};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;
use crate::health::probe::script;
use crate::model::ProbeKind;

const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 8080);

/// A directory that everybody may enter and write to, with a program in it.
struct Program {
    directory: TempDir,
}

impl Program {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = Self { directory };
        fs::write(program.path(), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("check")
    }

    fn probe(&self) -> Probe {
        // Who is not root can only run it as themselves.
        let user = if geteuid().is_root() {
            "nobody".to_owned()
        } else {
            User::from_uid(geteuid()).unwrap().unwrap().name
        };
        let args = Setting::List(vec!["one".to_owned(), "two words".to_owned()]);
        probe(
            ProbeType::Script,
            &[("script", text(self.path().to_str().unwrap())), ("user", text(&user)), ("args", args)],
        )
    }
}

#[tokio::test]
async fn the_exit_status_decides_and_the_first_line_is_the_reason() {
    assert_eq!(outcome(Program::new("echo fine; exit 0").probe(), ANYWHERE, LONG).await, Outcome::Healthy);
    for (program, expected) in [
        ("echo 'disk full' >&2; echo more; exit 3", "exit status 3: disk full"),
        ("exit 1", "exit status 1"),
        ("kill -SEGV $$", "ended by signal 11"),
    ] {
        assert_eq!(failure(Program::new(program).probe(), ANYWHERE, LONG).await, expected);
    }
}

#[tokio::test]
async fn it_knows_what_is_probed_and_nothing_else() {
    let program = Program::new(
        r#"for name in $(env | cut -d= -f1 | sort); do case $name in LB_*|PATH|PWD|OLDPWD|SHLVL|_) ;; *) echo "$name is set"; exit 9; esac; done
        echo "$LB_SERVICE $LB_BACKEND $LB_ADDRESS $LB_PORT $# $1 $2 $(pwd) $(cat | wc -c)"; exit 1"#,
    );
    let expected = "exit status 1: web b1 192.0.2.7 8080 2 one two words / 0";
    assert_eq!(failure(program.probe(), ANYWHERE, LONG).await, expected);
}

#[tokio::test]
async fn it_runs_as_the_user_without_groups_or_capabilities() {
    if !geteuid().is_root() {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let program = Program::new(
        "echo $(id -u) $(id -g) $(id -G) $(grep -c 'Cap\\(Eff\\|Prm\\|Amb\\).*0000000000000000' /proc/self/status); exit 1",
    );
    let expected = format!("exit status 1: {0} {1} {1} 3", nobody.uid, nobody.gid);
    assert_eq!(failure(program.probe(), ANYWHERE, LONG).await, expected);
}

/// Waits until none of the processes whose ids a program wrote is there; a zombie is not.
async fn all_gone(pids: PathBuf, number: usize) {
    let alive = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    };
    let gone = async {
        loop {
            let text = fs::read_to_string(&pids).unwrap_or_default();
            if text.lines().count() >= number && !text.lines().any(alive) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("all processes of the group end");
}

/// Starts two processes, one below the other, that do not end when they are asked to.
const STUBBORN: &str = "trap '' TERM HUP INT
cd \"$(dirname \"$0\")\"
: > pids
( echo $$ >> pids; sh -c 'echo $$ >> pids; exec sleep 1000' & sleep 1000 ) &
sh -c 'echo $$ >> pids; exec sleep 1000' &
while [ \"$(wc -l < pids)\" -lt 3 ]; do sleep 0.01; done";

#[tokio::test]
async fn at_the_end_of_its_time_the_whole_group_is_killed() {
    let program = Program::new(&format!("{STUBBORN}\necho waiting\nwait"));
    let reason = failure(program.probe(), ANYWHERE, Duration::from_secs(2)).await;
    assert_eq!(reason, "timed out after 2s: running the script: waiting");
    all_gone(program.directory.path().join("pids"), 3).await;
}

#[tokio::test]
async fn what_it_leaves_behind_is_killed_and_not_waited_for() {
    let program = Program::new(&format!("{STUBBORN}\nexit 0"));
    assert_eq!(outcome(program.probe(), ANYWHERE, LONG).await, Outcome::Healthy);
    all_gone(program.directory.path().join("pids"), 3).await;
}

#[tokio::test]
async fn a_probe_that_is_given_up_takes_its_processes_with_it() {
    let program = Program::new(&format!("{STUBBORN}\nwait"));
    let task = tokio::spawn(outcome(program.probe(), ANYWHERE, LONG));
    let pids = program.directory.path().join("pids");
    while fs::read_to_string(&pids).unwrap_or_default().lines().count() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    task.abort();
    all_gone(pids, 3).await;
}

#[tokio::test]
async fn one_that_prints_without_an_end_is_ended() {
    let program = Program::new("echo $$ > \"$(dirname \"$0\")/pids\"; exec yes");
    assert_eq!(failure(program.probe(), ANYWHERE, LONG).await, "it printed more than 64 KiB");
    all_gone(program.directory.path().join("pids"), 1).await;
    let program = Program::new("head -c 1000000000 /dev/zero; exit 0");
    assert_eq!(failure(program.probe(), ANYWHERE, LONG).await, "it printed more than 64 KiB");
}

#[tokio::test]
async fn who_finds_no_turn_says_nothing_about_the_backend() {
    let ProbeKind::Script(description) = Program::new("exit 0").probe().kind else { unreachable!() };
    let subject = Subject { service: String::new(), backend: String::new(), address: ANYWHERE };
    let tried = script::probe(&description, None, &subject, &Semaphore::new(0), SHORT).await;
    assert!(matches!(tried, Err(Outcome::NotTried(reason)) if reason.contains("other scripts")));
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_refused_before_and_says_nothing_about_the_backend_later() {
    let program = Program::new("exit 0");
    let prepared = Preparer::new(Rights::Needed).prepare(&program.probe().into()).unwrap();
    let refused = |probe: Probe| {
        let error = Preparer::new(Rights::Needed).prepare(&probe.into()).unwrap_err();
        (error.key, error.to_string())
    };
    let unknown = probe(
        ProbeType::Script,
        &[("script", text(program.path().to_str().unwrap())), ("user", text("no-such-user"))],
    );
    let (key, told) = refused(unknown);
    assert_eq!(
        (key, told.as_str()),
        ("user", "\"no-such-user\" is no user of this system; expected an unprivileged one")
    );
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let (key, told) = refused(program.probe());
    assert!(key == "script" && told.contains("is not executable; expected a program (chmod 755)"), "{told}");
    fs::remove_file(program.path()).unwrap();
    let (key, told) = refused(program.probe());
    assert!(key == "script" && told.contains("cannot be run: No such file"), "{told}");
    let subject = Subject { service: String::new(), backend: String::new(), address: ANYWHERE };
    match Prober::default().probe(&prepared, &subject, LONG, 1).await.0 {
        Outcome::NotTried(reason) => assert!(reason.contains("cannot run "), "{reason}"),
        other => panic!("{other:?}"),
    }
}
