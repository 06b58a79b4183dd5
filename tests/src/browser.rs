//! A browser that looks at pages: Chromium without a screen, by way of WebDriver (W3C Recommendation of 2018).

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{clock, http, netns::Netns, temporary};

/// Where the driver listens, in the namespace of the browser.
const DRIVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9515);
const LIMIT: Duration = Duration::from_secs(20);

/// A window of a browser. Ends on drop.
#[derive(Debug)]
pub struct Browser<'a> {
    netns: &'a Netns,
    driver: Child,
    session: String,
    _profile: TempDir,
}

impl<'a> Browser<'a> {
    /// Starts a browser in a namespace.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(netns: &'a Netns) -> Result<Self> {
        let profile = temporary::directory("browser")?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", DRIVER.port())).env("HOME", profile.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = netns.spawn(&mut command)?;
        let mut browser = Self { netns, driver, session: String::new(), _profile: profile };
        clock::wait_until("the driver of the browser", LIMIT, || browser.call("GET", "/status", "").is_ok())?;
        // As root there is no sandbox, and what is shown is ours.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,1500",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.call("POST", "/session", &wanted.to_string())?;
        session["sessionId"].as_str().context("no session")?.clone_into(&mut browser.session);
        Ok(browser)
    }

    /// Shows a page, and waits until it is loaded.
    ///
    /// # Errors
    ///
    /// If it cannot be loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.tell("url", &json!({ "url": url })).map(drop)
    }

    /// What an expression of JavaScript comes to in the page.
    ///
    /// # Errors
    ///
    /// If it throws.
    pub fn value(&self, expression: &str) -> Result<Value> {
        self.tell("execute/sync", &json!({ "script": format!("return {expression}"), "args": [] }))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Errors
    ///
    /// If it does not become true.
    pub fn wait(&self, expression: &str) -> Result<()> {
        clock::wait_until(expression, LIMIT, || self.value(expression).is_ok_and(|value| value == true))
            .with_context(|| format!("the page's errors: {:?}", self.errors()))
    }

    /// Makes the window that of a phone: 390 by 844 points.
    ///
    /// # Errors
    ///
    /// If the browser refuses.
    pub fn become_phone(&self) -> Result<()> {
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        self.command("Emulation.setDeviceMetricsOverride", &phone)
    }

    /// Has the system want dark or light colours.
    ///
    /// # Errors
    ///
    /// If the browser refuses.
    pub fn prefer(&self, colours: &str) -> Result<()> {
        let wanted = json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        self.command("Emulation.setEmulatedMedia", &wanted)
    }

    /// What went wrong in the page since this was last asked.
    ///
    /// # Errors
    ///
    /// If the browser does not tell.
    pub fn errors(&self) -> Result<Vec<String>> {
        let said = self.tell("se/log", &json!({ "type": "browser" }))?;
        let severe = said.as_array().context("no log")?.iter().filter(|line| line["level"] == "SEVERE");
        Ok(severe.map(|line| line["message"].to_string()).collect())
    }

    /// Writes a picture of the window (PNG).
    ///
    /// # Errors
    ///
    /// If there is none, or the file cannot be written.
    pub fn photograph(&self, file: &Path) -> Result<()> {
        let picture = self.call("GET", &format!("/session/{}/screenshot", self.session), "")?;
        let output = std::fs::File::create(file)?;
        let mut decoder = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(output).spawn()?;
        let mut input = decoder.stdin.take().context("no input")?;
        input.write_all(picture.as_str().context("no picture")?.as_bytes())?;
        drop(input);
        ensure!(decoder.wait()?.success(), "no base64");
        Ok(())
    }

    /// A command of the Chrome DevTools Protocol.
    fn command(&self, name: &str, parameters: &Value) -> Result<()> {
        self.tell("goog/cdp/execute", &json!({ "cmd": name, "params": parameters })).map(drop)
    }

    fn tell(&self, what: &str, body: &Value) -> Result<Value> {
        self.call("POST", &format!("/session/{}/{what}", self.session), &body.to_string())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = http::call(self.netns, DRIVER, method, path, body)?;
        ensure!(status == 200, "{method} {path}: {answer}");
        let mut answer: Value = serde_json::from_str(&answer)?;
        Ok(answer["value"].take())
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.call("DELETE", &format!("/session/{}", self.session), "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
