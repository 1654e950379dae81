//! Storms, resets and garbage: no ticket is lost, and nobody is hammered.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use crate::fixture::{Bench, small_tickets};
use crate::raw_double::{Fault, RawDouble, Reply, numbered_tickets};

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_and_529_with_64_workers_loses_no_ticket_and_hammers_nobody() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(300));
    // Each ticket is refused with a chance of one in three at its first two tries.
    let tries = Mutex::new(std::collections::HashMap::<u64, u64>::new());
    let double = RawDouble::start(move |asked, number| {
        let mut seen = tries.lock().unwrap();
        let times = seen.entry(asked.ticket().unwrap()).or_default();
        *times += 1;
        match number % 6 {
            1 if *times < 3 => Reply::error(429, "rate_limit_error").header("retry-after-ms", "60"),
            4 if *times < 3 => Reply::error(529, "overloaded_error").header("retry-after-ms", "40"),
            _ => Reply::intent("order_status").after(Duration::from_millis(15)),
        }
    })
    .await;
    let outcome = double
        .run(&bench, &["classify", "--input", "in.jsonl", "--output", "out.jsonl", "--json", "--concurrency", "64"])
        .ok();
    let written = std::fs::read_to_string(bench.dir.path().join("out.jsonl")).unwrap();
    assert_eq!(written.lines().count(), 300);
    assert!(written.lines().all(|line| line.contains("\"intent\":\"order_status\"")));
    let refusals = double.log().len() - 300;
    assert!(refusals > 50, "the storm did not blow: {refusals}");
    // Every call beyond one for each ticket was a refusal that was served.
    assert!(double.log().len() as f64 <= 300.0 * 1.2 + refusals as f64);
    assert!(outcome.stderr.contains(&format!("{refusals} requests sent again")), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tickets_with_faults_of_every_kind_end_answered_or_explained() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(1000));
    let seen = Mutex::new(HashSet::new());
    let double = RawDouble::start(move |asked, _| {
        let ticket = asked.ticket().unwrap();
        let first = seen.lock().unwrap().insert(ticket);
        match (ticket % 20, first) {
            // These fail for good.
            (0, _) if ticket % 100 == 0 => Reply::error(400, "invalid_request_error").header("request-id", "req_bad"),
            (1, true) => Reply::intent("order_status").fault(Fault::Reset),
            (2, true) => Reply::intent("order_status").fault(Fault::CutOff),
            (3, true) => Reply::new(200, "<html>hello</html>".into()),
            (4, true) => Reply::error(500, "api_error"),
            (5, true) => Reply::error(429, "rate_limit_error").header("retry-after-ms", "5"),
            (6, true) => Reply::error(529, "overloaded_error").header("retry-after-ms", "5"),
            (7, true) => Reply::new(
                200,
                "{\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"x\"}}".into(),
            ),
            _ => Reply::intent("order_status").after(Duration::from_millis(2)),
        }
    })
    .await;
    let outcome =
        double.run(&bench, &["classify", "--input", "in.jsonl", "--json", "--concurrency", "32", "--unknown", "off"]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 1000);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["id"], format!("n{number}"));
        if number % 100 == 0 {
            assert!(line["error"].as_str().unwrap().contains("answered 400"), "{line}");
            assert_eq!(line["request_id"], "req_bad");
        } else {
            assert_eq!(line["intent"], "order_status", "{line}");
        }
    }
    assert!(outcome.stderr.contains("1000 tickets: 990 route, 0 review, 10 failed"), "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_goes_alone_and_then_the_width_is_used() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(24));
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let shared = std::sync::Arc::clone(&times);
    let double = RawDouble::start(move |_, _| {
        shared.lock().unwrap().push(std::time::Instant::now());
        Reply::intent("order_status").after(Duration::from_millis(600))
    })
    .await;
    double.run(&bench, &["classify", "--input", "in.jsonl", "--json", "--concurrency", "6"]).ok();
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_millis(590), "the second request did not wait for the first answer");
    assert!(times[3] - times[1] < Duration::from_millis(500), "the others went together");
    assert!(double.widest() <= 6, "{}", double.widest());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spend_cap_stops_the_run_with_one_clear_line() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(40));
    let double = RawDouble::start(|_, number| {
        if number < 10 { Reply::intent("order_status") } else { Reply::error(429, "rate_limit_error") }
    })
    .await;
    let outcome = double
        .run(&bench, &["classify", "--input", "in.jsonl", "--output", "out.jsonl", "--json", "--concurrency", "4"]);
    assert_eq!(outcome.code, 1);
    let line = outcome.stderr.lines().find(|line| line.starts_with("error:")).unwrap();
    assert!(line.contains("spend limit") && line.contains("run the same command again"), "{line}");
    assert!(double.log().len() < 40, "{} requests", double.log().len());
    assert!(!bench.dir.path().join("out.jsonl").exists(), "no half result takes the place of a whole one");
    assert!(bench.dir.path().join("out.jsonl.journal").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_given_up_at_its_deadline_and_a_slow_answer_at_its_timeout() {
    let bench = Bench::with_small_store();
    let double = RawDouble::start(|_, _| Reply::error(529, "overloaded_error")).await;
    let begun = std::time::Instant::now();
    let outcome = double.run(&bench, &["classify", "ticket no 1 x", "--json", "--deadline", "2"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.json_lines()[0]["error"].as_str().unwrap().contains("given up after"), "{}", outcome.stdout);
    assert!(begun.elapsed() < Duration::from_secs(8));
    let slow = RawDouble::start(|_, _| Reply::intent("order_status").after(Duration::from_secs(30))).await;
    let outcome = slow.run(&bench, &["classify", "ticket no 1 x", "--json", "--timeout", "1", "--retries", "0"]);
    assert!(
        outcome.json_lines()[0]["error"].as_str().unwrap().contains("did not answer in time"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_a_wrong_key_stops_at_once() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(60));
    bench.write("labelled.jsonl", small_tickets(60).replace("number", "no"));
    let elsewhere = RawDouble::start(|_, _| Reply::intent("order_status")).await;
    let target = elsewhere.url.clone();
    let double = RawDouble::start(move |_, _| {
        Reply::new(307, String::new()).header("location", &format!("{target}/v1/messages"))
    })
    .await;
    let outcome = double.run(&bench, &["classify", "ticket no 1 x", "--json"]);
    assert!(outcome.json_lines()[0]["error"].as_str().unwrap().contains("a redirect"), "{}", outcome.stdout);
    assert!(elsewhere.log().is_empty(), "the key went to another host");

    let refusing = RawDouble::start(|_, _| Reply::error(401, "authentication_error")).await;
    for args in [&["classify", "--input", "in.jsonl"][..], &["eval", "labelled.jsonl"]] {
        let before = refusing.log().len();
        let outcome = refusing.run(&bench, args);
        assert_eq!(outcome.code, 1);
        assert!(
            outcome.stderr.contains("401") && outcome.stderr.contains("check ANTHROPIC_API_KEY"),
            "{}",
            outcome.stderr
        );
        assert!(refusing.log().len() - before <= 10, "{args:?}: {}", refusing.log().len() - before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_used_and_the_log_names_ids_and_never_texts_or_keys() {
    let bench = Bench::with_small_store();
    let double =
        RawDouble::start(
            |_, number| {
                if number == 0 { Reply::error(500, "api_error") } else { Reply::intent("order_status") }
            },
        )
        .await;
    let mut command = double.command(&bench, &["classify", "SECRETTEXT of ticket no 1 x", "--json", "--log", "json"]);
    command
        .env("ANTHROPIC_BASE_URL", "http://api.example:8080")
        .env("HTTP_PROXY", &double.url)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    let outcome = crate::fixture::Outcome::of(command.output().unwrap()).ok();
    assert!(double.log()[0].path.starts_with("http://api.example:8080/v1/messages"), "{}", double.log()[0].path);
    let events: Vec<serde_json::Value> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let event = |message: &str| {
        events
            .iter()
            .find(|event| event["fields"]["message"] == message)
            .unwrap_or_else(|| panic!("{message}: {}", outcome.stderr))
    };
    for stage in ["embed", "search", "request", "ticket"] {
        let closed =
            |event: &&serde_json::Value| event["fields"]["message"] == "close" && event["span"]["name"] == stage;
        assert!(events.iter().any(|event| closed(&event)), "no span of {stage}: {}", outcome.stderr);
    }
    assert_eq!(event("sending again")["fields"]["status"], 500);
    assert_eq!(event("answered")["fields"]["retries"], 1);
    assert_eq!(event("answered")["fields"]["request_id"], "req_raw");
    assert_eq!(event("classified")["fields"]["output_tokens"], 20);
    assert!(event("classified")["span"]["id"].is_string());
    assert!(!outcome.stderr.contains("SECRETTEXT") && !outcome.stderr.contains(crate::double::KEY));
}
