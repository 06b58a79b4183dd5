//! Installs what the verbs need. Says nothing, and does nothing slow, when all of it is there.

use xtask::toolchain::{CHOICE_VARIABLE, Choice, DEBIAN_PACKAGES, Ready, Search, Toolchain};
use xtask::{Error, Result, command};

use self::apt::Apt;

mod apt;
mod debian;
mod kernel;
mod linker;
mod rustup;
mod schemathesis;
mod staging;

pub(crate) use self::rustup::ensure_lints;

/// How much a verb needs; each level has all of those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Compilers and linkers.
    Build,
    /// These, and the programs that the tests and the demo start.
    Network,
    /// These, an emulator with a kernel and the programs in it, and the others that the bench compares with.
    Guest,
}

/// Whether rustup may download components.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Downloads {
    Refused,
    Allowed,
}

impl From<bool> for Downloads {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

/// Makes sure that everything of a level is there; the error lists all that is missing.
pub(crate) fn ensure(level: Level, downloads: Downloads) -> Result<()> {
    let programs = missing_programs(level);
    let ready = Ready::find();
    let kernel = level < Level::Guest || kernel::is_there();
    if programs.is_empty() && ready.is_ok() && kernel {
        return Ok(());
    }
    let mut apt = Apt::detect();
    let mut failures = Vec::new();
    if !programs.is_empty() {
        failures.extend(install_programs(&mut apt, &programs).err());
    }
    if let Err(reason) = ready {
        say(&reason.to_string());
        failures.extend(ensure_toolchain(&mut apt, downloads).err());
    }
    if !kernel {
        failures.extend(kernel::install(&mut apt).err());
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::new(failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

/// Makes sure of the guest where that is possible, and says why where it is not: what needs it skips or fails by itself.
pub(crate) fn ensure_guest_if_possible(downloads: Downloads) {
    if let Err(reason) = ensure(Level::Guest, downloads) {
        say(&format!("no guest with kernel 6.1: {reason}"));
    }
}

/// Makes sure of the Debian in which the package is installed.
pub(crate) fn ensure_debian() -> Result<()> {
    if debian::is_there() { Ok(()) } else { debian::install(&mut Apt::detect()) }
}

/// Makes sure of a compiler for C++, of which libFuzzer is made.
pub(crate) fn ensure_cpp() -> Result<()> {
    if command::find_program("c++").is_some() { Ok(()) } else { Apt::detect().install(&["g++"]) }
}

/// Makes sure of the API's examiner where that is possible, and says why where it is not: its test skips.
pub(crate) fn ensure_schemathesis_if_possible() {
    if !schemathesis::is_there()
        && let Err(reason) = schemathesis::install(&mut Apt::detect())
    {
        say(&format!("no schemathesis: {reason}"));
    }
}

/// A program that others start, and the Debian packages it comes with.
struct Program {
    name: &'static str,
    packages: &'static [&'static str],
    level: Level,
}

const PROGRAMS: &[Program] = &[
    Program { name: "cc", packages: &["gcc", "libc6-dev"], level: Level::Build },
    Program { name: "ip", packages: &["iproute2"], level: Level::Network },
    Program { name: "sysctl", packages: &["procps"], level: Level::Network },
    Program { name: "ethtool", packages: &["ethtool"], level: Level::Network },
    Program { name: "bpftool", packages: &["bpftool"], level: Level::Network },
    Program { name: "script", packages: &["bsdutils"], level: Level::Network },
    Program { name: "setpriv", packages: &["util-linux"], level: Level::Network },
    Program { name: "tmux", packages: &["tmux"], level: Level::Network },
    Program { name: "tshark", packages: &["tshark"], level: Level::Network },
    Program { name: "xz", packages: &["xz-utils"], level: Level::Network },
    Program { name: "systemd-analyze", packages: &["systemd"], level: Level::Network },
    Program { name: "nginx", packages: &["nginx-light"], level: Level::Network },
    Program { name: "prometheus", packages: &["prometheus"], level: Level::Network },
    Program { name: "unbound", packages: &["unbound"], level: Level::Network },
    Program { name: "faketime", packages: &["faketime"], level: Level::Network },
    Program { name: "keepalived", packages: &["keepalived"], level: Level::Network },
    Program { name: "chromium", packages: &["chromium", "fonts-dejavu-core"], level: Level::Network },
    Program { name: "chromedriver", packages: &["chromium-driver"], level: Level::Network },
    Program { name: "qemu-system-x86_64", packages: &["qemu-system-x86"], level: Level::Guest },
    Program { name: "busybox", packages: &["busybox-static"], level: Level::Guest },
    Program { name: "depmod", packages: &["kmod"], level: Level::Guest },
    Program { name: "ipvsadm", packages: &["ipvsadm"], level: Level::Guest },
    Program { name: "nft", packages: &["nftables"], level: Level::Network },
    Program { name: "haproxy", packages: &["haproxy", "libnginx-mod-stream"], level: Level::Guest },
];

fn missing_programs(level: Level) -> Vec<&'static Program> {
    let needed = PROGRAMS.iter().filter(|program| program.level <= level);
    needed.filter(|program| command::find_program(program.name).is_none()).collect()
}

fn install_programs(apt: &mut Apt, programs: &[&Program]) -> Result<()> {
    let names: Vec<_> = programs.iter().map(|program| program.name).collect();
    say(&format!("missing programs: {}", names.join(", ")));
    let packages: Vec<_> = programs.iter().flat_map(|program| program.packages).copied().collect();
    apt.install(&packages)
}

/// Finds or installs a toolchain for BPF whose LLVM has its development files, and builds the linker for it.
fn ensure_toolchain(apt: &mut Apt, downloads: Downloads) -> Result<()> {
    let choice = Choice::from_env();
    if Search::run(&choice).found.is_empty() && downloads == Downloads::Allowed {
        rustup::add_rust_src(&choice)?;
    }
    let toolchain = match linkable(apt, &choice) {
        Some(toolchain) => toolchain,
        None => install_debian_toolchain(apt, &choice)?,
    };
    let (name, version) = (&toolchain.name, &toolchain.version);
    say(&format!("compiler for BPF: {name}, {} with LLVM {}", version.release, version.llvm_major));
    if toolchain.linker().is_none() {
        linker::install(apt, &toolchain)?;
    }
    Ready::find().map(drop)
}

/// The first installed toolchain for which there is a linker, or can be one.
fn linkable(apt: &mut Apt, choice: &Choice) -> Option<Toolchain> {
    let found = Search::run(choice).found;
    found.into_iter().find(|toolchain| {
        let llvm_major = toolchain.version.llvm_major;
        toolchain.linker().is_some()
            || linker::llvm_bin_dir(llvm_major).is_some()
            || apt.may_have_package(&linker::llvm_package(llvm_major))
    })
}

fn install_debian_toolchain(apt: &mut Apt, choice: &Choice) -> Result<Toolchain> {
    if let Choice::Rustup(name) = choice {
        return Err(no_toolchain(&format!(
            "{CHOICE_VARIABLE}={name} names no toolchain that can build for BPF"
        )));
    }
    apt.install(DEBIAN_PACKAGES).map_err(|error| no_toolchain(&error.to_string()))?;
    linkable(apt, choice).ok_or_else(|| no_toolchain("rustc-web has an LLVM without a development package"))
}

/// Adds how to get a toolchain where Debian's packages are not to be had.
fn no_toolchain(reason: &str) -> Error {
    Error::new(format!(
        "{reason}\n\
        No compiler for BPF. Instead of Debian's, rustup's nightly will do, with its sources:\n  \
        rustup toolchain install nightly --component rust-src\n\
        and with llvm-config and the headers of the LLVM that `rustc +nightly -vV` names."
    ))
}

/// One line about what is going on.
fn say(message: &str) {
    eprintln!("setup: {message}");
}
