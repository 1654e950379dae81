//! `ticket-router taxonomy`, and routes.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use ticket_router::data::taxonomy::{Finding, Kind, Severity};
use ticket_router::learn::index::{IndexOptions, IndexReport, index};
use ticket_router::learn::relabel::{Change, relabel};
use ticket_router::store::{TAXONOMY_BLOB, taxonomy_of};
use ticket_router::{Content as _, EdgeStore, Embedder as _, ExampleStore as _, HashEmbedder, Taxonomy};

use crate::fixture::{Bench, Desk, Outcome, examples, rows, small_tickets};

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

fn kinds_of(findings: &[Finding]) -> Vec<Kind> {
    findings.iter().map(|finding| finding.kind).collect()
}

const PARCEL: &str = "My parcel needs attention";

/// The intent of the nearest example.
async fn nearest(desk: &Desk, question: &str) -> String {
    desk.ask(question).await.neighbours.swap_remove(0).intent
}

fn rename(old: &str, new: &str) -> Change {
    Change::Rename { old: old.to_owned(), new: new.to_owned() }
}

fn under(taxonomy: &str) -> IndexOptions {
    IndexOptions { taxonomy: Some(Taxonomy::from_toml(taxonomy, "test").unwrap()), ..IndexOptions::default() }
}

