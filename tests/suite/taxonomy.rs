//! `ticket-router taxonomy`, and routes.

use std::fs;

use serde_json::{Value, json};
use ticket_router::store::TAXONOMY_BLOB;
use ticket_router::{Content as _, EdgeStore, ExampleStore as _, Taxonomy};

use crate::fixture::{Bench, Outcome, examples, small_tickets};

const SMALL: &str = r#"
    fallback = "invoice_request"
    [[intent]]
    name = "order_status"
    description = "d"
    [[intent]]
    name = "password_reset"
    description = "d"
    confused_with = ["order_status"]
    [[intent]]
    name = "invoice_request"
    description = "d"
    [[route]]
    intent = ["order_status", "password_reset"]
    queue = "desk"
    [[route]]
    queue = "rest"
"#;

/// A store of thirty tickets of three intents, with or without a taxonomy.
fn bench(taxonomy: Option<&str>) -> Bench {
    let bench = Bench::empty();
    bench.write("t.jsonl", small_tickets(30));
    bench.write("taxonomy.toml", taxonomy.unwrap_or_default());
    let args = ["index", "t.jsonl", "--taxonomy", "taxonomy.toml"];
    bench.run(if taxonomy.is_some() { &args } else { &args[..2] }).ok();
    bench
}

fn kinds(outcome: &Outcome) -> Vec<String> {
    let findings = outcome.json()["findings"].as_array().unwrap().clone();
    findings.iter().map(|finding| format!("{} {}", finding["level"], finding["kind"]).replace('"', "")).collect()
}

fn intents(bench: &Bench, question: &str) -> Vec<String> {
    let answer = bench.run(&["classify", question, "--labeler", "vote", "--json"]).ok().json_lines().remove(0);
    let neighbours = answer["neighbours"].as_array().unwrap();
    neighbours.iter().map(|neighbour| neighbour["intent"].as_str().unwrap().to_owned()).collect()
}

fn unchanged(outcome: &Outcome) -> [Value; 3] {
    ["unchanged", "rejected", "embedded"].map(|key| outcome.json()[key].clone())
}

#[test]
fn a_check_names_all_mistakes_of_a_file_at_once_and_needs_no_store() {
    let bench = Bench::empty();
    let wrong = "fallback = \"x\"\n[[category]]\nname = \"a\"\nparent = \"a\"\n\
                 [[intent]]\nname = \"i\"\nparent = \"b\"\nconfused_with = [\"j\"]\n[[intent]]\nname = \"I\"\n";
    bench.write("wrong.toml", wrong);
    let check = ["taxonomy", "check", "--taxonomy", "wrong.toml"];
    let outcome = bench.run(&[&check[..], &["--json"]].concat());
    assert_eq!(outcome.code, 1);
    let errors: Vec<String> = kinds(&outcome).into_iter().filter(|kind| kind.starts_with("error")).collect();
    let expected = ["duplicate_name", "unknown_parent", "parent_cycle", "unknown_confused_with", "unknown_fallback"];
    assert_eq!(errors, expected.map(|kind| format!("error {kind}")));
    assert_eq!(outcome.json()["examples"], Value::Null);
    let human = bench.run(&check);
    assert_eq!((human.code, human.stderr.as_str()), (1, ""));
    assert!(human.stdout.contains("5 errors, ") && human.stdout.contains("there is no store"), "{}", human.stdout);
    bench.write("t.jsonl", small_tickets(3));
    bench.run(&["index", "t.jsonl", "--taxonomy", "wrong.toml"]).fails_with(&["\"I\" names both \"i\" and \"I\""]);

    bench.write("torn.toml", "[[intent]\n");
    let torn = bench.run(&["taxonomy", "check", "--taxonomy", "torn.toml", "--json"]);
    assert_eq!((torn.code, kinds(&torn)), (1, vec!["error unreadable".to_owned()]));
    bench.run(&["taxonomy", "check", "--taxonomy", "none.toml"]).fails_with(&["none.toml"]);
    bench.run(&["taxonomy", "check"]).fails_with(&["no example store"]);
}

