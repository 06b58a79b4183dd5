//! Figures that prove a build on the running system: `cargo xtask measure AREA`.
//!
//! An area is a list of [`Row`]s, each with a figure, what is required of it, and whether it holds.

mod busy;
mod control;
mod faults;
mod figures;
mod ha;
mod main_job;
mod visibility;

use std::fmt;

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Area {
    /// Balancing itself: every mode, family and protocol, large transfers, capacity, restarts.
    Main,
    /// The control plane: failing, drained, added and removed backends, reloads, upgrades, kills, bad files, many services.
    Control,
    /// Two balancers: what clients lose when one dies, ends, returns, is cut off or attacked.
    Ha,
    /// Whether what is shown is true, and what looking costs.
    Visibility,
    /// Faults and abuse, and the package: installed, upgraded, removed.
    Faults,
}

/// How thoroughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// As much as the requirements name.
    Full,
    /// A tenth of it, to see that the measurement works.
    Quick,
}

impl Depth {
    /// A number of the requirements, or a tenth of it.
    #[must_use]
    pub fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 10,
        }
    }
}

/// A figure and what is required of it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub figure: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What is required of the figure.
    pub required: Required,
    /// Whether that holds.
    pub ok: bool,
}

impl Row {
    /// A figure with what is required of it.
    #[must_use]
    pub fn new(what: impl Into<String>, figure: f64, unit: &'static str, required: Required) -> Self {
        let ok = match required {
            Required::AtMost(limit) => figure <= limit,
            Required::AtLeast(limit) => figure >= limit,
            // Such figures are counts: whole numbers, exact in a float.
            Required::Exactly(value) => (figure - value).abs() < f64::EPSILON,
            Required::Nothing => true,
        };
        Self { what: what.into(), figure, unit, required, ok }
    }

    /// A number of things of which there must be none.
    #[must_use]
    pub fn none(what: impl Into<String>, count: u64, unit: &'static str) -> Self {
        Self::new(what, number(count), unit, Required::Exactly(0.0))
    }

    /// Something that either succeeds (1) or not (0).
    #[must_use]
    pub fn succeeds<T>(what: impl Into<String>, result: &Result<T>) -> Self {
        let what = what.into();
        if let Err(error) = result {
            eprintln!("{what}: {error:#}");
        }
        Self::new(what, if result.is_ok() { 1.0 } else { 0.0 }, "succeeded", Required::Exactly(1.0))
    }
}

/// What is required of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Required {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This.
    Exactly(f64),
    /// It stands beside another one, to compare.
    Nothing,
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
            Self::Exactly(value) => write!(f, "= {value}"),
            Self::Nothing => write!(f, "-"),
        }
    }
}

impl Serialize for Required {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The rows of an area.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// Name of the area.
    pub area: &'static str,
    /// Its rows.
    pub rows: Vec<Row>,
}

impl Measurement {
    /// Whether every figure is as required.
    #[must_use]
    pub fn ok(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.ok)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["what", "figure", "unit", "required", "ok"]);
        for Row { what, figure, unit, required, ok } in &self.rows {
            let figure = format!("{}", (figure * 100.0).round() / 100.0);
            let ok = if *ok { "yes" } else { "NO" };
            table.add_row([what, &figure, *unit, &required.to_string(), ok]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")
    }
}

/// A part of an area: its name, and what measures it.
pub(crate) type Step = (&'static str, fn(Depth) -> Result<Vec<Row>>);

/// Measures an area, and shows each step's rows on standard error when it ends; or only the steps whose name contains `only`.
///
/// # Errors
///
/// If no step is called so. A step that itself fails, such as when `lbd` does not start, is a row that falls short; the others go on.
pub fn measure(area: Area, depth: Depth, only: Option<&str>) -> Result<Measurement> {
    let (name, steps) = match area {
        Area::Main => ("main", main_job::STEPS),
        Area::Control => ("control", control::STEPS),
        Area::Ha => ("ha", ha::STEPS),
        Area::Visibility => ("visibility", visibility::STEPS),
        Area::Faults => ("faults", faults::STEPS),
    };
    let mut rows = Vec::new();
    let wanted = |step: &&Step| only.is_none_or(|only| step.0.contains(only));
    for (step, measure) in steps.iter().filter(wanted) {
        eprintln!("measuring: {step}");
        let measured = measure(depth);
        if measured.is_err() {
            rows.push(Row::succeeds(format!("{step}: the measurement itself"), &measured));
        }
        let measured = Measurement { area: name, rows: measured.unwrap_or_default() };
        eprint!("{measured}");
        rows.extend(measured.rows);
    }
    let names: Vec<&str> = steps.iter().map(|step| step.0).collect();
    ensure!(
        !rows.is_empty(),
        "no step is called {:?}; there are: {}",
        only.unwrap_or_default(),
        names.join("; ")
    );
    Ok(Measurement { area: name, rows })
}

/// Soaks for so many minutes, see [`faults`].
///
/// # Errors
///
/// If the network, a server or `lbd` does not start or stops answering.
pub fn soak(minutes: f64) -> Result<Measurement> {
    faults::soak(minutes)
}

/// A count as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_limit_is_not_ok() {
        let ok = |figure, required| Row::new("", figure, "", required).ok;
        assert!(ok(256.0, Required::AtMost(256.0)) && !ok(256.1, Required::AtMost(256.0)));
        assert!(ok(2.0, Required::AtLeast(2.0)) && !ok(1.0, Required::AtLeast(2.0)));
        assert!(Row::none("", 0, "").ok && !Row::none("", 1, "").ok);
    }

    #[test]
    fn json_has_the_documented_form() {
        let measurement = Measurement { area: "main", rows: vec![Row::none("lost", 1, "requests")] };
        assert_eq!(
            serde_json::to_string(&measurement).unwrap(),
            r#"{"area":"main","rows":[{"what":"lost","figure":1.0,"unit":"requests","required":"= 0","ok":false}]}"#
        );
        assert!(!measurement.ok());
    }
}
