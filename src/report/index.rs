//! An index run for people.

use std::fmt::Write as _;

use crate::learn::index::IndexReport;
use crate::text::one_line;

/// How many bad rows are listed; further ones are only counted.
const LISTED_ERRORS: usize = 20;

/// What an index run did, and which rows were rejected.
#[must_use]
pub fn index_summary(report: &IndexReport, store: &str) -> String {
    let mut out = String::new();
    for error in report.errors.iter().take(LISTED_ERRORS) {
        let _ = writeln!(out, "rejected {}: {}", error.place, one_line(&error.message));
    }
    if report.errors.len() > LISTED_ERRORS {
        let _ = writeln!(out, "… and {} more (all of them with --json)", report.errors.len() - LISTED_ERRORS);
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let _ = writeln!(
        out,
        "read {}, added {}, updated {}, unchanged {}, removed {}, rejected {}",
        report.read, report.added, report.updated, report.unchanged, report.removed, report.rejected
    );
    let done = if report.written { "" } else { "nothing was written; " };
    if let Some(probe) = &report.probe {
        let _ = writeln!(
            out,
            "probe trained in {:.1} s on {} examples of {} intents; on a held-out fifth the neighbours reach {:.1} %, \
             with the probe {:.1} %{}",
            probe.seconds,
            probe.examples,
            probe.intents,
            probe.neighbours_accuracy * 100.0,
            probe.accuracy * 100.0,
            if probe.useful { "" } else { ", so it is not used" }
        );
    }
    let _ = writeln!(out, "{done}{} texts embedded, {} examples in {store}", report.embedded, report.total);
    out
}
