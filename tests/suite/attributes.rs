//! Attributes and secondary intents, from the answer to the output and the evaluation.

use serde_json::json;

use crate::double::{Double, message};
use crate::fixture::{Bench, Desk};

const TEXT: &str = "Where is my order? Has it been shipped yet? CV-48213";

const TAXONOMY: &str = r#"
[[attribute]]
name = "urgency"
values = ["low", "high"]
[[attribute]]
name = "language"
values = ["en", "fr"]
[[intent]]
name = "order_status"
[[intent]]
name = "password_reset"
"#;

/// Rows in which parcels are urgent and passwords are not.
fn rows() -> String {
    let row = |i: usize| {
        let (word, intent, urgency) = if i.is_multiple_of(2) {
            ("parcel", "order_status", "High")
        } else {
            ("password", "password_reset", "low")
        };
        json!({"id": format!("S-{i}"), "text": format!("My {word} number {i} needs attention"), "intent": intent,
            "attributes": {"urgency": urgency}})
        .to_string()
            + "\n"
    };
    (0..20).map(row).collect()
}

#[tokio::test]
async fn the_vote_answers_attributes_that_the_examples_carry() {
    let answer = Desk::with_taxonomy(&rows(), TAXONOMY).await.ask("my parcel").await;
    assert_eq!(json!(answer.attributes), json!({"urgency": "high"}), "no example has a language");
    assert!(answer.secondary.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn claudes_attributes_and_secondary_intents_are_shown_and_what_is_invalid_is_noted() {
    let bench = Bench::with_store();
    let answers = [
        "<reasoning>Says <secondary>praise</secondary></reasoning><intent>order_status</intent>\n\
         <secondary>Invoice_Request</secondary>\n<secondary>weather</secondary>\n<attribute name=\"urgency\">High</attribute>",
        r#"{"reasoning": "r", "intent": "order_status", "secondary": ["invoice_request", "weather"],
            "attributes": {"urgency": "high"}}"#,
    ];
    for text in answers {
        let double = Double::answering(message(text, "end_turn")).await;
        let answer = double.run(&bench, &["classify", TEXT, "--json"]).ok().json();
        assert_eq!((answer["intent"].as_str(), answer["decision"].as_str()), (Some("order_status"), Some("route")));
        assert_eq!(answer["secondary"], json!(["invoice_request"]));
        assert_eq!(answer["attributes"], json!({"urgency": "high"}));
        assert_eq!(answer["notes"].as_array().unwrap().len(), 1);
        assert!(answer["notes"][0].as_str().unwrap().contains("\"weather\""), "{}", answer["notes"]);
        let line = double.run(&bench, &["classify", TEXT]).ok().stdout;
        assert!(line.contains("orders / order_status + invoice_request  urgency=high  \"Where"), "{line}");
        let explained = double.run(&bench, &["classify", TEXT, "--explain"]).ok().stdout;
        for part in ["  secondary  invoice_request\n", "  attributes urgency=high\n", "weather"] {
            assert!(explained.contains(part), "{part}: {explained}");
        }
    }
    let invalid = "<reasoning>r</reasoning><intent>order_status</intent><attribute name=\"urgency\">panic</attribute>";
    let double = Double::answering(message(invalid, "end_turn")).await;
    let answer = double.run(&bench, &["classify", TEXT, "--json"]).ok().json();
    assert_eq!((&answer["decision"], &answer["attributes"]), (&json!("route"), &json!({})));
    assert_eq!(answer["notes"], json!(["\"panic\" is no value of urgency and was left out"]));
    assert_eq!(answer["usage"]["requests"], 1, "nothing is asked again for an attribute");
}

/// By hand: of the two valid gold values, both high, one is answered high and one low; so high
/// has F1 2/3 and low 0.
#[test]
fn an_evaluation_scores_attributes_on_the_tickets_that_carry_a_valid_value() {
    let bench = Bench::empty();
    bench.write("examples.jsonl", rows());
    bench.write("taxonomy.toml", TAXONOMY);
    bench.run(&["index", "examples.jsonl", "--taxonomy", "taxonomy.toml"]).ok();
    let rows = [
        ("my parcel", "order_status", json!({"urgency": "HIGH"})),
        ("my password", "password_reset", json!({"urgency": "high"})),
        ("parcel, where?", "order_status", json!({"urgency": "sometimes"})),
        ("a password", "password_reset", json!({})),
    ];
    let rows = rows.map(|(text, intent, attributes)| {
        json!({"text": text, "intent": intent, "attributes": attributes}).to_string()
    });
    bench.write("test.jsonl", rows.join("\n"));
    let report = bench.run(&["eval", "test.jsonl", "--labeler", "vote", "--json"]).ok().json();
    for arm in report["arms"].as_array().unwrap() {
        assert_eq!(arm["attributes"].as_array().unwrap().len(), 1, "no ticket has a language");
    }
    let score = &report["arms"][1]["attributes"][0];
    assert_eq!(
        (score["name"].as_str(), score["n"].as_u64(), score["accuracy"].as_f64()),
        (Some("urgency"), Some(2), Some(0.5))
    );
    assert!((score["macro_f1"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12, "{score}");
    assert!(score["ci95"][0].as_f64().unwrap() < 0.5 && score["ci95"][1].as_f64().unwrap() > 0.5);
    let human = bench.run(&["eval", "test.jsonl", "--labeler", "vote"]).ok().stdout;
    assert!(human.contains("attribute  ") && human.contains("urgency    retrieved  2    50.0 %"), "{human}");
}
