//! Puts the BPF object where `include_bytes_aligned!` finds it: `$OUT_DIR/lb.o`.
//!
//! The object is built here, by another cargo for another target, or taken ready-made from `LB_EBPF_OBJECT`.
//! Nothing is ever installed from here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use xtask::{Context, Error, Output, Result};

fn main() {
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    if let Err(error) = provide_object() {
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}

const OBJECT_VARIABLE: &str = "LB_EBPF_OBJECT";

fn provide_object() -> Result<()> {
    let out_dir =
        env::var_os("OUT_DIR").ok_or_else(|| Error::new("OUT_DIR is not set: run this through cargo"))?;
    let copy = PathBuf::from(out_dir).join("lb.o");
    match env::var_os(OBJECT_VARIABLE) {
        Some(ready_made) => copy_object(Path::new(&ready_made), &copy),
        None => build_object(&copy),
    }
}

fn build_object(copy: &Path) -> Result<()> {
    println!("cargo::rerun-if-env-changed={}", xtask::toolchain::CHOICE_VARIABLE);
    for source in ["../lb-ebpf", "../lb-common", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    let object =
        xtask::build_ebpf(Output::BuildScript).map_err(|error| Error::new(format!("{error}\n{HINT}")))?;
    let tools = object.built_with();
    for tool in [&tools.toolchain.rustc, &tools.linker] {
        println!("cargo::rerun-if-changed={}", tool.display());
    }
    fs::copy(object.path(), copy).context(copy.display())?;
    Ok(())
}

const HINT: &str = "If a tool is missing, `cargo xtask setup` installs it; \
    LB_EBPF_OBJECT=<file> uses an object that was built elsewhere.";

fn copy_object(ready_made: &Path, copy: &Path) -> Result<()> {
    println!("cargo::rerun-if-changed={}", ready_made.display());
    fs::copy(ready_made, copy).context(format!("{OBJECT_VARIABLE}={}", ready_made.display()))?;
    Ok(())
}
