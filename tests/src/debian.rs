//! A Debian of its own, with systemd, in a network namespace: for what packages, units and their scripts do.
//!
//! Its files are those of a directory that `cargo xtask setup --debian` makes once, below a layer that goes with it; it has process, mount,
//! host name and control group namespaces. The kernel is this one's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::{clock, command, netns::Netns, temporary};

/// How long it may take to boot, and to end.
const LIMIT: Duration = Duration::from_secs(30);

/// Enters the control group, then namespaces. Debian's systemd boots with everything that it mounts itself in a real machine, but devices.
const BOOT: &str = r#"
set -e
echo $$ >"$GROUP/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup sh -c '
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$PLACE"
root="$PLACE/root"
mkdir "$root" "$PLACE/upper" "$PLACE/work"
mount -t overlay -o "lowerdir=$BASE,upperdir=$PLACE/upper,workdir=$PLACE/work" none "$root"
mount -t proc none "$root/proc"
mount -t sysfs none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs -o mode=755 none "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
hostname debian
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=lb PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
'
"#;

/// A Debian that runs. On drop all its processes end, and its files go.
#[derive(Debug)]
pub struct Debian {
    process: Child,
    /// Its first process, as this system numbers it.
    first: u32,
    group: Group,
    _place: TempDir,
}

impl Debian {
    /// Boots it in a network namespace, and waits until systemd has started everything.
    ///
    /// # Errors
    ///
    /// If [`base`] is not there, or it does not boot.
    pub fn boot(netns: &Netns) -> Result<Self> {
        let (base, group) = (base()?, Group::new()?);
        let place = temporary::directory("debian")?;
        let mut boot = Command::new("sh");
        boot.args(["-c", BOOT]).env("BASE", base).env("PLACE", place.path()).env("GROUP", &group.path);
        let process = netns.spawn(boot.stdin(Stdio::null()).stdout(Stdio::null()))?;
        let mut debian = Self { process, first: 0, group, _place: place };
        let parent = debian.process.id();
        debian.first = clock::wait_for("the first process", LIMIT, || {
            command::sh(&format!("pgrep --parent {parent}")).ok()?.trim().parse().ok()
        })?;
        clock::wait_until("systemd to have booted", LIMIT, || {
            let state = debian.sh("systemctl is-system-running || true");
            state.is_ok_and(|state| ["running", "degraded"].contains(&state.trim()))
        })?;
        Ok(debian)
    }

    /// Runs a script in it, as root; what that printed.
    ///
    /// # Errors
    ///
    /// If it fails; the message has what it said.
    pub fn sh(&self, script: &str) -> Result<String> {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--target={}", self.first));
        enter.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "env", "-i", "HOME=/root"]);
        enter.args([
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND=noninteractive",
            "LC_ALL=C",
            "SYSTEMD_PAGER=",
        ]);
        let output =
            enter.args(["sh", "-ec", script]).stdin(Stdio::null()).output().context("cannot run nsenter")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{script:?}: {}: {printed}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(printed)
    }

    /// Where a file of it is to be found from outside.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first))
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the journal of lbd:\n{}", self.sh("journalctl -u lbd -n 50").unwrap_or_default());
        }
        // Its first process is killed with this one, and with that all others.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.group.remove();
    }
}

/// The files that it begins with.
///
/// # Errors
///
/// If setup has not made them.
pub fn base() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debian/root");
    ensure!(
        directory.join("lib/systemd/systemd").exists(),
        "there is no Debian in target/debian; `cargo xtask setup --debian` makes it"
    );
    Ok(directory.canonicalize()?)
}

/// A control group, and the mount below which it is.
#[derive(Debug)]
struct Group {
    path: PathBuf,
    mount: TempDir,
}

impl Group {
    fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let place = temporary::directory("cgroup")?;
        let none: Option<&str> = None;
        mount(Some("cgroup2"), place.path(), Some("cgroup2"), MsFlags::empty(), none)
            .context("cannot mount the control groups (version 2)")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = place.path().join(format!("lbt-{}-{number}", std::process::id()));
        let group = Self { path, mount: place };
        fs::create_dir(&group.path).context("cannot make a control group")?;
        Ok(group)
    }

    /// Once its processes are gone.
    fn remove(&self) {
        let removed = clock::wait_until("the control group to be empty", LIMIT, || {
            remove_groups(&self.path);
            !self.path.exists()
        });
        if let Err(error) = removed {
            eprintln!("{error:#}");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
        if let Err(error) = umount2(self.mount.path(), MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {}: {error}", self.mount.path().display());
        }
    }
}

/// Groups below it first. Their files go with them.
fn remove_groups(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
