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
/// Longest run, its start included.
const LIMIT: Duration = Duration::from_secs(55);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let Some(directory) = installed(root) else { return };
    let port = Port::open(&ApiListener::Plain("127.0.0.1:0".parse().unwrap())).await;
    let document = format!("http://{}/v1/openapi.json", port.address);

    let configuration = root.join("lb-userspace/src/api/tests/schemathesis.toml");
    let empty = tempfile::tempdir().unwrap();
    let programs = directory.join("bin");
    // Its own first line names the place where it was installed; the workspace may have moved.
    let mut command = Command::new(programs.join("python"));
    command
        .arg(programs.join("schemathesis"))
        .arg("--config-file")
        .arg(configuration)
        .arg("run")
        .arg(document);
    command.current_dir(empty.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.expect("schemathesis takes too long").unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("selected"), "nothing was tested: {said}");
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
