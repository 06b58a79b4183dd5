//! The house rules that rustfmt and clippy do not know: file length, `unsafe`, and clocks.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::{Context, Error, Result, root};

const MAX_LINES: usize = 600;

/// Checks all Rust files of the workspace; the error lists every offence.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let mut files = Vec::new();
    collect_rust_files(&root, &mut files)?;
    files.sort();
    let mut offences = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).context(file.display())?;
        let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
        offences.extend(offences_in(&path, &text));
    }
    if offences.is_empty() { Ok(()) } else { Err(Error::new(offences.join("\n"))) }
}

fn collect_rust_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in dir.read_dir().context(dir.display())? {
        let path = entry.context(dir.display())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            collect_rust_files(&path, files)?;
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The offences of one file, as `path:line: rule`.
fn offences_in(path: &str, text: &str) -> Vec<String> {
    let mut offences = Vec::new();
    if is_test(path) {
        return offences;
    }
    let code = without_unit_tests(text);
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > MAX_LINES {
        offences.push(format!("{path}: {lines} lines; a file has at most {MAX_LINES}, split it by topic"));
    }
    for (number, line) in (1..).zip(code.lines()) {
        let line = line.split("//").next().unwrap_or_default();
        if path.starts_with("lb-common/") && has_word(line, "unsafe") {
            offences.push(format!("{path}:{number}: lb-common has no unsafe code"));
        }
        if !may_read_clocks(path) && CLOCKS.iter().any(|clock| line.contains(clock)) {
            offences.push(format!("{path}:{number}: time is an argument; only runtime/ reads a clock"));
        }
    }
    offences
}

const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];

fn may_read_clocks(path: &str) -> bool {
    path.split('/').any(|part| part == "runtime") || path.starts_with("bench/") || path.starts_with("xtask/")
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The text up to the unit tests, which come last in a file.
fn without_unit_tests(text: &str) -> &str {
    match text.find("\n#[cfg(test)]\nmod ") {
        Some(end) => &text[..end],
        None => text,
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_an_offence_but_long_tests_are_not() {
        let lines = "x();\n".repeat(MAX_LINES);
        assert!(offences_in("lb-userspace/src/a.rs", &lines).is_empty());
        let tests = format!("{lines}\n#[cfg(test)]\nmod tests {{\n{lines}}}\n");
        assert!(offences_in("lb-userspace/src/a.rs", &tests).is_empty());
        assert!(offences_in("lb-userspace/src/a/tests.rs", &lines.repeat(2)).is_empty());
        assert_eq!(offences_in("lb-userspace/src/a.rs", &format!("y();\n{lines}")).len(), 1);
    }

    #[test]
    fn unsafe_is_an_offence_in_lb_common_only() {
        assert_eq!(offences_in("lb-common/src/a.rs", "\nunsafe { x() }").len(), 1);
        assert!(offences_in("lb-common/src/a.rs", "#![forbid(unsafe_code)] // no unsafe").is_empty());
        assert!(offences_in("lb-ebpf/src/xdp.rs", "unsafe { x() }").is_empty());
    }

    #[test]
    fn clocks_are_read_below_runtime_only() {
        let code = "let now = Instant::now();";
        assert_eq!(
            offences_in("lb-userspace/src/health/mod.rs", code),
            ["lb-userspace/src/health/mod.rs:1: time is an argument; only runtime/ reads a clock"]
        );
        assert!(offences_in("lb-userspace/src/runtime/clock.rs", code).is_empty());
        assert!(offences_in("tests/src/harness.rs", code).is_empty());
        assert!(offences_in("lb-userspace/src/a.rs", "// Instant::now()").is_empty());
    }
}
