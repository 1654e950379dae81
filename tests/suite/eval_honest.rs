//! `ticket-router eval`: what keeps it honest. Near-duplicates, splits, corrections, the curve.

use serde_json::Value;

use crate::fixture::{Bench, Outcome, examples, small_tickets};

/// Forty tickets with two labels that only an equal text tells: whoever sees a ticket itself is right.
fn parity() -> String {
    (0..40)
        .map(|i| {
            let (intent, day) = (if i % 2 == 0 { "even" } else { "odd" }, 1 + i % 28);
            format!(
                "{{\"id\": \"{i}\", \"text\": \"ticket number {i} of forty\", \"intent\": \"{intent}\", \
                 \"created_at\": \"2026-01-{day:02}T08:00:00Z\"}}\n"
            )
        })
        .collect()
}

/// Runs with temporary files in the bench's own folder, and checks that they are gone afterwards.
fn run_clean(bench: &Bench, args: &[&str]) -> Outcome {
    let dir = bench.dir.path().join("tmp");
    std::fs::create_dir_all(&dir).unwrap();
    let outcome = Outcome::of(bench.command(args).env("TMPDIR", &dir).output().unwrap());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "temporary stores are left");
    outcome
}

fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap()
}

#[test]
fn near_duplicates_are_counted_and_accuracy_is_given_without_them() {
    let bench = Bench::with_small_store();
    bench.write(
        "test.csv",
        "text,intent\n\"Attention needs my parcel, number 3!\",order_status\nI sing in a choir,invoice_request\n\
         The quarterly figures are wrong,karaoke\n",
    );
    let args = ["eval", "test.csv", "--labeler", "vote", "--arms", "retrieved"];
    let report = bench.run(&[&args[..], &["--json"]].concat()).ok().json();
    assert_eq!((number(&report, "near_duplicates"), number(&report, "in_store")), (1, 0));
    let arm = &report["arms"][0];
    let right = (arm["accuracy"].as_f64().unwrap() * 3.0).round();
    assert_eq!(number(arm, "n_without_duplicates"), 2);
    assert_eq!(arm["accuracy_without_duplicates"].as_f64().unwrap(), (right - 1.0) / 2.0);
    let human = bench.run(&args).ok().stdout;
    assert!(human.contains("1 are nearly in the store") && human.contains("without near-duplicates"), "{human}");
}

#[test]
fn folds_test_every_ticket_once_without_a_store_and_leak_nothing() {
    let bench = Bench::empty();
    bench.write("all.jsonl", parity() + &parity().replace("\"id\": \"", "\"id\": \"again-"));
    let args = ["eval", "all.jsonl", "--folds", "4", "--labeler", "vote", "--arms", "retrieved", "--json"];
    let report = run_clean(&bench, &args).ok().json();
    // Every text is there twice; were one of two tested and the other learned from, it would show.
    assert_eq!((number(&report, "tickets"), number(&report, "in_store")), (80, 0));
    assert!(report["arms"][0]["accuracy"].as_f64().unwrap() < 0.9, "{}", report["arms"][0]["accuracy"]);
    assert_eq!(report["split"]["kind"], "folds");
    assert!(!bench.store().exists());
    let human = run_clean(&bench, &args[..args.len() - 1]).ok().stdout;
    assert!(human.starts_with("80 tickets, labeler vote, cross-validated in 4 parts, seed 7"), "{human}");
}

#[test]
fn a_split_learns_from_one_part_and_tests_the_other() {
    let bench = Bench::empty();
    bench.write("all.jsonl", parity());
    let run = |args: &[&str]| {
        let common = ["eval", "all.jsonl", "--labeler", "vote", "--arms", "retrieved", "--json"];
        run_clean(&bench, &[&common[..], args].concat())
    };
    let random = run(&["--split", "random", "--seed", "3", "--train-share", "0.75"]).ok().json();
    assert_eq!((number(&random, "tickets"), number(&random, "in_store")), (10, 0));
    assert_eq!(random["split"], serde_json::json!({"kind": "random", "train_share": 0.75, "seed": 3}));
    let time = run(&["--split", "time"]).ok().json();
    assert_eq!((number(&time, "tickets"), number(&time, "in_store")), (8, 0));
    // Days 1 to 12 are there twice, so the eight newest are of the days 21 to 28: numbers 20 to 27.
    let wrong = time["arms"][0]["mistakes"].as_array().unwrap();
    assert!(!wrong.is_empty());
    for mistake in wrong {
        let id: usize = mistake["id"].as_str().unwrap().parse().unwrap();
        assert!((20..28).contains(&id), "{id}");
    }
    bench.write("all.jsonl", parity() + "{\"text\": \"no time\", \"intent\": \"odd\"}\n");
    run(&["--split", "time"]).fails_with(&["1 of the 41 tickets have no created_at"]);
    assert_eq!(run(&["--split", "time", "--folds", "3"]).code, 2);
    run(&["--taxonomy", "t.toml"]).fails_with(&["--taxonomy is for --split and --folds"]);
}

