//! `ticket-router lint`.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use ticket_router::Ticket;
use ticket_router::learn::index::IndexOptions;
use ticket_router::measure::lint::{Corpus, Kind, LintReport, Suggestion, corrections, lint};

use crate::fixture::{Bench, Desk, banking77, small_tickets};

/// Rows with the labels of `swapped` of them exchanged for other ones, and what those were.
fn swap(mut rows: Vec<Value>, swapped: usize, seed: u64) -> (Vec<Value>, BTreeMap<String, String>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut intents: Vec<String> = rows.iter().map(|row| row["intent"].as_str().unwrap().to_owned()).collect();
    intents.sort();
    intents.dedup();
    let mut chosen: Vec<usize> = (0..rows.len()).collect();
    chosen.shuffle(&mut random);
    let mut right = BTreeMap::new();
    for position in chosen.into_iter().take(swapped) {
        let row = &mut rows[position];
        let own = row["intent"].as_str().unwrap().to_owned();
        let others: Vec<&String> = intents.iter().filter(|intent| **intent != own).collect();
        row["intent"] = json!(others[random.random_range(0..others.len())]);
        right.insert(row["id"].as_str().unwrap().to_owned(), own);
    }
    (rows, right)
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn small_rows(count: usize) -> Vec<Value> {
    small_tickets(count).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn suggestions(report: &Value) -> &Vec<Value> {
    report["suggestions"].as_array().unwrap()
}

fn is_about_a_label(suggestion: &Suggestion) -> bool {
    [Kind::Mislabelled, Kind::Conflict].contains(&suggestion.kind)
}

async fn linted(desk: &Desk) -> LintReport {
    let corpus = Corpus::read(desk.store.as_ref()).await.unwrap();
    lint(&corpus, None, &|_, _| {}).unwrap()
}

#[tokio::test]
async fn swapped_labels_come_first_with_the_right_ones_suggested_and_the_corrections_bring_them_back() {
    // Enough for the probe, and attributes that must survive.
    let (mut rows, right) = swap(small_rows(240), 12, 3);
    for row in &mut rows {
        row["reasoning"] = json!("It says so.");
        row["created_at"] = json!("2026-03-01T08:00:00Z");
        row["tier"] = json!("gold");
    }
    let (desk, source) = (Desk::empty(), IndexOptions { source: "desk one".to_owned(), ..IndexOptions::default() });
    desk.index_with(&lines(&rows), &source).await;
    let report = linted(&desk).await;
    assert_eq!((report.examples, report.probe), (240, true));
    let found = &report.suggestions;
    let first: BTreeMap<String, String> =
        found[..right.len()].iter().map(|s| (s.id.clone().unwrap(), s.suggested.clone().unwrap())).collect();
    assert_eq!(first, right);
    assert!(found[..right.len()].iter().all(|s| is_about_a_label(s) && s.source.as_deref() == Some("desk one")));
    let scores: Vec<f32> = found.iter().map(|s| s.score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| (0.0..=1.0).contains(score)));
    let keys: Vec<&String> = found.iter().filter_map(|s| s.key.as_ref()).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "an example comes once");

    let corrections = corrections(&report, "desk one", scores[right.len() - 1]);
    assert_eq!(corrections.len(), 12);
    for correction in &corrections {
        assert_eq!(correction.intent, right[&correction.ticket.id]);
        assert_eq!(correction.ticket.attributes["tier"], "gold");
        assert_eq!(correction.ticket.created_at.as_deref(), Some("2026-03-01T08:00:00Z"));
        assert_eq!(correction.reasoning, None, "it argued for the old label");
    }
    let rows: Vec<Value> = corrections.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    let indexed = desk.index_with(&lines(&rows), &source).await;
    assert_eq!((indexed.updated, indexed.added, indexed.embedded, indexed.total), (12, 0, 0, 240));
    let again = linted(&desk).await.suggestions;
    assert!(!again.iter().any(is_about_a_label), "{again:?}");
}

