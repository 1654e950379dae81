//! `ticket-router index`.

use std::io::Write as _;
use std::process::Stdio;

use ticket_router::Content as _;
use ticket_router::learn::index::{IndexOptions, IndexReport};

use crate::fixture::{Bench, Desk, Outcome, examples, small_tickets, without_times};

fn counts(outcome: &Outcome) -> [u64; 6] {
    let json = outcome.json();
    ["read", "added", "updated", "unchanged", "removed", "rejected"].map(|key| json[key].as_u64().unwrap())
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_embeds_nothing() {
    let desk = Desk::empty();
    let first = desk.index(&small_tickets(30)).await;
    assert_eq!((first.read, first.added, first.embedded, first.written), (30, 30, 30, true));
    let again = desk.index(&small_tickets(30)).await;
    let expected = IndexReport { read: 30, unchanged: 30, total: 30, ..IndexReport::default() };
    assert_eq!(again, expected);
}

#[tokio::test]
async fn a_changed_text_is_embedded_again_and_a_changed_intent_is_not() {
    // A change of one ticket in sixty is written in place, of one in three by a rebuild.
    for count in [3, 60] {
        let tickets = small_tickets(count);
        let desk = Desk::of(&tickets).await;
        let changed = tickets.replace("parcel number 0 needs", "zebra number 0 needs");
        let text = desk.index(&changed).await;
        assert_eq!((text.updated, text.embedded, text.unchanged), (1, 1, count - 1), "{count}");

        let relabelled = changed.replacen("order_status", "delivery_problem", 1);
        let label = desk.index(&relabelled).await;
        assert_eq!((label.updated, label.embedded, label.unchanged), (1, 0, count - 1), "{count}");

        let nearest = &desk.ask("My zebra needs attention").await.neighbours[0];
        assert_eq!((nearest.id.as_str(), nearest.intent.as_str()), ("S-0", "delivery_problem"));
        assert_eq!(desk.index(&relabelled).await.unchanged, count);
    }
}

#[tokio::test]
async fn prune_removes_what_the_files_no_longer_hold_in_this_source_alone() {
    for count in [6, 60] {
        let tickets = small_tickets(count);
        let desk = Desk::of(&tickets).await;
        let mail = IndexOptions { source: "mail".to_owned(), ..IndexOptions::default() };
        assert_eq!(
            desk.index_with(&tickets, &mail).await.added,
            count,
            "equal ids of another source are other tickets"
        );
        let fewer: String = tickets.lines().skip(2).map(|line| format!("{line}\n")).collect();
        let pruned = desk.index_with(&fewer, &IndexOptions { prune: true, ..IndexOptions::default() }).await;
        assert_eq!((pruned.unchanged, pruned.removed, pruned.rejected), (count - 2, 2, 0));
        assert_eq!(pruned.total, 2 * count - 2);
    }
}

#[test]
fn bad_rows_are_named_with_their_line_and_the_rest_goes_on() {
    let bench = Bench::empty();
    let rows = "{\"id\": \"1\", \"text\": \"a parcel\", \"intent\": \"order_status\"}\n\
                not json\n\
                {\"id\": \"2\", \"intent\": \"order_status\"}\n\
                {\"id\": \"3\", \"text\": \"a parrot\", \"intent\": \"birds\"}\n\
                {\"id\": \"4\", \"text\": \"no label\"}\n\
                {\"id\": \"1\", \"text\": \"another parcel\", \"intent\": \"order_status\"}\n\
                {\"id\": \"5\", \"text\": \"when\", \"intent\": \"order_status\", \"created_at\": \"yesterday\"}\n";
    bench.write("t.jsonl", rows);
    let taxonomy = examples("taxonomy.toml");
    let args = ["index", "t.jsonl", "--taxonomy", taxonomy.to_str().unwrap()];
    let strict = bench.run(&[&args[..], &["--strict", "--json"]].concat());
    assert_eq!(
        (strict.code, strict.json()["written"].as_bool(), strict.json()["total"].as_u64()),
        (1, Some(false), Some(0))
    );

    let outcome = bench.run(&[&args[..], &["--json"]].concat()).ok();
    assert_eq!(counts(&outcome), [7, 1, 0, 0, 0, 6]);
    let errors = outcome.json()["errors"].as_array().unwrap().clone();
    let expected = [
        ("t.jsonl:2", "not a JSON object"),
        ("t.jsonl:3", "no \"text\""),
        ("t.jsonl:4", "\"birds\" is not in the taxonomy"),
        ("t.jsonl:5", "no \"intent\""),
        ("t.jsonl:6", "the id \"1\" stands for another ticket in t.jsonl:1"),
        ("t.jsonl:7", "not RFC 3339"),
    ];
    for (error, (place, message)) in errors.iter().zip(expected) {
        assert_eq!(error["place"], place);
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    let human = bench.run(&args).ok().stdout;
    assert!(human.contains("rejected t.jsonl:2: not a JSON object"), "{human}");
}

#[test]
fn csv_tsv_and_standard_input_give_the_same_store() {
    let csv = "id,body,label\n1,\"a parcel, late\",order\n2,\"my\npassword\",password\n";
    let tsv = "id\tbody\tlabel\n1\ta parcel, late\torder\n2\tmy password\tpassword\n";
    let columns = ["--text-column", "body", "--intent-column", "label", "--json"];
    let bench = Bench::empty();
    bench.write("t.csv", csv);
    let outcome = bench.run(&[&["index", "t.csv"], &columns[..]].concat()).ok();
    assert_eq!(counts(&outcome)[1], 2);

    let mut child = bench
        .command(&[&["index", "-"], &columns[..]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tsv.as_bytes()).unwrap();
    let outcome = Outcome::of(child.wait_with_output().unwrap()).ok();
    assert_eq!(counts(&outcome), [2, 0, 1, 1, 0, 0], "only the line break differs");
}

#[tokio::test]
async fn an_alias_is_indexed_under_its_intent() {
    let taxonomy = "[[intent]]\nname = \"Refund/Exchange\"\naliases = [\"refund\"]\n[[intent]]\nname = \"b\"\n";
    let desk = Desk::with_taxonomy("text,intent\nmoney back please,REFUND\nhello,b\n", taxonomy).await;
    assert_eq!(desk.store.intents().await.unwrap(), [("Refund/Exchange".to_owned(), 1), ("b".to_owned(), 1)]);
}

#[test]
fn the_same_store_answers_with_the_same_bytes_and_a_rebuilt_one_decides_alike() {
    let bench = Bench::with_store();
    let heldout = examples("heldout.jsonl");
    let args = ["classify", "--input", heldout.to_str().unwrap(), "--labeler", "vote", "--json"];
    let lines =
        |bench: &Bench| -> Vec<_> { bench.run(&args).ok().json_lines().into_iter().map(without_times).collect() };
    let first = lines(&bench);
    assert_eq!(first, lines(&bench));

    let rebuilt = Bench::empty();
    let (tickets, taxonomy) = (examples("tickets.jsonl"), examples("taxonomy.toml"));
    rebuilt.run(&["index", tickets.to_str().unwrap(), "--taxonomy", taxonomy.to_str().unwrap()]).ok();
    let other = lines(&rebuilt);
    let same = first.iter().zip(&other).filter(|(a, b)| a["decision"] == b["decision"] && a["intent"] == b["intent"]);
    assert!(same.count() * 1000 >= first.len() * 995);
}
