//! Bad input and a bad set-up get one clear line, and nothing is lost.

use std::fs;
use std::process::Stdio;

use crate::double::{Double, error, tagged};
use crate::fixture::{Bench, Outcome, small_tickets};

#[test]
fn files_that_hold_no_tickets() {
    let bench = Bench::with_store();
    bench.write("empty.jsonl", "");
    bench.write("blank.csv", "\n  \n");
    bench.write("wrong.csv", "subject,label\nhello,a\n");
    bench.write("bad.jsonl", "{\"text\": \"x\", \"intent\": \"praise\"}\n{\"text\": 7,\n");
    bench.write("bare.jsonl", "{\"text\": \"x\"}\n");
    let vote = ["--labeler", "vote"];
    let run = |args: &[&str]| bench.run(&[args, &vote[..]].concat());
    bench.run(&["index", "nowhere.jsonl"]).fails_with(&["nowhere.jsonl", "check the path"]);
    run(&["classify", "--input", "nowhere.jsonl"]).fails_with(&["nowhere.jsonl", "check the path"]);
    run(&["eval", "nowhere.jsonl"]).fails_with(&["nowhere.jsonl", "check the path"]);
    bench.run(&["index", "empty.jsonl"]).fails_with(&["empty.jsonl is empty"]);
    bench.run(&["index", "blank.csv"]).fails_with(&["blank.csv is empty"]);
    bench.run(&["index", "wrong.csv"]).fails_with(&[
        "wrong.csv has no column \"text\"",
        "subject, label",
        "--text-column",
    ]);
    run(&["eval", "bad.jsonl"]).fails_with(&["bad.jsonl:2", "not a JSON object"]);
    run(&["eval", "bare.jsonl"]).fails_with(&["bare.jsonl:1", "no \"intent\""]);
    run(&["classify", "  "]).fails_with(&["text number 1 is empty"]);
}

