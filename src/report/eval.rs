//! An evaluation for people: arms side by side, then what lies below the totals.

use std::fmt::Write as _;

use super::{dollars, reading};
use crate::eval::stats::real;
use crate::eval::{ArmReport, CurvePoint, EvalReport, Split};

/// How many of the weakest intents are listed.
const WEAKEST: usize = 8;

/// The whole evaluation as tables.
#[must_use]
pub fn eval_table(report: &EvalReport) -> String {
    let mut out = String::new();
    let first = &report.arms[0];
    let _ = writeln!(out, "{} tickets, labeler {}{}", report.tickets, labelers(&report.arms), split(report.split));
    for remark in reading::remarks(report) {
        let _ = writeln!(out, "{remark}");
    }

    out.push('\n');
    table(&mut out, &arm_rows(&report.arms));
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
    if first.cases.len() > 1 {
        out.push('\n');
        table(&mut out, &case_rows(&report.arms));
    }
    if !first.attributes.is_empty() {
        out.push('\n');
        table(&mut out, &attribute_rows(&report.arms));
    }
    out.push('\n');
    weakest(&mut out, &report.arms[report.arms.len() - 1]);
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

/// What is not always there: a column appears when an arm has something to say in it.
fn more_rows(report: &EvalReport) -> Vec<Vec<String>> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let column = |name: &str, cell: &dyn Fn(&ArmReport) -> Option<String>| {
        let cells: Vec<Option<String>> = report.arms.iter().map(cell).collect();
        cells.iter().any(Option::is_some).then(|| {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into()));
            std::iter::once(name.to_owned()).chain(cells).collect::<Vec<String>>()
        })
    };
    let interval = |(low, high): (f64, f64)| format!("{} – {}", dollars(Some(low)), dollars(Some(high)));
    let columns: Vec<Vec<String>> = [
        column("arm", &|arm| Some(arm.name.clone())),
        column("without near-duplicates", &|arm| {
            arm.accuracy_without_duplicates.filter(|_| report.near_duplicates > 0).map(percent)
        }),
        column("macro-F1 95 %", &|arm| Some(format!("{:.3} – {:.3}", arm.macro_f1_ci95.0, arm.macro_f1_ci95.1))),
        column("cost 95 %", &|arm| arm.cost_ci95.filter(|cost| cost.1 > 0.0).map(interval)),
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
            format!("{:.1} %", point.accuracy * 100.0),
            format!("{:.1} – {:.1}", point.ci95.0 * 100.0, point.ci95.1 * 100.0),
        ]
    }));
    rows
}

fn arm_rows(arms: &[ArmReport]) -> Vec<Vec<String>> {
    let header = [
        "arm",
        "accuracy",
        "95 % interval",
        "macro-F1",
        "routed",
        "of these right",
        "errors",
        "tokens",
        "cost",
        "per ticket",
        "p50 ms",
        "p95 ms",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(arms.iter().map(|arm| {
        let usage = &arm.usage;
        let tokens = usage.input_tokens
            + usage.output_tokens
            + usage.cache_creation_input_tokens
            + usage.cache_read_input_tokens;
        vec![
            arm.name.clone(),
            format!("{:.1} %", arm.accuracy * 100.0),
            format!("{:.1} – {:.1}", arm.ci95.0 * 100.0, arm.ci95.1 * 100.0),
            format!("{:.3}", arm.macro_f1),
            format!("{:.1} %", 100.0 * real(arm.routed) / real(arm.n)),
            arm.routed_accuracy.map_or("–".into(), |accuracy| format!("{:.1} %", accuracy * 100.0)),
            arm.errors.to_string(),
            tokens.to_string(),
            dollars(arm.cost_usd),
            dollars(arm.cost_per_ticket_usd),
            format!("{:.1}", arm.latency_ms.p50),
            format!("{:.1}", arm.latency_ms.p95),
        ]
    }));
    rows
}

fn case_rows(arms: &[ArmReport]) -> Vec<Vec<String>> {
    let mut header = vec!["case".to_owned(), "n".to_owned()];
    header.extend(arms.iter().map(|arm| arm.name.clone()));
    let mut rows = vec![header];
    for (position, case) in arms[0].cases.iter().enumerate() {
        let mut row = vec![case.case.clone(), case.n.to_string()];
        row.extend(arms.iter().map(|arm| format!("{:.1} %", arm.cases[position].accuracy * 100.0)));
        rows.push(row);
    }
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
                format!("{:.1} %", score.accuracy * 100.0),
                format!("{:.1} – {:.1}", score.ci95.0 * 100.0, score.ci95.1 * 100.0),
                format!("{:.3}", score.macro_f1),
            ]
        }));
    }
    rows
}

fn weakest(out: &mut String, arm: &ArmReport) {
    let mut intents: Vec<_> = arm.intents.iter().filter(|intent| intent.n > 0).collect();
    intents.sort_by(|a, b| a.f1.total_cmp(&b.f1).then_with(|| a.intent.cmp(&b.intent)));
    let _ = writeln!(out, "weakest intents of the arm {} (all of them with --json):", arm.name);
    let mut rows = vec![["intent", "n", "precision", "recall", "F1"].map(String::from).to_vec()];
    rows.extend(intents.into_iter().take(WEAKEST).map(|intent| {
        vec![
            intent.intent.clone(),
            intent.n.to_string(),
            format!("{:.2}", intent.precision),
            format!("{:.2}", intent.recall),
            format!("{:.2}", intent.f1),
        ]
    }));
    table(out, &rows);
}

/// Columns as wide as they need; the first to the left, the others to the right.
fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let _ = write!(out, "{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }
}
