//! `ticket-router calibrate`, what `classify` and `eval` make of it, and unknown topics.

use std::fs;

use serde_json::Value;

use crate::double::{Double, tagged};
use crate::fixture::{Bench, examples};

/// Every second of the held-out tickets, as a file: the even ones or the odd ones.
fn half(bench: &Bench, odd: bool) -> String {
    let all = fs::read_to_string(examples("heldout.jsonl")).unwrap();
    let lines = all.lines().enumerate().filter(|(place, _)| (place % 2 == 1) == odd);
    let name = if odd { "odd.jsonl" } else { "even.jsonl" };
    bench.write(name, lines.map(|(_, line)| format!("{line}\n")).collect::<String>());
    name.to_owned()
}

fn retrieved(bench: &Bench, args: &[&str]) -> Value {
    let eval = ["eval", "odd.jsonl", "--labeler", "vote", "--arms", "retrieved", "--json"];
    bench.run(&[&eval[..], args].concat()).ok().json()["arms"][0].clone()
}

fn share(value: &Value, of: &Value) -> f64 {
    value.as_f64().unwrap() / of.as_f64().unwrap()
}

#[test]
fn what_is_calibrated_on_one_half_holds_on_the_other() {
    let bench = Bench::with_model_and_store();
    let (even, _) = (half(&bench, false), half(&bench, true));
    let before = retrieved(&bench, &[]);
    assert_eq!(before["calibrated"], false);
    let calibrate = ["calibrate", &even, "--labeler", "vote", "--target-precision", "0.9"];
    // Nothing is stored yet.
    let dry = bench.run(&[&calibrate[..], &["--dry-run", "--json"]].concat()).ok().json();
    assert_eq!((dry["stored"].as_bool(), dry["tickets"].as_u64()), (Some(false), Some(210)));
    assert_eq!(retrieved(&bench, &[])["calibrated"], false);
    assert!(dry["made_at"].as_str().unwrap().ends_with('Z'), "{dry}");

    let report = bench.run(&[&calibrate[..], &["--json"]].concat()).ok().json();
    let dial = &report["dial"];
    assert!(dial["precision_at_least"].as_f64().unwrap() >= 0.9, "{dial}");
    assert!(report["calibration_error"].as_f64().unwrap() < 0.1, "{report}");
    let after = retrieved(&bench, &[]);
    assert_eq!(after["calibrated"], true);
    assert_eq!(after["accuracy"], before["accuracy"], "only the decisions change");
    assert!(after["routed_accuracy"].as_f64().unwrap() >= 0.87, "{}", after["routed_accuracy"]);
    let coverage = share(&after["routed"], &after["n"]);
    assert!((coverage - dial["coverage"].as_f64().unwrap()).abs() < 0.12, "{coverage} {dial}");
    let (then, now) = (&before["calibration_error"], &after["calibration_error"]);
    assert!(now.as_f64().unwrap() < 0.1 && now.as_f64() < then.as_f64(), "{now} {then}");

    // A higher probability routes less, whatever the dial says.
    let careful = retrieved(&bench, &["--min-confidence", "0.99"]);
    assert!(share(&careful["routed"], &careful["n"]) < coverage);
}

#[test]
fn a_calibrated_answer_says_so_and_one_that_does_not_fit_is_refused() {
    let bench = Bench::with_model_and_store();
    let even = half(&bench, false);
    let summary = bench.run(&["calibrate", &even, "--labeler", "vote", "--target-precision", "0.9"]).ok().stdout;
    assert!(summary.contains("the dial    90.0 %") && summary.contains("coverage"), "{summary}");
    let classify = ["classify", "You charged me twice this month", "--labeler", "vote"];
    let answer = bench.run(&[&classify[..], &["--json"]].concat()).ok().json();
    assert_eq!((answer["calibrated"].as_bool(), answer["decision"].as_str()), (Some(true), Some("route")));
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.starts_with("right with 9") && reason.ends_with("routed at the dial of 90 %"), "{reason}");
    let explained = bench.run(&[&classify[..], &["--explain"]].concat()).ok().stdout;
    assert!(explained.contains("% (probability that the intent is right)"), "{explained}");

    let other = bench.run(&[&classify[..], &["--json", "--no-probe"]].concat()).ok();
    assert_eq!(other.json()["calibrated"], false);
    assert_eq!(other.stderr.lines().count(), 1, "{}", other.stderr);
    let made = summary.lines().last().unwrap().split(['(', ')']).nth(1).unwrap();
    assert!(made.starts_with("20") && made.ends_with('Z'), "{summary}");
    let parts = [
        &format!("the calibration of vote (of {made}) is not used"),
        "probe (true then, false now)",
        "ticket-router calibrate FILE --labeler vote",
    ];
    for part in parts {
        assert!(other.stderr.contains(part), "{}", other.stderr);
    }
    // An index run that rebuilds the store takes it along and counts what has changed.
    let tickets = fs::read_to_string(examples("tickets.jsonl")).unwrap();
    let fewer: Vec<&str> = tickets.lines().skip(200).collect();
    bench.write("fewer.jsonl", fewer.join("\n"));
    bench.run(&["index", "fewer.jsonl", "--prune"]).ok();
    let after = bench.run(&[&classify[..], &["--json"]].concat()).ok();
    assert_eq!(after.json()["calibrated"], true);
    assert!(after.stderr.contains("200 examples have changed since vote was calibrated on 1083"), "{}", after.stderr);
}

