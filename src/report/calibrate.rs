//! A calibration for people.

use std::fmt::Write as _;

use super::dollars;
use crate::learn::calibrate::{CalibrationReport, Cascade, Dial};
use crate::text::one_line;

/// What was learned: the dial, the probabilities, and what a cascade would save.
#[must_use]
pub fn calibration_summary(report: &CalibrationReport) -> String {
    let mut out = String::new();
    let model = report.model.as_ref().map(|model| format!(" ({model})")).unwrap_or_default();
    let (low, high) = report.ci95;
    let _ = writeln!(
        out,
        "{} tickets, labeler {}{model}, {:.1} % right ({:.1} – {:.1})",
        report.tickets,
        report.labeler,
        report.accuracy * 100.0,
        low * 100.0,
        high * 100.0
    );
    if report.dropped > 0 {
        let _ = writeln!(
            out,
            "{} more are in the store and were left out, since the probe has learned from them",
            report.dropped
        );
    }
    for note in &report.notes {
        let _ = writeln!(out, "{}", one_line(note));
    }
    out.push('\n');
    dial(&mut out, report);
    reliability(&mut out, report);
    cascade(&mut out, &report.cascade);
    out.push('\n');
    let stored = if report.stored {
        format!("stored ({}): classify and eval with --labeler {} use it from now on", report.made_at, report.labeler)
    } else {
        "nothing was stored (--dry-run)".to_owned()
    };
    let _ = writeln!(out, "{stored}");
    out
}

fn dial(out: &mut String, report: &CalibrationReport) {
    let dial = &report.dial;
    let (target, sure) = (dial.target * 100.0, dial.confidence * 100.0);
    let (Some(threshold), Some(probability), Some(precision), Some(at_least)) =
        (dial.threshold, report.probability, dial.precision, dial.precision_at_least)
    else {
        let _ =
            writeln!(out, "the dial    no threshold gives {target:.1} % with {sure:.0} % confidence: {}", remedy(dial));
        let _ = writeln!(out, "            until then every ticket goes to review, unless --min-confidence is given");
        return;
    };
    let (low, high) = dial.coverage_ci95;
    let _ = writeln!(
        out,
        "the dial    {target:.1} % of what is routed is right, with {sure:.0} % confidence\n\
         threshold   score {threshold:.4}, which is a probability of {:.1} %\n\
         coverage    {:.1} % of the tickets are routed (95 % interval {:.1} – {:.1})\n\
         precision   {:.1} % of these are right ({} of {} wrong), at least {:.1} %",
        probability * 100.0,
        dial.coverage * 100.0,
        low * 100.0,
        high * 100.0,
        precision * 100.0,
        dial.wrong,
        dial.routed,
        at_least * 100.0
    );
}

/// What to do where the dial has no threshold.
fn remedy(dial: &Dial) -> String {
    match dial.needed {
        Some(needed) => format!("about {needed} labelled tickets are needed; or ask for less with --target-precision"),
        None => {
            "too many of the surest answers are wrong for any number of tickets; ask for less with --target-precision"
                .into()
        }
    }
}

fn reliability(out: &mut String, report: &CalibrationReport) {
    let _ = writeln!(out, "\ncalibration error {:.3} on these tickets", report.calibration_error);
    let _ = writeln!(out, "probability           tickets  on average  were right");
    for bin in &report.reliability {
        let _ = writeln!(
            out,
            "{:>3.0} – {:>3.0} %          {:>9}  {:>8.1} %  {:>8.1} %",
            bin.from * 100.0,
            bin.to * 100.0,
            bin.n,
            bin.confidence * 100.0,
            bin.accuracy * 100.0
        );
    }
}

fn cascade(out: &mut String, cascade: &Cascade) {
    let (Some(accuracy), dial) = (cascade.accuracy, &cascade.dial) else { return };
    let _ = match dial.threshold {
        None => writeln!(out, "\na cascade has no threshold for the vote: {}", remedy(dial)),
        Some(threshold) => writeln!(
            out,
            "\na cascade would take the vote's answer from a score of {threshold:.4} on: {:.1} % of the tickets, which saves \
             {} for each of all; {:.1} % of all would be right",
            dial.coverage * 100.0,
            dollars(cascade.saved_per_ticket_usd),
            accuracy * 100.0
        ),
    };
}
