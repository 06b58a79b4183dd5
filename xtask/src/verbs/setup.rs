//! `cargo xtask setup`.

use xtask::Result;

use super::Verb;
use crate::args::Args;
use crate::setup::{
    Downloads, Level, ensure, ensure_debian, ensure_guest_if_possible, ensure_lints,
    ensure_schemathesis_if_possible,
};

pub(crate) const VERB: Verb = Verb {
    name: "setup",
    summary: "Install what the other verbs need",
    synopsis: "[--rustup] [--debian]",
    details: "\
Needed are a Rust compiler with the sources of its standard library, bpf-linker, and for tests and demo the programs
ip, ethtool, bpftool, tshark and nginx. The guest with kernel 6.1 also wants QEMU, BusyBox, kmod, ipvsadm and nft.
On Debian, as root, they are installed as packages; bpf-linker is compiled and kept in target/tools, and the guest's
kernel is unpacked in target/vm. Schemathesis, which tests the API against its OpenAPI document, is installed from the
Python package index in target/tools. Elsewhere this says what is missing and how to get it. Every other verb does this first.

  --rustup  may download components for installed rustup toolchains: rust-src, clippy, rustfmt
  --debian  makes the Debian in target/debian in which `measure faults` installs the package, too; that takes some minutes

Environment:
  LB_EBPF_TOOLCHAIN  the compiler for BPF: auto (rustup's nightly, or else Debian's rustc-web), debian, or the name of
                     an installed rustup toolchain",
    run,
};

fn run(mut args: Args) -> Result<()> {
    let (downloads, debian) = (args.flag("--rustup").into(), args.flag("--debian"));
    args.finish()?;
    ensure(Level::Network, downloads)?;
    ensure_guest_if_possible(downloads);
    ensure_schemathesis_if_possible();
    if debian {
        ensure_debian()?;
    }
    match downloads {
        Downloads::Allowed => ensure_lints(downloads),
        Downloads::Refused => Ok(()),
    }
}
