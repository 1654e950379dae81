//! `ticket-router eval`.

use crate::double::{Double, tagged};
use crate::fixture::{Bench, examples, small_tickets, without_times};

#[test]
fn retrieved_examples_reach_what_the_project_promises_on_the_held_out_tickets() {
    let bench = Bench::with_model_and_store();
    let (heldout, fixed) = (examples("heldout.jsonl"), examples("static.jsonl"));
    let args = ["eval", heldout.to_str().unwrap(), "--static", fixed.to_str().unwrap(), "--case-column", "case"];
    let args = [&args[..], &["--labeler", "vote", "--json"]].concat();
    let report = bench.run(&args).ok().json();
    let arms = report["arms"].as_array().unwrap();
    assert_eq!(arms[0]["name"], "static");
    assert_eq!(arms[1]["name"], "retrieved");
    let (fixed, retrieved) = (arms[0]["accuracy"].as_f64().unwrap(), arms[1]["accuracy"].as_f64().unwrap());
    assert!((0.70..=0.95).contains(&retrieved), "{retrieved}");
    let pair = &report["comparisons"][0];
    assert_eq!((pair["a"].as_str(), pair["b"].as_str()), (Some("static"), Some("retrieved")));
    assert!((pair["difference"].as_f64().unwrap() - (retrieved - fixed)).abs() < 1e-12);
    assert!(pair["p_value"].as_f64().unwrap() < 0.001);
    for arm in arms {
        let (low, high) = (arm["ci95"][0].as_f64().unwrap(), arm["ci95"][1].as_f64().unwrap());
        assert!(low < arm["accuracy"].as_f64().unwrap() && arm["accuracy"].as_f64().unwrap() < high);
        assert!(arm["latency_ms"]["p50"].as_f64().unwrap() <= arm["latency_ms"]["p95"].as_f64().unwrap());
        assert_eq!(arm["cost_usd"], 0.0);
        let cases: u64 = arm["cases"].as_array().unwrap().iter().map(|case| case["n"].as_u64().unwrap()).sum();
        assert_eq!((cases, arm["cases"].as_array().unwrap().len()), (arm["n"].as_u64().unwrap(), 8));
        let routed = arm["routed"].as_u64().unwrap();
        assert_eq!(routed + arm["reviews"].as_u64().unwrap(), arm["n"].as_u64().unwrap());
        assert_eq!(
            arm["mistakes"].as_array().unwrap().len() as f64,
            (arm["n"].as_f64().unwrap() * (1.0 - arm["accuracy"].as_f64().unwrap())).round()
        );
    }
    let again = bench.run(&args).ok().json();
    assert_eq!(without_times(report), without_times(again));
}

#[test]
fn a_ticket_never_sees_itself() {
    let bench = Bench::empty();
    // Two labels for texts that only differ in a number: whoever saw itself would be right.
    let rows: String = (0..40)
        .map(|i| {
            format!(
                "{{\"id\": \"{i}\", \"text\": \"ticket number {i} of forty\", \"intent\": \"{}\"}}\n",
                if i % 2 == 0 { "even" } else { "odd" }
            )
        })
        .collect();
    bench.write("t.jsonl", &rows);
    bench.run(&["index", "t.jsonl"]).ok();
    let report = bench.run(&["eval", "t.jsonl", "--labeler", "vote", "--arms", "retrieved", "--json"]).ok().json();
    assert_eq!(report["in_store"], 40);
    assert!(report["arms"][0]["accuracy"].as_f64().unwrap() < 0.9, "{}", report["arms"][0]["accuracy"]);
    // By text alone, too.
    let renamed = rows.replace("\"id\": \"", "\"id\": \"other-");
    bench.write("renamed.jsonl", &renamed);
    let report =
        bench.run(&["eval", "renamed.jsonl", "--labeler", "vote", "--arms", "retrieved", "--json"]).ok().json();
    assert_eq!(report["in_store"], 40);
}

#[test]
fn a_static_example_is_not_shown_to_itself() {
    let bench = Bench::with_store();
    let fixed = examples("static.jsonl");
    let fixed = fixed.to_str().unwrap();
    let report = bench.run(&["eval", fixed, "--static", fixed, "--labeler", "vote", "--json"]).ok().json();
    assert!(report["arms"][0]["accuracy"].as_f64().unwrap() < 0.5, "{}", report["arms"][0]["accuracy"]);
}

