//! Kernel modules and what they depend on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// What `modules.dep` says: for each module, by its name, its file and the files it needs.
#[derive(Debug)]
pub(super) struct Dependencies {
    by_name: BTreeMap<String, (String, Vec<String>)>,
}

impl Dependencies {
    /// Reads the text of `modules.dep`.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let by_name = lines.map(|(file, needed)| {
            let needed = needed.split_whitespace().map(str::to_owned).collect();
            (name(file), (file.to_owned(), needed))
        });
        Self { by_name: by_name.collect() }
    }

    /// The files of these modules with all they need, below the directory of `modules.dep`.
    pub(super) fn files(&self, modules: &[&str]) -> Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        for module in modules {
            let (file, needed) =
                self.by_name.get(&name(module)).with_context(|| format!("no kernel module {module}"))?;
            files.insert(file.clone());
            files.extend(needed.iter().cloned());
        }
        Ok(files)
    }
}

/// A module's name: `-` and `_` are the same to the kernel.
fn name(file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "kernel/net/a.ko:\nkernel/net/b-c.ko: kernel/net/a.ko kernel/lib/d.ko\nkernel/lib/d.ko:\n";

    #[test]
    fn a_module_comes_with_all_it_needs() {
        let files = Dependencies::parse(TEXT).files(&["b_c"]).unwrap();
        assert_eq!(
            files.into_iter().collect::<Vec<_>>(),
            ["kernel/lib/d.ko", "kernel/net/a.ko", "kernel/net/b-c.ko"]
        );
    }

    #[test]
    fn a_module_that_does_not_exist_is_named() {
        let error = Dependencies::parse(TEXT).files(&["e"]).unwrap_err();
        assert!(error.to_string().contains("no kernel module e"));
    }
}
