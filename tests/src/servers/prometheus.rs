//! Prometheus.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{clock, http, netns::Netns, temporary};

/// Where it listens, in the namespace that it scrapes.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// A Prometheus that scrapes the lbd in its namespace once a second. Killed on drop.
#[derive(Debug)]
pub struct Prometheus<'a> {
    netns: &'a Netns,
    process: Child,
    directory: TempDir,
}

impl<'a> Prometheus<'a> {
    /// Starts it with a file of rules, as the job `lb`, and waits until it answers.
    ///
    /// # Errors
    ///
    /// If it does not start; the message has its log.
    pub fn start(netns: &'a Netns, rules: &Path) -> Result<Self> {
        let directory = temporary::directory("prometheus")?;
        let root = directory.path();
        let config = root.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [ \"{}\" ]\n\
             scrape_configs:\n  - job_name: lb\n    static_configs: [ {{ targets: [ \"127.0.0.1:9464\" ] }} ]\n",
            rules.display()
        );
        fs::write(&config, text).context("cannot write prometheus.yml")?;
        let log = fs::File::create(root.join("log")).context("cannot create a log")?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", root.join("data").display()));
        command.arg(format!("--web.listen-address={ADDRESS}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = netns.spawn(&mut command)?;
        let mut prometheus = Self { netns, process, directory };
        prometheus.wait_ready().with_context(|| prometheus.log())?;
        Ok(prometheus)
    }

    /// The result of an instant query: a list of samples.
    ///
    /// # Errors
    ///
    /// If it is no expression, or there is no answer.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let encode = |byte: u8| format!("%{byte:02X}");
        let path = format!("/api/v1/query?query={}", expression.bytes().map(encode).collect::<String>());
        let (_, answer) = http::get(self.netns, ADDRESS, &path)?;
        let answer: Value = serde_json::from_str(&answer).context("no JSON")?;
        ensure!(answer["status"] == "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().cloned().context("no result")
    }

    fn wait_ready(&mut self) -> Result<()> {
        let exited = clock::wait_for("Prometheus", Duration::from_secs(30), || {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(Some(status));
            }
            http::get(self.netns, ADDRESS, "/-/ready").ok().filter(|(status, _)| *status == 200).map(|_| None)
        })?;
        if let Some(status) = exited {
            bail!("Prometheus ended with {status}");
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
