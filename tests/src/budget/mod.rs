//! What the data path may cost before anybody looks: `bench/budget.toml`.
//!
//! Instructions, code, stack and memory of the object with its default sizes. What grows by more than a tenth fails; with
//! `LB_UPDATE_BUDGET=1` the file is written anew instead.

mod stack;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::PathBuf,
};

use anyhow::{Context, Result};
use aya::{Ebpf, EbpfLoader, programs::Xdp};
use lb_common::maps;
use lb_userspace::{
    loader::OBJECT,
    sys::bpf::{Map, possible_cpus},
};
use serde::{Deserialize, Serialize};

pub use stack::{Chain, Frame, chains};

use crate::temporary::BpfFs;

/// How much more than its budget a figure may be, in per cent.
const TOLERANCE: u64 = 10;
/// Types of maps whose memory grows with the number of CPUs.
const PER_CPU: [u32; 3] = [5, 6, 10];

const HEAD: &str = "# What the data path costs with default sizes. `cargo xtask test` fails when a figure is 10 % larger than here.
# LB_UPDATE_BUDGET=1 cargo test -p lb-tests --test budget writes this file anew.
# Verified and translated instructions depend on the kernel a little, JITed code on the processor, per-CPU maps on the number of CPUs.
";

/// The figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Where they were found.
    pub measured: Measured,
    /// By name.
    pub programs: BTreeMap<String, Program>,
    /// Bytes of memory that the kernel charges, by name.
    pub maps: BTreeMap<String, u64>,
}

/// Where figures were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Release of the kernel.
    pub kernel: String,
    /// Processor architecture.
    pub architecture: String,
    /// CPUs that there may be.
    pub cpus: usize,
}

/// What a program costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Instructions that the verifier followed; it gives up at a million.
    pub verified_instructions: u64,
    /// Bytes of BPF code after the verifier's changes.
    pub translated_bytes: u64,
    /// Bytes of machine code.
    pub jited_bytes: u64,
    /// Bytes of stack of the deepest chain of calls; 512 are allowed.
    pub stack_bytes: u64,
}

/// The checked-in file.
#[must_use]
pub fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/budget.toml"))
}

impl Budget {
    /// Reads the checked-in one.
    ///
    /// # Errors
    ///
    /// If it cannot be read or understood.
    pub fn read() -> Result<Self> {
        let path = path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes it in the place of the checked-in one.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self) -> Result<()> {
        let path = path();
        let text = format!("{HEAD}\n{}", toml::to_string(self)?);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Loads the object and finds out.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it, or does not tell.
    pub fn measure() -> Result<Self> {
        let pins = BpfFs::mount()?;
        let mut ebpf = load(&pins)?;
        let stacks = chains(OBJECT)?;
        let mut programs = BTreeMap::new();
        for (name, program) in ebpf.programs_mut() {
            let program: &mut Xdp = program.try_into()?;
            let deepest = stacks.get(name).map(Vec::as_slice).unwrap_or_default();
            program.load().with_context(|| {
                format!("the kernel refuses {name}; its deepest chains of calls are\n{}", first(deepest, 3))
            })?;
            let info = program.info()?;
            let count = info.verified_instruction_count();
            programs.insert(
                name.to_owned(),
                Program {
                    verified_instructions: count.context("it does not count verified instructions")?.into(),
                    translated_bytes: info.size_translated().context("it hides the program")?.into(),
                    jited_bytes: info.size_jitted().into(),
                    stack_bytes: deepest.first().map(Chain::bytes).unwrap_or_default().into(),
                },
            );
        }
        let memory = |name: &&str| -> Result<(String, u64)> {
            Ok(((*name).to_owned(), memory(&Map::open(&pins.path().join(name))?)?))
        };
        Ok(Self {
            measured: Measured {
                kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
                architecture: std::env::consts::ARCH.to_owned(),
                cpus: possible_cpus()?,
            },
            programs,
            maps: maps::ALL.iter().map(memory).collect::<Result<_>>()?,
        })
    }

    /// What of `found` is more than it may be, one line for each; figures that cannot be compared are left out.
    #[must_use]
    pub fn exceeded(&self, found: &Self) -> String {
        let mut lines = String::new();
        let mut compare = |what: String, budget: u64, figure: u64| {
            if figure * 100 > budget * (100 + TOLERANCE) {
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "{what}: {figure}, budget {budget}");
            }
        };
        for (name, program) in &found.programs {
            let Some(budget) = self.programs.get(name) else {
                compare(format!("program {name} (not in the budget)"), 0, program.verified_instructions);
                continue;
            };
            let figure = |what| format!("program {name}, {what}");
            compare(
                figure("verified instructions"),
                budget.verified_instructions,
                program.verified_instructions,
            );
            compare(figure("translated bytes"), budget.translated_bytes, program.translated_bytes);
            compare(figure("bytes of stack"), budget.stack_bytes, program.stack_bytes);
            if self.measured.architecture == found.measured.architecture {
                compare(figure("JITed bytes"), budget.jited_bytes, program.jited_bytes);
            }
        }
        let same_cpus = self.measured.cpus == found.measured.cpus;
        for (name, bytes) in &found.maps {
            if same_cpus || !is_per_cpu(name) {
                compare(
                    format!("map {name}, bytes"),
                    self.maps.get(name).copied().unwrap_or_default(),
                    *bytes,
                );
            }
        }
        lines
    }
}

