//! The mistakes with their tickets: what every arm said, from which examples and why.

use minijinja::{Value, context};

use super::svg::key;
use super::tables::NONE;
use crate::measure::eval::EvalReport;
use crate::measure::eval::record::{Record, Shown};
use crate::report::percent;
use crate::text::excerpt;

/// How many tickets are shown at most.
const CARDS: usize = 300;
/// How many examples of each answer are shown at most, and how many characters of each.
const EXAMPLES: (usize, usize) = (5, 160);
/// How many characters of a ticket are shown at most.
const LETTERS: usize = 4000;

/// Every ticket that some arm got wrong, as a card: first those that the best arm would have
/// routed wrong, then its other mistakes, then those of the other arms.
pub(super) fn cards(report: &EvalReport, best: usize) -> Value {
    let answers = |place: usize| report.arms.iter().map(move |arm| &arm.records[place]);
    let mut places: Vec<usize> =
        (0..report.arms[best].records.len()).filter(|place| answers(*place).any(|record| !record.correct)).collect();
    let weight = |place: &usize| {
        let record = &report.arms[best].records[*place];
        (record.correct, !record.is_routed(), answers(*place).filter(|record| record.correct).count())
    };
    places.sort_by_key(weight);
    let left_out = places.len().saturating_sub(CARDS);
    let card = |place: usize| {
        let first = &report.arms[best].records[place];
        let wrong: Vec<String> =
            answers(place).enumerate().filter(|(_, record)| !record.correct).map(|(arm, _)| arm.to_string()).collect();
        let mut intents = vec![first.gold.as_str()];
        intents.extend(answers(place).filter_map(|record| record.intent.as_deref()));
        context! {
            id => first.id, gold => first.gold, opening => excerpt(&first.text, 90),
            text => first.text.chars().take(LETTERS).collect::<String>(),
            is_cut => first.text.chars().nth(LETTERS).is_some(),
            said => first.intent.as_deref().unwrap_or(NONE), is_right => first.correct, is_routed => first.is_routed(),
            wrong => wrong.join(" "), intents => intents.join(" "),
            answers => answers(place).enumerate().map(|(arm, record)| answer(&report.arms[arm].name, arm, record)).collect::<Vec<_>>(),
        }
    };
    context! { total => places.len(), left_out, cards => places.into_iter().take(CARDS).map(card).collect::<Vec<_>>() }
}

fn answer(name: &str, arm: usize, record: &Record) -> Value {
    let example = |it: &Shown| {
        context! { id => it.id, intent => it.intent, score => format!("{:.2}", it.score), text => excerpt(&it.text, EXAMPLES.1) }
    };
    context! {
        name, key => key(arm), intent => record.intent.as_deref().unwrap_or(NONE), is_right => record.correct,
        decision => if record.is_routed() { "routed" } else { "sent to review" }, confidence => percent(f64::from(record.confidence)), error => record.error,
        reasoning => record.reasoning, examples => record.neighbours.iter().take(EXAMPLES.0).map(example).collect::<Vec<_>>(),
        more => record.neighbours.len().saturating_sub(EXAMPLES.0),
    }
}
