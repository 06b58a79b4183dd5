//! Schemathesis tries the served API against its OpenAPI document: many requests that fit it and many that do not.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::fixture::Port;
use crate::model::ApiListener;

/// Where `cargo xtask setup` puts it.
const DIRECTORY: &str = "target/tools/schemathesis";
/// Longest run, its start included, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(150);
/// What Python 3.11 says of itself at times when it compiles what Hypothesis generates: no finding.
const DEFECT_OF_PYTHON: &str = "AST constructor recursion depth mismatch";
const ATTEMPTS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let Some(directory) = installed(root) else { return };
    let port = Port::open(&ApiListener::Plain("127.0.0.1:0".parse().unwrap())).await;
    let document = format!("http://{}/v1/openapi.json", port.address);

    // It leaves files where it runs.
    let empty = tempfile::tempdir().unwrap();
    for attempt in 1..=ATTEMPTS {
        let mut command = schemathesis(root, &directory, &document);
        let output = timeout(LIMIT, command.current_dir(empty.path()).output()).await;
        let output = output.expect("schemathesis takes too long").unwrap();
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if attempt < ATTEMPTS && said.contains(DEFECT_OF_PYTHON) {
            continue;
        }
        assert!(output.status.success(), "{said}\n{complained}");
        assert!(said.contains("selected"), "nothing was tested: {said}");
        return;
    }
}

fn schemathesis(root: &Path, directory: &Path, document: &str) -> Command {
    let configuration = root.join("lb-userspace/src/api/tests/schemathesis.toml");
    let programs = directory.join("bin");
    // Its own first line names the place where it was installed; the workspace may have moved.
    let mut command = Command::new(programs.join("python"));
    command
        .arg(programs.join("schemathesis"))
        .arg("--config-file")
        .arg(configuration)
        .arg("run")
        .arg(document);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Where it is, unless it could not be installed: it comes from the Internet.
fn installed(root: &Path) -> Option<PathBuf> {
    let directory = root.join(DIRECTORY);
    // Written when all of it is there.
    if directory.join("installed.txt").exists() {
        return Some(directory);
    }
    let line = "skipped schemathesis_finds_nothing: schemathesis is not installed (`cargo xtask setup` does)";
    eprintln!("{line}");
    if let Some(log) = std::env::var_os("LB_SKIP_LOG") {
        writeln!(OpenOptions::new().append(true).create(true).open(log).unwrap(), "{line}").unwrap();
    }
    None
}
