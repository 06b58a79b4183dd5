//! `bench/ideas.toml`: what was tried.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// An idea that was tried.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Idea {
    /// What was changed.
    pub(super) what: String,
    /// What that did to which figure.
    pub(super) effect: String,
    /// Whether it stayed.
    pub(super) kept: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ideas {
    #[serde(default)]
    idea: Vec<Idea>,
}

pub(super) fn read(path: &Path) -> Result<Vec<Idea>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let ideas: Ideas = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(ideas.idea)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::workspace;

    #[test]
    fn the_checked_in_ideas_can_be_read() {
        let ideas = read(&workspace().join("bench/ideas.toml")).unwrap();
        assert!(ideas.iter().all(|idea| !idea.what.is_empty() && !idea.effect.is_empty()));
    }
}
