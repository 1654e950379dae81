//! `--batch`: the same output at half the price, whatever becomes of the batches.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::Bench;
use crate::raw_double::{Asked, RawDouble, Reply, answer, numbered_tickets};

/// Batches as the API keeps them.
#[derive(Default)]
struct Batches {
    /// Requests by batch id: `custom_id`, the ticket's number, and whether it offers a shortlist.
    sent: HashMap<String, Vec<(String, u64, bool)>>,
    looks: HashMap<String, usize>,
    canceled: Vec<String>,
    /// Tickets whose requests expired once already.
    expired: Vec<u64>,
}

/// A double of the batch endpoints. A batch ends at its second look; results come shuffled;
/// in each batch every tenth request expires the first time and ticket 7 fails for good. No
/// shortlist ever fits.
async fn double(looks_until_ended: usize) -> (RawDouble, Arc<Mutex<Batches>>) {
    let batches = Arc::new(Mutex::new(Batches::default()));
    let shared = Arc::clone(&batches);
    let double = RawDouble::start(move |asked: &Asked, _| {
        let mut batches = shared.lock().unwrap();
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["v1", "messages", "batches"]) => {
                let id = format!("msgbatch_{}", batches.sent.len());
                let requests = asked.body["requests"].as_array().unwrap();
                let named = requests.iter().map(|request| {
                    let text = request["params"]["messages"][0]["content"].as_str().unwrap();
                    let number = text.rsplit("ticket no ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
                    assert!(request["params"].get("stream").is_none());
                    (request["custom_id"].as_str().unwrap().to_owned(), number, text.contains("<intents>"))
                });
                let named = named.collect();
                batches.sent.insert(id.clone(), named);
                Reply::new(200, object(&id, "in_progress", &batches).to_string())
            }
            ("GET", ["v1", "messages", "batches", id]) => {
                let looks = batches.looks.entry((*id).to_owned()).or_default();
                *looks += 1;
                let status = if *looks > looks_until_ended { "ended" } else { "in_progress" };
                Reply::new(200, object(id, status, &batches).to_string())
            }
            ("POST", ["v1", "messages", "batches", id, "cancel"]) => {
                batches.canceled.push((*id).to_owned());
                Reply::new(200, object(id, "canceling", &batches).to_string())
            }
            ("GET", ["v1", "messages", "batches", id, "results"]) => {
                let mut sent = batches.sent[*id].clone();
                sent.sort();
                let lines: Vec<String> = sent
                    .iter()
                    .rev()
                    .map(|(custom_id, number, listed)| {
                        let result = if *number == 7 {
                            json!({"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no sevens"}}})
                        } else if number % 10 == 4 && !batches.expired.contains(number) {
                            batches.expired.push(*number);
                            json!({"type": "expired"})
                        } else {
                            let intent = if *listed { "none_of_these" } else { "order_status" };
                            json!({"type": "succeeded", "message": answer(intent)})
                        };
                        json!({"custom_id": custom_id, "result": result}).to_string()
                    })
                    .collect();
                Reply::new(200, lines.join("\n"))
            }
            other => panic!("unexpected request {other:?}"),
        }
    })
    .await;
    (double, batches)
}

fn object(id: &str, status: &str, batches: &Batches) -> Value {
    let n = batches.sent.get(id).map_or(0, Vec::len);
    json!({"id": id, "type": "message_batch", "processing_status": status,
        "request_counts": {"processing": 0, "succeeded": n, "errored": 0, "canceled": 0, "expired": 0},
        "results_url": null})
}

fn small_store(tickets: usize) -> Bench {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(tickets));
    bench
}

const RUN: [&str; 11] = [
    "classify",
    "--input",
    "in.jsonl",
    "--output",
    "out.jsonl",
    "--json",
    "--batch",
    "--batch-size",
    "20",
    "--batch-poll",
    "0.1",
];

fn lines(bench: &Bench) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.dir.path().join("out.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_expired_and_failed_results_end_as_the_direct_way_would() {
    let bench = small_store(50);
    let (double, batches) = double(1).await;
    let outcome = double.run(&bench, &RUN);
    assert_eq!(outcome.code, 1, "ticket 7 failed: {}", outcome.stderr);
    let lines = lines(&bench);
    assert_eq!(
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        (0..50).map(|i| format!("n{i}")).collect::<Vec<_>>()
    );
    for (number, line) in lines.iter().enumerate() {
        if number == 7 {
            assert!(line["error"].as_str().unwrap().contains("no sevens"), "{line}");
        } else {
            assert_eq!(line["intent"], "order_status");
            assert!((line["cost_usd"].as_f64().unwrap() - 0.000_015).abs() < 1e-12, "half the price: {line}");
        }
    }
    let batches = batches.lock().unwrap();
    let mut sizes: Vec<usize> = batches.sent.values().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 20, 20], "split by count, and the five expired ones once more");
    assert!(outcome.stderr.contains("49 by batch"), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_shortlist_fits_goes_into_a_further_batch_with_all_intents() {
    let bench = small_store(4);
    let (double, batches) = double(0).await;
    double.run(&bench, &[&RUN[..], &["--intents", "shortlist"]].concat()).ok();
    for line in lines(&bench) {
        assert_eq!((line["intent"].as_str(), line["usage"]["requests"].as_u64()), (Some("order_status"), Some(2)));
    }
    let sizes: Vec<usize> = batches.lock().unwrap().sent.values().map(Vec::len).collect();
    assert_eq!(sizes, [4, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_collects_its_batches_and_submits_nothing_again() {
    let bench = small_store(20);
    let (double, batches) = double(12).await;
    let mut child = double.command(&bench, &RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while batches.lock().unwrap().looks.values().sum::<usize>() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    double.run(&bench, &RUN);
    assert_eq!(lines(&bench).len(), 20);
    let batches = batches.lock().unwrap();
    let mut sizes: Vec<usize> = batches.sent.values().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 20], "the expired ones once more, nothing else");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_cancels() {
    let bench = small_store(20);
    let (double, batches) = double(usize::MAX).await;
    let mut child = double.command(&bench, &RUN).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    while batches.lock().unwrap().looks.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let interrupt = || {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    };
    interrupt();
    assert!(said.any(|line| line.contains("interrupt once more within")));
    interrupt();
    let rest: Vec<String> = said.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("1 batches were cancelled")), "{rest:?}");
    assert_eq!(batches.lock().unwrap().canceled, ["msgbatch_0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_runs_paid_counts_against_the_bound_on_the_cost() {
    let bench = small_store(100);
    let (double, batches) = double(0).await;
    double.run(&bench, &RUN);
    let made = batches.lock().unwrap().sent.len();
    bench.write("in.jsonl", numbered_tickets(101));
    // 99 answers at $0.000015.
    let stopped = double.run(&bench, &[&RUN[..], &["--max-cost", "0.0014"]].concat());
    assert_eq!(stopped.code, 1);
    assert!(stopped.stderr.contains("higher --max-cost"), "{}", stopped.stderr);
    assert_eq!(batches.lock().unwrap().sent.len(), made, "nothing was sent");
}

#[test]
fn a_batch_needs_an_output_and_claude() {
    let bench = small_store(2);
    assert_eq!(bench.run(&["classify", "--input", "in.jsonl", "--batch"]).code, 2);
    let vote = bench.run(&["classify", "--input", "in.jsonl", "--batch", "--output", "o", "--labeler", "vote"]);
    assert!(vote.code == 1 && vote.stderr.contains("--batch is for --labeler claude"), "{}", vote.stderr);
}
