//! The attributes of a ticket, by the vote of its neighbours.

use std::collections::BTreeMap;

use crate::data::evidence::{Candidate, Evidence};
use crate::stages::rank::{VOTERS, shares};

/// The value of each attribute, by the same weighted vote among the voters of the winning intent. Only
/// voters with an allowed value count. Where there is none, the attribute is left out.
pub(super) fn vote(evidence: &Evidence, winner: &str) -> BTreeMap<String, String> {
    let of_winner = || evidence.candidates.iter().take(VOTERS).filter(|candidate| candidate.intent() == winner);
    let mut attributes = BTreeMap::new();
    for attribute in &evidence.taxonomy.attributes {
        let value = |candidate: &'_ Candidate| attribute.value_of(&candidate.example.labelled.ticket);
        let mut values = shares(of_winner().filter_map(|candidate| Some((value(candidate)?, candidate.score))));
        // Of equal values the first by name, so that the answer never depends on an order.
        values.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        if let Some((value, _)) = values.first() {
            attributes.insert(attribute.name.clone(), (*value).to_owned());
        }
    }
    attributes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Taxonomy;
    use crate::data::example::{Example, example_key};
    use crate::data::ticket::{LabelledTicket, Ticket};

    const TAXONOMY: &str = r#"
        [[attribute]]
        name = "urgency"
        values = ["low", "high"]
        [[attribute]]
        name = "language"
        values = ["en", "fr"]
        [[attribute]]
        name = "product"
        values = ["laptop"]
        [[intent]]
        name = "a"
        [[intent]]
        name = "b"
    "#;

    fn candidate(intent: &str, score: f32, urgency: &str, language: Option<&str>) -> Candidate {
        let mut ticket = Ticket::new(format!("{intent} {score}"));
        ticket.attributes.insert("urgency".into(), urgency.into());
        ticket.language = language.map(Into::into);
        let example = Example {
            key: example_key("", &ticket.id),
            source: String::new(),
            text_hash: String::new(),
            labelled: LabelledTicket { ticket, intent: intent.into(), reasoning: None },
        };
        Candidate { example: Arc::new(example), score, cosine: score, bm25: 0.0, vector: Arc::from([]) }
    }

    #[test]
    fn only_the_winning_intents_examples_and_allowed_values_vote() {
        let evidence = Evidence {
            ticket: Ticket::new("x"),
            candidates: vec![
                candidate("b", 0.95, "low", Some("fr")),
                candidate("a", 0.90, "at once", None),
                candidate("a", 0.80, "High", Some("en")),
                candidate("a", 0.60, "low", None),
                candidate("a", 0.60, "low", None),
            ],
            examples: vec![],
            votes: vec![],
            shortlist: vec![],
            is_fixed: false,
            step: None,
            taxonomy: Arc::new(Taxonomy::from_toml(TAXONOMY, "t").unwrap()),
        };
        let attributes = vote(&evidence, "a");
        let expected = [("language", "en"), ("urgency", "high")];
        assert_eq!(attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