fn unchanged(report: &IndexReport) -> [usize; 3] {
    [report.unchanged, report.rejected, report.embedded]
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

#[tokio::test]
async fn a_rename_reaches_examples_references_and_answers_and_old_files_do_not_undo_it() {
    let (desk, tickets) = (Desk::with_taxonomy(&small_tickets(30), SMALL).await, small_tickets(30));
    let change = rename("order_status", "where_is_it");
    let dry = relabel(desk.store.as_ref(), &change, true).await.unwrap();
    assert_eq!((dry.examples, dry.references, dry.dry_run), (10, 2, true));
    assert_eq!(nearest(&desk, PARCEL).await, "order_status", "a dry run writes nothing");

    let done = relabel(desk.store.as_ref(), &change, false).await.unwrap();
    assert_eq!((done.from, done.into.as_str()), (vec!["order_status".to_owned()], "where_is_it"));
    assert_eq!((done.examples, done.references, done.dry_run), (10, 2, false));
    assert_eq!(nearest(&desk, PARCEL).await, "where_is_it");
    let stored = taxonomy_of(desk.store.as_ref()).await.unwrap();
    assert_eq!(kinds_of(&stored.check(Some(&desk.store.intents().await.unwrap()))), [Kind::ConfusedWithOneWay]);

    // Last month's tickets, and the file that still has the old name.
    assert_eq!(unchanged(&desk.index(&tickets).await), [30, 0, 0]);
    for _ in 0..2 {
        let again = desk.index_with(&tickets, &under(SMALL)).await;
        assert_eq!((unchanged(&again), again.written), ([30, 0, 0], false));
        assert!(again.notes[0].contains("\"order_status\" to \"where_is_it\""), "{:?}", again.notes);
    }
    assert_eq!(nearest(&desk, PARCEL).await, "where_is_it");
    let known = taxonomy_of(desk.store.as_ref()).await.unwrap();
    assert_eq!(known.resolve("order_status"), Some("where_is_it"), "an evaluation's old labels are known");
    // The file that was changed, and has no alias.
    let new = desk.index_with(&tickets, &under(&SMALL.replace("order_status", "where_is_it"))).await;
    assert_eq!((unchanged(&new), new.notes.len()), ([30, 0, 0], 0));

    let back = relabel(desk.store.as_ref(), &rename("where_is_it", "order_status"), false).await.unwrap();
    assert_eq!((back.examples, back.references), (10, 2));
    assert_eq!(nearest(&desk, PARCEL).await, "order_status");
}

#[test]
fn a_rename_on_the_command_line_says_what_it_did_and_a_check_that_a_file_has_the_old_name() {
    let bench = bench(Some(SMALL));
    let rename = ["taxonomy", "rename", "order_status", "where_is_it"];
    let dry = bench.run(&[&rename[..], &["--dry-run", "--json"]].concat()).ok().json();
    assert_eq!((&dry["examples"], &dry["references"], &dry["dry_run"]), (&json!(10), &json!(2), &json!(true)));
    let done = bench.run(&rename).ok().stdout;
    assert!(done.contains("\"order_status\" is \"where_is_it\": 10 examples, 2 references"), "{done}");
    let file = bench.run(&["taxonomy", "check", "--taxonomy", "taxonomy.toml", "--json"]).ok();
    assert_eq!(kinds(&file)[0], "warning renamed");
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

#[tokio::test]
async fn a_merge_leaves_one_intent_with_all_examples() {
    let desk = Desk::with_taxonomy(&small_tickets(30), SMALL).await;
    let from = vec!["order_status".to_owned(), "invoice_request".to_owned()];
    let merge = Change::Merge { from: from.clone(), into: "password_reset".to_owned() };
    let done = relabel(desk.store.as_ref(), &merge, false).await.unwrap();
    assert_eq!((done.from, done.examples, done.references), (from, 20, 3));
    assert_eq!(desk.store.intents().await.unwrap(), [("password_reset".to_owned(), 30)]);
    let again = desk.index_with(&small_tickets(30), &under(SMALL)).await;
    assert_eq!((unchanged(&again), again.notes.len()), ([30, 0, 0], 2));
    let second = relabel(desk.store.as_ref(), &merge, false).await.unwrap();
    assert_eq!(second.examples, 0, "a second time there is nothing to do");
}

#[tokio::test]
async fn a_store_of_bare_labels_gets_a_taxonomy_that_stays_open() {
    let desk = Desk::of(&small_tickets(30)).await;
    relabel(desk.store.as_ref(), &rename("order_status", "where_is_it"), false).await.unwrap();
    assert_eq!(nearest(&desk, PARCEL).await, "where_is_it");
    let new = "{\"id\": \"N\", \"text\": \"a zebra\", \"intent\": \"zoo\"}\n";
    let indexed = desk.index(&(small_tickets(30) + new)).await;
    assert_eq!((unchanged(&indexed), indexed.notes.len()), ([30, 0, 1], 0));
    assert_eq!(nearest(&desk, "a zebra").await, "zoo", "a label that is not listed");
    let stored = taxonomy_of(desk.store.as_ref()).await.unwrap();
    assert_eq!(kinds_of(&stored.check(Some(&desk.store.intents().await.unwrap()))), [Kind::Open]);
    relabel(desk.store.as_ref(), &rename("zoo", "animals"), false).await.unwrap();
    assert_eq!(nearest(&desk, "a zebra").await, "animals");
}

#[tokio::test]
async fn a_rename_that_was_killed_after_its_first_write_knows_all_labels_and_is_completed() {
    for taxonomy in [Some(SMALL), None] {
        let desk = match taxonomy {
            Some(taxonomy) => Desk::with_taxonomy(&small_tickets(30), taxonomy).await,
            None => Desk::of(&small_tickets(30)).await,
        };
        let before = taxonomy_of(desk.store.as_ref()).await.unwrap();
        let edit = before.rename("order_status", "where_is_it").unwrap();
        desk.store.put_blob(TAXONOMY_BLOB, serde_json::to_vec(&edit.taxonomy).unwrap()).await.unwrap();
        assert_eq!(desk.store.intents().await.unwrap()[1].0, "order_status");
        assert_eq!(nearest(&desk, PARCEL).await, "where_is_it");
        let stored = taxonomy_of(desk.store.as_ref()).await.unwrap();
        let found = stored.check(Some(&desk.store.intents().await.unwrap()));
        assert!(found.iter().all(|finding| finding.level == Severity::Hint), "{found:?}");
        let second = relabel(desk.store.as_ref(), &rename("order_status", "where_is_it"), false).await.unwrap();
        assert_eq!((second.examples, second.references), (10, 0));
        assert_eq!(desk.store.intents().await.unwrap()[2], ("where_is_it".to_owned(), 10));
    }
}

#[tokio::test]
async fn an_intent_of_a_thousand_examples_is_renamed_in_less_than_a_second() {
    let row = |i: usize| {
        let intent = if i < 1000 { "many" } else { "few" };
        format!("{{\"id\": \"{i}\", \"text\": \"ticket {i}\", \"intent\": \"{intent}\"}}\n")
    };
    let tickets = (0..1100).map(row).collect::<String>();
    let folder = TempDir::new().unwrap();
    let store = EdgeStore::open_or_create(folder.path(), HashEmbedder.dimension()).await.unwrap();
    let run =
        async || index(&store, &HashEmbedder, rows(&tickets), &IndexOptions::default(), &|_, _| {}).await.unwrap();
    run().await;
    let done = relabel(&store, &rename("many", "lots"), false).await.unwrap();
    println!("1,000 examples renamed in {} ms", done.milliseconds);
    assert_eq!(done.examples, 1000);
    assert!(done.milliseconds < 1000.0, "{done:?}");
    assert_eq!(unchanged(&run().await), [1100, 0, 0]);
    assert_eq!(store.intents().await.unwrap(), [("few".to_owned(), 100), ("lots".to_owned(), 1000)]);
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

#[tokio::test]
async fn renaming_an_intent_of_the_example_desk_survives_its_own_file() {
    let desk = Desk::of_examples().await;
    relabel(desk.store.as_ref(), &rename("order_status", "where_is_it"), false).await.unwrap();
    let file = |name: &str| fs::read_to_string(examples(name)).unwrap();
    let again = desk.index_with(&file("tickets.jsonl"), &under(&file("taxonomy.toml"))).await;
    assert_eq!(unchanged(&again), [1083, 0, 0]);
    let stored = taxonomy_of(desk.store.as_ref()).await.unwrap();
    assert!(stored.intents.iter().any(|intent| intent.name == "where_is_it"));
    assert_eq!(stored.renamed.len(), 1);
}
