//! What an evaluation says of the examples: which ticket each of them led to which intent.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::Corpus;
use super::misleading::{Lead, leading};
use crate::measure::eval::Shows;
use crate::{Error, Result};

/// What to do about a file that cannot be used.
const REMEDY: &str = "make one on this store with: ticket-router eval FILE --report out.json";

/// The answers of an evaluation with the examples that were shown, as `eval --report FILE.json`
/// keeps them.
#[derive(Debug, Clone, Deserialize)]
pub struct Evaluation {
    arms: Vec<Arm>,
    /// The name of its file, for messages.
    #[serde(skip)]
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Arm {
    shows: Shows,
    /// In the order of the tickets, which are the same for every arm.
    records: Vec<Answer>,
}

#[derive(Debug, Clone, Deserialize)]
struct Answer {
    gold: String,
    intent: Option<String>,
    /// The examples that were shown, best first.
    neighbours: Vec<Shown>,
}

#[derive(Debug, Clone, Deserialize)]
struct Shown {
    id: String,
    intent: String,
    score: f32,
    text: String,
}

impl Evaluation {
    /// Reads what `eval --report FILE.json` wrote; `name` is the file's. Fails when it is something else.
    pub fn from_json(json: &[u8], name: &str) -> Result<Self> {
        // The parser's own message may quote a ticket. The place that it names does not.
        let evaluation: Self = serde_json::from_slice(json).map_err(|e| {
            let (line, column) = (e.line(), e.column());
            Error::bad_input(format!(
                "{name} is not a report of eval with its answers (line {line}, column {column}); {REMEDY}"
            ))
        })?;
        Ok(Self { name: name.to_owned(), ..evaluation })
    }

    /// How many tickets were answered.
    #[must_use]
    pub fn tickets(&self) -> usize {
        self.arms.iter().map(|arm| arm.records.len()).max().unwrap_or_default()
    }

    /// Which example led which ticket to its intent, each pair once. Several arms may find the same
    /// example; if it led the ticket astray in any of them, it counts as astray. Static examples led
    /// nothing. An example that has another label by now is left out. Fails when none of the examples is in the store.
    pub(super) fn leads(&self, corpus: &Corpus) -> Result<Vec<Lead>> {
        let positions: HashMap<(&str, &str), usize> =
            (0..corpus.len()).map(|position| ((corpus.id(position), corpus.text(position)), position)).collect();
        let intents: HashMap<&str, usize> =
            corpus.intents.iter().enumerate().map(|(position, name)| (name.as_str(), position)).collect();
        let (mut leads, mut shown, mut stored) = (BTreeMap::new(), 0, 0);
        let retrieved = self.arms.iter().filter(|arm| arm.shows == Shows::Retrieved);
        for (ticket, answer) in retrieved.flat_map(|arm| arm.records.iter().enumerate()) {
            shown += answer.neighbours.len();
            let place = |it: &Shown| positions.get(&(it.id.as_str(), it.text.as_str())).copied();
            stored += answer.neighbours.iter().filter_map(place).count();
            // Where the right intent has no example, the examples of other intents are not to blame.
            let gold = intents.get(answer.gold.as_str()).copied().filter(|&gold| corpus.counts[gold] > 0);
            let (Some(given), Some(gold)) = (&answer.intent, gold) else { continue };
            let astray = (answer.gold != *given).then_some(gold);
            let of_given = answer.neighbours.iter().filter(|it| it.intent == *given).map(|it| (it, it.score));
            for leader in leading(of_given).filter_map(place).filter(|&position| corpus.intent(position) == given) {
                let lead = leads.entry((ticket, leader)).or_insert(astray);
                *lead = lead.or(astray);
            }
        }
        if shown > 0 && stored == 0 {
            return Err(Error::bad_input(format!(
                "{} is the report of another store: none of the examples that it shows is in this one; {REMEDY}",
                self.name
            )));
        }
        Ok(leads.into_iter().map(|((_, leader), astray)| Lead { leader, astray }).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::lint::corpus::tests::at;

    fn answer(gold: &str, given: Option<&str>, shown: &[(usize, &str, f32)]) -> Value {
        let neighbour = |(number, intent, score): &(usize, &str, f32)| json!({"id": number.to_string(), "text": format!("text{number}"), "intent": intent, "score": score});
        json!({"gold": gold, "intent": given, "neighbours": shown.iter().map(neighbour).collect::<Vec<_>>()})
    }

    fn leads(arms: &Value) -> Result<Vec<(usize, Option<usize>)>> {
        let corpus = at(&[("a", 0.0), ("a", 10.0), ("b", 90.0), ("b", 100.0)]);
        let evaluation = Evaluation::from_json(json!({"arms": arms}).to_string().as_bytes(), "out.json")?;
        Ok(evaluation.leads(&corpus)?.into_iter().map(|lead| (lead.leader, lead.astray)).collect())
    }

    #[test]
    fn the_nearest_examples_of_the_intent_given_led_to_it() {
        let records = [
            answer("b", Some("a"), &[(2, "b", 0.9), (0, "a", 0.85), (1, "a", 0.5)]),
            answer("a", Some("a"), &[(1, "a", 0.9), (0, "a", 0.89)]),
            answer("b", None, &[(0, "a", 0.9)]),
            // Number 3 had another label then.
            answer("b", Some("a"), &[(3, "a", 0.9)]),
            answer("never seen", Some("a"), &[(0, "a", 0.9)]),
        ];
        let found = leads(&json!([{"shows": "retrieved", "records": records}])).unwrap();
        assert_eq!(found, [(0, Some(1)), (0, None), (1, None)]);
    }

    #[test]
    fn a_ticket_counts_once_over_all_arms_and_fixed_examples_not_at_all() {
        let (right, wrong) =
            (answer("b", Some("b"), &[(2, "b", 0.9)]), answer("b", Some("a"), &[(0, "a", 0.9), (2, "b", 0.8)]));
        let arms = json!([
            {"shows": "retrieved", "records": [right]},
            {"shows": "retrieved", "records": [wrong]},
            {"shows": "retrieved", "records": [wrong]},
            {"shows": "static", "records": [answer("a", Some("b"), &[(3, "b", 0.9)])]},
        ]);
        assert_eq!(leads(&arms).unwrap(), [(0, Some(1)), (2, None)]);
    }

    #[test]
    fn what_is_no_report_or_that_of_another_store_is_refused_without_quoting_it() {
        for wrong in [json!([{"shows": "retrieved"}]), json!([{"records": []}]), json!("secret text")] {
            let error = leads(&wrong).unwrap_err().to_string();
            assert!(error.contains("out.json is not") && error.contains("--report out.json"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let other = json!([{"shows": "retrieved", "records": [answer("a", Some("a"), &[(77, "a", 0.9)])]}]);
        let error = leads(&other).unwrap_err().to_string();
        assert!(error.contains("out.json is the report of another store"), "{error}");
    }
}
