//! `store`: what a store is, moving it, removing it; and rebuilds. On a folder and on a server.

use std::process::Stdio;
use std::time::Duration;

use ticket_router::data::example::{Point, SparseVector};
use ticket_router::learn::transfer::checksum as checksum_of;
use ticket_router::store::manifest_of;
use ticket_router::{Content as _, EdgeStore, ExampleStore as _};

use crate::fixture::{Bench, examples, small_tickets, without_times};
use crate::qdrant_double::QdrantDouble;

fn checksum(bench: &Bench, store: &str) -> String {
    let info = bench.run(&["store", "info", "--checksum", "--json", "--store", store]).ok().json();
    info["checksum"].as_str().unwrap().to_owned()
}

#[test]
fn info_says_what_a_store_is() {
    let bench = Bench::with_small_store();
    let info = bench.run(&["store", "info", "--json"]).ok().json();
    assert_eq!((&info["examples"], &info["intents"], &info["dimension"]), (&30.into(), &3.into(), &256.into()));
    assert_eq!(info["embedder"], "hash");
    assert!(info["disk_bytes"].as_u64().unwrap() > 10_000, "{info}");
    assert!(info["blobs"]["manifest.json"].as_u64().unwrap() > 100, "{info}");
    assert!(info["checksum"].is_null(), "{info}");
    let text = bench.run(&["store", "info", "--checksum"]).ok().stdout;
    assert!(text.contains("30 of 3 intents") && text.contains(&checksum(&bench, ".ticket-router")), "{text}");
}