#[test]
fn people_get_the_kinds_in_turn_with_the_start_of_the_tickets() {
    let bench = Bench::empty();
    let (mut rows, right) = swap(small_rows(60), 4, 5);
    rows.push(json!({"id": "lone", "text": "Do you sing \u{1b}[31mopera at weddings?", "intent": "singing"}));
    bench.write("t.jsonl", lines(&rows));
    bench.run(&["index", "t.jsonl"]).ok();
    let text = bench.run(&["lint", "--limit", "2"]).ok().stdout;
    let about_labels = text.matches(" → ").count();
    assert!((1..=4).contains(&about_labels), "{text}");
    assert!(right.keys().any(|id| text.contains(&format!("  {id}  "))), "{text}");
    assert!(text.contains("needs attention\"") && text.contains("of its neighbours' vote"), "{text}");
    assert!(text.contains("few examples: 1") && text.contains("examples of \"singing\": 1;"), "{text}");
    assert!(text.contains("on 61 examples, by neighbours alone"), "{text}");
    let all = bench.run(&["lint", "--limit", "1000"]).ok().stdout;
    assert!(right.keys().all(|id| all.contains(&format!("  {id}  "))), "{all}");
    assert!(!all.contains("more (--limit") && text.contains("more (--limit"), "{text}");
}

