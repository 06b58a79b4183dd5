//! What the program costs.

use prometheus::Result;

use super::page::{Page, Samples};
use crate::sys::bpf::ProgramFigures;

/// Writes it; runs and their time only where the kernel counts them.
pub(super) fn write(page: &mut Page, figures: Option<&ProgramFigures>) -> Result<()> {
    let all = Samples::new(figures.map(|figures| (figures, [])));
    let help = "Instructions of the program that the kernel's verifier followed.";
    all.write(page, "lb_program_verified_instructions", help, |of| of.verified_instructions.into())?;
    let help = "Machine code of the program; 0 without a JIT compiler.";
    all.write(page, "lb_program_code_bytes", help, |of| of.jited_bytes.into())?;
    let counted = Samples::new(figures.filter(|figures| figures.runs > 0).map(|figures| (figures, [])));
    let help = "How often the program ran, while that was counted.";
    counted.write(page, "lb_program_runs_total", help, |of| of.runs)?;
    let help = "How long the program ran, all CPUs together, while that was counted.";
    counted.write_text(page, "lb_program_run_seconds_total", help, |of, text| {
        text.push_str(&format!("{}.{:09}", of.run_time.as_secs(), of.run_time.subsec_nanos()));
    })
}