#[test]
fn a_check_compares_the_store_s_own_taxonomy_or_a_file_with_the_examples() {
    let bench = bench(Some(SMALL));
    let own = bench.run(&["taxonomy", "check", "--json"]).ok();
    assert_eq!(kinds(&own), ["hint confused_with_one_way"]);
    assert_eq!(own.json()["examples"], 30);
    bench.write("other.toml", SMALL.replace("\"invoice_request\"", "\"bills\""));
    let other = bench.run(&["taxonomy", "check", "--taxonomy", "other.toml", "--json"]);
    let expected = ["error unknown_label", "warning no_examples", "hint confused_with_one_way"];
    assert_eq!((other.code, kinds(&other)), (1, expected.map(String::from).to_vec()));
    assert_eq!(other.json()["findings"][0]["name"], "invoice_request");

    let bare = Bench::with_small_store();
    assert_eq!(kinds(&bare.run(&["taxonomy", "check", "--json"]).ok()), ["hint open"]);
}

#[test]
fn a_rename_reaches_examples_references_and_answers_and_old_files_do_not_undo_it() {
    let bench = bench(Some(SMALL));
    let rename = ["taxonomy", "rename", "order_status", "where_is_it", "--json"];
    let dry = bench.run(&[&rename[..], &["--dry-run"]].concat()).ok().json();
    assert_eq!((&dry["examples"], &dry["references"], &dry["dry_run"]), (&json!(10), &json!(2), &json!(true)));
    assert_eq!(intents(&bench, "My parcel needs attention")[0], "order_status", "a dry run writes nothing");

    let done = bench.run(&rename).ok().json();
    assert_eq!((&done["from"], &done["into"]), (&json!(["order_status"]), &json!("where_is_it")));
    assert_eq!((&done["examples"], &done["references"], &done["dry_run"]), (&json!(10), &json!(2), &json!(false)));
    assert!(done["milliseconds"].as_f64().is_some());
    assert_eq!(intents(&bench, "My parcel needs attention")[0], "where_is_it");
    assert_eq!(kinds(&bench.run(&["taxonomy", "check", "--json"]).ok()), ["hint confused_with_one_way"]);

    // Last month's tickets, and the file that still has the old name.
    assert_eq!(unchanged(&bench.run(&["index", "t.jsonl", "--json"]).ok()), [json!(30), json!(0), json!(0)]);
    for _ in 0..2 {
        let again = bench.run(&["index", "t.jsonl", "--taxonomy", "taxonomy.toml", "--json"]).ok();
        assert_eq!(unchanged(&again), [json!(30), json!(0), json!(0)]);
        let note = again.json()["notes"][0].as_str().unwrap().to_owned();
        assert!(note.contains("renamed \"order_status\" to \"where_is_it\"") && note.contains("change it there"));
        assert_eq!(again.json()["written"], false);
    }
    assert_eq!(intents(&bench, "My parcel needs attention")[0], "where_is_it");
    let file = bench.run(&["taxonomy", "check", "--taxonomy", "taxonomy.toml", "--json"]).ok();
    assert_eq!(kinds(&file)[0], "warning renamed");
    let eval = bench.run(&["eval", "t.jsonl", "--labeler", "vote", "--arms", "retrieved", "--json"]).ok().json();
    assert_eq!(eval["unknown_gold"], 0);
    // The file that was changed, and has no alias.
    bench.write("taxonomy.toml", SMALL.replace("order_status", "where_is_it"));
    let new = bench.run(&["index", "t.jsonl", "--taxonomy", "taxonomy.toml", "--json"]).ok();
    assert_eq!((unchanged(&new), &new.json()["notes"]), ([json!(30), json!(0), json!(0)], &json!([])));

    let back = bench.run(&["taxonomy", "rename", "where_is_it", "order_status"]).ok().stdout;
    assert!(back.contains("\"where_is_it\" is \"order_status\": 10 examples, 2 references"), "{back}");
    assert_eq!(intents(&bench, "My parcel needs attention")[0], "order_status");
}