#[test]
fn temporary_stores_take_the_taxonomy_that_is_given_or_the_stores_own() {
    let bench = Bench::empty();
    bench.write("all.jsonl", small_tickets(30) + "{\"text\": \"I sing\", \"intent\": \"karaoke\"}\n");
    bench.write("mine.toml", "[[intent]]\nname = \"order_status\"\n[[intent]]\nname = \"password_reset\"\n");
    let args = ["eval", "all.jsonl", "--labeler", "vote", "--arms", "retrieved", "--json", "--folds", "2"];
    let given = run_clean(&bench, &[&args[..], &["--taxonomy", "mine.toml"]].concat()).ok().json();
    // Ten tickets about invoices and the song have no intent of it.
    assert_eq!(number(&given, "unknown_gold"), 11);
    assert!(given["notes"][0].as_str().unwrap().contains("could not be learned from"), "{}", given["notes"]);
    bench.run(&["index", "all.jsonl", "--taxonomy", "mine.toml"]);
    let own = run_clean(&bench, &args).ok().json();
    assert_eq!(number(&own, "unknown_gold"), 11);
}

#[test]
fn comparisons_are_corrected_and_a_small_test_is_said_to_be_one() {
    let bench = Bench::with_store();
    let heldout = std::fs::read_to_string(examples("heldout.jsonl")).unwrap();
    bench.write("test.jsonl", heldout.lines().take(40).map(|line| format!("{line}\n")).collect::<String>());
    let args = ["eval", "test.jsonl", "--labeler", "vote", "--arm", "near:k=1,examples=static_tokens", "--json"];
    let report = bench.run(&args).ok().json();
    let pairs = report["comparisons"].as_array().unwrap();
    assert_eq!(pairs.len(), 3);
    let value = |pair: &Value, key: &str| pair[key].as_f64().unwrap();
    let mut sorted: Vec<(f64, f64)> =
        pairs.iter().map(|pair| (value(pair, "p_value"), value(pair, "p_adjusted"))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!((sorted[0].1 - 3.0 * sorted[0].0).abs() < 1e-12, "{sorted:?}");
    assert!(sorted[1].1 >= sorted[0].1 && sorted[2].1 >= sorted[1].1, "{sorted:?}");
    let unclear: Vec<&Value> = pairs.iter().filter(|pair| value(pair, "p_adjusted") >= 0.05).collect();
    assert_eq!(unclear.len(), 1, "two static arms are equally weak: {sorted:?}");
    let notes = report["notes"].to_string();
    match unclear[0]["tickets_needed"].as_u64() {
        Some(needed) => assert!(needed > 40 && notes.contains(&format!("about {needed} needed")), "{notes}"),
        None => assert_eq!(unclear[0]["difference"], 0.0),
    }
    for arm in report["arms"].as_array().unwrap().iter().filter(|arm| arm["name"] == "retrieved") {
        let (low, high) = (arm["macro_f1_ci95"][0].as_f64().unwrap(), arm["macro_f1_ci95"][1].as_f64().unwrap());
        assert!(low <= arm["macro_f1"].as_f64().unwrap() && low < high, "{arm}");
    }
}

#[test]
fn the_learning_curve_rises_with_the_examples_of_each_intent() {
    let bench = Bench::with_store();
    let heldout = examples("heldout.jsonl");
    let args = [
        "eval",
        heldout.to_str().unwrap(),
        "--labeler",
        "vote",
        "--arms",
        "retrieved",
        "--curve",
        "10,1,1000",
        "--seed",
        "1",
    ];
    let report = run_clean(&bench, &[&args[..], &["--json"]].concat()).ok().json();
    let points = report["curve"].as_array().unwrap();
    let of = |key: &str| points.iter().map(|point| point[key].as_f64().unwrap()).collect::<Vec<f64>>();
    assert_eq!(of("per_intent"), [1.0, 10.0, 1000.0]);
    assert_eq!((of("examples")[0], of("examples")[2]), (46.0, 1083.0));
    assert!(of("accuracy")[0] + 0.1 < of("accuracy")[1], "{points:?}");
    // With all examples it is the arm itself, but for the levels of a graph that are drawn.
    assert!((of("accuracy")[2] - report["arms"][0]["accuracy"].as_f64().unwrap()).abs() < 0.01, "{points:?}");
    let human = run_clean(&bench, &[&args[..args.len() - 2], &["--split", "random"]].concat()).ok().stdout;
    assert!(human.contains("examples per intent"), "{human}");
}
