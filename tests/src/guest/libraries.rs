//! The shared libraries of a program.

use std::{collections::BTreeSet, path::Path};

use anyhow::Result;

use crate::command;

/// The files that a program is linked with, the dynamic linker among them.
pub(super) fn of(program: &Path) -> Result<BTreeSet<String>> {
    // ldd fails on a static program, which needs nothing.
    match command::run("ldd", &[program.display().to_string()]) {
        Ok(output) => Ok(parse(&output)),
        Err(error) if format!("{error:#}").contains("not a dynamic executable") => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// The paths in what `ldd` prints.
fn parse(output: &str) -> BTreeSet<String> {
    let paths = output.lines().filter_map(|line| {
        let file = line.split_once("=>").map_or(line, |(_, file)| file).trim();
        let path = file.split(" (").next()?.trim();
        path.starts_with('/').then(|| path.to_owned())
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_dynamic_linker_are_found() {
        let output = "\tlinux-vdso.so.1 (0x00007fff2b5f1000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0a)
\tlibgone.so => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1b)\n";
        let found: Vec<String> = parse(output).into_iter().collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn a_static_program_has_none() {
        assert!(parse("\tstatically linked\n").is_empty());
    }
}
