//! Which intents a prompt describes, and what happens when the shortlist was not enough.

use std::fmt::Write as _;

use serde_json::Value;

use crate::double::{Double, InTurn, error, tagged};
use crate::fixture::{Bench, Outcome, banking77};

const TEXT: &str = "Where is my order? Has it been shipped yet? CV-48213";
const SHORTLIST: [&str; 5] = ["classify", TEXT, "--json", "--intents", "shortlist"];

fn definitions(text: &Value) -> usize {
    text.as_str().unwrap().matches("<intent_definition>").count()
}

/// How many definitions are in the static part and in the part of the ticket.
fn described(body: &Value) -> (usize, usize) {
    (definitions(&body["system"][0]["text"]), definitions(&body["messages"][0]["content"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_listed_intent_fits_all_of_them_are_asked_about_once() {
    let bench = Bench::with_store();
    let double = Double::answering(InTurn::new(vec![tagged("none_of_these"), tagged("order_status")])).await;
    let answer = double.run(&bench, &SHORTLIST).ok().json();
    assert_eq!((answer["intent"].as_str(), answer["decision"].as_str()), (Some("order_status"), Some("route")));
    assert_eq!((answer["usage"]["requests"].as_u64(), answer["usage"]["output_tokens"].as_u64()), (Some(2), Some(80)));
    assert!((answer["cost_usd"].as_f64().unwrap() - 2.0 * 0.000_062).abs() < 1e-12);
    let bodies = double.bodies().await;
    let (fixed, listed) = described(&bodies[0]);
    assert!(fixed == 0 && (2..=11).contains(&listed), "{fixed} {listed}");
    assert!(bodies[0]["messages"][0]["content"].as_str().unwrap().contains("<name>other</name>"), "the fallback");
    let all = bench.run(&["classify", TEXT, "--intents", "all", "--dry-run"]).ok().json();
    assert_eq!(bodies[1], all);
    assert_eq!(described(&all), (46, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_asked_back_about_from_the_shortlist_and_then_from_all() {
    let bench = Bench::with_store();
    let double =
        Double::answering(InTurn::new(vec![tagged("where_is_it"), tagged("where"), tagged("order_status")])).await;
    let answer = double.run(&bench, &SHORTLIST).ok().json();
    assert_eq!((answer["intent"].as_str(), answer["usage"]["requests"].as_u64()), (Some("order_status"), Some(3)));
    let bodies = double.bodies().await;
    let question = bodies[1]["messages"][2]["content"].as_str().unwrap();
    let (_, listed) = described(&bodies[0]);
    assert_eq!(question.matches("\n- ").count(), listed + 1, "the shortlist and the way out: {question}");
    assert!(question.contains("\n- none_of_these"));
    assert_eq!(bodies[2]["messages"].as_array().unwrap().len(), 1);
    assert_eq!(described(&bodies[2]), (46, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_intent_outside_the_shortlist_is_accepted() {
    let bench = Bench::with_store();
    let double = Double::answering(tagged("praise")).await;
    let answer = double.run(&bench, &SHORTLIST).ok().json();
    assert!(!answer["shortlist"].as_array().unwrap().iter().any(|name| name == "praise"));
    assert_eq!((answer["intent"].as_str(), answer["usage"]["requests"].as_u64()), (Some("praise"), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_never_answered_is_a_review_after_three_requests() {
    let bench = Bench::with_store();
    for stubborn in ["none_of_these", "no_such_intent"] {
        let double = Double::answering(tagged(stubborn)).await;
        let answer = double.run(&bench, &SHORTLIST).ok().json();
        assert_eq!((&answer["intent"], answer["decision"].as_str()), (&Value::Null, Some("review")));
        assert_eq!(answer["usage"]["requests"], 3, "{stubborn}");
    }
    let failing = error(400, "invalid_request_error", "too many");
    let double = Double::answering(InTurn::new(vec![tagged("none_of_these"), failing])).await;
    let answer = double.run(&bench, &SHORTLIST).ok().json();
    assert_eq!(answer["reason_code"], "none_fits");
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("no fitting intent in the shortlist; asking again failed"), "{reason}");
}

#[test]
fn the_mode_comes_from_flag_environment_and_file_and_a_wrong_one_is_explained() {
    let bench = Bench::with_store();
    let run = |args: &[&str], variable: Option<&str>| {
        let mut command = bench.command(&[&["classify", TEXT, "--dry-run"], args].concat());
        if let Some(value) = variable {
            command.env("TICKET_ROUTER_INTENTS", value);
        }
        Outcome::of(command.output().unwrap())
    };
    let in_static_part = |args: &[&str], variable| described(&run(args, variable).ok().json()).0;
    assert_eq!(in_static_part(&[], None), 46, "auto");
    bench.write("ticket-router.toml", "intents = \"shortlist\"\n");
    assert_eq!(in_static_part(&[], None), 0);
    assert_eq!(in_static_part(&[], Some("all")), 46);
    assert_eq!(in_static_part(&["--intents", "shortlist"], Some("all")), 0);
    run(&[], Some("some")).fails_with(&["intents is \"some\"", "auto, all or shortlist"]);
}

#[test]
fn an_estimate_counts_the_request_of_its_mode() {
    let bench = Bench::with_store();
    let tokens = |mode: &str| {
        let estimate = bench.run(&["classify", TEXT, "--estimate", "--json", "--intents", mode]).ok().json();
        estimate["input_tokens"].as_u64().unwrap()
    };
    assert!(tokens("shortlist") * 2 < tokens("all"));
}

#[test]
#[ignore = "needs BANKING77 in ../shared/data/banking77; scripts/test runs it where it is"]
fn banking77_by_shortlist_takes_at_most_45_percent_of_the_bytes() {
    let bench = Bench::empty();
    let train = std::fs::read_to_string(banking77("train.csv")).unwrap();
    // One in twelve is enough to be near every ticket. (A text may span lines; such rows are
    // cut, and rejected.)
    let mut lines = train.lines();
    let mut sample = format!("{}\n", lines.next().unwrap());
    for line in lines.step_by(12).filter(|line| line.matches('"').count() % 2 == 0) {
        let _ = writeln!(sample, "{line}");
    }
    bench.write("sample.csv", sample);
    let taxonomy = banking77("taxonomy.toml");
    let args = ["index", "sample.csv", "--intent-column", "category", "--taxonomy", taxonomy.to_str().unwrap()];
    let indexed = bench.run(&args);
    assert!(bench.store().is_dir(), "{}", indexed.stderr);
    let bytes = |mode: &str| {
        let args =
            ["classify", "my card has not arrived", "--dry-run", "--json", "--answer", "tags", "--intents", mode];
        bench.run(&args).ok().stdout.trim_end().len()
    };
    let (all, shortlist) = (bytes("all"), bytes("shortlist"));
    assert!(shortlist * 100 <= all * 45, "{shortlist} of {all}");
}