#[test]
fn a_file_of_corrections_is_private_for_one_source_and_never_replaced_unasked() {
    let bench = Bench::empty();
    let (rows, right) = swap(small_rows(60), 4, 5);
    bench.write("t.jsonl", lines(&rows));
    bench.run(&["index", "t.jsonl", "--source", "a"]).ok();
    bench.write("mine.jsonl", "gone through by hand\n");
    bench.run(&["lint", "--corrections", "mine.jsonl"]).fails_with(&["mine.jsonl", "--force"]);
    assert_eq!(fs::read_to_string(bench.dir.path().join("mine.jsonl")).unwrap(), "gone through by hand\n");
    let said = bench.run(&["lint", "--corrections", "mine.jsonl", "--force", "--min-score", "0.8"]).ok().stderr;
    assert!(said.contains("then: ticket-router index mine.jsonl --source \"a\""), "{said}");
    let written = fs::read_to_string(bench.dir.path().join("mine.jsonl")).unwrap();
    assert!(right.keys().all(|id| written.contains(&format!("\"{id}\""))), "{written}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(bench.dir.path().join("mine.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let none = bench.run(&["lint", "--corrections", "none.jsonl", "--min-score", "1"]).ok();
    assert!(none.stderr.starts_with("0 corrections in none.jsonl"), "{}", none.stderr);

    bench.run(&["index", "t.jsonl", "--source", "b"]).ok();
    bench.run(&["lint", "--corrections", "c.jsonl"]).fails_with(&["\"a\", \"b\"", "--source"]);
    bench.run(&["lint", "--corrections", "c.jsonl", "--source", "z"]).fails_with(&["\"z\"", "\"a\", \"b\""]);
    bench.run(&["lint", "--corrections", "c.jsonl", "--source", "b"]).ok();
    assert_eq!(bench.run(&["lint", "--min-score", "0.5"]).code, 2, "it says what goes into the file");
}

#[test]
fn the_last_evaluation_says_which_examples_mislead() {
    let bench = Bench::empty();
    let trap = json!({"id": "trap", "text": "Elephant parcel: where is my parcel of blue elephants?", "intent": "order_status"});
    bench.write("t.jsonl", small_tickets(30) + &trap.to_string());
    bench.run(&["index", "t.jsonl"]).ok();
    let misleading = |args: &[&str]| {
        let report = bench.run(&[&["lint", "--json"], args].concat()).ok().json();
        let of_kind = suggestions(&report).iter().filter(|s| s["kind"] == "misleading").cloned();
        (of_kind.collect::<Vec<_>>(), report["evaluated"].clone())
    };
    assert_eq!(misleading(&[]), (vec![], Value::Null), "no other example is led astray by it");

    let test = [
        "who sees my parcel of blue elephants?",
        "how blue is my parcel of elephants?",
        "when is my parcel of elephants?",
    ];
    let rows = test.iter().enumerate().map(|(i, text)| {
        let intent = if i < 2 { "password_reset" } else { "order_status" };
        json!({"id": i.to_string(), "text": format!("Elephant parcel: {text}"), "intent": intent})
    });
    bench.write("new.jsonl", lines(&rows.collect::<Vec<_>>()));
    let reports = ["--report", "out.json", "--output", "plain.json", "--json"];
    bench.run(&[&["eval", "new.jsonl", "--labeler", "vote"], &reports[..]].concat()).ok();
    let (found, evaluated) = misleading(&["--eval", "out.json"]);
    assert_eq!((found.len(), evaluated), (1, json!(3)), "{found:?}");
    assert_eq!((&found[0]["id"], &found[0]["suggested"]), (&json!("trap"), &json!("password_reset")));
    assert_eq!(found[0]["counts"], json!([2, 3]));
    let said = bench.run(&["lint", "--eval", "out.json"]).ok().stdout;
    assert!(said.contains("of 3 tickets that it led to \"order_status\", 2 are something else"), "{said}");
    assert!(said.contains("; misleading by the evaluation's 3 tickets"), "{said}");

    let how = "ticket-router eval FILE --report out.json";
    bench.run(&["lint", "--eval", "none.json"]).fails_with(&["--eval none.json", how]);
    bench.run(&["lint", "--eval", "t.jsonl"]).fails_with(&["--eval t.jsonl", "not a report of eval", how]);
    bench.run(&["lint", "--eval", "plain.json"]).fails_with(&["--eval plain.json", "with its answers", how]);
    bench.write("other.jsonl", small_tickets(60).replace("attention", "care"));
    bench.run(&["index", "other.jsonl", "--store", "other"]).ok();
    bench.run(&["lint", "--store", "other", "--eval", "out.json"]).fails_with(&["report of another store", how]);
}

#[test]
#[ignore = "needs BANKING77 in ../shared/data/banking77; scripts/test runs it where it is"]
fn of_500_swapped_labels_of_banking77_95_percent_are_among_the_first_1000_suggestions() {
    let mut reader = csv::Reader::from_path(banking77("train.csv")).unwrap();
    // The ids that the store gave them, so that nothing is embedded again.
    let row = |row: csv::StringRecord| json!({"id": Ticket::new(&row[0]).id, "text": &row[0], "intent": &row[1]});
    let rows = reader.records().map(|record| row(record.unwrap())).collect();
    let (rows, right) = swap(rows, 500, 42);
    let bench = Bench::with_banking77();
    bench.write("t.jsonl", lines(&rows));
    let indexed = bench.run(&["index", "t.jsonl", "--rebuild", "--json"]).ok().json();
    assert_eq!((&indexed["updated"], &indexed["embedded"]), (&json!(500), &json!(0)), "{indexed}");
    let report = bench.run(&["lint", "--json"]).ok().json();
    let found = suggestions(&report);
    let first = &found[..found.len().min(1_000)];
    let share = |list: &[Value]| {
        let hits = list.iter().filter(|s| s["id"].as_str().is_some_and(|id| right.contains_key(id))).count();
        hits as f64 / right.len() as f64
    };
    assert!(share(first) >= 0.95, "{} of the swapped are among the first 1,000", share(first));
    // What is known of the swapped ones: most of the suggested labels are the true ones.
    let restored = first
        .iter()
        .filter(|s| s["id"].as_str().and_then(|id| right.get(id)).is_some_and(|own| s["suggested"] == json!(own)));
    let restored = restored.count();
    assert!(restored as f64 >= 0.85 * right.len() as f64, "{restored} got their label back");
}
