//! `examples_db` keeps what it promises.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ticket_router::data::taxonomy::Kind;
use ticket_router::input::{self, InputOptions};
use ticket_router::{LabelledTicket, Taxonomy, Ticket};

use crate::fixture::examples;

fn load(file: &str) -> Vec<LabelledTicket> {
    let options = InputOptions::default();
    let rows = input::read(&examples(file), &options).unwrap();
    rows.into_iter().map(|row| row.content.and_then(|content| content.labelled(&options)).unwrap()).collect()
}

fn taxonomy() -> Taxonomy {
    let text = std::fs::read_to_string(examples("taxonomy.toml")).unwrap();
    Taxonomy::from_toml(&text, "taxonomy.toml").unwrap()
}

fn tokens(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn case(labelled: &LabelledTicket) -> Option<&str> {
    labelled.ticket.attributes.get("case").map(String::as_str)
}

#[test]
fn the_taxonomy_has_the_size_of_a_real_desk_and_describes_everything() {
    let taxonomy = taxonomy();
    assert!((10..=14).contains(&taxonomy.categories.len()), "{}", taxonomy.categories.len());
    assert!((36..=48).contains(&taxonomy.intents.len()), "{}", taxonomy.intents.len());
    assert!(taxonomy.fallback.is_some());
    let categories: BTreeSet<&str> = taxonomy.categories.iter().map(|category| category.name.as_str()).collect();
    for intent in &taxonomy.intents {
        assert!(!intent.description.is_empty(), "{}", intent.name);
        assert!(intent.confused_with.is_empty() || intent.rule.is_some(), "{}", intent.name);
        assert!(intent.parent.as_deref().is_none_or(|parent| categories.contains(parent)), "{}", intent.name);
    }
    let urgency = taxonomy.attributes.iter().find(|attribute| attribute.name == "urgency").unwrap();
    let values: Vec<&str> = urgency.values.iter().map(ticket_router::data::taxonomy::AttributeValue::name).collect();
    assert_eq!(values, ["low", "normal", "high", "critical"]);
}

#[test]
fn every_intent_has_a_route_and_a_check_finds_no_more_than_hints() {
    let taxonomy = taxonomy();
    assert!((8..=14).contains(&taxonomy.routes.len()));
    for finding in taxonomy.check(None) {
        assert_eq!(finding.kind, Kind::ConfusedWithOneWay, "{}", finding.message);
    }
    let (catch_all, rules) = taxonomy.routes.split_last().unwrap();
    assert!(catch_all.intent.is_empty() && catch_all.category.is_empty() && catch_all.ticket.is_empty());
    let by_rule = |intent: &str| {
        taxonomy.route(intent, &BTreeMap::new(), &Ticket::new("x")).is_some_and(|route| route.rule <= rules.len())
    };
    assert!(taxonomy.intents.iter().all(|intent| taxonomy.is_fallback(&intent.name) || by_rule(&intent.name)));
}

#[test]
fn every_label_is_known_and_every_intent_has_examples_on_both_sides() {
    let taxonomy = taxonomy();
    for (file, at_least) in [("tickets.jsonl", 480), ("heldout.jsonl", 180), ("static.jsonl", 9)] {
        let tickets = load(file);
        assert!(tickets.len() >= at_least, "{file}: {}", tickets.len());
        let ids: BTreeSet<&str> = tickets.iter().map(|labelled| labelled.ticket.id.as_str()).collect();
        assert_eq!(ids.len(), tickets.len(), "{file}: ids are not unique");
        for labelled in &tickets {
            assert!(taxonomy.intent(&labelled.intent).is_some(), "{file}: {}", labelled.ticket.id);
        }
        if file != "static.jsonl" {
            let labels: BTreeSet<&str> = tickets.iter().map(|labelled| labelled.intent.as_str()).collect();
            assert_eq!(labels.len(), taxonomy.intents.len(), "{file}");
        }
    }
    assert_eq!(load("static.jsonl").len(), 9);
}

#[test]
fn no_ticket_is_near_one_of_the_other_file() {
    let (stored, heldout) = (load("tickets.jsonl"), load("heldout.jsonl"));
    let stored: Vec<_> = stored.iter().map(|labelled| (tokens(&labelled.ticket.text), &labelled.ticket.id)).collect();
    for labelled in &heldout {
        let words = tokens(&labelled.ticket.text);
        for (other, id) in &stored {
            let (common, all) = (words.intersection(other).count(), words.union(other).count());
            assert!(common * 10 < all * 8, "{} is nearly {id}", labelled.ticket.id);
        }
    }
}

#[test]
fn no_opening_is_a_template() {
    for file in ["tickets.jsonl", "heldout.jsonl"] {
        let tickets = load(file);
        let mut openings: HashMap<String, usize> = HashMap::new();
        for labelled in &tickets {
            let words: Vec<String> = labelled.ticket.text.split_whitespace().take(5).map(str::to_lowercase).collect();
            if words.len() == 5 {
                *openings.entry(words.join(" ")).or_default() += 1;
            }
        }
        for (opening, count) in openings {
            assert!(count * 100 <= tickets.len(), "{file}: {count} tickets open with {opening:?}");
        }
    }
}

#[test]
fn hard_cases_languages_lengths_and_reasonings_are_there() {
    for (file, at_least) in [("tickets.jsonl", 1), ("heldout.jsonl", 12)] {
        let tickets = load(file);
        let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
        for labelled in &tickets {
            *cases.entry(case(labelled).unwrap_or("plain")).or_default() += 1;
        }
        for name in ["implicit", "emotional", "multi_issue", "multilingual", "out_of_scope", "injection", "short"] {
            assert!(cases.get(name).is_some_and(|&count| count >= at_least), "{file}: {name}: {cases:?}");
        }
        let languages: BTreeSet<&str> = tickets
            .iter()
            .filter(|labelled| case(labelled) == Some("multilingual"))
            .filter_map(|labelled| labelled.ticket.language.as_deref())
            .collect();
        assert_eq!(languages, BTreeSet::from(["de", "es", "fr", "ja", "pt"]), "{file}");
        let lengths = tickets.iter().map(|labelled| labelled.ticket.text.split_whitespace().count());
        assert!(lengths.clone().any(|words| words <= 3) && lengths.clone().any(|words| words >= 100), "{file}");
        let reasoned = tickets.iter().filter(|labelled| labelled.reasoning.is_some()).count();
        assert!((15..=25).contains(&(reasoned * 100 / tickets.len())), "{file}: {reasoned} of {}", tickets.len());
    }
}
