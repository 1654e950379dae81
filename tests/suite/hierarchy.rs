//! The way down a taxonomy, level by level.

use serde_json::{Value, json};
use wiremock::{Request, Respond, ResponseTemplate};

use crate::double::{Double, tagged};
use crate::fixture::Bench;

/// Three levels: money > cards > lost or stolen; and intents that hang higher up.
const TAXONOMY: &str = r#"
[[category]]
name = "money"
description = "All about money."
[[category]]
name = "cards"
parent = "money"
description = "Plastic."
[[intent]]
name = "refund"
parent = "money"
description = "Wants money back."
[[intent]]
name = "card_lost"
parent = "cards"
[[intent]]
name = "card_stolen"
parent = "cards"
[[intent]]
name = "weather"
[[attribute]]
name = "urgency"
values = ["low", "high"]
"#;

fn deep_store() -> Bench {
    let bench = Bench::empty();
    let rows = [
        ("refund", ["I want my money back", "please refund the money", "money back for the order please"]),
        ("card_lost", ["I lost my bank card", "my card is lost somewhere", "cannot find my bank card, it is lost"]),
        ("card_stolen", ["my bank card was stolen", "a thief stole my card", "somebody has stolen the card from me"]),
        ("weather", ["will it rain tomorrow", "is it sunny outside", "how is the weather"]),
    ];
    let line = |intent: &str, text: &str| {
        let kind = if intent == "weather" { "weather" } else { "money" };
        format!("{}\n", json!({"text": text, "intent": intent, "attributes": {"kind": kind}}))
    };
    let lines = rows.iter().flat_map(|(intent, texts)| texts.iter().map(|text| line(intent, text)));
    bench.write("t.jsonl", lines.collect::<String>());
    bench.write("taxonomy.toml", TAXONOMY);
    bench.run(&["index", "t.jsonl", "--taxonomy", "taxonomy.toml"]).ok();
    bench
}

fn steps(answer: &Value) -> Vec<(Option<&str>, Option<&str>)> {
    answer["steps"].as_array().unwrap().iter().map(|step| (step["parent"].as_str(), step["choice"].as_str())).collect()
}

#[test]
fn the_vote_goes_down_every_level_and_says_how() {
    let bench = deep_store();
    let args = ["classify", "I have lost my bank card", "--labeler", "vote", "--strategy", "hierarchical"];
    let answer = bench.run(&[&args[..], &["--json"]].concat()).ok().json_lines().remove(0);
    let expected = [(None, Some("money")), (Some("money"), Some("cards")), (Some("cards"), Some("card_lost"))];
    assert_eq!(steps(&answer), expected);
    assert_eq!((answer["intent"].as_str(), answer["category"].as_str()), (Some("card_lost"), Some("cards")));
    assert_eq!(answer["decision"], "route");
    let product: f64 = answer["steps"].as_array().unwrap().iter().map(|s| s["confidence"].as_f64().unwrap()).product();
    assert!((answer["confidence"].as_f64().unwrap() - product).abs() < 1e-3, "{answer}");
    let shown: Vec<&Value> = answer["neighbours"].as_array().unwrap().iter().map(|n| &n["intent"]).collect();
    assert!(shown.iter().all(|intent| *intent == "card_lost" || *intent == "card_stolen"), "{shown:?}");
    let human = bench.run(&[&args[..], &["--explain"]].concat()).ok().stdout;
    assert!(human.contains("cards within money") && human.contains("card_lost within cards"), "{human}");

    // A top level intent needs one step.
    let args = ["classify", "how is the weather today", "--labeler", "vote", "--strategy", "hierarchical", "--json"];
    let answer = bench.run(&args).ok().json_lines().remove(0);
    assert_eq!(steps(&answer), [(None, Some("weather"))]);
    assert!(answer["category"].is_null());
}

#[test]
fn an_unsure_child_falls_back_to_its_parent_and_goes_to_review() {
    let bench = deep_store();
    // Lost or stolen: the card is sure, which of both is not.
    let args = ["classify", "my bank card", "--labeler", "vote", "--strategy", "hierarchical", "--json"];
    let answer = bench.run(&[&args[..], &["--min-confidence", "0.9"]].concat()).ok().json_lines().remove(0);
    assert_eq!(answer["decision"], "review", "{answer}");
    assert_eq!((answer["category"].as_str(), answer["reason_code"].as_str()), (Some("cards"), Some("step_unsure")));
    assert!(["card_lost", "card_stolen"].contains(&answer["intent"].as_str().unwrap()), "the best guess stays");
    // Not even the first step is sure: no parent, and the guess is an intent all the same.
    let unsure = ["classify", "money or rain", "--labeler", "vote", "--strategy", "hierarchical", "--json"];
    let answer = bench.run(&[&unsure[..], &["--min-confidence", "0.99"]].concat()).ok().json_lines().remove(0);
    assert_eq!((answer["decision"].as_str(), answer["category"].as_str()), (Some("review"), None));
    assert!(
        ["refund", "card_lost", "card_stolen", "weather"].contains(&answer["intent"].as_str().unwrap()),
        "{answer}"
    );
}