#[test]
fn an_export_indexes_to_the_same_store() {
    let bench = Bench::with_store();
    bench.run(&["store", "export", "all.jsonl"]).ok();
    bench.run(&["index", "all.jsonl", "--store", "second"]).ok();
    let rows = |file: &str| {
        let mut rows: Vec<String> =
            std::fs::read_to_string(bench.dir.path().join(file)).unwrap().lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    bench.run(&["store", "export", "again.jsonl", "--store", "second"]).ok();
    assert_eq!(rows("all.jsonl"), rows("again.jsonl"));
    // Keys too: the file is what is stored, so nothing is new.
    let again = bench.run(&["index", "all.jsonl", "--json"]).ok().json();
    assert_eq!((&again["added"], &again["updated"]), (&0.into(), &0.into()), "{again}");
}

#[test]
fn an_export_of_several_sources_is_one_at_a_time() {
    let bench = Bench::with_small_store();
    bench.write("more.jsonl", small_tickets(6));
    bench.run(&["index", "more.jsonl", "--source", "mail"]).ok();
    bench.run(&["store", "export"]).fails_with(&["--source", "\"mail\" (6)", "\"\" (30)"]);
    let mail = bench.run(&["store", "export", "--source", "mail"]).ok();
    assert_eq!(mail.stdout.lines().count(), 6);
    assert!(mail.stderr.contains("--source \"mail\""), "{}", mail.stderr);
    assert!(!bench.dir.path().join("none.jsonl").exists());
    bench.run(&["store", "export", "none.jsonl", "--source", "chat"]).fails_with(&["--source"]);
}

#[test]
fn a_copy_to_a_server_and_back_holds_the_same() {
    let (bench, double) = (Bench::with_store(), QdrantDouble::start());
    let there = double.store("desk");
    let copied = bench.run(&["store", "copy", ".ticket-router", &there, "--json"]).ok().json();
    assert_eq!((&copied["examples"], &copied["copied"]), (&1083.into(), &1083.into()));
    assert_eq!(checksum(&bench, &there), checksum(&bench, ".ticket-router"));
    bench.run(&["store", "copy", &there, "back"]).ok();
    assert_eq!(checksum(&bench, "back"), checksum(&bench, ".ticket-router"));
    // Nothing is left beside it on the server, save the empty one that it replaced a moment ago.
    assert_eq!(double.names().0.len(), 2);

    // Taxonomy and probe came along: all three answer alike.
    let question = ["classify", "You charged me twice", "--labeler", "vote", "--json"];
    let answers: Vec<_> = [".ticket-router", &there, "back"]
        .iter()
        .map(|store| {
            let answer = bench.run(&[&question[..], &["--store", store]].concat()).ok().json_lines().remove(0);
            (answer["intent"].clone(), answer["route"].clone(), answer["confidence"].as_f64().unwrap())
        })
        .collect();
    for answer in &answers[1..] {
        assert_eq!((&answer.0, &answer.1), (&answers[0].0, &answers[0].1));
        assert!((answer.2 - answers[0].2).abs() < 1e-3, "{answers:?}");
    }
}

#[test]
fn a_copy_replaces_an_index_only_when_it_is_told_to() {
    let bench = Bench::with_small_store();
    bench.write("six.jsonl", small_tickets(6));
    bench.run(&["index", "six.jsonl", "--store", "other"]).ok();
    bench.run(&["store", "copy", ".ticket-router", "other"]).fails_with(&["other", "--replace"]);
    assert_eq!(bench.run(&["store", "info", "--store", "other", "--json"]).ok().json()["examples"], 6);
    bench.run(&["store", "copy", ".ticket-router", "other", "--replace"]).ok();
    assert_eq!(checksum(&bench, "other"), checksum(&bench, ".ticket-router"));
    bench.run(&["store", "copy", "nowhere", "new"]).fails_with(&["nowhere", "index FILE"]);
    bench.run(&["store", "copy", "other", "other"]).fails_with(&["FROM and TO"]);
}

#[test]
fn a_killed_copy_goes_on_where_it_was() {
    let (bench, double) = (Bench::with_store(), QdrantDouble::start());
    let there = double.store("desk");
    let copy = ["store", "copy", ".ticket-router", &there, "--json"];
    // A copy writes 1,024 examples, then says where it goes on, then the other 59.
    let mut command = bench.command(&copy);
    double.delay("Upsert", Duration::from_millis(300));
    // Its lease holds for that long after its end.
    command.env("TICKET_ROUTER_STORE_TIMEOUT_SECONDS", "2");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Removed are: the lease of the first collection, old notes, those of the position, those of the manifest, which
    // is written when all examples are.
    double.wait_for_calls("Delete", 4);
    run.kill().unwrap();
    run.wait().unwrap();
    double.delay("", Duration::ZERO);
    let outcome = bench.run(&["store", "info", "--store", &there, "--json"]).ok().json();
    assert_eq!(outcome["examples"], 0, "what is not complete is not served");

    let second = bench.run(&copy).ok().json();
    assert_eq!((&second["resumed"], &second["copied"], &second["examples"]), (&true.into(), &59.into(), &1083.into()));
    assert_eq!(checksum(&bench, &there), checksum(&bench, ".ticket-router"));
    assert_eq!(double.names().0.len(), 2);
}

#[test]
fn delete_removes_a_store_once_it_is_confirmed() {
    let (bench, double) = (Bench::with_small_store(), QdrantDouble::start());
    bench.run(&["store", "delete"]).fails_with(&["30 examples", "--yes"]);
    let there = double.store("desk");
    bench.run(&["store", "copy", ".ticket-router", &there]).ok();
    bench.run(&["store", "delete", "--yes"]).ok();
    assert!(!bench.store().exists());
    bench.run(&["store", "info"]).fails_with(&["no example store"]);
    bench.run(&["store", "delete", "--yes", "--store", &there]).ok();
    assert_eq!(double.names(), (Vec::new(), Vec::new()));
}

#[test]
fn a_rebuild_takes_new_settings_and_may_keep_the_old_collection() {
    let (bench, double) = (Bench::empty(), QdrantDouble::start());
    bench.write("first.jsonl", small_tickets(30));
    double.run(&bench, &["index", "first.jsonl"]).ok();
    bench.write("ticket-router.toml", "[qdrant]\nquantization = \"scalar\"\nvectors_on_disk = true\n");
    // Not before it is rebuilt.
    let info = |name: &str| bench.run(&["store", "info", "--json", "--store", &double.store(name)]).ok().json();
    assert_eq!(info("desk")["settings"]["quantization"], "none");
    let rebuilt = double.run(&bench, &["index", "--rebuild", "--keep-old", "--json"]).ok().json();
    assert_eq!((&rebuilt["total"], &rebuilt["embedded"]), (&30.into(), &0.into()));
    let (new, old) = (info("desk"), info("desk-old"));
    assert_eq!(new["settings"]["quantization"], "scalar");
    assert_eq!(new["settings"]["vectors_on_disk"], true);
    assert_eq!((&old["settings"]["quantization"], &old["examples"]), (&"none".into(), &30.into()));
    assert_ne!(new["content"], old["content"]);

    // In a folder it takes the settings too, and cannot keep the old content.
    bench.run(&["index", "first.jsonl", "--store", "folder"]).ok();
    let folder = bench.run(&["store", "info", "--json", "--store", "folder"]).ok().json();
    assert_eq!(folder["settings"]["quantization"], "scalar");
    bench.run(&["index", "--rebuild", "--keep-old", "--store", "folder"]).fails_with(&["store copy"]);
}

#[test]
fn every_command_runs_on_a_server() {
    let (bench, double) = (Bench::empty(), QdrantDouble::start());
    let (tickets, taxonomy) = (examples("tickets.jsonl"), examples("taxonomy.toml"));
    let some: String = std::fs::read_to_string(examples("heldout.jsonl"))
        .unwrap()
        .lines()
        .step_by(4)
        .map(|row| format!("{row}\n"))
        .collect();
    let heldout = bench.write("heldout.jsonl", some);
    let [tickets, taxonomy, heldout] = [&tickets, &taxonomy, &heldout].map(|path| path.to_str().unwrap());
    double.run(&bench, &["index", tickets, "--taxonomy", taxonomy]).ok();
    double.run(&bench, &["classify", "--input", heldout, "--labeler", "vote", "--output", "out.jsonl"]).ok();
    double.run(&bench, &["eval", heldout, "--labeler", "vote", "--report", "report.md"]).ok();
    double.run(&bench, &["calibrate", heldout, "--labeler", "vote", "--target-precision", "0.8"]).ok();
    double.run(&bench, &["lint"]).ok();
    double.run(&bench, &["taxonomy", "check"]).ok();
    let renamed = double.run(&bench, &["taxonomy", "rename", "praise", "thanks", "--json"]).ok().json();
    assert!(renamed["examples"].as_u64().unwrap() > 5, "{renamed}");
    double.run(&bench, &["store", "info", "--checksum"]).ok();
    double.run(&bench, &["store", "export", "all.jsonl"]).ok();
    double.run(&bench, &["store", "delete", "--yes"]).ok();

    // And answers as in a folder: the data is the same, and the graph is not used on either.
    bench.run(&["index", tickets, "--taxonomy", taxonomy, "--store", "folder"]).ok();
    double.run(&bench, &["index", tickets, "--taxonomy", taxonomy]).ok();
    let eval = ["eval", heldout, "--labeler", "vote", "--arms", "retrieved", "--json"];
    let here = bench.run(&[&eval[..], &["--store", "folder"]].concat()).ok().json();
    let there = double.run(&bench, &eval).ok().json();
    let accuracy = |report: &serde_json::Value| report["arms"][0]["accuracy"].as_f64().unwrap();
    assert!((accuracy(&here) - accuracy(&there)).abs() < 0.01, "{} {}", accuracy(&here), accuracy(&there));
}

#[test]
fn a_folder_that_is_kept_on_disk_answers_as_one_in_memory() {
    let bench = Bench::with_small_store();
    let ask = || {
        let answers =
            bench.run(&["classify", "--labeler", "vote", "--json", "--input", "small.jsonl"]).ok().json_lines();
        answers.into_iter().map(without_times).collect::<Vec<_>>()
    };
    bench.write("small.jsonl", small_tickets(12));
    let in_memory = ask();
    bench.write("ticket-router.toml", "[qdrant]\nquantization = \"scalar\"\nvectors_on_disk = true\n");
    bench.run(&["index", "--rebuild"]).ok();
    let info = bench.run(&["store", "info", "--json"]).ok().json();
    assert_eq!(info["settings"]["vectors_on_disk"], true);
    assert_eq!(ask(), in_memory);
}

/// `tests/fixtures/store-of-format-1.tar.gz` was made by the program before it knew of journals and revisions: twenty
/// tickets of two intents with a taxonomy, of which a second run changed one in place.
#[tokio::test]
async fn a_store_of_the_version_before_opens_and_takes_changes() {
    let folder = tempfile::TempDir::new().unwrap();
    let fixture = crate::fixture::repository().join("tests/fixtures/store-of-format-1.tar.gz");
    let unpacked = std::process::Command::new("tar").arg("-xzf").arg(fixture).current_dir(&folder).status().unwrap();
    assert!(unpacked.success());
    let root = folder.path().join("st");
    let store = EdgeStore::open(&root).await.unwrap();
    let (order, password) = ("order_status".to_owned(), "password_reset".to_owned());
    assert_eq!(store.intents().await.unwrap(), [(order.clone(), 10), (password.clone(), 10)]);
    assert_eq!(manifest_of(&store).await.unwrap().unwrap().changed_in_place, 1);
    let stored = crate::contract::data::all(&store).await;
    let changed = stored.iter().find(|stored| stored.example.labelled.ticket.id == "S-0").unwrap();
    assert_eq!(changed.example.labelled.ticket.text, "Where is the parcel that I paid for?");
    let sum = "614c35c1522a14f294cc4e10109fb4882d05a67c37f1fed3d213e062322eee37";
    assert_eq!(checksum_of(&store).await.unwrap(), sum);

    let mut example = changed.example.clone();
    example.labelled.intent.clone_from(&password);
    let dense = changed.dense.clone().unwrap();
    let point = Point { example, dense, sparse: SparseVector::default() };
    store.upsert(vec![point]).await.unwrap();
    drop(store);
    let store = EdgeStore::open(&root).await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [(order, 9), (password, 11)]);
    assert_eq!(manifest_of(&store).await.unwrap().unwrap().changed_in_place, 2);
}
