//! `ticket-router eval`: which arms there are, what they show and ask, and what is asked once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use wiremock::{Request, Respond, ResponseTemplate};

use crate::double::{Double, tagged};
use crate::fixture::{Bench, examples};

const TEST: &str = "{\"id\": \"a\", \"text\": \"where is my parcel\", \"intent\": \"order_status\"}\n\
    {\"id\": \"b\", \"text\": \"I forgot my password\", \"intent\": \"password_reset\"}\n";

fn arm<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["arms"].as_array().unwrap().iter().find(|arm| arm["name"] == name).unwrap()
}

fn examples_sent(body: &Value) -> usize {
    body["messages"][0]["content"].as_str().unwrap().matches("<example>").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_arms_run_with_claude_and_what_two_of_them_ask_alike_is_asked_once() {
    let bench = Bench::with_small_store();
    let double = Double::answering(tagged("order_status")).await;
    bench.write("test.jsonl", TEST);
    let args = ["eval", "test.jsonl", "-k", "3", "--cascade-threshold", "1", "--json"];
    let outcome = double.run(&bench, &args).ok();
    let report = outcome.json();
    let names: Vec<&str> = report["arms"].as_array().unwrap().iter().map(|arm| arm["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["zero", "static", "static_tokens", "retrieved", "vote", "cascade"]);
    assert_eq!(
        (arm(&report, "vote")["labeler"].as_str(), arm(&report, "vote")["cost_usd"].as_f64()),
        (Some("vote"), Some(0.0))
    );
    assert_eq!(arm(&report, "vote")["accuracy"], 1.0);
    let (retrieved, cascade) = (arm(&report, "retrieved"), arm(&report, "cascade"));
    assert_eq!((cascade["labeler"].as_str(), cascade["escalated"].as_u64()), (Some("cascade"), Some(2)));
    assert_eq!(cascade["cost_usd"], retrieved["cost_usd"]);
    assert_eq!(cascade["accuracy"], retrieved["accuracy"]);
    assert!(retrieved["escalated"].is_null() && retrieved["consistency"].is_null());
    // The cascade asks what retrieved asks, and with texts of equal length static_tokens what static asks.
    let bodies = double.bodies().await;
    assert_eq!(bodies.len(), 6);
    assert!(outcome.stderr.contains(": 6 answers"), "{}", outcome.stderr);
    let mut sent: Vec<usize> = bodies.iter().map(examples_sent).collect();
    sent.sort_unstable();
    assert_eq!(sent, [0, 0, 3, 3, 3, 3]);
    assert!(retrieved["cost_ci95"][0].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_whose_vote_is_always_sure_asks_nothing() {
    let bench = Bench::with_small_store();
    let double = Double::answering(tagged("invoice_request")).await;
    bench.write("test.jsonl", TEST);
    let args = ["eval", "test.jsonl", "--arms", "vote,cascade", "--cascade-threshold", "0", "--json"];
    let report = double.run(&bench, &args).ok().json();
    let cascade = arm(&report, "cascade");
    assert_eq!((cascade["escalated"].as_u64(), cascade["accuracy"].as_f64()), (Some(0), Some(1.0)));
    let classify = |text: &str, threshold: &str| {
        let args = ["classify", text, "--labeler", "cascade", "--cascade-threshold", threshold, "--json"];
        double.run(&bench, &args).ok().json_lines().swap_remove(0)
    };
    let sure = classify("my parcel", "0");
    assert_eq!((sure["labeler"].as_str(), sure["intent"].as_str()), (Some("cascade"), Some("order_status")));
    assert!(sure["notes"][0].as_str().unwrap().contains("the vote was sure"), "{}", sure["notes"]);
    assert!(double.requests().await.is_empty());
    let asked = classify("my parcel, my password or an invoice", "1");
    assert_eq!((asked["intent"].as_str(), asked["usage"]["requests"].as_u64()), (Some("invoice_request"), Some(1)));
    let dry = ["classify", "my parcel", "--labeler", "cascade", "--cascade-threshold", "0", "--dry-run"];
    let dry = bench.run(&dry).ok();
    assert!(dry.stdout.is_empty() && dry.stderr.contains("nothing would be sent"), "{}", dry.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn named_arms_have_their_own_model_prompt_and_examples() {
    let bench = Bench::with_small_store();
    let double = Double::answering(tagged("order_status")).await;
    bench.write("test.jsonl", TEST);
    std::fs::create_dir(bench.dir.path().join("mine")).unwrap();
    bench.write("mine/ticket.jinja", "Mine: {{ ticket }}");
    let args = [
        "eval",
        "test.jsonl",
        "--arms",
        "none",
        "--arm",
        "two:k=2,selection=nearest",
        "--arm",
        "other:model=claude-opus-5-5",
        "--arm",
        "mine:prompts=mine",
        "--arm",
        "bare:examples=none",
        "--arm",
        "voted:labeler=vote",
        "--json",
    ];
    let outcome = double.run(&bench, &args).ok();
    assert!(outcome.stderr.contains("claude-haiku-5-5, claude-opus-5-5: 8 answers"), "{}", outcome.stderr);
    let report = outcome.json();
    assert_eq!(report["arms"].as_array().unwrap().len(), 5);
    assert_eq!(arm(&report, "other")["model"], "claude-opus-5-5");
    assert!(arm(&report, "other")["cost_usd"].as_f64() > arm(&report, "two")["cost_usd"].as_f64());
    let bodies = double.bodies().await;
    assert_eq!(bodies.len(), 8);
    let count = |is: &dyn Fn(&Value) -> bool| bodies.iter().filter(|body| is(body)).count();
    assert_eq!(count(&|body| body["model"] == "claude-opus-5-5" && examples_sent(body) == 5), 2);
    assert_eq!(count(&|body| examples_sent(body) == 2), 2);
    assert_eq!(count(&|body| body["messages"][0]["content"].as_str().unwrap().starts_with("Mine: ")), 2);
    assert_eq!(count(&|body| examples_sent(body) == 0), 4);
}

#[test]
fn arms_that_add_nothing_or_cannot_be_are_refused() {
    let bench = Bench::with_small_store();
    bench.write("test.jsonl", TEST);
    let run = |args: &[&str]| bench.run(&[&["eval", "test.jsonl", "--labeler", "vote"], args].concat());
    run(&["--arms", "vote,retrieved"]).fails_with(&["--arms vote", "is what retrieved is"]);
    run(&["--arms", "cascade"]).fails_with(&["--arms cascade", "--labeler claude"]);
    run(&["--arms", "zero"]).fails_with(&["--arms zero"]);
    run(&["--arms", "none"]).fails_with(&["nothing to compare"]);
    run(&["--arm", "static:k=2"]).fails_with(&["--arm static", "already"]);
    run(&["--arm", "x:model=claude-opus-5-5"]).fails_with(&["--arm x", "vote has no model"]);
    run(&["--arm", "x:examples=none"]).fails_with(&["--arm x", "nothing to go by"]);
    run(&["--arm", "x:labeler=claude"]).fails_with(&["ANTHROPIC_API_KEY"]);
    run(&["--repeat", "3"]).fails_with(&["--repeat 3", "vote always answers the same"]);
    let unknown = run(&["--arm", "x:kay=3"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("labeler, model, k, strategy, selection, prompts"), "{}", unknown.stderr);
    run(&["--arm", "wide:k=9", "--fail-under", "wide=0.5", "--fail-under", "retrieved=0.5"]).ok();
}

/// Answers each ticket right at first, and another intent when it is asked again.
struct Fickle(Mutex<HashMap<Vec<u8>, usize>>);

impl Respond for Fickle {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut asked = self.0.lock().unwrap();
        let times = asked.entry(request.body.clone()).or_default();
        *times += 1;
        // One of the two tickets never changes its mind.
        let stays = String::from_utf8_lossy(&request.body).contains("where is my parcel");
        tagged(if *times < 3 || stays { "order_status" } else { "password_reset" })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_ask_again_and_their_answers_are_kept_too() {
    let bench = Bench::with_small_store();
    let double = Double::answering(Fickle(Mutex::default())).await;
    bench.write("test.jsonl", TEST);
    let args = [
        "eval",
        "test.jsonl",
        "--arms",
        "zero,vote",
        "--repeat",
        "3",
        "--concurrency",
        "1",
        "--json",
        "--output",
        "o.json",
    ];
    let read =
        || -> Value { serde_json::from_slice(&std::fs::read(bench.dir.path().join("o.json")).unwrap()).unwrap() };
    double.run(&bench, &args).ok();
    assert_eq!(double.requests().await.len(), 6);
    let report = read();
    assert_eq!(arm(&report, "zero")["consistency"], 0.5);
    assert!(arm(&report, "vote")["consistency"].is_null());
    double.run(&bench, &args).ok();
    assert_eq!(double.requests().await.len(), 6, "the journal holds the repeats");
    assert_eq!(read()["arms"][0]["consistency"], 0.5);
}

#[test]
fn static_examples_at_equal_tokens_are_about_as_long_as_the_retrieved_ones() {
    let bench = Bench::with_store();
    let heldout = std::fs::read_to_string(examples("heldout.jsonl")).unwrap();
    bench.write("test.jsonl", heldout.lines().take(30).map(|line| format!("{line}\n")).collect::<String>());
    let args = ["eval", "test.jsonl", "--labeler", "vote", "--arms", "static,static_tokens", "-k", "8", "--json"];
    let report = bench.run(&args).ok().json();
    let note = |start: &str| {
        let notes = report["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap());
        notes.into_iter().find(|note| note.starts_with(start)).unwrap().to_owned()
    };
    assert!(note("the arm static ").contains("8 examples drawn from the store with seed 7"));
    let numbers: Vec<f64> = note("the arm static_tokens").split(' ').filter_map(|word| word.parse().ok()).collect();
    let [_, total, 8.0, target] = numbers[..] else { panic!("{numbers:?}") };
    assert!((total / target - 1.0).abs() < 0.05, "{total} {target}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arm_is_charged_for_its_own_answer_and_for_no_wait() {
    const LATENCY: u64 = 150;
    let bench = Bench::with_small_store();
    let double = Double::answering(tagged("order_status").set_delay(Duration::from_millis(LATENCY))).await;
    let rows = |i: usize| format!("{{\"id\": \"t{i}\", \"text\": \"parcel {i}\", \"intent\": \"order_status\"}}\n");
    bench.write("test.jsonl", (0..6).map(rows).collect::<String>());
    let arms = ["--arms", "zero,retrieved,vote,cascade", "--cascade-threshold", "1", "--concurrency", "1"];
    let report = double.run(&bench, &[&["eval", "test.jsonl", "--json"], &arms[..]].concat()).ok().json();
    let milliseconds = |name: &str, of: &str| arm(&report, name)["latency_ms"][of].as_f64().unwrap();
    let latency = LATENCY as f64;
    for name in ["zero", "retrieved", "cascade"] {
        // Four tickets were started at once before, and three of them waited.
        assert!(milliseconds(name, "p95") < 2.0 * latency, "{name}: {}", report["arms"]);
    }
    // What retrieved has asked for already is as slow when the cascade asks for it.
    assert!(milliseconds("cascade", "p50") >= latency && milliseconds("vote", "p95") < latency, "{}", report["arms"]);
    assert_eq!(double.requests().await.len(), 12);
}