#[test]
fn invalid_utf8_costs_its_own_row_alone() {
    let bench = Bench::with_store();
    bench.write(
        "in.jsonl",
        b"{\"id\": \"a\", \"text\": \"thank you\"}\n{\"text\": \"caf\xe9\"}\n{\"id\": \"c\", \"text\": \"thanks\"}\n",
    );
    bench.write("in.csv", b"id,text\na,thank you\nb,caf\xe9\nc,thanks\n");
    for file in ["in.jsonl", "in.csv"] {
        let outcome = bench.run(&["classify", "--input", file, "--labeler", "vote", "--json"]);
        assert_eq!(outcome.code, 1);
        let lines = outcome.json_lines();
        assert_eq!(lines.len(), 3, "{file}");
        assert!(lines[1]["error"].as_str().unwrap().contains("invalid UTF-8"), "{}", lines[1]);
        assert!(lines[0]["intent"].is_string() && lines[2]["intent"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_five_megabyte_ticket_is_shortened_and_said_so() {
    let bench = Bench::with_store();
    let huge = format!("{{\"id\": \"big\", \"text\": \"{}\"}}\n", "My parcel is late. ".repeat(5_000_000 / 19));
    bench.write("big.jsonl", huge);
    let double = Double::answering(tagged("order_status")).await;
    let answer = double.run(&bench, &["classify", "--input", "big.jsonl", "--json"]).ok().json_lines().remove(0);
    assert_eq!(answer["intent"], "order_status");
    let note = answer["notes"][0].as_str().unwrap();
    assert!(note.contains("shortened from 49999") && note.contains("to 20000 characters"), "{note}");
    assert!(double.requests().await[0].body.len() < 100_000);
    let human = bench.run(&["classify", "--input", "big.jsonl", "--labeler", "vote"]).ok().stdout;
    assert!(human.contains("shortened"), "{human}");
}

#[test]
fn stores_that_cannot_be_used() {
    let bench = Bench::with_model();
    let ask = |bench: &Bench| bench.run(&["classify", "hello", "--labeler", "vote"]);
    ask(&bench).fails_with(&["no example store in .ticket-router", "ticket-router index FILE"]);
    bench
        .run(&["classify", "hello", "--labeler", "vote", "--store", "http://localhost:6334"])
        .fails_with(&["http://localhost:6334"]);

    bench.write("t.jsonl", small_tickets(9));
    bench.run(&["index", "t.jsonl"]).ok();
    let manifest = fs::read_dir(bench.store())
        .unwrap()
        .flatten()
        .map(|entry| entry.path().join("blobs/manifest.json"))
        .find(|path| path.is_file())
        .unwrap();
    let original = fs::read_to_string(&manifest).unwrap();

    fs::write(&manifest, original.replace("\"format\":1", "\"format\":2")).unwrap();
    ask(&bench).fails_with(&["format 2", "reads up to 1", "update ticket-router"]);
    bench.run(&["index", "t.jsonl"]).fails_with(&["format 2"]);

    fs::write(&manifest, original.replace("all-MiniLM-L6-v2", "some-other-model")).unwrap();
    ask(&bench).fails_with(&["some-other-model", "all-MiniLM-L6-v2", "use that embedder"]);

    let probe = original.find("\"probe\":[").unwrap() + 9;
    fs::write(&manifest, format!("{}0.5,{}", &original[..probe], &original[probe..].split_once(',').unwrap().1))
        .unwrap();
    ask(&bench).fails_with(&["the embedding of a fixed text differs"]);

    fs::write(&manifest, "{").unwrap();
    ask(&bench).fails_with(&["manifest cannot be read"]);
    fs::remove_file(&manifest).unwrap();
    ask(&bench).fails_with(&["has no manifest", "index again"]);

    fs::write(bench.store().join("CURRENT"), "generation-999999").unwrap();
    ask(&bench).fails_with(&["damaged", "generation-999999"]);
}

#[test]
fn a_store_in_use_is_waited_for_and_then_reported() {
    let bench = Bench::empty();
    bench.write("t.jsonl", small_tickets(9));
    bench.run(&["index", "t.jsonl"]).ok();
    let held = fs::File::options().append(true).open(bench.store().join("LOCK")).unwrap();
    held.lock().unwrap();
    let ask = ["classify", "my parcel", "--labeler", "vote"];
    let waiting = bench.command(&ask).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.run(&ask).fails_with(&["in use by another process", "waited 10 s"]);
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(1));

    let waiting = bench.command(&ask).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    held.unlock().unwrap();
    Outcome::of(waiting.wait_with_output().unwrap()).ok();
}

#[test]
fn a_missing_runtime_or_model_says_what_to_run() {
    let bench = Bench::with_model_and_store();
    let runtime = crate::fixture::repository().join(".runtime");
    let ask = |dir: &str| {
        let mut command = bench.command(&["classify", "hello", "--labeler", "vote", "--model-dir", dir]);
        Outcome::of(command.env("XDG_DATA_HOME", "nothing-here").output().unwrap())
    };
    ask("nowhere").fails_with(&["no ONNX runtime library in nowhere", "run scripts/setup"]);
    let half = bench.dir.path().join("half");
    crate::fixture::copy_dir(&runtime.join("lib"), &half.join("lib"));
    ask("half").fails_with(&["no model all-MiniLM-L6-v2 in half", "run scripts/setup"]);
    crate::fixture::copy_dir(&runtime.join("all-MiniLM-L6-v2"), &half.join("all-MiniLM-L6-v2"));
    ask("half").ok();
    fs::write(half.join("all-MiniLM-L6-v2/model.onnx"), "no model").unwrap();
    ask("half").fails_with(&["cannot be loaded", "run scripts/setup again"]);
    fs::remove_file(half.join("all-MiniLM-L6-v2/tokenizer.json")).unwrap();
    ask("half").fails_with(&["tokenizer.json"]);
    fs::write(half.join("lib/libonnxruntime.so"), "no library").unwrap();
    ask("half").fails_with(&["libonnxruntime.so cannot be loaded"]);
    bench
        .run(&["classify", "hello", "--labeler", "vote", "--embedder", "word2vec"])
        .fails_with(&["no embedder \"word2vec\"", "choose all-MiniLM-L6-v2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_addresses_that_do_not_work() {
    let bench = Bench::with_store();
    bench.run(&["classify", "hello"]).fails_with(&["ANTHROPIC_API_KEY", "--labeler vote"]);
    bench.run(&["eval", "whatever.jsonl"]).fails_with(&["ANTHROPIC_API_KEY"]);

    let double = Double::answering(error(401, "authentication_error", "invalid x-api-key")).await;
    double.run(&bench, &["classify", "hello"]).fails_with(&["401", "invalid x-api-key", "check ANTHROPIC_API_KEY"]);
    assert_eq!(double.requests().await.len(), 1);

    let unreachable = |url: &str, extra: Option<(&str, &str)>| {
        let mut command = bench.command(&["classify", "hello", "--json"]);
        command.env("ANTHROPIC_BASE_URL", url).env("ANTHROPIC_API_KEY", "k");
        if let Some((name, value)) = extra {
            command.env(name, value);
        }
        Outcome::of(command.output().unwrap())
    };
    let outcome = unreachable("http://127.0.0.1:9", None);
    assert_eq!(outcome.code, 1);
    let text = outcome.json_lines()[0]["error"].as_str().unwrap().to_owned();
    assert!(text.contains("127.0.0.1 cannot be reached") && text.contains("ANTHROPIC_BASE_URL"), "{text}");
    unreachable("not a url", None).fails_with(&["\"not a url\" is no URL"]);
    unreachable("http://127.0.0.1:9", Some(("ANTHROPIC_AUTH_TOKEN", "t")))
        .fails_with(&["both ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN"]);

    let mut command = bench.command(&["classify", "hello", "--ca-file", "ca.pem"]);
    bench.write("ca.pem", "no certificate");
    Outcome::of(command.env("ANTHROPIC_API_KEY", "k").output().unwrap())
        .fails_with(&["CA file ca.pem", "no certificate in PEM form"]);

    let garbage = Double::answering(wiremock::ResponseTemplate::new(200).set_body_string("<html>welcome</html>")).await;
    let outcome = garbage.run(&bench, &["classify", "hello", "--json"]);
    assert!(outcome.json_lines()[0]["error"].as_str().unwrap().contains("not the API's JSON"));
}

#[test]
fn wrong_settings_are_named() {
    let bench = Bench::with_store();
    bench.write("ticket-router.toml", "storre = \"x\"\n");
    bench.run(&["classify", "hello"]).fails_with(&["ticket-router.toml", "storre"]);
    bench.write("ticket-router.toml", "labeler = \"gpt\"\n");
    bench.run(&["classify", "hello"]).fails_with(&["no labeler \"gpt\"", "claude, vote or cascade"]);
    bench.write("ticket-router.toml", "");
    for wrong in [&["--min-confidence", "97"][..], &["-k", "0"], &["-k", "51"], &["--concurrency", "0"]] {
        assert_eq!(bench.run(&[&["classify", "hello", "--labeler", "vote"], wrong].concat()).code, 2, "{wrong:?}");
    }
    bench.write(
        "ticket-router.toml",
        "k = 0
",
    );
    bench.run(&["classify", "hello"]).fails_with(&["setting k is 0", "from 1 to 50"]);
    bench.write("ticket-router.toml", "");
    bench.run(&["classify", "hello", "--labeler", "vote", "--prompts", "nope"]).ok();
    bench.run(&["classify", "hello", "--dry-run", "--prompts", "nope"]).fails_with(&["prompts folder nope"]);
    let mut command = bench.command(&["classify", "hello", "--labeler", "vote"]);
    Outcome::of(command.env("TICKET_ROUTER_K", "five").output().unwrap()).fails_with(&["TICKET_ROUTER_K", "\"five\""]);
    for wrong in [&["classify"][..], &["classify", "--nonsense"], &["index"], &["eval"]] {
        assert_eq!(bench.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn rows_that_swallow_or_repeat_others_are_reported() {
    let bench = Bench::empty();
    bench.write("open.csv", "id,text,intent\n1,first,a\n2,\"I said hello,b\n3,third,a\n4,fourth,a\n");
    let outcome = bench.run(&["index", "open.csv"]).ok();
    assert!(outcome.stdout.contains("a quote is opened and never closed, so 2 further lines"), "{}", outcome.stdout);
    bench.write("twice.csv", "id,text,text\n1,a,b\n");
    bench.run(&["index", "twice.csv"]).fails_with(&["twice.csv has the column \"text\" twice"]);
    bench.write("array.json", "[{\"text\": \"a\", \"intent\": \"b\"}]");
    bench.run(&["index", "array.json"]).fails_with(&["array.json is a JSON array", "one object a line"]);
    bench.write("utf16.csv", b"\xff\xfet\0e\0x\0t\0");
    bench.run(&["index", "utf16.csv"]).fails_with(&["utf16.csv is UTF-16"]);
    bench.write("german.csv", "ticket;text;intent\nA-1;Wo ist mein Paket?;order\n");
    let outcome = bench.run(&["index", "german.csv", "--id-column", "ticket", "--store", "german"]).ok();
    assert!(outcome.stdout.contains("added 1"), "{}", outcome.stdout);
    let found = bench.run(&["classify", "Paket", "--store", "german", "--labeler", "vote", "--json"]).ok();
    assert_eq!(found.json_lines()[0]["neighbours"][0]["id"], "A-1");
}

#[test]
fn prune_never_takes_a_bad_row_for_one_that_is_gone() {
    let bench = Bench::empty();
    bench.write("t.jsonl", small_tickets(9));
    bench.run(&["index", "t.jsonl"]).ok();
    bench.write("bad.jsonl", small_tickets(9).replacen("\"intent\": \"order_status\"", "\"intent\": \"\"", 1));
    let refused = bench.run(&["index", "bad.jsonl", "--prune", "--json"]);
    assert_eq!(
        (refused.code, refused.json()["written"].as_bool(), refused.json()["total"].as_u64()),
        (1, Some(false), Some(9))
    );
    bench.write("header.csv", "id,text,intent\n");
    let refused = bench.run(&["index", "header.csv", "--prune", "--json"]);
    assert_eq!((refused.code, refused.json()["total"].as_u64()), (1, Some(9)));
}

#[test]
fn other_peoples_folders_and_files_are_left_alone() {
    let bench = Bench::empty();
    bench.write("t.jsonl", small_tickets(9));
    fs::create_dir_all(bench.dir.path().join("mine/generation-7")).unwrap();
    bench.run(&["index", "t.jsonl", "--store", "mine"]).fails_with(&["mine is no store and not empty", "generation-7"]);
    bench.run(&["index", "t.jsonl"]).ok();
    bench
        .run(&["classify", "--input", "t.jsonl", "--output", "t.jsonl", "--labeler", "vote"])
        .fails_with(&["--output is the file of --input"]);
    bench.write("old.txt", "an earlier result");
    bench
        .run(&["classify", "--input", "missing.jsonl", "--output", "old.txt", "--labeler", "vote"])
        .fails_with(&["missing.jsonl"]);
    assert_eq!(fs::read_to_string(bench.dir.path().join("old.txt")).unwrap(), "an earlier result");
    assert_eq!(fs::read_to_string(bench.dir.path().join("t.jsonl")).unwrap(), small_tickets(9));
}

#[test]
fn nothing_is_reported_to_anybody() {
    let bench = Bench::with_model_and_store();
    let cache = bench.dir.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let mut command = bench.command(&["classify", "hello", "--labeler", "vote"]);
    Outcome::of(command.env("XDG_CACHE_HOME", &cache).output().unwrap()).ok();
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0, "the runtime opened its database of usage events");
}