#[test]
fn renames_that_cannot_be_are_one_clear_line() {
    let bench = bench(Some(SMALL));
    let run = |args: &[&str]| bench.run(&[&["taxonomy"], args].concat());
    run(&["rename", "order_status", "password_reset"]).fails_with(&["there already", "taxonomy merge"]);
    run(&["rename", "order_stauts", "x"]).fails_with(&["no intent \"order_stauts\"", "did you mean \"order_status\"?"]);
    run(&["rename", "order_status", "order_status"]).fails_with(&["give another name"]);
    run(&["merge", "order_status", "password"]).fails_with(&["no intent \"password\"", "\"password_reset\""]);
    assert_eq!(run(&["merge", "order_status"]).code, 2);
    Bench::empty().run(&["taxonomy", "rename", "a", "b"]).fails_with(&["no example store"]);
}

#[test]
fn a_merge_leaves_one_intent_with_all_examples() {
    let bench = bench(Some(SMALL));
    let merge = ["taxonomy", "merge", "order_status", "invoice_request", "password_reset", "--json"];
    let done = bench.run(&merge).ok().json();
    assert_eq!(done["from"], json!(["order_status", "invoice_request"]));
    assert_eq!((&done["examples"], &done["references"]), (&json!(20), &json!(3)));
    assert_eq!(intents(&bench, "My invoice needs attention"), ["password_reset"; 5]);
    let again = bench.run(&["index", "t.jsonl", "--taxonomy", "taxonomy.toml", "--json"]).ok();
    assert_eq!(unchanged(&again), [json!(30), json!(0), json!(0)]);
    assert_eq!(again.json()["notes"].as_array().unwrap().len(), 2);
    assert_eq!(bench.run(&merge).ok().json()["examples"], 0, "a second time there is nothing to do");
}

#[test]
fn a_store_of_bare_labels_gets_a_taxonomy_that_stays_open() {
    let bench = bench(None);
    bench.run(&["taxonomy", "rename", "order_status", "where_is_it"]).ok();
    assert_eq!(intents(&bench, "My parcel needs attention")[0], "where_is_it");
    let new = "{\"id\": \"N\", \"text\": \"a zebra\", \"intent\": \"zoo\"}\n";
    bench.write("t.jsonl", small_tickets(30) + new);
    let indexed = bench.run(&["index", "t.jsonl", "--json"]).ok();
    assert_eq!(unchanged(&indexed), [json!(30), json!(0), json!(1)]);
    assert_eq!(indexed.json()["notes"], json!([]));
    assert_eq!(intents(&bench, "a zebra")[0], "zoo", "a label that is not listed");
    assert_eq!(kinds(&bench.run(&["taxonomy", "check", "--json"]).ok()), ["hint open"]);
    bench.run(&["taxonomy", "rename", "zoo", "animals"]).ok();
    assert_eq!(intents(&bench, "a zebra")[0], "animals");
}

#[tokio::test]
async fn a_rename_that_was_killed_after_its_first_write_knows_all_labels_and_is_completed() {
    for taxonomy in [Some(SMALL), None] {
        let bench = bench(taxonomy);
        {
            let store = EdgeStore::open(&bench.store()).await.unwrap();
            let before = ticket_router::store::taxonomy_of(&store).await.unwrap();
            let edit = before.rename("order_status", "where_is_it").unwrap();
            store.put_blob(TAXONOMY_BLOB, serde_json::to_vec(&edit.taxonomy).unwrap()).await.unwrap();
            assert_eq!(store.intents().await.unwrap()[1].0, "order_status");
        }
        assert_eq!(intents(&bench, "My parcel needs attention")[0], "where_is_it");
        let check = bench.run(&["taxonomy", "check", "--json"]).ok();
        assert!(kinds(&check).iter().all(|kind| kind.starts_with("hint")), "{:?}", kinds(&check));
        let second = bench.run(&["taxonomy", "rename", "order_status", "where_is_it", "--json"]).ok().json();
        assert_eq!((&second["examples"], &second["references"]), (&json!(10), &json!(0)));
        let store = EdgeStore::open(&bench.store()).await.unwrap();
        assert_eq!(store.intents().await.unwrap()[2], ("where_is_it".to_owned(), 10));
    }
}

