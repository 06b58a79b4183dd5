//! Which rustc can compile `core` for BPF, and the bpf-linker that understands its bitcode.
//!
//! A rustc qualifies if its standard library sources are installed. It is looked up by path and not through
//! rustup's proxies: those would download a toolchain that is not there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result, command, target_dir};

/// The version of bpf-linker that `cargo xtask setup` installs.
pub const BPF_LINKER_VERSION: &str = "0.13.0";

/// The Debian packages of a rustc with its sources; the security suite keeps it next to a matching LLVM.
pub const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// The variable that says which toolchain to use: `auto`, `debian` or the name of a rustup toolchain.
pub const CHOICE_VARIABLE: &str = "LB_EBPF_TOOLCHAIN";

/// A toolchain and a linker that fit together: all that a build of `lb-ebpf` needs.
#[derive(Debug)]
pub struct Ready {
    /// The compiler.
    pub toolchain: Toolchain,
    /// The path of bpf-linker.
    pub linker: PathBuf,
}

impl Ready {
    /// The first toolchain of the user's choice that has its linker.
    pub fn find() -> Result<Self> {
        let Search { found, missing } = Search::run(&Choice::from_env());
        let mut reasons = missing;
        for toolchain in found {
            match toolchain.linker() {
                Some(linker) => return Ok(Self { toolchain, linker }),
                None => reasons.push(format!(
                    "{}: no bpf-linker for LLVM {}",
                    toolchain.name, toolchain.version.llvm_major
                )),
            }
        }
        Err(Error::new(format!("nothing here can build lb-ebpf ({})", reasons.join("; "))))
    }
}

/// A rustc with sources, and its cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// A name for messages.
    pub name: String,
    /// The path of cargo.
    pub cargo: PathBuf,
    /// The path of rustc.
    pub rustc: PathBuf,
    /// What rustc says about itself.
    pub version: Version,
}

impl Toolchain {
    /// Looks at the toolchain whose sysroot this is; an error says what it lacks.
    fn at(name: &str, sysroot: &Path) -> Result<Self> {
        let (cargo, rustc) = (sysroot.join("bin/cargo"), sysroot.join("bin/rustc"));
        if !sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists() {
            return Err(Error::new(format!("{name}: the standard library sources are not installed")));
        }
        if !cargo.exists() {
            return Err(Error::new(format!("{name}: cargo is not installed")));
        }
        let version = command::stdout(command::clean(&rustc).arg("-vV"));
        let Some(version) = version.as_deref().and_then(Version::parse) else {
            return Err(Error::new(format!("{name}: `{} -vV` tells no version", rustc.display())));
        };
        Ok(Self { name: name.to_owned(), cargo, rustc, version })
    }

    /// This toolchain's cargo, allowed to use unstable options whatever its channel is.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut cargo = command::clean(&self.cargo);
        cargo.env("RUSTC", &self.rustc);
        if !self.version.is_nightly() {
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
    }

    /// The directory that holds the compiler's `bin` and `lib`.
    #[must_use]
    pub fn sysroot(&self) -> Option<&Path> {
        self.rustc.parent()?.parent()
    }

    /// The bpf-linker for this toolchain, if it is installed and starts.
    #[must_use]
    pub fn linker(&self) -> Option<PathBuf> {
        let linker = linker_dir(self.version.llvm_major).join("bin/bpf-linker");
        command::stdout(command::clean(&linker).arg("--version")).map(|_| linker)
    }
}

/// One linker per LLVM major version: a linker cannot read the bitcode of a later LLVM than its own.
#[must_use]
pub fn linker_dir(llvm_major: u32) -> PathBuf {
    target_dir().join(format!("tools/bpf-linker-{BPF_LINKER_VERSION}-llvm{llvm_major}"))
}

/// What was found of the toolchains that were wanted, and why the others will not do.
#[derive(Debug)]
pub struct Search {
    /// The usable toolchains, the preferred one first.
    pub found: Vec<Toolchain>,
    /// One message for each of the others.
    pub missing: Vec<String>,
}