/// Names of the maps that a program works on, once it is loaded.
///
/// # Errors
///
/// If the kernel refuses it, or does not tell.
pub fn maps_used(program: &str) -> Result<Vec<String>> {
    let pins = BpfFs::mount()?;
    let mut ebpf = load(&pins)?;
    let program: &mut Xdp = ebpf.program_mut(program).context("no such program")?.try_into()?;
    program.load()?;
    let used = program.info()?.map_ids()?.context("the kernel does not tell the maps of a program")?;
    let mut names = Vec::new();
    for name in maps::ALL.iter().chain(maps::OF_CAPTURES) {
        if used.contains(&Map::open(&pins.path().join(name))?.info().id) {
            names.push((*name).to_owned());
        }
    }
    Ok(names)
}

/// Makes the maps, pinned by their names.
fn load(pins: &BpfFs) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    for name in maps::ALL.iter().chain(maps::OF_CAPTURES) {
        loader.map_pin_path(name, pins.path().join(name));
    }
    loader.load(OBJECT).context("cannot load the object")
}

/// The first of these chains, a line for each.
#[must_use]
pub fn first(chains: &[Chain], count: usize) -> String {
    chains.iter().take(count).map(|chain| format!("{chain}\n")).collect()
}

fn is_per_cpu(name: &str) -> bool {
    let object = aya_obj::Object::parse(OBJECT).ok();
    object.and_then(|object| Some(PER_CPU.contains(&object.maps.get(name)?.map_type()))).unwrap_or_default()
}

/// What the kernel charges for a map.
fn memory(map: &Map) -> Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd()))?;
    let line = info.lines().find_map(|line| line.strip_prefix("memlock:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).context("the kernel does not tell the size of a map")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(instructions: u64, jited_bytes: u64, architecture: &str) -> Budget {
        let program = Program {
            verified_instructions: instructions,
            translated_bytes: 8,
            jited_bytes,
            stack_bytes: 16,
        };
        Budget {
            measured: Measured { kernel: String::new(), architecture: architecture.to_owned(), cpus: 2 },
            programs: [("lb".to_owned(), program)].into(),
            maps: BTreeMap::new(),
        }
    }

    #[test]
    fn a_tenth_more_is_allowed_and_no_more() {
        let checked_in = budget(100, 50, "x86_64");
        assert_eq!(checked_in.exceeded(&budget(110, 55, "x86_64")), "");
        let lines = checked_in.exceeded(&budget(111, 56, "x86_64"));
        assert_eq!(
            lines,
            "program lb, verified instructions: 111, budget 100\nprogram lb, JITed bytes: 56, budget 50\n"
        );
        assert_eq!(checked_in.exceeded(&budget(100, 99, "aarch64")), "", "machine code of another machine");
    }

    #[test]
    fn what_is_new_has_no_budget() {
        let mut found = budget(100, 50, "x86_64");
        found.maps.insert("NEW".to_owned(), 1);
        assert_eq!(budget(100, 50, "x86_64").exceeded(&found), "map NEW, bytes: 1, budget 0\n");
    }

    #[test]
    fn the_checked_in_file_can_be_read() {
        let budget = Budget::read().unwrap();
        assert!(budget.programs.contains_key("lb") && budget.maps.len() == maps::ALL.len());
    }
}
