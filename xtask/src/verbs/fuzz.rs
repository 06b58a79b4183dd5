//! `cargo xtask fuzz`.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::{Context, Error, Result, command, target_dir};

use super::Verb;
use crate::args::Args;
use crate::host::{self, Binary, Profile};
use crate::setup::{Downloads, Level, ensure, ensure_cpp};

pub(crate) const VERB: Verb = Verb {
    name: "fuzz",
    summary: "Look for inputs that break what the code promises",
    synopsis: "[--minutes N] [--target NAME] [--keep] [--input FILE]",
    details: "\
Builds the targets of tests/fuzz with the compiler's instrumentation, and has libFuzzer find inputs for each, beginning with its seeds and its corpus. An
input that panics ends its target; it is written to target/fuzz/findings.

  --minutes N    so long for each target, 1 by default; 0.5 is half a minute
  --target NAME  this one only: pipeline, vrrp, replication, config, api, health or import
  --keep         afterwards, keep the inputs that reach something in tests/fuzz/corpus
  --input FILE   run this input of --target instead",
    run,
};

/// What cargo-fuzz has the compiler do without a sanitizer: stable compilers can.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
const CORPUS: Binary = Binary { package: "lb-fuzz", name: "lb-corpus" };

fn run(mut args: Args) -> Result<()> {
    let minutes = args.value("--minutes")?.unwrap_or_else(|| "1".to_owned());
    let seconds = match minutes.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes < 100_000.0 => (minutes * 60.0).ceil() as u64,
        _ => return Err(Error::new(format!("--minutes {minutes}: expected a number above 0"))),
    };
    let (wanted, input) = (args.value("--target")?, args.value("--input")?);
    let keeps = args.flag("--keep");
    args.finish()?;
    ensure(Level::Build, Downloads::Refused)?;
    ensure_cpp()?;
    let fuzzer = build()?;
    host::build(Profile::Debug, &[CORPUS])?;
    let all = targets()?;
    let targets: Vec<_> =
        all.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted == name)).collect();
    if targets.is_empty() {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::new(format!("no such target; there are: {}", names.join(", "))));
    }
    if let Some(input) = input {
        let [(name, _)] = targets[..] else { return Err(Error::new("--input needs --target")) };
        return command::run(Command::new(&fuzzer).arg(input).env("LB_FUZZ_TARGET", name));
    }
    let mut failures = Vec::new();
    for (name, longest) in targets {
        match (Run { fuzzer: &fuzzer, name, longest }).fuzz(seconds) {
            Ok(corpus) if keeps => keep(&fuzzer, name, &corpus)?,
            Ok(_) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Error::new(failures.join("\n"))) }
}

fn directory() -> PathBuf {
    target_dir().join("fuzz")
}

/// Builds the targets. With `--target`, cargo leaves build scripts and macros without instrumentation, which could not be linked.
fn build() -> Result<PathBuf> {
    let version = command::stdout(host::rustc().arg("-vV")).unwrap_or_default();
    let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
    let triple = triple.ok_or_else(|| Error::new("rustc -vV names no host"))?.to_owned();
    let mut cargo = host::cargo();
    cargo.args([
        "build",
        "--package",
        "lb-fuzz",
        "--bin",
        "lb-fuzz",
        "--features",
        "libfuzzer",
        "--profile",
        "fuzz",
    ]);
    cargo.args(["--target", &triple]).arg("--target-dir").arg(directory());
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", INSTRUMENTATION);
    command::run(&mut cargo)?;
    Ok(directory().join(triple).join("fuzz/lb-fuzz"))
}

/// A program that knows the corpora.
fn corpus() -> Command {
    Command::new(host::bin_dir(Profile::Debug).join(CORPUS.name))
}

/// The targets with their longest inputs.
fn targets() -> Result<Vec<(String, String)>> {
    let list = command::stdout(corpus().arg("list")).ok_or_else(|| Error::new("lb-corpus list failed"))?;
    Ok(list
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, longest)| (name.to_owned(), longest.to_owned()))
        .collect())
}

