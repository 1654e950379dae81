//! What a check of a taxonomy found, and what a change of names did, for people.

use std::fmt::Write as _;

use crate::data::taxonomy::{Finding, Severity};
use crate::learn::relabel::RelabelReport;
use crate::text::one_line;

/// One line for each finding and one that counts them. `examples` is how many examples the
/// taxonomy was compared with, `None` where there was no store.
#[must_use]
pub fn findings(findings: &[Finding], examples: Option<usize>) -> String {
    let mut out = String::new();
    let mut counts = [0; 3];
    for finding in findings {
        let (name, count) = match finding.level {
            Severity::Error => ("error", &mut counts[0]),
            Severity::Warning => ("warning", &mut counts[1]),
            Severity::Hint => ("hint", &mut counts[2]),
        };
        *count += 1;
        let _ = writeln!(out, "{name:<7}  {}", one_line(&finding.message));
    }
    let compared = match examples {
        Some(examples) => format!("compared with {examples} examples"),
        None => "not compared with examples, since there is no store".to_owned(),
    };
    let [errors, warnings, hints] = counts;
    let _ = writeln!(out, "{errors} errors, {warnings} warnings, {hints} hints; {compared}");
    out
}

/// What was renamed or merged, and what changed with it.
#[must_use]
pub fn relabel_summary(report: &RelabelReport) -> String {
    let from: Vec<String> = report.from.iter().map(|name| format!("{name:?}")).collect();
    let is = match (report.dry_run, from.len()) {
        (true, _) => "would be",
        (false, 1) => "is",
        (false, _) => "are",
    };
    let mut out = String::new();
    for note in &report.notes {
        let _ = writeln!(out, "note: {}", one_line(note));
    }
    let (from, into) = (one_line(&from.join(", ")), one_line(&report.into));
    let _ = writeln!(
        out,
        "{from} {is} {into:?}: {} examples, {} references ({:.0} ms{})",
        report.examples,
        report.references,
        report.milliseconds,
        if report.dry_run { ", nothing was written" } else { "" }
    );
    out
}
