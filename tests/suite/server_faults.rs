//! A Qdrant server that goes away, is slow, refuses or is not what it should be.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use qdrant_client::Qdrant;
use qdrant_client::qdrant::{
    CreateCollectionBuilder, Distance, PointStruct, RenameAliasBuilder, UpsertPointsBuilder, VectorParamsBuilder,
};
use ticket_router::input::{self, InputOptions};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::pipeline::{Entry, Setup, Stored};
use ticket_router::stages::confidence::Calibration;
use ticket_router::store::{Connection, RebuildOptions, ServerStore};
use ticket_router::{Content as _, Embedder as _, ErrorKind, ExampleStore, HashEmbedder};
use tonic::Code;

use crate::contract::data::{DIMENSION, near, points};
use crate::fixture::{Bench, Outcome, small_tickets};
use crate::library::Letters;
use crate::qdrant_double::{Fault, QdrantDouble};

const QUESTION: [&str; 5] = ["classify", "where is my parcel", "--labeler", "vote", "--json"];

/// A server with a store of this many examples, and the files of it.
fn desk(examples: usize) -> (QdrantDouble, Bench) {
    let (double, bench) = (QdrantDouble::start(), Bench::empty());
    bench.write("first.jsonl", small_tickets(examples));
    double.run(&bench, &["index", "first.jsonl"]).ok();
    (double, bench)
}

