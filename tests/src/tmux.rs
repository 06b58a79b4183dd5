//! A terminal that a program runs on: tmux with a server of its own.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{clock, command, temporary};

/// Longest wait for something on the screen.
const LIMIT: Duration = Duration::from_secs(15);

/// A terminal with a shell; it ends with this value.
#[derive(Debug)]
pub struct Terminal {
    directory: TempDir,
}

impl Terminal {
    /// A shell on a terminal of so many columns and lines, with more variables in its environment.
    ///
    /// # Errors
    ///
    /// If tmux cannot be started.
    pub fn start(columns: u16, lines: u16, variables: &[(&str, &str)]) -> Result<Self> {
        let terminal = Self { directory: temporary::directory("tmux")? };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let mut words = vec!["-f", "/dev/null", "-u", "new-session", "-d", "-x", &*columns, "-y", &*lines];
        let variables: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        variables.iter().for_each(|variable| words.extend(["-e", &**variable]));
        words.push("exec sh -i");
        terminal.tmux(&words)?;
        Ok(terminal)
    }

    /// Presses keys, each by tmux's name of it.
    ///
    /// # Errors
    ///
    /// If tmux is gone.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Writes a line to the shell.
    ///
    /// # Errors
    ///
    /// If tmux is gone.
    pub fn enter(&self, line: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", line])?;
        self.press(&["Enter"])
    }

    /// The characters of the screen; `styled`: with the sequences that make colours.
    ///
    /// # Errors
    ///
    /// If tmux is gone.
    pub fn screen(&self, styled: bool) -> Result<String> {
        let words: &[&str] = if styled { &["capture-pane", "-p", "-e"] } else { &["capture-pane", "-p"] };
        self.tmux(words)
    }

    /// Waits until the screen is as wanted, and gives it.
    ///
    /// # Errors
    ///
    /// When that takes too long; the message has the screen.
    pub fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let look = || self.screen(false).ok().filter(|screen| wanted(screen));
        let found = clock::wait_for(what, LIMIT, look);
        found.with_context(|| format!("on the screen:\n{}", self.screen(false).unwrap_or_default()))
    }

    /// Gives the terminal another size.
    ///
    /// # Errors
    ///
    /// If tmux is gone.
    pub fn resize(&self, columns: u16, lines: u16) -> Result<()> {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &lines]).map(drop)
    }

    /// Whether the cursor is shown.
    ///
    /// # Errors
    ///
    /// If tmux is gone.
    pub fn has_cursor(&self) -> Result<bool> {
        Ok(self.tmux(&["display-message", "-p", "#{cursor_flag}"])?.trim() == "1")
    }

    /// Sends a signal to what the shell runs.
    ///
    /// # Errors
    ///
    /// If it runs nothing.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"])?;
        let shell = shell.trim();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        let child = children.split_whitespace().next().context("the shell runs nothing")?;
        kill(Pid::from_raw(child.parse()?), signal).context("cannot send the signal")
    }

    fn tmux(&self, words: &[&str]) -> Result<String> {
        let socket = self.socket();
        let all = [&["-S", &*socket], words].concat();
        command::run("tmux", &all)
    }

    fn socket(&self) -> String {
        self.directory.path().join("socket").display().to_string()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if Path::new(&self.socket()).exists() {
            let _ = Command::new("tmux").args(["-S", &self.socket(), "kill-server"]).output();
        }
    }
}
