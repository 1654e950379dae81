//! An evaluation for people: the arms side by side, then the details.

use std::fmt::Write as _;

use super::{dollars, interval, percent, reading, rows};
use crate::measure::eval::{ArmReport, CurvePoint, EvalReport, Split};
use crate::statistics::real;

/// How many of the weakest intents are listed.
const WEAKEST: usize = 8;

/// The whole evaluation as tables.
#[must_use]
pub fn eval_table(report: &EvalReport) -> String {
    let mut out = String::new();
    let first = &report.arms[0];
    let of_all = if report.dropped > 0 { format!(" of {}", report.given()) } else { String::new() };
    let who = labelers(&report.arms);
    let _ = writeln!(out, "{}{of_all} tickets, labeler {who}{}", report.tickets, split(report.split));
    for remark in reading::remarks(report) {
        let _ = writeln!(out, "{remark}");
    }

    out.push('\n');
    table(&mut out, &rows::arms(&report.arms));
    out.push('\n');
    table(&mut out, &more_rows(report));
    if !report.comparisons.is_empty() {
        out.push('\n');
        for line in reading::comparisons(report) {
            let _ = writeln!(out, "{line}");
        }
    }
    if !report.curve.is_empty() {
        out.push('\n');
        table(&mut out, &curve_rows(&report.curve));
    }
    if let (Some(column), true) = (&report.case_column, first.cases.len() > 1) {
        out.push('\n');
        table(&mut out, &rows::by(column, &report.arms, rows::cases));
    }
    if !first.attributes.is_empty() {
        out.push('\n');
        table(&mut out, &attribute_rows(&report.arms));
    }
    out.push('\n');
    let last = &report.arms[report.arms.len() - 1];
    let _ = writeln!(out, "weakest intents of the arm {} (all of them with --json):", last.name);
    table(&mut out, &rows::weakest(last, WEAKEST));
    out
}

/// Who labels, each with its model, once.
fn labelers(arms: &[ArmReport]) -> String {
    let mut names: Vec<String> = Vec::new();
    for arm in arms {
        let model = arm.model.as_ref().map(|model| format!(" ({model})")).unwrap_or_default();
        let name = format!("{}{model}", arm.labeler);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

fn split(split: Option<Split>) -> String {
    match split {
        None => String::new(),
        Some(Split::Time { train_share }) => format!(", the newest after the oldest {:.0} %", train_share * 100.0),
        Some(Split::Random { train_share, seed }) => {
            format!(", drawn with seed {seed}, the other {:.0} % learned from", train_share * 100.0)
        }
        Some(Split::Folds { folds, seed }) => format!(", cross-validated in {folds} parts, seed {seed}"),
    }
}

/// Columns that are not always there: a column appears when an arm has a value for it.
fn more_rows(report: &EvalReport) -> Vec<Vec<String>> {
    let column = |name: &str, cell: &dyn Fn(&ArmReport) -> Option<String>| {
        let cells: Vec<Option<String>> = report.arms.iter().map(cell).collect();
        cells.iter().any(Option::is_some).then(|| {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into()));
            std::iter::once(name.to_owned()).chain(cells).collect::<Vec<String>>()
        })
    };
    let money = |(low, high): (f64, f64)| format!("{} – {}", dollars(Some(low)), dollars(Some(high)));
    let columns: Vec<Vec<String>> = [
        column("arm", &|arm| Some(arm.name.clone())),
        column("without near-duplicates", &|arm| {
            arm.accuracy_without_duplicates.filter(|_| report.near_duplicates > 0).map(percent)
        }),
        column("macro-F1 95 %", &|arm| Some(format!("{:.3} – {:.3}", arm.macro_f1_ci95.0, arm.macro_f1_ci95.1))),
        column("cost 95 %", &|arm| arm.cost_ci95.filter(|cost| cost.1 > 0.0).map(money)),
        column("asked Claude", &|arm| arm.escalated.map(|asked| percent(real(asked) / real(arm.n)))),
        column("answer stays", &|arm| arm.consistency.map(percent)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (0..=report.arms.len()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

fn curve_rows(curve: &[CurvePoint]) -> Vec<Vec<String>> {
    let mut rows = vec![["examples per intent", "in all", "n", "accuracy", "95 % interval"].map(String::from).to_vec()];
    rows.extend(curve.iter().map(|point| {
        vec![
            point.per_intent.to_string(),
            point.examples.to_string(),
            point.n.to_string(),
            percent(point.accuracy),
            interval(point.ci95),
        ]
    }));
    rows
}

fn attribute_rows(arms: &[ArmReport]) -> Vec<Vec<String>> {
    let header = ["attribute", "arm", "n", "accuracy", "95 % interval", "macro-F1"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for (position, attribute) in arms[0].attributes.iter().enumerate() {
        rows.extend(arms.iter().map(|arm| {
            let score = &arm.attributes[position];
            vec![
                attribute.name.clone(),
                arm.name.clone(),
                score.n.to_string(),
                percent(score.accuracy),
                interval(score.ci95),
                format!("{:.3}", score.macro_f1),
            ]
        }));
    }
    rows
}

/// Columns as wide as they need; the first to the left, the others to the right. A terminal breaks
/// no lines, so its spaces are plain ones, which can be searched for.
fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let _ = write!(out, "{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {:>width$}", cell.replace('\u{a0}', " "));
        }
        out.push('\n');
    }
}