fn spawned(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Outcome {
    Outcome::of(child.wait_with_output().unwrap())
}

/// The store holds this many examples, once each.
#[track_caller]
fn holds(double: &QdrantDouble, bench: &Bench, count: usize) {
    bench.write("all.jsonl", small_tickets(count));
    let outcome = double.run(bench, &["index", "all.jsonl", "--json"]).ok().json();
    assert_eq!((&outcome["unchanged"], &outcome["total"]), (&count.into(), &count.into()), "{outcome}");
    let question = double.run(bench, &QUESTION).ok().json_lines();
    assert_eq!(question[0]["intent"], "order_status");
    // What was replaced last may still be there.
    let (collections, aliases) = double.names();
    assert!(collections.len() <= 2, "{collections:?}");
    assert_eq!(aliases.len(), 2, "the store's name and the token: {aliases:?}");
}

#[test]
fn a_server_that_goes_and_comes_back_in_an_index_run_loses_and_doubles_nothing() {
    // The first calls look for the server; from then on it may go at any of them.
    for goes_at in [5, 12, 18] {
        let (double, bench) = desk(40);
        let before = double.calls("");
        bench.write("more.jsonl", small_tickets(100));
        double.delay("", Duration::from_millis(40));
        let run = spawned(double.command(&bench, &["index", "more.jsonl", "--json"]));
        double.wait_for_calls("", before + goes_at);
        double.stop();
        sleep(Duration::from_millis(500));
        double.start_again();
        let report = ended(run).ok().json();
        assert_eq!((&report["added"], &report["total"]), (&60.into(), &100.into()), "gone at call {goes_at}");
        double.delay("", Duration::ZERO);
        holds(&double, &bench, 100);
    }
}

#[test]
fn a_server_that_goes_and_comes_back_in_a_small_change_loses_and_doubles_nothing() {
    let (double, bench) = desk(40);
    let before = double.calls("Upsert");
    bench.write("more.jsonl", small_tickets(42));
    double.delay("Upsert", Duration::from_millis(400));
    let run = spawned(double.command(&bench, &["index", "more.jsonl", "--json"]));
    double.wait_for_calls("Upsert", before + 1);
    double.stop();
    sleep(Duration::from_millis(500));
    double.delay("", Duration::ZERO);
    double.start_again();
    assert_eq!(ended(run).ok().json()["total"], 42);
    holds(&double, &bench, 42);
}

#[test]
fn a_server_that_stays_away_fails_the_run_and_serves_what_it_had_when_it_returns() {
    let (double, bench) = desk(40);
    let answer = double.run(&bench, &QUESTION).ok().json_lines()[0]["neighbours"].clone();
    let before = double.calls("Upsert");
    bench.write("more.jsonl", small_tickets(100));
    double.delay("Upsert", Duration::from_millis(400));
    let mut command = double.command(&bench, &["index", "more.jsonl"]);
    command.env("TICKET_ROUTER_STORE_TIMEOUT_SECONDS", "2");
    let run = spawned(command);
    double.wait_for_calls("Upsert", before + 1);
    double.stop();
    ended(run).fails_with(&[&double.url(), "cannot be reached", "is it running"]);

    double.delay("", Duration::ZERO);
    double.start_again();
    assert_eq!(double.run(&bench, &QUESTION).ok().json_lines()[0]["neighbours"], answer);
    // What the failed run left is not in the way of the next.
    assert_eq!(double.run(&bench, &["index", "more.jsonl", "--json"]).ok().json()["total"], 100);
    holds(&double, &bench, 100);
}

#[test]
fn a_killed_run_leaves_the_old_content_and_the_next_one_clears_up() {
    let (double, bench) = desk(40);
    let answer = double.run(&bench, &QUESTION).ok().json_lines()[0]["neighbours"].clone();
    let before = double.calls("Upsert");
    bench.write("more.jsonl", small_tickets(100));
    double.delay("Upsert", Duration::from_millis(100));
    let mut command = double.command(&bench, &["index", "more.jsonl"]);
    // Its lease holds for that long after its end.
    command.env("TICKET_ROUTER_STORE_TIMEOUT_SECONDS", "2");
    let mut run = spawned(command);
    // The lease, the record of the new collection, and into the examples.
    double.wait_for_calls("Upsert", before + 3);
    run.kill().unwrap();
    run.wait().unwrap();
    double.delay("", Duration::ZERO);
    assert_eq!(double.names().0.len(), 2, "the unfinished one is beside it");
    assert_eq!(double.run(&bench, &QUESTION).ok().json_lines()[0]["neighbours"], answer);
    double.run(&bench, &["index", "more.jsonl"]).ok();
    holds(&double, &bench, 100);
}

#[test]
fn a_write_whose_answer_is_lost_is_not_done_twice() {
    let methods = ["Create", "CreateFieldIndex", "Upsert", "UpdateAliases", "Delete"];
    for method in methods {
        let (double, bench) = desk(40);
        bench.write("more.jsonl", small_tickets(100));
        let before = double.calls(method);
        double.fail_next(1, method, Fault::AnswerLost);
        let report = double.run(&bench, &["index", "more.jsonl", "--json"]).ok().json();
        assert_eq!(report["total"], 100, "{method}");
        assert!(double.calls(method) > before, "{method} is not part of an index run");
        holds(&double, &bench, 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_survives_lost_answers_and_refusals_that_pass() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    let written = points(10, "a");
    for fault in [Fault::AnswerLost, Fault::Refused(Code::Unavailable), Fault::Refused(Code::ResourceExhausted)] {
        let next = || double.fail_next(2, "", fault);
        next();
        store.upsert(written.clone()).await.unwrap();
        next();
        store.update(written.iter().map(|point| point.example.clone()).collect()).await.unwrap();
        next();
        store.delete(vec![written[0].example.key]).await.unwrap();
        next();
        store.put_blob("note", b"x".to_vec()).await.unwrap();
        next();
        assert_eq!(store.query(near(&written[3], 20)).await.unwrap().dense.len(), 9);
        next();
        assert_eq!(store.count().await.unwrap(), 9);
        next();
        assert_eq!(store.intents().await.unwrap(), [("a".to_owned(), 9)]);
        next();
        assert_eq!(store.scroll(None, 20, false).await.unwrap().0.len(), 9);
        // The count comes first, and is the true one.
        double.fail_next(2, "SetPayload", fault);
        assert_eq!(store.relabel("a", "b").await.unwrap(), 9);
        assert_eq!(store.relabel("b", "a").await.unwrap(), 9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_repetition_changes_is_not_sent_again() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    // After an internal error the client itself asks once more, on a new connection.
    for (code, sent) in
        [(Code::InvalidArgument, 1), (Code::PermissionDenied, 1), (Code::Unimplemented, 1), (Code::Internal, 2)]
    {
        let before = double.calls("Count");
        double.fail_next(sent, "Count", Fault::Refused(code));
        let error = store.count().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains(&double.url()), "{error}");
        assert_eq!(double.calls("Count"), before + sent, "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calibration_is_not_written_where_those_of_others_cannot_be_read() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    let calibration = Calibration { slope: 1.0, intercept: 0.0, threshold: Some(0.5), target: 0.9 };
    let entry = Entry {
        key: None,
        setup: Setup::default(),
        calibration,
        confidence: 0.9,
        coverage: 0.5,
        n: 100,
        made_at: None,
        examples_then: 100,
        changed: 0,
        changed_in_place: 0,
    };
    Stored::add(&store, "claude", entry.clone(), None).await.unwrap();
    double.fail_next(1, "Get", Fault::Refused(Code::InvalidArgument));
    assert!(Stored::add(&store, "vote", entry.clone(), None).await.is_err());
    assert_eq!(Stored::read(&store).await.unwrap().labelers.keys().collect::<Vec<_>>(), ["claude"]);
    Stored::add(&store, "vote", entry, None).await.unwrap();
    assert_eq!(Stored::read(&store).await.unwrap().labelers.keys().collect::<Vec<_>>(), ["claude", "vote"]);
}

#[test]
fn a_slow_server_is_told_from_an_absent_one() {
    let (double, bench) = desk(30);
    double.delay("QueryBatch", Duration::from_secs(20));
    let begun = Instant::now();
    let mut command = double.command(&bench, &QUESTION[..4]);
    command.env("TICKET_ROUTER_STORE_TIMEOUT_SECONDS", "1");
    let outcome = Outcome::of(command.output().unwrap());
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    for part in [&double.url(), "did not answer within 1 s", "store_timeout_seconds"] {
        assert!(outcome.stderr.contains(part), "{part:?} is missing in: {}", outcome.stderr);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_wrong_key_and_a_missing_one_are_named() {
    let (double, bench) = desk(30);
    double.require_key("the-right-key");
    let with_key = |key: Option<&str>| {
        let mut command = double.command(&bench, &QUESTION);
        command.envs(key.map(|key| ("QDRANT_API_KEY", key)));
        Outcome::of(command.output().unwrap())
    };
    with_key(None).fails_with(&[&double.url(), "Must provide an API key", "QDRANT_API_KEY"]);
    let wrong = with_key(Some("the-wrong-key"));
    assert!(!wrong.stderr.contains("the-wrong-key"), "{}", wrong.stderr);
    wrong.fails_with(&[&double.url(), "Invalid API key", "QDRANT_API_KEY"]);
    let unsendable = with_key(Some("two\nlines"));
    assert!(!unsendable.stderr.contains("lines"), "{}", unsendable.stderr);
    unsendable.fails_with(&["QDRANT_API_KEY"]);
    with_key(Some("the-right-key")).ok();
}

#[test]
fn too_old_a_server_is_refused_before_anything_is_asked_of_it() {
    let (double, bench) = (QdrantDouble::start(), Bench::empty());
    bench.write("first.jsonl", small_tickets(3));
    for version in ["1.7.4", "1.15.5"] {
        double.set_version(version);
        double.run(&bench, &["index", "first.jsonl"]).fails_with(&[&double.url(), version, "update the server"]);
    }
    assert_eq!(double.calls(""), double.calls("HealthCheck"));
    // Builds of one's own and later ones are taken.
    for version in ["1.16.0", "1.19.1", "2.0.0-dev", "unknown"] {
        double.set_version(version);
        double.run(&bench, &["index", "first.jsonl"]).ok();
    }
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let (double, bench) = (QdrantDouble::start(), Bench::empty());
    bench.write("first.jsonl", small_tickets(3));
    double.stop();
    let begun = Instant::now();
    for args in [&["index", "first.jsonl"][..], &QUESTION] {
        double.run(&bench, args).fails_with(&[&double.url(), "cannot be reached", "6334"]);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_store_that_is_not_there_is_named_with_the_command_that_makes_it() {
    let (double, bench) = (QdrantDouble::start(), Bench::empty());
    let made_by = format!("ticket-router index FILE --store {}", double.store("desk"));
    double.run(&bench, &QUESTION).fails_with(&["there is no example store", &made_by]);
    assert_eq!(double.names(), (vec![], vec![]), "looking for it makes nothing");
}

fn client(double: &QdrantDouble) -> Qdrant {
    Qdrant::from_url(&double.url()).skip_compatibility_check().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_was_dropped_meanwhile_is_an_error_and_can_be_made_again() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    let written = points(10, "a");
    store.upsert(written.clone()).await.unwrap();
    ServerStore::remove(double.connection(), "desk").await.unwrap();
    assert_eq!(double.names(), (vec![], vec![]));
    let errors = [
        store.query(near(&written[0], 5)).await.unwrap_err(),
        store.upsert(written.clone()).await.unwrap_err(),
        store.count().await.unwrap_err(),
        store.blob("note").await.unwrap_err(),
    ];
    for error in errors {
        let message = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(message.contains(&double.url()) && message.contains("desk") && message.contains("index"), "{message}");
    }
    let again = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    again.upsert(written).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 10, "the store that was open finds it");
    let gone = ServerStore::remove(double.connection(), "other").await.unwrap_err();
    assert!(gone.to_string().contains("other"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_is_dropped_while_it_is_filled_leaves_the_old_one() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    store.upsert(points(10, "old")).await.unwrap();
    let options = RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() };
    let mut next = store.rebuild(options).await.unwrap();
    next.upsert(points(5, "new")).await.unwrap();
    let (collections, aliases) = double.names();
    let filled = collections.iter().find(|name| aliases.iter().all(|(_, served)| served != *name)).unwrap();
    client(&double).delete_collection(filled.as_str()).await.unwrap();
    assert!(next.upsert(points(5, "new")).await.unwrap_err().to_string().contains(filled.as_str()));
    assert!(next.commit().await.unwrap_err().to_string().contains(filled.as_str()));
    assert_eq!(store.intents().await.unwrap(), [("old".to_owned(), 10)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_somebody_else_made_is_left_alone() {
    let (double, bench) = (QdrantDouble::start(), Bench::empty());
    bench.write("first.jsonl", small_tickets(3));
    let theirs = client(&double);
    let params = VectorParamsBuilder::new(4, Distance::Dot);
    theirs.create_collection(CreateCollectionBuilder::new("desk").vectors_config(params)).await.unwrap();
    for args in [&["index", "first.jsonl"][..], &QUESTION] {
        double.run(&bench, args).fails_with(&["desk", &double.url(), "not made by ticket-router"]);
    }
    assert!(ServerStore::remove(double.connection(), "desk").await.is_err());
    assert_eq!(double.names(), (vec!["desk".to_owned()], vec![]));

    // A point of theirs among ours.
    let store = ServerStore::open_or_create(double.connection(), "ours", DIMENSION).await.unwrap();
    let vectors = std::collections::HashMap::from([("dense".to_owned(), vec![0.5_f32; DIMENSION])]);
    let point = PointStruct::new(17, vectors, qdrant_client::Payload::new());
    theirs.upsert_points(UpsertPointsBuilder::new("ours", vec![point]).wait(true)).await.unwrap();
    let message = store.scroll(None, 10, false).await.unwrap_err().to_string();
    assert!(message.contains("17") && message.contains("did not write"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_embedder_is_refused_and_can_be_rebuilt_keeping_the_old_one() {
    let (double, bench) = (QdrantDouble::start(), Bench::empty());
    let file = bench.write("first.jsonl", small_tickets(30));
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    let rows = || input::read(&file, &InputOptions::default()).unwrap();
    index(&store, &Letters, rows(), &IndexOptions::default(), &|_, _| {}).await.unwrap();
    for args in [&["index", "first.jsonl"][..], &QUESTION] {
        double.run(&bench, args).fails_with(&["letters", "embedder"]);
    }
    double.run(&bench, &["index", "first.jsonl", "--rebuild", "--keep-old"]).ok();
    let answers = double.run(&bench, &QUESTION).ok().json_lines();
    assert_eq!(answers[0]["intent"], "order_status");
    let old = ServerStore::open(double.connection(), "desk-old").await.unwrap();
    assert_eq!((old.count().await.unwrap(), old.info().await.unwrap().dimension), (30, DIMENSION));
    // Kept once more, it is the next one.
    double.run(&bench, &["index", "--rebuild", "--keep-old"]).ok();
    assert_eq!(old.info().await.unwrap().dimension, HashEmbedder.dimension());
    // Without it, what nobody names any longer goes, and what is kept stays.
    double.run(&bench, &["index", "--rebuild"]).ok();
    let (collections, aliases) = double.names();
    // What is served, what is kept, and what was replaced just now; two names and a token.
    assert_eq!((collections.len(), aliases.len()), (3, 3), "{collections:?} {aliases:?}");
    assert_eq!(old.count().await.unwrap(), 30);
}

#[test]
fn tls_works_with_a_trusted_certificate_and_not_without() {
    let (double, bench) = (QdrantDouble::start_with_tls(), Bench::empty());
    bench.write("first.jsonl", small_tickets(30));
    let trusting = |args: &[&str]| {
        let mut command = double.command(&bench, args);
        Outcome::of(command.env("SSL_CERT_FILE", double.authority()).output().unwrap())
    };
    trusting(&["index", "first.jsonl"]).ok();
    assert_eq!(trusting(&QUESTION).ok().json_lines()[0]["intent"], "order_status");
    double.run(&bench, &QUESTION).fails_with(&[&double.url(), "cannot be reached"]);
    // Spoken to without it, the server says nothing that the client understands.
    let plain = double.store("desk").replace("https", "http");
    let mut command = bench.command(&[&QUESTION[..], &["--store", &plain]].concat());
    let outcome = Outcome::of(command.env("TICKET_ROUTER_STORE_TIMEOUT_SECONDS", "2").output().unwrap());
    outcome.fails_with(&[plain.trim_end_matches("/desk")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_bounded_whatever_is_written() {
    let double = QdrantDouble::start();
    let connection = Connection { timeout: Duration::from_mins(1), ..double.connection() };
    let store = ServerStore::open_or_create(connection, "desk", DIMENSION).await.unwrap();
    let long = |mut point: ticket_router::data::example::Point| {
        point.example.labelled.ticket.text = "word ".repeat(4_000);
        point
    };
    store.upsert(points(1_200, "a").into_iter().map(long).collect()).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1_200);
    assert!(double.calls("Upsert") >= 3, "{}", double.calls("Upsert"));
    let largest = double.largest_request();
    assert!((1_000_000..9_000_000).contains(&largest), "{largest} bytes");
}

fn with_store_timeout(double: &QdrantDouble, seconds: u64) -> Connection {
    Connection { timeout: Duration::from_secs(seconds), ..double.connection() }
}

async fn filled(store: &ServerStore, count: usize, intent: &str) -> Box<dyn ticket_router::store::Rebuild> {
    let options = RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() };
    let mut next = store.rebuild(options).await.unwrap();
    next.upsert(points(count, intent)).await.unwrap();
    next
}

#[tokio::test(flavor = "multi_thread")]
async fn index_runs_into_a_new_store_at_the_same_time_both_arrive() {
    let (double, folder) = (QdrantDouble::start(), tempfile::TempDir::new().unwrap());
    let run = |number: usize| {
        let (connection, path) = (double.connection(), folder.path().join(format!("{number}.jsonl")));
        async move {
            let row = |n: usize| {
                format!("{{\"id\": \"{number}-{n}\", \"text\": \"text {n} of {number}\", \"intent\": \"i{number}\"}}\n")
            };
            std::fs::write(&path, (0..50).map(row).collect::<String>()).unwrap();
            let store = ServerStore::open_or_create(connection, "desk", DIMENSION).await?;
            let rows = input::read(&path, &InputOptions::default())?;
            index(&store, &Letters, rows, &IndexOptions::default(), &|_, _| {}).await
        }
    };
    let outcomes = tokio::join!(run(1), run(2), run(3));
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        assert_eq!(outcome.unwrap().added, 50);
    }
    let store = ServerStore::open(double.connection(), "desk").await.unwrap();
    let wanted = [1, 2, 3].map(|number| (format!("i{number}"), 50));
    assert_eq!(store.intents().await.unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rebuild_is_told_who_holds_the_lease() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(with_store_timeout(&double, 60), "desk", DIMENSION).await.unwrap();
    let other = ServerStore::open(with_store_timeout(&double, 1), "desk").await.unwrap();
    let next = filled(&store, 5, "first").await;
    let options = RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() };
    let refused = other.rebuild(options).await.err().unwrap();
    let process = format!("process {}", std::process::id());
    assert!(refused.to_string().contains(&process) && refused.kind() == ErrorKind::Store, "{refused}");
    next.commit().await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [("first".to_owned(), 5)]);
}

#[test]
fn a_run_that_was_away_for_too_long_cannot_replace_what_another_one_made() {
    let double = QdrantDouble::start();
    // What runs here stands still as long as nobody waits for it: its lease is not renewed.
    let away = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let here = tokio::runtime::Runtime::new().unwrap();
    let open = |seconds| ServerStore::open_or_create(with_store_timeout(&double, seconds), "desk", DIMENSION);
    let (slow, other) = (away.block_on(open(1)).unwrap(), here.block_on(open(10)).unwrap());
    for is_over in [false, true] {
        let late = away.block_on(filled(&slow, 5, "late"));
        let next = here.block_on(filled(&other, 6, "in time"));
        let (mut late, mut next) = (Some(late), Some(next));
        let mut too_late = || assert!(away.block_on(late.take().unwrap().commit()).is_err());
        let mut in_time = || here.block_on(next.take().unwrap().commit()).unwrap();
        if is_over {
            in_time();
            too_late();
        } else {
            too_late();
            in_time();
        }
        assert_eq!(here.block_on(other.intents()).unwrap(), [("in time".to_owned(), 6)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_does_nothing_where_the_token_is_somebody_else_s() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    store.upsert(points(3, "old")).await.unwrap();
    let next = filled(&store, 5, "new").await;
    let served = store.info().await.unwrap().content;
    let aliases = double.names().1;
    let (token, _) = aliases.iter().find(|(alias, of)| *of == served && alias.contains("-token")).unwrap();
    client(&double).rename_alias(RenameAliasBuilder::new(token.as_str(), format!("{served}-token-x"))).await.unwrap();
    let refused = next.commit().await.unwrap_err().to_string();
    assert!(refused.contains("desk") && refused.contains("run it again"), "{refused}");
    assert_eq!(store.intents().await.unwrap(), [("old".to_owned(), 3)]);
    // It is no obstacle to the next one.
    filled(&store, 5, "new").await.commit().await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [("new".to_owned(), 5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_whose_answer_is_lost_is_made_once() {
    let double = QdrantDouble::start();
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    for fault in [Fault::AnswerLost, Fault::Refused(Code::Unavailable)] {
        let next = filled(&store, 7, "new").await;
        let before = double.calls("UpdateAliases");
        double.fail_next(1, "UpdateAliases", fault);
        next.commit().await.unwrap();
        let again = usize::from(matches!(fault, Fault::Refused(_)));
        assert_eq!(double.calls("UpdateAliases"), before + 1 + again);
        assert_eq!(store.intents().await.unwrap(), [("new".to_owned(), 7)]);
    }
}
