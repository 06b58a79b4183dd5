//! A guest with another kernel: Debian's 6.1, in an emulator.
//!
//! ```text
//! client (namespace) ---- eth0  guest  eth1 ---- server (namespace)
//!                     tap                   tap
//! ```
//!
//! Clients and servers are on the host, at full speed; only what forwards is emulated. `cargo xtask setup` unpacks the kernel and
//! installs QEMU; an [`image`] of programs and modules is made for each boot. In the guest an [`agent`] runs shell scripts that
//! come over a virtio port.

pub mod agent;
pub mod check;
mod cpio;
pub mod daemon;
pub mod image;
mod libraries;
pub mod machine;
mod modules;
pub mod network;
mod protocol;
mod usage;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

pub use image::Image;
pub use machine::{Clock, Console, Hardware, Machine};
pub use network::Network;
pub use usage::Usage;

use crate::privileged;

/// Returns from the calling test, with a line that says why, unless a guest can be started. `LB_REQUIRE_PRIVILEGED=1` forbids that only
/// for the lack of privileges: not every machine can install QEMU and the kernel.
#[macro_export]
macro_rules! require_guest {
    () => {
        if !$crate::privileged::ready() || !$crate::privileged::available_if($crate::guest::available) {
            return;
        }
    };
}

/// Whether a guest can be started here.
///
/// # Errors
///
/// The reason why not.
pub fn available() -> Result<()> {
    privileged::check()?;
    if !cfg!(target_arch = "x86_64") {
        bail!("the guest runs programs of x86_64 only");
    }
    find_program("qemu-system-x86_64")?;
    Kernel::find()?;
    if !Path::new("/dev/net/tun").exists() {
        bail!("the kernel has no /dev/net/tun");
    }
    Ok(())
}

/// The guest's kernel, as `cargo xtask setup` left it.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// The compressed kernel.
    pub(crate) file: PathBuf,
    /// As `uname -r` says.
    pub(crate) release: String,
    /// Its modules.
    pub(crate) modules: PathBuf,
}

impl Kernel {
    pub(crate) fn find() -> Result<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm/kernel");
        let missing = || format!("no kernel in {}; `cargo xtask vm` gets it", directory.display());
        let entries = fs::read_dir(directory.join("boot")).with_context(missing)?;
        let release = entries
            .flatten()
            .find_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("vmlinuz-")?.to_owned()))
            .with_context(missing)?;
        Ok(Self {
            file: directory.join("boot").join(format!("vmlinuz-{release}")),
            modules: directory.join("lib/modules").join(&release),
            release,
        })
    }
}

/// Finds a program in PATH, or where Debian keeps programs for root.
fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = directories.map(|directory| directory.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("there is no {name}; `cargo xtask vm` installs it where it can"))
}
