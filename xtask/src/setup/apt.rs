//! Debian packages.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{self, Command, Stdio};

use xtask::{Context, Error, Result, command};

use super::say;

/// apt-get, as far as it can be used here.
pub(super) struct Apt {
    /// Why it cannot be used.
    unusable: Option<&'static str>,
    updated: bool,
}

impl Apt {
    pub(super) fn detect() -> Self {
        Self { unusable: obstacle(), updated: false }
    }

    /// Installs packages; an error says how to do that by hand.
    pub(super) fn install(&mut self, packages: &[&str]) -> Result<()> {
        let list = packages.join(" ");
        let by_hand = format!("  apt-get update && apt-get install --no-install-recommends {list}");
        if let Some(reason) = self.unusable {
            return Err(Error::new(format!(
                "{reason}; these Debian packages, or their like, are needed:\n{by_hand}"
            )));
        }
        self.update();
        say(&format!("installing Debian packages: {list}"));
        let _no_services = NoServices::start()?;
        command::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))
            .map_err(|error| Error::new(format!("{error}\nby hand:\n{by_hand}")))
    }

    /// What apt-cache says about the dependencies of a package.
    pub(super) fn dependencies(&mut self, package: &str) -> Result<String> {
        if let Some(reason) = self.unusable {
            return Err(Error::new(format!("{reason}; the Debian package {package} is needed")));
        }
        self.update();
        command::stdout(command::clean("apt-cache").args(["depends", package]))
            .ok_or_else(|| Error::new(format!("there is no Debian package {package}")))
    }

    /// Downloads a package into a directory without installing it.
    pub(super) fn download(&mut self, package: &str, directory: &Path) -> Result<()> {
        say(&format!("downloading the Debian package {package}"));
        // The user `_apt` can't write there, and apt-get warns that it downloads as root instead.
        let root = "-oAPT::Sandbox::User=root";
        command::run(apt_get().args([root, "download", package]).current_dir(directory))
    }

    /// Whether Debian has a package of this name. Where that cannot be told it may: to install it fails with advice.
    pub(super) fn may_have_package(&mut self, name: &str) -> bool {
        if self.unusable.is_some() {
            return true;
        }
        self.update();
        command::stdout(command::clean("apt-cache").args(["show", "--no-all-versions", name])).is_some()
    }

    /// Tries to learn which packages there are today; if that fails, yesterday's list may do.
    fn update(&mut self) {
        if !std::mem::replace(&mut self.updated, true) {
            say("updating the list of Debian packages");
            if let Err(error) = command::run(apt_get().arg("update")) {
                say(&error.to_string());
            }
        }
    }
}

fn obstacle() -> Option<&'static str> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Some("there is no apt-get here");
    }
    if !is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        return Some("this is not Debian");
    }
    // The owner of a process's directory is its effective user.
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    if root { None } else { Some("only root can install packages") }
}

fn is_debian(os_release: &str) -> bool {
    os_release.lines().any(|line| matches!(line, "ID=debian" | "ID=\"debian\""))
}

/// apt-get that asks nothing, prints errors only and waits for another one to end. dpkg insists on root's PATH.
fn apt_get() -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut apt_get = command::clean("apt-get");
    apt_get
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    apt_get.args(["-qq", "-oDPkg::Lock::Timeout=120"]).stdout(Stdio::null());
    apt_get
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_MARK: &str = "# cargo xtask setup";

/// While this lives, packages do not start their services: a test wants nginx, but no web server on port 80.
///
/// Debian asks the script `policy-rc.d` before it starts one. Ours allows everything again as soon as this process
/// has ended, should it be killed before it can remove the script. One of the system's own is left alone.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn start() -> Result<Self> {
        let policy = Path::new(POLICY);
        if fs::read_to_string(policy).is_ok_and(|script| script.contains(POLICY_MARK)) {
            fs::remove_file(policy).context(POLICY)?;
        }
        if policy.exists() {
            return Ok(Self { ours: false });
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy);
        file.and_then(|mut file| file.write_all(policy_script(process::id()).as_bytes())).context(POLICY)?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            say(&format!("{POLICY}: {error}"));
        }
    }
}

/// 101 means "not allowed".
fn policy_script(pid: u32) -> String {
    format!("#!/bin/sh\n{POLICY_MARK}\n[ -d /proc/{pid} ] && exit 101\nexit 0\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_recognised() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(!is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn the_policy_forbids_services_only_while_we_live() {
        let exit_status = |pid| {
            let script = policy_script(pid);
            Command::new("sh").args(["-c", &script]).status().unwrap().code()
        };
        assert_eq!(exit_status(process::id()), Some(101));
        assert_eq!(exit_status(u32::MAX), Some(0));
    }

    #[test]
    fn packages_that_cannot_be_installed_are_named() {
        let mut apt = Apt { unusable: Some("this is not Debian"), updated: false };
        let error = apt.install(&["ethtool", "tshark"]).unwrap_err().to_string();
        assert!(error.contains("this is not Debian") && error.contains("ethtool tshark"), "{error}");
    }
}
