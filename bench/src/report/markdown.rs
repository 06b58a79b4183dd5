//! The page.

use std::fmt;

use super::{Drawn, ideas::Idea};
use crate::{
    part::{Depth, Part},
    provenance::Machine,
    results::{PartResult, Record},
    show::{figure, verdict},
};

const HEAD: &str = "# What it costs

<!-- Written by `cargo xtask bench --report`; what people write of it is in bench/bounds.md, bench/ideas.toml, bench/unmeasured.md and bench/recipes.md. -->

Figures of `cargo xtask bench`. Absolute times on a shared machine mean little: what counts is *ours / floor*, both measured in
interleaved rounds of one run. A floor is the least that could do the job, or another program on the same topology; each part says which.
";

/// What a part measures, for those who read its table.
fn introduction(part: Part) -> &'static str {
    match part {
        Part::Packet => {
            "What one packet costs the program, by `BPF_PROG_TEST_RUN`: a wrapper program calls ours a million times, puts the \
             packet back as it was, and steps through the flows; its own cost is measured and taken off. Nanoseconds of one core."
        }
        Part::Forward => {
            "Frames that one core forwards from one veth to another, sent by a generator of our own in the kernel. veth is not a \
             NIC: it has no DMA and no RSS, and part of its cost is the kernel's."
        }
        Part::Tcp => {
            "Real connections between network namespaces. Client and servers share the cores with the balancer, so most of the \
             time is theirs."
        }
        Part::Control => "How fast `lbd` is with as much to do as its limits are made for.",
        Part::Scale => "What grows with the number of services and backends.",
        Part::Failover => "What running traffic notices when something fails or is replaced.",
        Part::Peers => {
            "Other ways to do it on the same topology, in the same run, in interleaved rounds. Offloads are off on both sides, since \
             XDP cannot have 64 KiB segments."
        }
    }
}

/// All that goes into the page.
pub(super) struct Page<'a> {
    pub(super) results: &'a [PartResult],
    pub(super) drawn: &'a [Drawn],
    pub(super) ideas: &'a [Idea],
    pub(super) bounds: &'a str,
    pub(super) unmeasured: &'a str,
    pub(super) recipes: &'a str,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        self.machines(f)?;
        self.summary(f)?;
        for result in self.results {
            self.part(result, f)?;
        }
        writeln!(f, "## What bounds the targets that are missed\n\n{}\n", self.bounds.trim())?;
        writeln!(f, "## Ideas tried\n\n| idea | effect | kept |\n|---|---|---|")?;
        for Idea { what, effect, kept } in self.ideas {
            let kept = if *kept { "yes" } else { "no" };
            writeln!(f, "| {} | {} | {kept} |", cell(what), cell(effect))?;
        }
        writeln!(f, "\n## What was not measured\n\n{}", self.unmeasured.trim())?;
        for part in
            Part::ALL.into_iter().filter(|part| self.of(*part).is_none_or(|result| result.rows.is_empty()))
        {
            writeln!(f, "- The part `{part}`.")?;
        }
        writeln!(f, "\n{}", self.recipes.trim())
    }
}

