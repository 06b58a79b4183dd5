//! The packages that programs need, by the libraries that they are linked to.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::process::Command;

use xtask::{Error, Result};

use super::contents::output;

/// Libraries of the C library's package.
const LIBC: [&str; 5] = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"];
/// The dynamic linker, which is of the same package.
const LINKER: &str = "ld-linux";
/// The unwinder. The symbols that Rust uses are in each version of the last twenty years.
const LIBGCC: &str = "libgcc_s.so.1";

/// The field `Depends` for these programs.
pub(super) fn of(programs: &[PathBuf]) -> Result<String> {
    let (mut newest, mut has_libgcc) = (Vec::new(), false);
    for program in programs {
        let mut readelf = Command::new("readelf");
        readelf.env("LC_ALL", "C").args(["--wide", "--dynamic", "--version-info"]).arg(program);
        let facts = output(&mut readelf)?;
        let facts = String::from_utf8_lossy(&facts);
        for library in needed(&facts) {
            match library {
                LIBGCC => has_libgcc = true,
                _ if LIBC.contains(&library) || library.starts_with(LINKER) => {}
                _ => {
                    return Err(Error::new(format!(
                        "{} needs {library}, of a package that is not known",
                        program.display()
                    )));
                }
            }
        }
        newest.extend(libc_version(&facts));
    }
    newest.sort_by(|one, other| compare(one, other));
    let libc = newest.pop().map_or_else(|| "libc6".to_owned(), |version| format!("libc6 (>= {version})"));
    Ok(if has_libgcc { format!("{libc}, libgcc-s1") } else { libc })
}

/// Names of the libraries, of lines such as `0x1 (NEEDED)  Shared library: [libc.so.6]`.
fn needed(facts: &str) -> impl Iterator<Item = &str> {
    let lines = facts.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| line.split_once('[')?.1.split_once(']').map(|(name, _)| name))
}

/// The newest version of the C library that a program asks for, of lines such as `0x0010: Name: GLIBC_2.34  Flags: none  Version: 5`.
fn libc_version(facts: &str) -> Option<String> {
    let names = facts.lines().filter_map(|line| line.split_once("Name: GLIBC_")?.1.split_whitespace().next());
    names
        .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        .max_by(|one, other| compare(one, other))
        .map(str::to_owned)
}

fn compare(one: &str, other: &str) -> Ordering {
    let numbers =
        |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    numbers(one).cmp(&numbers(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = "\
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
  0x0010:   Name: GCC_3.0  Flags: none  Version: 10
  0x0020:   Name: GLIBC_2.9  Flags: none  Version: 8
  0x0030:   Name: GLIBC_2.34  Flags: none  Version: 7
  0x0040:   Name: GLIBC_PRIVATE  Flags: none  Version: 6
";

    #[test]
    fn the_newest_symbol_decides_which_libc_is_needed() {
        assert_eq!(libc_version(FACTS).as_deref(), Some("2.34"));
        assert_eq!(needed(FACTS).collect::<Vec<_>>(), ["libgcc_s.so.1", "libc.so.6"]);
    }
}