impl Search {
    /// Looks for the toolchains of a choice.
    #[must_use]
    pub fn run(choice: &Choice) -> Self {
        let mut search = Self { found: Vec::new(), missing: Vec::new() };
        for result in choice.toolchains() {
            match result {
                Ok(toolchain) => search.found.push(toolchain),
                Err(error) => search.missing.push(error.to_string()),
            }
        }
        search
    }
}

/// Which toolchain the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// rustup's nightly, or else Debian's.
    Auto,
    /// Debian's `rustc-web`.
    Debian,
    /// A rustup toolchain by its name.
    Rustup(String),
}

impl Choice {
    /// Reads the variable `LB_EBPF_TOOLCHAIN`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::parse(&env::var(CHOICE_VARIABLE).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        match text {
            "" | "auto" => Self::Auto,
            "debian" => Self::Debian,
            name => Self::Rustup(name.to_owned()),
        }
    }

    fn toolchains(&self) -> Vec<Result<Toolchain>> {
        match self {
            Self::Auto => vec![rustup("nightly"), debian()],
            Self::Debian => vec![debian()],
            Self::Rustup(name) => vec![rustup(name)],
        }
    }
}

fn debian() -> Result<Toolchain> {
    Toolchain::at("Debian's rustc-web", Path::new("/usr"))
}

fn rustup(name: &str) -> Result<Toolchain> {
    let label = format!("rustup's {name}");
    match rustup_sysroot(name) {
        Some(sysroot) => Toolchain::at(&label, &sysroot),
        None => Err(Error::new(format!("{label}: not installed"))),
    }
}

/// The directory of an installed rustup toolchain.
#[must_use]
pub fn rustup_sysroot(name: &str) -> Option<PathBuf> {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".rustup")))?;
    let entries = home.join("toolchains").read_dir().ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .into_iter()
        .find(|path| path.file_name().is_some_and(|dir| names_toolchain(&dir.to_string_lossy(), name)))
}

/// Whether rustup keeps the toolchain `name` in the directory `dir`, which usually carries the host as well.
fn names_toolchain(dir: &str, name: &str) -> bool {
    match dir.strip_prefix(name) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(|host| host.starts_with(env::consts::ARCH)),
        None => false,
    }
}

/// What `rustc -vV` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The release, such as `1.96.0` or `1.97.0-nightly`.
    pub release: String,
    /// The major version of the LLVM that writes the bitcode.
    pub llvm_major: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let llvm_major = field("LLVM version:")?.split('.').next()?.parse().ok()?;
        Some(Self { release: field("release:")?.to_owned(), llvm_major })
    }

    fn is_nightly(&self) -> bool {
        self.release.contains("nightly") || self.release.contains("dev")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHTLY: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
        host: x86_64-unknown-linux-gnu\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn version_of_rustc_is_read() {
        let version = Version::parse(NIGHTLY).unwrap();
        assert_eq!(version, Version { release: "1.97.0-nightly".into(), llvm_major: 22 });
        assert!(version.is_nightly());
    }

    #[test]
    fn a_release_is_not_nightly() {
        let version = Version::parse("release: 1.96.0\nLLVM version: 22.1.8").unwrap();
        assert!(!version.is_nightly());
    }

    #[test]
    fn a_version_without_llvm_is_refused() {
        assert_eq!(Version::parse("release: 1.96.0\n"), None);
        assert_eq!(Version::parse(""), None);
    }

    #[test]
    fn choice_defaults_to_auto() {
        assert_eq!(Choice::parse(""), Choice::Auto);
        assert_eq!(Choice::parse("auto"), Choice::Auto);
        assert_eq!(Choice::parse("debian"), Choice::Debian);
        assert_eq!(Choice::parse("nightly-2026-05-19"), Choice::Rustup("nightly-2026-05-19".into()));
    }

    #[test]
    fn a_dated_nightly_is_not_nightly() {
        let arch = env::consts::ARCH;
        assert!(names_toolchain(&format!("nightly-{arch}-unknown-linux-gnu"), "nightly"));
        assert!(!names_toolchain(&format!("nightly-2026-05-19-{arch}-unknown-linux-gnu"), "nightly"));
        assert!(names_toolchain("mine", "mine"));
        assert!(!names_toolchain("mine2", "mine"));
    }
}