#[test]
fn a_label_that_the_store_does_not_know_is_scored_as_wrong_and_counted() {
    let bench = Bench::empty();
    bench.write("t.jsonl", small_tickets(30));
    bench.run(&["index", "t.jsonl"]).ok();
    bench.write("test.csv", "text,intent\nmy parcel is late,order_status\nI sing,karaoke\n");
    let outcome = bench.run(&["eval", "test.csv", "--labeler", "vote", "--json"]).ok().json();
    assert_eq!((outcome["tickets"].as_u64(), outcome["unknown_gold"].as_u64()), (Some(2), Some(1)));
    assert_eq!(outcome["arms"][1]["accuracy"], 0.5);
    assert!(outcome["notes"][0].as_str().unwrap().contains("drawn from the store"), "{}", outcome["notes"]);
    let human = bench.run(&["eval", "test.csv", "--labeler", "vote"]).ok().stdout;
    assert!(human.contains("1 have an intent that the store does not know"), "{human}");
}

#[test]
fn accuracy_is_given_by_the_column_that_is_named_and_by_no_other() {
    let bench = Bench::with_small_store();
    bench.write("test.csv", "text,intent,case,channel\nmy parcel,order_status,4711,mail\nI sing,karaoke,4712,mail\n");
    let args = ["eval", "test.csv", "--labeler", "vote", "--arms", "retrieved"];
    let run = |more: &[&str]| bench.run(&[&args[..], more].concat());
    let report = run(&["--json"]).ok().json();
    assert_eq!(report["arms"][0]["cases"], serde_json::json!([]), "a column may be called case and be none");
    assert!(report["case_column"].is_null());
    let report = run(&["--json", "--case-column", "channel"]).ok().json();
    assert_eq!(report["case_column"], "channel");
    assert_eq!(report["arms"][0]["cases"], serde_json::json!([{"case": "mail", "n": 2, "accuracy": 0.5}]));
    let table = run(&["--case-column", "case", "--report", "r.md", "--report", "r.html"]).ok().stdout;
    let read = |name: &str| std::fs::read_to_string(bench.dir.path().join(name)).unwrap();
    for text in [table, read("r.md"), read("r.html")] {
        assert!(text.contains("4711") && text.contains("4712"), "{text}");
    }
    run(&["--case-column", "channle"]).fails_with(&["--case-column channle", "case, channel"]);
}

#[test]
fn a_missed_bar_is_exit_code_one_and_a_wrong_one_is_explained() {
    let bench = Bench::empty();
    bench.write("t.jsonl", small_tickets(30));
    bench.run(&["index", "t.jsonl"]).ok();
    bench.write("test.csv", "text,intent\nmy parcel is late,order_status\nI sing,karaoke\n");
    let run = |bar: &str| bench.run(&["eval", "test.csv", "--labeler", "vote", "--fail-under", bar]);
    run("retrieved=0.5").ok();
    let missed = run("retrieved=0.6");
    assert_eq!(missed.code, 1);
    assert!(missed.stderr.contains("retrieved reached 0.5000, the bar is 0.6"), "{}", missed.stderr);
    assert!(missed.stdout.contains("retrieved"), "the report is printed all the same");
    run("zero=0.5").fails_with(&["zero=0.5", "not measured"]);
    for wrong in ["retrieved=90", "retrieved", "best=0.5"] {
        assert_eq!(run(wrong).code, 2, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_arms_with_claude_report_tokens_and_cost() {
    let bench = Bench::with_store();
    let double = Double::answering(tagged("order_status")).await;
    bench.write(
        "test.jsonl",
        "{\"id\": \"a\", \"text\": \"where is my parcel\", \"intent\": \"order_status\"}\n\
         {\"id\": \"b\", \"text\": \"reset my password\", \"intent\": \"password_reset\", \"attributes\": {\"case\": \"short\"}}\n",
    );
    let fixed = examples("static.jsonl");
    let arms = ["--arms", "zero,static,retrieved", "--json"];
    let args = ["eval", "test.jsonl", "--static", fixed.to_str().unwrap()];
    let report = double.run(&bench, &[&args[..], &arms].concat()).ok().json();
    let arms = report["arms"].as_array().unwrap();
    let names: Vec<&str> = arms.iter().map(|arm| arm["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["zero", "static", "retrieved"]);
    for arm in arms {
        assert_eq!((arm["n"].as_u64(), arm["accuracy"].as_f64()), (Some(2), Some(0.5)));
        assert_eq!(arm["usage"]["output_tokens"], 80);
        // 2 x (120 x 0.10 + 40 x 0.50 + 3000 x 0.01) / 10^6
        assert!((arm["cost_usd"].as_f64().unwrap() - 0.000_124).abs() < 1e-12, "{}", arm["cost_usd"]);
    }
    assert_eq!(report["comparisons"].as_array().unwrap().len(), 3);
    let examples_sent =
        |body: &serde_json::Value| body["messages"][0]["content"].as_str().unwrap().matches("<example>").count();
    let mut sent: Vec<usize> = double.bodies().await.iter().map(examples_sent).collect();
    sent.sort_unstable();
    assert_eq!(sent, [0, 0, 5, 5, 9, 9]);
}