/// One target.
struct Run<'a> {
    fuzzer: &'a Path,
    name: &'a str,
    longest: &'a str,
}

impl Run<'_> {
    /// Fuzzes it for so long; where the inputs are.
    fn fuzz(&self, seconds: u64) -> Result<PathBuf> {
        let name = self.name;
        let (inputs, findings) = (directory().join("corpus").join(name), directory().join("findings"));
        let (words, log) =
            (directory().join(format!("{name}.words")), directory().join(format!("{name}.log")));
        fs::create_dir_all(&findings).context(findings.display())?;
        command::run(corpus().args(["unpack", name]).arg(&inputs))?;
        command::run(corpus().args(["words", name]).arg(&words))?;
        let output = File::create(&log).context(log.display())?;
        let mut fuzzer = Command::new(self.fuzzer);
        fuzzer.env("LB_FUZZ_TARGET", name).env("RUST_BACKTRACE", "0");
        fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={}", self.longest));
        fuzzer.arg(format!("-artifact_prefix={}/{name}-", findings.display()));
        if fs::metadata(&words).is_ok_and(|file| file.len() > 0) {
            fuzzer.arg(format!("-dict={}", words.display()));
        }
        fuzzer
            .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-use_value_profile=1"])
            .arg(&inputs);
        let status = fuzzer.stdout(output.try_clone().context(log.display())?).stderr(output).status();
        let status = status.context(self.fuzzer.display())?;
        let text = String::from_utf8_lossy(&fs::read(&log).context(log.display())?).into_owned();
        println!("{name}: {}", figures(&text));
        if status.success() {
            return Ok(inputs);
        }
        let finding = text.lines().rev().find_map(|line| line.split_once("Test unit written to "));
        let finding = finding.map_or_else(|| log.display().to_string(), |(_, file)| file.to_owned());
        let panic = text
            .lines()
            .skip_while(|line| !line.contains("panicked at"))
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        let again = format!("cargo xtask fuzz --target {name} --input {finding}");
        Err(Error::new(format!("{name}: {panic}\n  again: {again}\n  log: {}", log.display())))
    }
}

/// Executions, and what was reached.
fn figures(log: &str) -> String {
    let of = |key: &str| {
        log.lines().rev().find_map(|line| line.strip_prefix(key)).unwrap_or("?").trim().to_owned()
    };
    let executions = of("stat::number_of_executed_units:");
    let last =
        log.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: ")).unwrap_or_default();
    let word =
        |key: &str| last.split_whitespace().skip_while(|word| *word != key).nth(1).unwrap_or("?").to_owned();
    format!(
        "{executions} executions, {} places reached, {} inputs",
        word("cov:"),
        word("corp:").split('/').next().unwrap_or("?")
    )
}

/// Leaves out of a corpus what reaches nothing that others do not, and archives it.
fn keep(fuzzer: &Path, name: &str, inputs: &Path) -> Result<()> {
    let kept = env::temp_dir().join(format!("lb-corpus-{name}-{}", std::process::id()));
    fs::create_dir_all(&kept).context(kept.display())?;
    let mut merge = Command::new(fuzzer);
    merge.env("LB_FUZZ_TARGET", name).args(["-merge=1", "-verbosity=0"]).arg(&kept).arg(inputs);
    let merged = command::run(merge.stderr(std::process::Stdio::null()));
    let packed = merged.and_then(|()| command::run(corpus().args(["pack", name]).arg(&kept)));
    fs::remove_dir_all(&kept).context(kept.display())?;
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_last_line() {
        let log = "#2\tINITED cov: 5 ft: 6 corp: 1/1b\n#9\tDONE   cov: 120 ft: 300 corp: 40/2Kb lim: 9\nstat::number_of_executed_units: 9\n";
        assert_eq!(figures(log), "9 executions, 120 places reached, 40 inputs");
    }
}
