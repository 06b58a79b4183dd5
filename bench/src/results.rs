//! Findings as they are kept and printed as JSON.

use std::{fs, io, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    finding::{Findings, Point, Row},
    part::{Depth, Part},
    provenance::{Machine, workspace},
};

/// A row, with everything in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The part that measured it.
    pub part: Part,
    /// What was measured.
    pub what: String,
    /// Unit of `ours` and `floor`.
    pub unit: String,
    /// Our figure.
    pub ours: f64,
    /// What it is held against.
    pub floor: Option<f64>,
    /// `ours / floor`.
    pub ratio: Option<f64>,
    /// What is wanted, such as `<= 1.5 x floor`.
    pub target: Option<String>,
    /// Whether that holds.
    pub ok: Option<bool>,
    /// How honest the figure is.
    pub note: Option<String>,
}

impl Record {
    fn of(part: Part, row: Row) -> Self {
        let Row { what, unit, ours, floor, ratio, target, ok, note } = row;
        let target = target.map(|target| target.to_string());
        Self { part, what, unit: unit.to_owned(), ours, floor, ratio, target, ok, note }
    }
}

/// What a run of a part found, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    /// The part.
    pub part: Part,
    /// How thoroughly it was measured.
    pub depth: Depth,
    /// See [`crate::provenance::commit`].
    pub commit: String,
    /// What it was measured on.
    pub machine: Machine,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The figures.
    pub rows: Vec<Record>,
    /// The points of plots.
    pub points: Vec<Point>,
    /// What was not measured, and how honest the figures are.
    pub notes: Vec<String>,
}

impl PartResult {
    /// The findings of a part.
    #[must_use]
    pub fn new(part: Part, depth: Depth, commit: &str, seconds: f64, findings: Findings) -> Self {
        let Findings { rows, points, notes } = findings;
        let rows = rows.into_iter().map(|row| Record::of(part, row)).collect();
        let machine = Machine::this();
        Self { part, depth, commit: commit.to_owned(), machine, seconds, rows, points, notes }
    }

    /// Whether no target is missed.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.rows.iter().all(|row| row.ok != Some(false))
    }
}

/// The directory of results.
#[derive(Clone, Debug)]
pub struct Kept {
    directory: PathBuf,
}

impl Default for Kept {
    fn default() -> Self {
        Self { directory: workspace().join("target/bench") }
    }
}

impl Kept {
    /// The last result of a part, if there is one.
    ///
    /// # Errors
    ///
    /// If it cannot be read. What an older version of the bench wrote counts as none.
    pub fn load(&self, part: Part, depth: Depth) -> Result<Option<PartResult>> {
        let path = self.path(part, depth);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Keeps a result in place of the last one.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&self, result: &PartResult) -> Result<()> {
        let path = self.path(result.part, result.depth);
        let directory = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let text = serde_json::to_vec_pretty(result)?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    fn path(&self, part: Part, depth: Depth) -> PathBuf {
        self.directory.join(depth.name()).join(format!("{part}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Plot, Target};

    #[test]
    fn json_has_the_documented_form() {
        let row = Row::new("SYN", "ns", 3.0).against(2.0).target(Target::RatioAtMost(1.5));
        assert_eq!(
            serde_json::to_string(&Record::of(Part::Packet, row)).unwrap(),
            r#"{"part":"packet","what":"SYN","unit":"ns","ours":3.0,"floor":2.0,"ratio":1.5,"target":"<= 1.5 x floor","ok":true,"note":null}"#
        );
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let directory = std::env::temp_dir().join(format!("lb-bench-{}", std::process::id()));
        let kept = Kept { directory: directory.clone() };
        let findings = Findings {
            rows: vec![Row::new("SYN", "ns", 3.0)],
            points: vec![Point::new(Plot::Memory, "ours", 1.0, 2.0)],
            notes: vec!["veth".to_owned()],
        };
        let result = PartResult::new(Part::Scale, Depth::Quick, "abc", 1.0, findings);
        kept.save(&result).unwrap();
        assert_eq!(kept.load(Part::Scale, Depth::Quick).unwrap(), Some(result));
        assert_eq!(kept.load(Part::Scale, Depth::Full).unwrap(), None);
        fs::remove_dir_all(directory).unwrap();
    }
}
