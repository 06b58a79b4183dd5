//! Whose code is in the package, and under which licences: the texts that those ask to be passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use xtask::{Context, Error, Result, command, root};

use super::contents::read;
use super::tree::{READABLE, Tree};
use crate::crates::{self, Crate, Part};

/// What files with a licence begin with, in capitals.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
/// The licence whose text is the same whoever the authors are: for crates that bring none.
const COMMON: &str = "Apache-2.0";

pub(super) fn fill(tree: &Tree) -> Result<()> {
    tree.add("usr/share/doc/lb/copyright", copyright()?, READABLE)?;
    tree.add_compressed("usr/share/doc/lb/licences-of-crates.txt", texts()?)?;
    // What is in the standard library is listed by Rust itself.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot =
        command::stdout(std::process::Command::new(rustc).current_dir(root()).args(["--print", "sysroot"]));
    let library =
        sysroot.map(|path| std::path::Path::new(&path).join("share/doc/rust/COPYRIGHT-library.html"));
    match library.filter(|path| path.exists()) {
        Some(path) => tree.add_compressed("usr/share/doc/lb/licences-of-rust.html", read(&path)?),
        None => Err(Error::new("rustc brings no share/doc/rust/COPYRIGHT-library.html; rustup's does")),
    }
}

/// In Debian's machine-readable form, with our own two licences.
fn copyright() -> Result<String> {
    let mit = fs::read_to_string(root().join("LICENSE-MIT")).context("LICENSE-MIT")?;
    let holder = mit.lines().find_map(|line| line.strip_prefix("Copyright (c) ")).unwrap_or_default();
    let paragraphs = mit.split_once(holder).map_or("", |(_, rest)| rest).trim();
    let indented: String = paragraphs
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: lb\n\
        Comment: The programs contain code of the crates that licences-of-crates.txt.gz lists, and of Rust's\n \
        standard library, see licences-of-rust.html.gz; the texts of their licences are there.\n\n\
        Files: *\nCopyright: {holder}\nLicense: GPL-2 or Expat\n\n\
        License: GPL-2\n On Debian systems, the text of version 2 of the GNU General Public License is in\n \
        /usr/share/common-licenses/GPL-2.\n\nLicense: Expat\n{indented}"
    ))
}

/// All crates with their licences, then each text once, with those that bring it.
fn texts() -> Result<String> {
    let mut all = crates::of(Part::Programs)?;
    all.extend(crates::of(Part::Object)?);
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut list, mut without) = (String::new(), Vec::new());
    for one in &all {
        let name = format!("{} {}", one.name, one.version);
        let _ = writeln!(list, "{name}: {}", one.licence);
        let texts = texts_of(one)?;
        if texts.is_empty() {
            without.push((name.clone(), one.licence.clone()));
        }
        for text in texts {
            owners.entry(text).or_default().insert(name.clone());
        }
    }
    add_common(&mut owners, without)?;
    let mut page = format!("Crates of which code is in lbd and lbctl, and their licences\n\n{list}");
    for (text, names) in by_first_owner(owners) {
        let names: Vec<_> = names.into_iter().collect();
        let _ = write!(page, "\n{}\n{}\n\n{text}", "-".repeat(80), names.join(", "));
    }
    Ok(page)
}

/// Those without a text get that of the Apache licence, if they may be had under it.
fn add_common(owners: &mut BTreeMap<String, BTreeSet<String>>, without: Vec<(String, String)>) -> Result<()> {
    let is_common =
        |text: &&String| text.trim_start().starts_with("Apache License") && text.contains("APPENDIX");
    let common = owners.iter().filter(|(text, _)| is_common(text)).max_by_key(|(_, names)| names.len());
    let common = common.map(|(text, _)| text.clone());
    for (name, licence) in without {
        match &common {
            Some(text) if licence.contains(COMMON) => {
                owners.entry(text.clone()).or_default().insert(name);
            }
            _ => return Err(Error::new(format!("{name} ({licence}) brings no text of its licence"))),
        }
    }
    Ok(())
}

fn by_first_owner(owners: BTreeMap<String, BTreeSet<String>>) -> Vec<(String, BTreeSet<String>)> {
    let mut texts: Vec<_> = owners.into_iter().collect();
    texts.sort_by(|(one, of_one), (other, of_other)| {
        of_one.first().cmp(&of_other.first()).then(one.cmp(other))
    });
    texts
}

fn texts_of(one: &Crate) -> Result<Vec<String>> {
    let directory = one.directory()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).context(directory.display())? {
        let path = entry.context(directory.display())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|begin| name.starts_with(begin)) {
            files.push(path);
        }
    }
    files.sort();
    let text = |path| {
        read(path).map(|text| String::from_utf8_lossy(&text).replace('\r', "").trim_end().to_owned() + "\n")
    };
    files.iter().map(|path| text(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_licences_are_named_with_the_holder_of_the_rights() {
        let text = copyright().unwrap();
        assert!(text.contains("\nCopyright: 20"), "{text}");
        assert!(text.contains("License: Expat\n Permission is hereby granted"), "{text}");
        assert!(text.lines().all(|line| !line.trim().is_empty() || line.is_empty()), "{text}");
    }

    #[test]
    fn a_crate_without_a_text_gets_that_of_the_apache_licence_or_is_an_error() {
        let apache = "  Apache License\n...APPENDIX\n".to_owned();
        let mut owners = BTreeMap::from([(apache.clone(), BTreeSet::from(["a 1".to_owned()]))]);
        add_common(&mut owners, vec![("b 1".into(), "MIT OR Apache-2.0".into())]).unwrap();
        assert_eq!(owners[&apache].len(), 2);
        let error = add_common(&mut owners, vec![("c 1".into(), "MIT".into())]).unwrap_err();
        assert!(error.to_string().contains("c 1 (MIT)"), "{error}");
    }
}