/// Answers with the first of these names that is offered in the prompt as a definition.
struct Chooses(&'static [&'static str]);

impl Respond for Chooses {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().unwrap();
        let system = body["system"][0]["text"].as_str().unwrap();
        let offered = self.0.iter().find(|name| system.contains(&format!("<name>{name}</name>")));
        tagged(offered.copied().unwrap_or("nothing"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_is_asked_once_a_level_with_prompts_and_examples_of_their_own() {
    let bench = deep_store();
    let double = Double::answering(Chooses(&["card_stolen", "cards", "money"])).await;
    let args = ["classify", "I have lost my bank card", "--strategy", "hierarchical", "--json"];
    let answer = double.run(&bench, &args).ok().json_lines().remove(0);
    assert_eq!(answer["intent"], "card_stolen");
    assert_eq!(answer["category"], "cards");
    assert_eq!(answer["usage"]["requests"], 3);
    let costs: f64 = answer["steps"].as_array().unwrap().iter().map(|step| step["cost_usd"].as_f64().unwrap()).sum();
    assert!(costs > 0.0 && (answer["cost_usd"].as_f64().unwrap() - costs).abs() < 1e-12, "{answer}");
    let bodies = double.bodies().await;
    let systems: Vec<&str> = bodies.iter().map(|body| body["system"][0]["text"].as_str().unwrap()).collect();
    assert!(systems[0].contains("<name>money</name>\nAll about money.") && systems[0].contains("<name>weather</name>"));
    assert!(!systems[0].contains("card_lost") && systems[0].contains("urgency"));
    assert!(systems[1].contains("belongs to \"money\"") && systems[1].contains("<name>refund</name>"));
    assert!(!systems[1].contains("urgency"), "attributes are asked about once");
    let last = bodies[2]["messages"][0]["content"].as_str().unwrap();
    assert!(
        last.contains("<intent>card_lost</intent>") && !last.contains("refund"),
        "examples within the parent: {last}"
    );
    let first = bodies[0]["messages"][0]["content"].as_str().unwrap();
    assert!(first.contains("<intent>money</intent>"), "examples under the names of the level: {first}");

    // The dry run shows the first of these requests.
    let dry = bench.run(&[&args[..4], &["--dry-run", "--json"]].concat()).ok().json_lines().remove(0);
    assert_eq!(dry["system"], bodies[0]["system"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_without_any_support_is_routed_where_no_confidence_is_asked_for() {
    let bench = deep_store();
    // No neighbour votes for money at the top, nor for cards within it.
    let double = Double::answering(Chooses(&["card_stolen", "cards", "money"])).await;
    let common = ["classify", "will it rain tomorrow", "--strategy", "hierarchical", "--json"];
    let run = |args: &[&str]| double.run(&bench, &[&common[..], args].concat()).ok().json_lines().remove(0);
    // Of the example without an intent of money nothing else is found.
    let alone = ["--no-probe", "--filter", "kind=weather", "--unknown", "off"];
    let answer = run(&alone);
    let confidences: Vec<f64> =
        answer["steps"].as_array().unwrap().iter().map(|step| step["confidence"].as_f64().unwrap()).collect();
    assert_eq!((confidences.as_slice(), answer["confidence"].as_f64()), (&[0.0, 0.0, 0.0][..], Some(0.0)), "{answer}");
    assert_eq!((answer["intent"].as_str(), answer["decision"].as_str()), (Some("card_stolen"), Some("route")));
    let asked = run(&[&alone[..], &["--min-confidence", "0.1"]].concat());
    assert_eq!((asked["decision"].as_str(), asked["steps"].as_array().unwrap().len()), (Some("review"), 1), "{asked}");
}

#[test]
fn eval_goes_down_the_levels_too() {
    let bench = deep_store();
    bench.write(
        "test.csv",
        "text,intent\nmy bank card is lost,card_lost\nthe card was stolen,card_stolen\nany rain today,weather\n",
    );
    let args = ["eval", "test.csv", "--labeler", "vote", "--arms", "retrieved", "--strategy", "hierarchical", "--json"];
    assert_eq!(bench.run(&args).ok().json()["arms"][0]["accuracy"], 1.0);
}