#[test]
fn too_few_tickets_leave_no_threshold_and_say_how_many_are_needed() {
    let bench = Bench::with_store();
    let few: String =
        fs::read_to_string(examples("heldout.jsonl")).unwrap().lines().take(30).collect::<Vec<_>>().join("\n");
    bench.write("few.jsonl", few);
    let args = ["calibrate", "few.jsonl", "--labeler", "vote"];
    let report = bench.run(&[&args[..], &["--json", "--dry-run"]].concat()).ok().json();
    assert!(report["dial"]["threshold"].is_null() && report["dial"]["coverage"] == 0.0, "{report}");
    let summary = bench.run(&args).ok().stdout;
    assert!(summary.contains("no threshold gives 97.0 %") && summary.contains("--target-precision"), "{summary}");
    let answer = bench.run(&["classify", "You charged me twice", "--labeler", "vote", "--json"]).ok().json();
    assert_eq!((answer["decision"].as_str(), answer["calibrated"].as_bool()), (Some("review"), Some(true)));
    assert_eq!(answer["reason_code"], "no_dial");
    for wrong in ["0", "1", "97"] {
        assert_eq!(bench.run(&["calibrate", "few.jsonl", "--target-precision", wrong]).code, 2);
    }
}

#[test]
fn tickets_that_the_probe_has_learned_from_are_not_calibrated_on() {
    let bench = Bench::with_store();
    let stored = examples("tickets.jsonl");
    let args = ["calibrate", stored.to_str().unwrap(), "--labeler", "vote"];
    bench.run(&args).fails_with(&["all tickets are in the store", "--no-probe"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calibration_of_claude_holds_for_its_model_and_prompt_alone_and_shows_what_a_cascade_saves() {
    let bench = Bench::with_store();
    let double = Double::answering(tagged("order_status")).await;
    let even = half(&bench, false);
    let few: String =
        fs::read_to_string(bench.dir.path().join(&even)).unwrap().lines().take(40).collect::<Vec<_>>().join("\n");
    bench.write("few.jsonl", few);
    bench.run(&["calibrate", &even, "--labeler", "vote", "--target-precision", "0.9"]).ok();
    let calibrate = ["calibrate", "few.jsonl", "--target-precision", "0.5", "--confidence", "0.6", "--json"];
    let report = double.run(&bench, &calibrate).ok().json();
    assert_eq!((report["labeler"].as_str(), report["tickets"].as_u64()), (Some("claude"), Some(40)));
    let cascade = &report["cascade"];
    // Claude always says the same here, so the more the vote answers the better.
    assert!(cascade["accuracy"].as_f64().unwrap() > report["accuracy"].as_f64().unwrap() + 0.3, "{cascade}");
    let saved = cascade["saved_per_ticket_usd"].as_f64().unwrap();
    assert!(saved > 0.0 && saved < 0.000_062_1, "at most what an answer costs: {saved}");

    let classify = ["classify", "where is my parcel", "--json"];
    let answer = double.run(&bench, &classify).ok().json();
    assert_eq!(answer["calibrated"], true);
    let refused = |args: &[&str]| double.run(&bench, &[&classify[..], args].concat()).ok();
    let prompts = bench.dir.path().join("prompts");
    fs::create_dir(&prompts).unwrap();
    fs::write(prompts.join("repair.jinja"), "Once more.").unwrap();
    let by_prompt = refused(&["--prompts", "prompts"]);
    assert!(by_prompt.stderr.contains("the prompt or the intents in it"), "{}", by_prompt.stderr);
    let by_model = refused(&["--model", "claude-sonnet-5-5"]);
    assert!(by_model.stderr.contains("model (\"claude-haiku-5-5\" then"), "{}", by_model.stderr);
    assert_eq!(by_model.json()["calibrated"], false);
    // The vote's calibration stayed beside it.
    let vote = bench.run(&["classify", "where is my parcel", "--labeler", "vote", "--json"]).ok().json();
    assert_eq!(vote["calibrated"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_has_the_threshold_that_the_store_is_calibrated_to_and_says_so() {
    let bench = Bench::with_model_and_store();
    let double = Double::answering(tagged("order_status")).await;
    let (even, odd) = (half(&bench, false), half(&bench, true));
    let few: Vec<String> =
        fs::read_to_string(bench.dir.path().join(odd)).unwrap().lines().take(60).map(String::from).collect();
    bench.write("few.jsonl", few.join("\n"));
    // Of each arm how many tickets were asked about; and what is said.
    let eval = |args: &[&str]| {
        let eval = ["eval", "few.jsonl", "--arms", "cascade", "--json"];
        let report = double.run(&bench, &[&eval[..], args].concat()).ok().json();
        let asked = |arm: &Value| arm["escalated"].as_u64().unwrap();
        let asked: Vec<u64> = report["arms"].as_array().unwrap().iter().map(asked).collect();
        (asked, report["notes"].to_string())
    };
    let (usual, said) = eval(&[]);
    assert!(said.contains("arm cascade: the cascade takes") && said.contains("0.7 on, as usual"), "{said}");
    assert!(said.contains("the store is not calibrated"), "{said}");

    let calibrate = ["calibrate", &even, "--labeler", "vote", "--target-precision", "0.8", "--json"];
    let threshold = &bench.run(&calibrate).ok().json()["cascade"]["dial"]["threshold"];
    let threshold = threshold.as_f64().unwrap().to_string();
    let threshold = &threshold[..threshold.len().min(6)];
    let (calibrated, said) = eval(&["--arm", "mine:labeler=cascade,threshold=0.7"]);
    assert!(said.contains(&format!("confidence of {threshold} on: by the store's calibration (of 20")), "{said}");
    assert!(said.contains("for 80.0 % with 90 % confidence") && !said.contains("arm mine"), "{said}");
    assert!(calibrated[0] < usual[0] && calibrated[1] == usual[0], "{calibrated:?} {usual:?}");
    let (given, said) = eval(&["--cascade-threshold", threshold]);
    assert_eq!(given[0], calibrated[0]);
    assert!(!said.contains("the cascade takes"), "{said}");
    let (_, said) = eval(&["--no-probe"]);
    assert!(said.contains("0.7 on, as usual: its calibration (of 20") && said.contains("probe (true then"), "{said}");
    let (_, said) = eval(&["--split", "random"]);
    assert!(said.contains("0.7 on, as usual: a calibration is for what is retrieved from its own store"), "{said}");

    let classify = |args: &[&str]| {
        let classify = ["classify", "where is my parcel", "--labeler", "cascade", "--json"];
        double.run(&bench, &[&classify[..], args].concat()).ok().stderr
    };
    let note = format!("note: the cascade takes the vote's answer from a confidence of {threshold} on: by");
    assert!(classify(&[]).contains(&note));
    // What is learned of a cascade is learned with this threshold, so it must not move.
    let args = ["calibrate", "few.jsonl", "--labeler", "cascade", "--target-precision", "0.5", "--confidence", "0.6"];
    let outcome = double.run(&bench, &args).ok();
    assert!(outcome.stderr.contains(&note) && outcome.stdout.contains("the cascade keeps"), "{}", outcome.stderr);
    let said = classify(&[]);
    assert!(said.contains(&note), "{said}");
    assert!(classify(&["--no-probe"]).contains("is not used, since it was made under another set-up"));
    let said = classify(&["--cascade-threshold", "0.4"]);
    let parts = [&format!("threshold (\"{threshold}"), "now)", "calibrate FILE --labeler cascade"];
    assert!(
        said.starts_with("note: the calibration of cascade") && parts.iter().all(|part| said.contains(*part)),
        "{said}"
    );
    assert_eq!(said.matches("note:").count(), 1, "a threshold that is given needs no note: {said}");
}

#[test]
fn a_topic_that_was_never_seen_is_reviewed_unless_that_is_off() {
    let bench = Bench::with_model_and_store();
    let classify =
        ["classify", "Which opening is best against the Sicilian defence in chess?", "--labeler", "vote", "--json"];
    let run = |args: &[&str]| bench.run(&[&classify[..], args].concat()).ok().json();
    for args in [&[][..], &["--no-probe"], &["--min-confidence", "0"]] {
        let answer = run(args);
        assert_eq!(
            (answer["decision"].as_str(), answer["reason_code"].as_str()),
            (Some("review"), Some("unlike_anything"))
        );
        assert!(answer["intent"].is_string(), "the best guess stays");
    }
    let off = run(&["--min-confidence", "0", "--unknown", "off"]);
    assert_ne!(off["reason_code"], "unlike_anything");
}

#[test]
fn of_the_held_out_tickets_few_on_known_topics_are_taken_for_unknown() {
    let bench = Bench::with_model_and_store();
    let heldout = examples("heldout.jsonl");
    let args = ["classify", "--input", heldout.to_str().unwrap(), "--labeler", "vote", "--json"];
    let answers = bench.run(&args).ok().json_lines();
    let gold = fs::read_to_string(heldout).unwrap();
    let (mut known, mut unknown) = (0, 0);
    for (answer, row) in answers.iter().zip(gold.lines()) {
        if answer["reason_code"] == "unlike_anything" {
            let row: Value = serde_json::from_str(row).unwrap();
            if row["attributes"]["case"] == "out_of_scope" { unknown += 1 } else { known += 1 }
        }
    }
    assert!(known <= 8 && unknown >= 1, "{known} on known topics, {unknown} on others");
}
