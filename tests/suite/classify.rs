//! `ticket-router classify`.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use wiremock::{Request, ResponseTemplate};

use crate::double::{Double, InTurn, KEY, error, message, tagged};
use crate::fixture::Bench;

const TEXT: &str = "Where is my order? Has it been shipped yet? CV-48213";

#[test]
fn the_vote_labeler_needs_no_key_and_shows_what_it_rests_on() {
    let bench = Bench::with_store();
    let answer = bench.run(&["classify", TEXT, "--labeler", "vote", "--json"]).ok().json_lines().remove(0);
    assert_eq!(answer["intent"], "order_status");
    assert_eq!(answer["category"], "orders");
    assert_eq!((answer["schema"].as_u64(), answer["reason_code"].as_str()), (Some(1), Some("sure")));
    assert_eq!(answer["decision"], "route");
    assert_eq!(answer["labeler"], "vote");
    assert_eq!(answer["cost_usd"], 0.0);
    assert_eq!(answer["shortlist"][0], "order_status");
    assert_eq!(answer["neighbours"].as_array().unwrap().len(), 5);
    for key in ["id", "reason", "reasoning", "confidence", "model", "usage"] {
        assert!(answer.get(key).is_some(), "{key}");
    }
    for key in ["embed", "retrieve", "label", "total"] {
        assert!(answer["latency_ms"][key].is_number(), "{key}");
    }
    let scores: Vec<f64> =
        answer["neighbours"].as_array().unwrap().iter().map(|n| n["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");

    let human = bench.run(&["classify", TEXT, "--labeler", "vote", "--explain", "-k", "3"]).ok().stdout;
    for part in ["orders / order_status", "route:", "reasoning", "confidence", "examples", "labeled by vote"] {
        assert!(human.contains(part), "{part}: {human}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_is_asked_with_key_and_version_and_its_answer_becomes_a_decision() {
    let bench = Bench::with_store();
    let double = Double::answering(tagged("order_status")).await;
    let outcome = double.run(&bench, &["classify", TEXT, "--json"]).ok();
    let answer = outcome.json_lines().remove(0);
    assert_eq!(answer["intent"], "order_status");
    assert_eq!((answer["decision"].as_str(), answer["reason_code"].as_str()), (Some("route"), Some("unchecked")));
    assert_eq!(answer["reasoning"], "Because of this and that.");
    assert_eq!(answer["model"], "claude-haiku-5-5");
    assert_eq!(answer["request_id"], "req_double");
    assert_eq!(answer["usage"]["cache_read_input_tokens"], 3000);
    assert!((answer["cost_usd"].as_f64().unwrap() - 0.000_062).abs() < 1e-12);
    let request = &double.requests().await[0];
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("x-api-key"), Some(KEY));
    assert_eq!(header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(header("authorization"), None);
    assert!(!outcome.stdout.contains(KEY) && !outcome.stderr.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_prints_is_what_is_sent() {
    let bench = Bench::with_store();
    let double = Double::answering(tagged("order_status")).await;
    for model in ["claude-haiku-5-5", "claude-haiku-4-5-20251001", "claude-sonnet-5-5"] {
        let printed = bench.run(&["classify", TEXT, "--model", model, "--dry-run"]).ok().json();
        double.run(&bench, &["classify", TEXT, "--model", model]).ok();
        assert_eq!(double.bodies().await.last(), Some(&printed), "{model}");
    }
    assert_eq!(double.requests().await.len(), 3, "a dry run sends nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_intent_is_asked_for_once_more_with_the_list() {
    let bench = Bench::with_store();
    let double = Double::answering(InTurn::new(vec![tagged("where_is_it"), tagged("Order_Status")])).await;
    let answer = double.run(&bench, &["classify", TEXT, "--json"]).ok().json_lines().remove(0);
    assert_eq!((answer["intent"].as_str(), answer["decision"].as_str()), (Some("order_status"), Some("route")));
    assert_eq!(answer["usage"]["requests"], 2);
    let bodies = double.bodies().await;
    let turns = bodies[1]["messages"].as_array().unwrap();
    let roles: Vec<&str> = turns.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(bodies[0]["messages"][0], bodies[1]["messages"][0], "the same conversation");
    let question = turns[2]["content"].as_str().unwrap();
    assert!(question.contains("where_is_it is not one of the intents") && question.contains("- delivery_problem"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_name_no_intent_become_reviews_that_say_why() {
    let bench = Bench::with_store();
    let cases = [
        (message("I think it is about a parcel.", "end_turn"), "no_intent", "the answer holds no intent", 2),
        (tagged("no_such_intent"), "not_in_taxonomy", "\"no_such_intent\", which is no intent", 2),
        (message("<reasoning>The customer wan", "max_tokens"), "cut_off", "cut off", 2),
        (message("<reasoning>not <intent>praise</intent></reasoning>", "end_turn"), "no_intent", "holds no intent", 2),
        (message("", "refusal"), "refused", "refused", 1),
        (message("", "model_context_window_exceeded"), "too_long", "too long", 1),
        (message("", "end_turn"), "no_intent", "holds no intent", 1),
        (message("", "brand_new_reason"), "stopped", "unknown reason (brand_new_reason)", 1),
    ];
    for (answer, code, reason, requests) in cases {
        let double = Double::answering(answer).await;
        let answer = double.run(&bench, &["classify", TEXT, "--json"]).ok().json_lines().remove(0);
        assert_eq!((answer["decision"].as_str(), answer["reason_code"].as_str()), (Some("review"), Some(code)));
        assert_eq!(answer["intent"], Value::Null);
        assert!(answer["reason"].as_str().unwrap().contains(reason), "{}", answer["reason"]);
        assert_eq!(double.requests().await.len(), requests, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_failures_are_retried_twice_and_lasting_ones_are_not() {
    let bench = Bench::with_store();
    let quick = |status, kind| error(status, kind, "try later").insert_header("retry-after-ms", "10");
    for status in [408, 409, 429, 500, 504, 529] {
        let double =
            Double::answering(InTurn::new(vec![quick(status, "x"), quick(status, "x"), tagged("order_status")])).await;
        let answer = double.run(&bench, &["classify", TEXT, "--json"]).ok().json_lines().remove(0);
        assert_eq!(answer["intent"], "order_status", "{status}");
        assert_eq!(double.requests().await.len(), 3, "{status}");
    }
    for status in [400, 413] {
        let double = Double::answering(quick(status, "invalid_request_error")).await;
        let outcome = double.run(&bench, &["classify", TEXT, "--json"]);
        assert_eq!(outcome.code, 1);
        let line = outcome.json_lines().remove(0);
        assert!(line["error"].as_str().unwrap().contains(&status.to_string()), "{line}");
        assert_eq!(line["request_id"], "req_failed");
        assert_eq!(double.requests().await.len(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tickets_come_out_in_their_order_with_bounded_concurrency_and_failures_in_their_lines() {
    let bench = Bench::with_store();
    let double = Double::answering(|request: &Request| -> ResponseTemplate {
        let body: Value = request.body_json().unwrap();
        let text = body["messages"][0]["content"].as_str().unwrap();
        let number: u64 = text.rsplit("ticket no ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
        if number == 3 {
            return error(400, "invalid_request_error", "number three is not liked");
        }
        tagged("praise").set_delay(Duration::from_millis(40 * (20 - number)))
    })
    .await;
    let mut rows: Vec<String> =
        (0..20).map(|i| format!("{{\"id\": \"n{i}\", \"text\": \"ticket no {i} says thanks\"}}")).collect();
    rows.insert(7, "{\"id\": \"n7-bad\", \"text\": \"\"}".into());
    bench.write("in.jsonl", rows.join("\n"));
    let outcome = double
        .run(&bench, &["classify", "--input", "in.jsonl", "--output", "out.jsonl", "--json", "--concurrency", "5"]);
    assert_eq!(outcome.code, 1, "some tickets failed: {}", outcome.stderr);
    let written = fs::read_to_string(bench.dir.path().join("out.jsonl")).unwrap();
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut expected: Vec<String> = (0..20).map(|i| format!("n{i}")).collect();
    expected.insert(7, "n7-bad".into());
    assert_eq!(lines.iter().map(|line| line["id"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    let failed: Vec<&Value> = lines.iter().filter(|line| line.get("error").is_some()).collect();
    assert_eq!(failed.len(), 2);
    assert!(failed[0]["error"].as_str().unwrap().contains("number three is not liked"));
    assert!(failed[1]["error"].as_str().unwrap().contains("no \"text\""));
    assert_eq!(lines.iter().filter(|line| line["intent"] == "praise").count(), 19);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(bench.dir.path().join("out.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "the output holds tickets and is its owner's alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_token_takes_the_place_of_the_key() {
    let bench = Bench::with_store();
    let double = Double::answering(tagged("praise")).await;
    let mut command = bench.command(&["classify", "thank you"]);
    command.env("ANTHROPIC_BASE_URL", double.server.uri()).env("ANTHROPIC_AUTH_TOKEN", "token-1");
    assert!(command.status().unwrap().success());
    let request = &double.requests().await[0];
    assert_eq!(request.headers.get("authorization").unwrap(), "Bearer token-1");
    assert!(request.headers.get("x-api-key").is_none());
}

#[test]
fn static_examples_and_none_can_be_chosen() {
    let bench = Bench::with_store();
    let fixed = crate::fixture::examples("static.jsonl");
    let body = |args: &[&str]| {
        let body = bench.run(&[&["classify", TEXT, "--dry-run"], args].concat()).ok().json();
        body["messages"][0]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(body(&["--examples", "static", "--static", fixed.to_str().unwrap()]).matches("<example>").count(), 9);
    assert_eq!(body(&["--examples", "none"]).matches("<example>").count(), 0);
    assert_eq!(body(&["-k", "12"]).matches("<example>").count(), 12);
}

#[test]
fn settings_come_from_flags_before_the_environment_before_the_file() {
    let bench = Bench::with_store();
    bench.write("ticket-router.toml", "labeler = \"vote\"\nk = 2\n");
    let shown = |args: &[&str], variable: Option<&str>| {
        let mut command = bench.command(&[&["classify", TEXT, "--json"], args].concat());
        if let Some(k) = variable {
            command.env("TICKET_ROUTER_K", k);
        }
        let outcome = crate::fixture::Outcome::of(command.output().unwrap()).ok();
        outcome.json_lines()[0]["neighbours"].as_array().unwrap().len()
    };
    assert_eq!(shown(&[], None), 2);
    assert_eq!(shown(&[], Some("3")), 3);
    assert_eq!(shown(&["-k", "4"], Some("3")), 4);
}