#[test]
fn an_intent_of_a_thousand_examples_is_renamed_in_less_than_a_second() {
    let bench = Bench::empty();
    let row = |i: usize| {
        let intent = if i < 1000 { "many" } else { "few" };
        format!("{{\"id\": \"{i}\", \"text\": \"ticket {i}\", \"intent\": \"{intent}\"}}\n")
    };
    bench.write("t.jsonl", (0..1100).map(row).collect::<String>());
    bench.run(&["index", "t.jsonl"]).ok();
    let done = bench.run(&["taxonomy", "rename", "many", "lots", "--json"]).ok().json();
    println!("1,000 examples renamed in {} ms", done["milliseconds"]);
    assert_eq!(done["examples"], 1000);
    assert!(done["milliseconds"].as_f64().unwrap() < 1000.0, "{done}");
    let again = bench.run(&["index", "t.jsonl", "--json"]).ok();
    assert_eq!(unchanged(&again), [json!(1100), json!(0), json!(0)]);
    assert_eq!(intents(&bench, "ticket 7")[0], "lots");
}

#[test]
fn answers_say_where_the_ticket_goes_and_by_which_rule() {
    let bench = Bench::with_store();
    let text = "Where is my order? Has it been shipped yet? CV-48213";
    let answer = bench.run(&["classify", text, "--labeler", "vote", "--json"]).ok().json_lines().remove(0);
    let route = json!({"queue": "orders", "priority": "P3", "respond_within_minutes": 480, "rule": 8});
    assert_eq!(answer["route"], route);
    // A review has the route of its best guess.
    let unsure = ["--labeler", "vote", "--json", "--min-confidence", "1"];
    let answer = bench.run(&[&["classify", text], &unsure[..]].concat()).ok().json_lines().remove(0);
    assert_eq!((&answer["decision"], &answer["route"]), (&json!("review"), &route));
    let human = bench.run(&["classify", text, "--labeler", "vote", "--explain"]).ok().stdout;
    assert!(human.contains("route      orders, P3, answer within 480 min (rule 8)"), "{human}");

    // The ticket's own fields decide, too.
    let row = |language: &str| format!("{{\"text\": \"I forgot my password\", \"language\": \"{language}\"}}\n");
    bench.write("in.jsonl", row("en") + &row("ja"));
    let answers = bench.run(&["classify", "--input", "in.jsonl", "--labeler", "vote", "--json"]).ok().json_lines();
    let queues: Vec<&Value> = answers.iter().map(|answer| &answer["route"]["queue"]).collect();
    assert_eq!(queues, ["support", "support-japanese"]);

    let bare = Bench::with_small_store();
    let answer = bare.run(&["classify", "my parcel", "--labeler", "vote", "--json"]).ok().json_lines().remove(0);
    assert_eq!(answer["route"], Value::Null);
    assert!(answer.as_object().unwrap().contains_key("route"));
}

#[test]
fn renaming_an_intent_of_the_example_desk_survives_its_own_file() {
    let bench = Bench::with_store();
    bench.run(&["taxonomy", "rename", "order_status", "where_is_it"]).ok();
    let (tickets, taxonomy) = (examples("tickets.jsonl"), examples("taxonomy.toml"));
    let args = ["index", tickets.to_str().unwrap(), "--taxonomy", taxonomy.to_str().unwrap(), "--json"];
    assert_eq!(unchanged(&bench.run(&args).ok()), [json!(1083), json!(0), json!(0)]);
    let store = fs::read_to_string(bench.store().join("CURRENT")).unwrap();
    let blob = bench.store().join(store.trim()).join("blobs").join(TAXONOMY_BLOB);
    let stored: Taxonomy = serde_json::from_slice(&fs::read(blob).unwrap()).unwrap();
    assert!(stored.intents.iter().any(|intent| intent.name == "where_is_it"));
    assert_eq!(stored.renamed.len(), 1);
}
