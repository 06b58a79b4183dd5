//! The samples of `lbctl config import` are configurations that the real programs take.

use std::{
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use lb_tests::{command, daemon, privileged};

fn sample(name: &str) -> PathBuf {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-userspace/src/import/tests/golden");
    samples.join(name)
}

fn is_installed(program: &str) -> Result<()> {
    Command::new(program).arg("-v").output().map(drop).with_context(|| format!("there is no {program}"))
}

#[test]
fn haproxy_takes_the_samples() {
    if !privileged::available_if(|| is_installed("haproxy")) {
        return;
    }
    for name in ["haproxy-tcp.cfg", "haproxy-full.cfg"] {
        command::run("haproxy", &["-c", "-f", sample(name).to_str().unwrap()]).unwrap();
    }
}

#[test]
fn keepalived_takes_the_samples() {
    if !privileged::available_if(|| is_installed("keepalived")) {
        return;
    }
    for name in ["keepalived-web.conf", "keepalived-full.conf", "keepalived-groups.conf"] {
        let mut command = Command::new("keepalived");
        // It may end by a SIGTERM to its process group where there are scripts (2.2.7).
        let output =
            command.args(["-t", "-i", "main", "-f"]).arg(sample(name)).process_group(0).output().unwrap();
        let ended = output.status.success() || output.status.signal() == Some(15);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // It says which lines it does not understand.
        assert!(
            ended && !said.contains("Line ") && !said.contains("nknown"),
            "{name}: {}: {said}",
            output.status
        );
    }
}

/// What Debian's packages bring along is not ours to be kept, but good enough to be read.
#[test]
fn the_samples_of_keepalived_are_imported() {
    let Ok(entries) = std::fs::read_dir("/usr/share/doc/keepalived/samples") else { return };
    let names = entries.map(|entry| entry.unwrap().path());
    let lbctl = daemon::binary("lbctl").unwrap();
    for path in names.filter(|path| path.to_str().unwrap().contains("keepalived.conf")) {
        let arguments = ["config", "import", "--from", "keepalived", path.to_str().unwrap()];
        command::run(lbctl.to_str().unwrap(), &arguments).unwrap();
    }
}
