//! What a run costs: said before and after, and bounded.

use crate::double::{Double, message};
use crate::fixture::{Bench, Outcome, examples};
use crate::raw_double::{RawDouble, Reply, numbered_tickets};

#[tokio::test(flavor = "multi_thread")]
async fn the_account_at_the_end_adds_up() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(10));
    let double = RawDouble::start(|_, _| Reply::intent("order_status")).await;
    let outcome = double.run(&bench, &["classify", "--input", "in.jsonl", "--json"]).ok();
    // 10 x (100 x 0.10 + 20 x 0.50 + 1000 x 0.01) / 10^6; without the cache 1000 x 0.10.
    for part in [
        "10 answers (0 from the journal, 0 by batch)",
        "1000 in, 200 out",
        "10000 read from it (91 % of the input)",
        "cost: $0.000300 (without the cache $0.001200)",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    let sum: f64 = outcome.json_lines().iter().map(|line| line["cost_usd"].as_f64().unwrap()).sum();
    assert!((sum - 0.0003).abs() < 1e-12);
}

#[tokio::test(flavor = "multi_thread")]
async fn max_cost_stops_before_it_is_passed_and_the_run_can_go_on() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(200));
    let double = RawDouble::start(|_, _| Reply::intent("order_status")).await;
    let run = |bound: &str| {
        double.run(&bench, &["classify", "--input", "in.jsonl", "--output", "o.jsonl", "--json", "--max-cost", bound])
    };
    // Each answer costs $0.00003; what is under way is reckoned at its most.
    let stopped = run("0.004");
    assert_eq!(stopped.code, 1);
    for part in ["stopped before the run costs more than $0.004", "higher --max-cost"] {
        assert!(stopped.stderr.contains(part), "{part}: {}", stopped.stderr);
    }
    let sent = double.log().len();
    assert!((1..134).contains(&sent), "{sent} requests cost ${}", sent as f64 * 0.000_03);
    run("1").ok();
    assert_eq!(double.log().len(), 200, "nothing was asked for twice");
    bench
        .run(&["classify", "x", "--max-cost", "1", "--model", "claude-next-9", "--dry-run"])
        .fails_with(&["prices of claude-next-9 are not known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_works_and_says_that_its_cost_is_unknown_and_a_users_table_tells_it() {
    let bench = Bench::with_small_store();
    let double = RawDouble::start(|_, _| Reply::intent("order_status")).await;
    let args = ["classify", "ticket no 1 x", "--json", "--model", "claude-next-9"];
    let outcome = double.run(&bench, &args).ok();
    assert!(outcome.json_lines()[0]["cost_usd"].is_null());
    assert!(outcome.stderr.contains("cost: unknown, since claude-next-9 is not in the table"), "{}", outcome.stderr);
    bench.write(
        "models.toml",
        "[[model]]\nid = \"claude-next-9\"\nsampling = \"temperature\"\nprice = [{ input = 1.0, output = 10.0, cache_write_5m = 1.0, cache_write_1h = 1.0, cache_read = 0.0 }]\n",
    );
    let outcome = double.run(&bench, &[&args[..], &["--models", "models.toml"]].concat()).ok();
    assert!((outcome.json_lines()[0]["cost_usd"].as_f64().unwrap() - 0.0003).abs() < 1e-12);
    let bodies = double.log();
    assert!(bodies[0].body.get("temperature").is_none() && bodies[1].body["temperature"] == 0.0);
    bench.write("models.toml", "[[model]]\nname = \"x\"\n");
    bench.run(&["classify", "x", "--dry-run", "--models", "models.toml"]).fails_with(&["models.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_is_too_short_to_be_cached_is_said_once() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(3));
    let body = serde_json::json!({"stop_reason": "end_turn", "content": [{"type": "text", "text": "<intent>order_status</intent>"}],
        "usage": {"input_tokens": 10, "output_tokens": 5}});
    let double = RawDouble::start(move |_, _| Reply::new(200, body.to_string())).await;
    let outcome = double.run(&bench, &["classify", "--input", "in.jsonl"]).ok();
    assert_eq!(outcome.stderr.matches("nothing was cached").count(), 1, "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_sends_no_ticket_and_counts_tokens_where_it_can() {
    let bench = Bench::with_store();
    let heldout = examples("heldout.jsonl");
    let args = ["classify", "--input", heldout.to_str().unwrap(), "--estimate"];
    let rough = bench.run(&args).ok().stdout;
    for part in ["420 requests to claude-haiku-5-5", "approximated at 3.3 bytes a token", "through batches:"] {
        assert!(rough.contains(part), "{part}: {rough}");
    }
    let double = RawDouble::start(|asked, _| {
        assert_eq!(asked.path, "/v1/messages/count_tokens");
        assert!(asked.body.get("max_tokens").is_none() && asked.body.get("system").is_some());
        Reply::new(200, "{\"input_tokens\": 5000}".into())
    })
    .await;
    let outcome = double.run(&bench, &[&args[..], &["--json"]].concat()).ok().json();
    assert!(double.log().len() <= 20);
    assert_eq!(outcome["requests"], 420);
    assert_eq!(outcome["cacheable"], true);
    let cost = |key: &str| outcome[key].as_f64().unwrap();
    assert!(cost("cached_usd") < cost("direct_usd"));
    assert!((cost("batch_usd") * 2.0 - cost("direct_usd")).abs() < 1e-9);
    let vote = bench.run(&["classify", "x", "--labeler", "vote", "--estimate"]);
    assert_eq!(vote.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_counts_with_the_flags_of_the_run() {
    let bench = Bench::with_small_store();
    let failing = RawDouble::start(|_, _| Reply::error(500, "api_error")).await;
    let estimate = ["classify", "ticket no 1 x", "--estimate", "--retries", "0"];
    failing.run(&bench, &estimate).fails_with(&["answered 500"]);
    assert_eq!(failing.log().len(), 1, "--retries");
    failing.run(&bench, &[&estimate[..], &["--ca-file", "no.pem"]].concat()).fails_with(&["no.pem"]);
    let slow = RawDouble::start(|_, _| Reply::error(500, "api_error").after(std::time::Duration::from_hours(1))).await;
    slow.run(&bench, &[&estimate[..], &["--timeout", "1"]].concat()).fails_with(&["did not answer in time"]);
}

/// An answer that was cut off is asked for once more with more room; both are paid for.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_answer_gets_more_room_once() {
    let bench = Bench::with_small_store();
    let cut = message("<reasoning>It is about a par", "max_tokens");
    let whole = message("<reasoning>A parcel.</reasoning><intent>order_status</intent>", "end_turn");
    let double = Double::answering(crate::double::InTurn::new(vec![cut, whole])).await;
    let outcome: Outcome = double.run(&bench, &["classify", "my parcel", "--json"]).ok();
    let line = outcome.json_lines().remove(0);
    assert_eq!((line["intent"].as_str(), line["usage"]["requests"].as_u64()), (Some("order_status"), Some(2)));
    let bodies = double.bodies().await;
    assert!(bodies[1]["max_tokens"].as_u64() > bodies[0]["max_tokens"].as_u64());
    assert_eq!(bodies[0]["messages"], bodies[1]["messages"]);
}
