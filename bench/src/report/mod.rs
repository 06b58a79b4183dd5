//! `docs/benchmarks.md`: the last results as a page with plots.
//!
//! What people write is in files of its own, `bench/bounds.md`, `bench/ideas.toml`, `bench/unmeasured.md` and `bench/recipes.md`.

mod ideas;
mod markdown;
mod plots;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    finding::Point,
    part::{Depth, Part},
    provenance::workspace,
    results::{Kept, PartResult},
};

/// Writes the page and its plots below `docs/`; a part without a full result is shown with its quick one.
///
/// # Errors
///
/// If there are no results, or something cannot be read or written.
pub fn write(kept: &Kept) -> Result<()> {
    let mut results = Vec::new();
    for part in Part::ALL {
        let full = kept.load(part, Depth::Full)?;
        results.extend(match full {
            Some(result) => Some(result),
            None => kept.load(part, Depth::Quick)?,
        });
    }
    ensure!(!results.is_empty(), "nothing was measured yet: run `cargo xtask bench` first");
    let docs = workspace().join("docs");
    let drawn = draw(&results, &docs.join("plots"))?;
    let bench = workspace().join("bench");
    let page = markdown::Page {
        results: &results,
        drawn: &drawn,
        ideas: &ideas::read(&bench.join("ideas.toml"))?,
        bounds: &read(&bench.join("bounds.md"))?,
        unmeasured: &read(&bench.join("unmeasured.md"))?,
        recipes: &read(&bench.join("recipes.md"))?,
    };
    let path = docs.join("benchmarks.md");
    fs::write(&path, page.to_string()).with_context(|| path.display().to_string())
}

/// A plot that was drawn.
struct Drawn {
    part: Part,
    title: String,
    /// Its file in `docs/plots/`.
    file: String,
}

fn draw(results: &[PartResult], directory: &Path) -> Result<Vec<Drawn>> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let mut drawn = Vec::new();
    for result in results {
        let mut plots: Vec<_> = result.points.iter().map(|point| point.plot).collect();
        plots.sort_unstable();
        plots.dedup();
        for plot in plots {
            let points: Vec<&Point> = result.points.iter().filter(|point| point.plot == plot).collect();
            let (title, file) =
                (plot.axes().title.to_owned(), format!("{}-{}.svg", result.part, plot.name()));
            let path = directory.join(&file);
            fs::write(&path, plots::svg(plot, &points)?).with_context(|| path.display().to_string())?;
            drawn.push(Drawn { part: result.part, title, file });
        }
    }
    Ok(drawn)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