impl Page<'_> {
    fn of(&self, part: Part) -> Option<&PartResult> {
        self.results.iter().find(|result| result.part == part)
    }

    fn machines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen: Vec<(&Machine, Vec<&PartResult>)> = Vec::new();
        for result in self.results {
            match seen.iter_mut().find(|(machine, _)| **machine == result.machine) {
                Some((_, results)) => results.push(result),
                None => seen.push((&result.machine, vec![result])),
            }
        }
        writeln!(f, "## Machine\n\n| parts | commit | processor | cores | memory | kernel | compiler |")?;
        writeln!(f, "|---|---|---|---:|---:|---|---|")?;
        for (Machine { processor, cores, memory, kernel, rustc }, results) in seen {
            let parts: Vec<_> = results.iter().map(|result| result.part.name()).collect();
            let mut commits: Vec<_> = results.iter().map(|result| result.commit.as_str()).collect();
            commits.dedup();
            let (parts, commits, processor) = (parts.join(", "), commits.join(", "), cell(processor));
            writeln!(
                f,
                "| {parts} | {commits} | {processor} | {cores} | {memory} MiB | {kernel} | {rustc} |"
            )?;
        }
        writeln!(f)
    }

    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judged = || self.results.iter().flat_map(|result| &result.rows).filter(|row| row.ok.is_some());
        let missed: Vec<&Record> = judged().filter(|row| row.ok == Some(false)).collect();
        let met = judged().count() - missed.len();
        writeln!(f, "{met} of {} targets are met.", judged().count())?;
        if !missed.is_empty() {
            writeln!(f, "Missed:\n")?;
        }
        for row in missed {
            let target = row.target.as_deref().unwrap_or_default();
            let figure = row.ratio.filter(|_| target.ends_with("floor")).unwrap_or(row.ours);
            writeln!(f, "- {} ({}): {}, wanted {target}", row.what, row.part, self::figure(figure))?;
        }
        writeln!(f)
    }

    fn part(&self, result: &PartResult, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PartResult { part, depth, rows, notes, .. } = result;
        let depth = if *depth == Depth::Quick { " (quick run)" } else { "" };
        writeln!(f, "## `{part}`{depth}\n\n{}\n", introduction(*part))?;
        if !rows.is_empty() {
            writeln!(
                f,
                "| what | ours | floor | unit | ours / floor | target | met |\n|---|---:|---:|---|---:|---|---|"
            )?;
        }
        let mut remarks = Vec::new();
        for row in rows {
            let mut what = cell(&row.what);
            if let Some(note) = &row.note {
                // One remark of many rows is said once.
                let known = remarks.iter().position(|known| *known == note);
                let number = known.unwrap_or_else(|| {
                    remarks.push(note);
                    remarks.len() - 1
                });
                what.push_str(&format!(" <sup>{}</sup>", number + 1));
            }
            let (floor, ratio) = (row.floor.map(figure), row.ratio.map(figure));
            let (target, unit) = (row.target.as_deref().unwrap_or_default(), &row.unit);
            let [floor, ratio] = [floor, ratio].map(Option::unwrap_or_default);
            writeln!(
                f,
                "| {what} | {} | {floor} | {unit} | {ratio} | {target} | {} |",
                figure(row.ours),
                verdict(row.ok)
            )?;
        }
        writeln!(f)?;
        for (number, remark) in (1..).zip(remarks) {
            writeln!(f, "<sup>{number}</sup> {remark}  ")?;
        }
        for note in notes {
            writeln!(f, "- {note}")?;
        }
        writeln!(f)?;
        for Drawn { title, file, .. } in self.drawn.iter().filter(|drawn| drawn.part == *part) {
            writeln!(f, "![{title}](plots/{file})\n")?;
        }
        Ok(())
    }
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Findings, Row, Target};

    fn page(rows: Vec<Row>) -> String {
        let findings = Findings { rows, ..Findings::default() };
        let results = [PartResult::new(Part::Packet, Depth::Quick, "abc", 1.0, findings)];
        let page = Page {
            results: &results,
            drawn: &[],
            ideas: &[],
            bounds: "- Memory.",
            unmeasured: "- A NIC.",
            recipes: "## Recipes",
        };
        page.to_string()
    }

    #[test]
    fn missed_targets_come_first_and_remarks_are_said_once() {
        let row = |what, ours| {
            Row::new(what, "ns", ours).against(2.0).target(Target::RatioAtMost(1.5)).note("on veth")
        };
        let page = page(vec![row("SYN", 4.0), row("ACK", 2.0)]);
        assert!(
            page.contains("1 of 2 targets are met.\nMissed:\n\n- SYN (packet): 2.00, wanted <= 1.5 x floor"),
            "{page}"
        );
        assert!(
            page.contains("| ACK <sup>1</sup> | 2.00 | 2.00 | ns | 1.00 | <= 1.5 x floor | yes |"),
            "{page}"
        );
        assert_eq!(page.matches("on veth").count(), 1);
    }

    #[test]
    fn parts_without_figures_are_listed() {
        let page = page(Vec::new());
        assert!(page.contains("- A NIC.\n- The part `packet`.\n- The part `forward`."), "{page}");
    }
}
