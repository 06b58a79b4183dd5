//! What is in the package, and where it goes.

use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::{Context, Error, Result, command, root};

use super::tree::{PROGRAM, READABLE, Tree};
use super::{Package, licences};

/// Files that go into the package as they are: where they are in the workspace, where they go, and their mode.
const FILES: &[(&str, &str, u32)] = &[
    ("xtask/package/sysusers.conf", "usr/lib/sysusers.d/lb.conf", READABLE),
    ("lb-userspace/monitoring/alerts.yml", "usr/share/lb/monitoring/alerts.yml", READABLE),
    ("lb-userspace/monitoring/dashboard.json", "usr/share/lb/monitoring/dashboard.json", READABLE),
    ("xtask/package/lintian-overrides", "usr/share/lintian/overrides/lb", READABLE),
    // It may hold a password of VRRP, so that not everybody reads it.
    ("xtask/package/lb.toml", "etc/lb/lb.toml", 0o640),
    ("README.md", "usr/share/doc/lb/README.md", READABLE),
    ("SECURITY.md", "usr/share/doc/lb/SECURITY.md", READABLE),
];
/// What dpkg asks about before it replaces what somebody changed.
pub(super) const CONFIGURATION: &str = "/etc/lb/lb.toml";
/// Where programs are, and in which section of the manual they are.
const PROGRAMS: [(&str, &str); 2] = [("lbd", "usr/sbin"), ("lbctl", "usr/bin")];
/// Shells, and where they look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/lbctl"),
    ("zsh", "usr/share/zsh/vendor-completions/_lbctl"),
    ("fish", "usr/share/fish/vendor_completions.d/lbctl.fish"),
];

pub(super) fn fill(tree: &Tree, package: &Package) -> Result<()> {
    for (from, to, mode) in FILES {
        tree.add(to, read(&root().join(from))?, *mode)?;
    }
    for (name, directory) in PROGRAMS {
        add_program(tree, &package.binaries.join(name), &format!("{directory}/{name}"))?;
    }
    tree.add("usr/lib/systemd/system/lbd.service", unit()?, READABLE)?;
    add_documentation(tree)?;
    add_manual(tree, package)?;
    for (shell, path) in COMPLETIONS {
        tree.add(
            path,
            output(Command::new(package.binaries.join("lbctl")).args(["completions", shell]))?,
            READABLE,
        )?;
    }
    add_changelogs(tree, package)?;
    licences::fill(tree)
}

/// Without what only a debugger needs: that stays with the one who builds the package.
fn add_program(tree: &Tree, from: &Path, to: &str) -> Result<()> {
    let place = tree.place(to)?;
    command::run(Command::new("strip").arg("--strip-all").arg("-o").arg(&place).arg(from))?;
    tree.add(to, read(&place)?, PROGRAM)
}

/// The unit names the place where somebody puts the programs by hand.
fn unit() -> Result<String> {
    let path = root().join("lb-userspace/systemd/lbd.service");
    let text = fs::read_to_string(&path).context(path.display())?;
    Ok(text.replace("/usr/local/sbin/", "/usr/sbin/"))
}

fn add_documentation(tree: &Tree) -> Result<()> {
    let directory = root().join("docs");
    for entry in fs::read_dir(&directory).context(directory.display())? {
        let path = entry.context(directory.display())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".md") {
            tree.add(&format!("usr/share/doc/lb/{name}"), read(&path)?, READABLE)?;
        }
    }
    Ok(())
}

/// Pages of `lbd`, `lbctl` and each of its commands.
fn add_manual(tree: &Tree, package: &Package) -> Result<()> {
    let page = output(Command::new(package.binaries.join("lbd")).arg("--man"))?;
    tree.add_compressed("usr/share/man/man8/lbd.8", page)?;
    let pages = Tree::create(tree.root().with_extension("man"))?;
    output(Command::new(package.binaries.join("lbctl")).arg("man").arg(pages.root()))?;
    for page in pages.files()? {
        let content = read(&pages.root().join(&page))?;
        tree.add_compressed(&format!("usr/share/man/man1/{}", page.display()), content)?;
    }
    pages.remove()
}

/// Ours, and one of the package in Debian's form.
fn add_changelogs(tree: &Tree, package: &Package) -> Result<()> {
    tree.add_compressed("usr/share/doc/lb/changelog", read(&root().join("CHANGELOG.md"))?)?;
    let date =
        output(Command::new("date").env("LC_ALL", "C").args(["-u", "-R", &format!("-d@{}", package.epoch)]))?;
    let entry = format!(
        "lb ({}) unstable; urgency=medium\n\n  * What is different: changelog.gz.\n\n -- {}  {}",
        package.version(),
        super::control::MAINTAINER,
        String::from_utf8_lossy(&date)
    );
    tree.add_compressed("usr/share/doc/lb/changelog.Debian", entry)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).context(path.display())
}

/// What a program prints.
pub(super) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context(command::line(command))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{}: {}\n{said}", command::line(command), output.status)))
}
