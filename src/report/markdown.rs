//! An evaluation as Markdown, for merge requests and wikis.

use std::fmt::Write as _;

use super::{Run, percent, reading, rows};
use crate::measure::eval::confusion::confusions;
use crate::measure::eval::record::Record;
use crate::measure::eval::{ArmReport, EvalReport};
use crate::text::{excerpt, one_line};

/// How many rows a list has at most.
const ROWS: usize = 20;

/// The whole evaluation in short: all totals, the weakest intents, what is confused most, and
/// the first mistakes of the best arm.
#[must_use]
pub fn markdown(report: &EvalReport, run: &Run) -> String {
    let mut out = format!("# Evaluation on {}\n\n", escaped(&run.test_file));
    let _ = writeln!(out, "{}\n", escaped(&reading::sentences(report).join(" ")));
    table(&mut out, &rows::arms(&report.arms));
    let _ = writeln!(out, "{}.\n", escaped(&reading::legend(report)));
    for line in reading::comparisons(report).iter().chain(&reading::remarks(report)) {
        let _ = writeln!(out, "- {}", escaped(line));
    }
    if let Some(column) = &report.case_column {
        by(&mut out, column, &report.arms, rows::cases);
    }
    by(&mut out, "attribute", &report.arms, rows::attributes);
    let best = report.arms.iter().reduce(|best, arm| if arm.accuracy > best.accuracy { arm } else { best });
    if let Some(best) = best {
        weakest(&mut out, best);
        confused(&mut out, best);
        mistakes(&mut out, best);
    }
    out.push_str("\n## To run it again\n\n");
    let _ = writeln!(out, "    {}\n", one_line(&run.command));
    for (name, value) in run.facts() {
        let _ = writeln!(out, "- {name}: {}", escaped(&value));
    }
    out
}

fn weakest(out: &mut String, arm: &ArmReport) {
    let _ = writeln!(out, "\n## Weakest intents of {}\n", escaped(&arm.name));
    table(out, &rows::weakest(arm, ROWS));
}

fn by<'a>(
    out: &mut String,
    what: &str,
    arms: &'a [ArmReport],
    list: impl Fn(&'a ArmReport) -> Vec<(&'a str, usize, f64)>,
) {
    let rows = rows::by(what, arms, list);
    if rows.len() > 2 {
        let _ = writeln!(out, "\n## Accuracy by {}\n", escaped(what));
        table(out, &rows);
    }
}

fn confused(out: &mut String, arm: &ArmReport) {
    let pairs = confusions(&arm.records);
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## What {} confuses most\n", escaped(&arm.name));
    let mut rows = vec![["right", "given", "tickets"].map(String::from).to_vec()];
    rows.extend(
        pairs
            .iter()
            .take(ROWS)
            .map(|pair| vec![pair.gold.to_owned(), pair.given.unwrap_or("no intent").to_owned(), pair.n.to_string()]),
    );
    table(out, &rows);
}

fn mistakes(out: &mut String, arm: &ArmReport) {
    let wrong: Vec<&Record> = arm.records.iter().filter(|record| !record.correct).collect();
    if wrong.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {} of the {} mistakes of {}\n", wrong.len().min(ROWS), wrong.len(), escaped(&arm.name));
    let mut rows = vec![["ticket", "text", "right", "given", "confidence"].map(String::from).to_vec()];
    rows.extend(wrong.into_iter().take(ROWS).map(|record| {
        let given = record.intent.as_deref().or(record.error.as_deref()).unwrap_or("no intent");
        let confidence = percent(f64::from(record.confidence));
        vec![record.id.clone(), excerpt(&record.text, 120), record.gold.clone(), excerpt(given, 80), confidence]
    }));
    table(out, &rows);
}

/// The first column to the left, the others to the right.
fn table(out: &mut String, rows: &[Vec<String>]) {
    for (i, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
        if i == 0 {
            let rest = "---:|".repeat(row.len().saturating_sub(1));
            let _ = writeln!(out, "|:---|{rest}");
        }
    }
    out.push('\n');
}

/// A text as one line that means nothing to Markdown.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in one_line(text).chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '@' => out.extend(['\\', letter]),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("<b>|a|</b>\n[x](y) `c`"), "&lt;b&gt;\\|a\\|&lt;/b&gt; \\[x\\](y) \\`c\\`");
    }
}
