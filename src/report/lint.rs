//! Doubtful labels for people, by kind, with what to do about them.

use std::fmt::Write as _;

use crate::measure::lint::{Kind, LintReport, Suggestion};
use crate::text::{excerpt, one_line};

/// Characters of a ticket that are shown.
const EXCERPT: usize = 90;

/// The kinds in the order of the report: what can be corrected at once comes first.
const KINDS: [(Kind, &str, &str); 5] = [
    (
        Kind::Mislabelled,
        "mislabelled",
        "the neighbours disagree with the label; --corrections FILE writes the surest with the suggested one",
    ),
    (Kind::Conflict, "conflict", "a near-duplicate has another label; decide which is right, the file holds these too"),
    (
        Kind::Misleading,
        "misleading",
        "tickets near it are taken for its intent; correct its label, or take it out if it could be either",
    ),
    (
        Kind::Overlap,
        "overlap",
        "the vote takes them for each other; tell them apart in the taxonomy (confused_with, rule), or merge them: taxonomy merge",
    ),
    (Kind::FewExamples, "few examples", "index more labelled tickets of these intents, or merge them into others"),
];

/// At most `limit` suggestions of each kind, the best first, with the start of the tickets' texts.
#[must_use]
pub fn lint_summary(report: &LintReport, limit: usize) -> String {
    let mut out = String::new();
    for (kind, name, what_to_do) in KINDS {
        let found: Vec<&Suggestion> = report.suggestions.iter().filter(|found| found.kind == kind).collect();
        if found.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{name}: {} ({what_to_do})", found.len());
        for suggestion in found.iter().take(limit) {
            entry(&mut out, suggestion);
        }
        if found.len() > limit {
            let _ = writeln!(out, "  … and {} more (--limit N, or all of them with --json)", found.len() - limit);
        }
        out.push('\n');
    }
    let judges = if report.probe { "neighbours and probe" } else { "neighbours alone" };
    let evaluated = report.evaluated.map(|n| format!("; misleading by the evaluation's {n} tickets"));
    let _ = writeln!(
        out,
        "{} suggestions on {} examples, by {judges}{}",
        report.suggestions.len(),
        report.examples,
        evaluated.unwrap_or_default()
    );
    if report.unlisted > 0 {
        let _ = writeln!(
            out,
            "{} examples were left out, because the taxonomy does not list their intent: taxonomy check",
            report.unlisted
        );
    }
    out
}

fn entry(out: &mut String, suggestion: &Suggestion) {
    let Some(example) = &suggestion.example else {
        let _ = writeln!(out, "  {:.2}  {}", suggestion.score, one_line(&suggestion.message));
        return;
    };
    let change = suggestion.suggested.as_ref().filter(|_| suggestion.kind != Kind::Misleading);
    let change = change.map(|suggested| format!(" → {suggested}")).unwrap_or_default();
    let ticket = &example.labelled.ticket;
    let _ = writeln!(
        out,
        "  {:.2}  {}  {}",
        suggestion.score,
        one_line(&ticket.id),
        one_line(&(suggestion.intent.clone() + &change))
    );
    let _ = writeln!(out, "        \"{}\"", excerpt(&ticket.text, EXCERPT));
    let _ = writeln!(out, "        {}", one_line(&suggestion.message));
}
