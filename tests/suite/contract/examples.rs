//! What is written and read back.

use ticket_router::data::example::Point;
use ticket_router::input::{self, InputOptions};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::store::{Query, RebuildOptions};

use super::data::{DIMENSION, all, close, example, full_example, ids, keys, near, point, points};
use super::{Place, unknown_key};
use crate::library::Letters;

pub async fn a_new_store_is_empty(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.count().await.unwrap(), 0);
    assert_eq!(store.intents().await.unwrap(), []);
    let (page, next) = store.scroll(None, 10, true).await.unwrap();
    assert!(page.is_empty() && next.is_none());
    let hits = store.query(near(&points(1, "a")[0], 5)).await.unwrap();
    assert!(hits.dense.is_empty() && hits.sparse.is_empty());
    assert_eq!(store.relabel("a", "b").await.unwrap(), 0);
}

pub async fn writing_the_same_again_changes_nothing(place: &dyn Place) {
    let store = place.open().await;
    store.upsert(points(20, "a")).await.unwrap();
    let query = || near(&points(1, "a")[0], 20);
    let before = store.query(query()).await.unwrap();
    store.upsert(points(20, "a")).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 20);
    assert_eq!(store.intents().await.unwrap(), [("a".to_owned(), 20)]);
    let after = store.query(query()).await.unwrap();
    assert_eq!(ids(&after.dense), ids(&before.dense));
    // Written twice, a word must not count as twice as common.
    for (before, after) in [(&before.dense, &after.dense), (&before.sparse, &after.sparse)] {
        let scores = |hits: &[ticket_router::store::Hit]| hits.iter().map(|hit| hit.score).collect::<Vec<_>>();
        assert!(close(&scores(before), &scores(after)), "{:?} {:?}", scores(before), scores(after));
    }
}

pub async fn an_upsert_replaces_what_was_there(place: &dyn Place) {
    let store = place.open().await;
    let old = point(example("x", "the parcel is late", "delivery"));
    let new = point(example("x", "an invoice please", "billing"));
    store.upsert(vec![old.clone()]).await.unwrap();
    store.upsert(vec![new.clone()]).await.unwrap();
    let stored = all(store.as_ref()).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].example, new.example);
    assert!(close(stored[0].dense.as_ref().unwrap(), &new.dense));
    let found = store.query(near(&old, 5)).await.unwrap();
    assert!(found.sparse.is_empty(), "the words of the old text are gone");
    assert_eq!(store.query(near(&new, 5)).await.unwrap().sparse.len(), 1);
    assert_eq!(store.intents().await.unwrap(), [("billing".to_owned(), 1)]);
}

pub async fn an_update_replaces_the_payload_and_keeps_the_vectors(place: &dyn Place) {
    let store = place.open().await;
    let full = point(full_example("f"));
    store.upsert(vec![full.clone(), point(example("other", "untouched", "b"))]).await.unwrap();
    let mut changed = full.example.clone();
    changed.labelled.intent = "a".into();
    changed.labelled.ticket.language = None;
    changed.labelled.ticket.attributes.remove("urgency");
    store.update(vec![changed.clone()]).await.unwrap();
    let stored = all(store.as_ref()).await;
    let found = stored.iter().find(|stored| stored.example.key == changed.key).unwrap();
    assert_eq!(found.example, changed, "what an example no longer has goes");
    assert!(close(found.dense.as_ref().unwrap(), &full.dense));
    let hits = store.query(near(&full, 1)).await.unwrap();
    assert_eq!((ids(&hits.dense), ids(&hits.sparse)), (vec!["f"], vec!["f"]));
    assert_eq!(hits.dense[0].example.labelled.intent, "a");
    assert_eq!(store.intents().await.unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
}

pub async fn deleted_examples_are_gone_and_unknown_keys_are_no_error(place: &dyn Place) {
    let store = place.open().await;
    let points = points(10, "a");
    store.upsert(points.clone()).await.unwrap();
    store.delete(vec![unknown_key(), points[3].example.key, points[4].example.key]).await.unwrap();
    store.delete(vec![points[3].example.key]).await.unwrap();
    store.delete(vec![]).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 8);
    assert_eq!(store.intents().await.unwrap(), [("a".to_owned(), 8)]);
    let hits = store.query(near(&points[3], 10)).await.unwrap();
    assert_eq!((hits.dense.len(), hits.sparse.len()), (8, 8));
    assert!(!ids(&hits.dense).contains(&"n3") && !ids(&hits.sparse).contains(&"n4"));
    assert!(!keys(store.as_ref()).await.contains(&points[3].example.key));
}

pub async fn pages_come_in_the_order_of_keys_and_hold_everything_once(place: &dyn Place) {
    let store = place.open().await;
    // Two whole pages of `all`, so that an empty third one would show.
    let mut points = points(13, "a");
    points.push(point(full_example("full")));
    store.upsert(points.clone()).await.unwrap();
    points.sort_by_key(|point| point.example.key);

    let stored = all(store.as_ref()).await;
    assert_eq!(stored.len(), points.len());
    for (stored, point) in stored.iter().zip(&points) {
        assert_eq!(stored.example, point.example);
        assert!(close(stored.dense.as_ref().unwrap(), &point.dense));
    }
    let (page, next) = store.scroll(None, 7, false).await.unwrap();
    assert!(page.iter().all(|stored| stored.dense.is_none()), "nobody asked for vectors");
    assert_eq!(next, Some(points[7].example.key));
    let (page, next) = store.scroll(next, 7, false).await.unwrap();
    assert_eq!((page.len(), page[0].example.key, next), (7, points[7].example.key, None));
    let (page, next) = store.scroll(Some(points[5].example.key), 100, false).await.unwrap();
    assert_eq!((page.len(), next), (9, None));
}

pub async fn intents_are_counted_in_alphabetical_order(place: &dyn Place) {
    let store = place.open().await;
    // More than a facet of Qdrant lists unless it is told to.
    let mut expected: Vec<(String, usize)> = (0..30).map(|n| (format!("intent {n:02}"), n % 3 + 1)).collect();
    let mut written = Vec::new();
    for (intent, count) in &expected {
        written.extend((0..*count).map(|n| point(example(&format!("{intent}-{n}"), &format!("{intent} {n}"), intent))));
    }
    written.push(point(example("odd", "odd", "Support, Feedback/Complaint \u{1f642}")));
    expected.insert(0, ("Support, Feedback/Complaint \u{1f642}".to_owned(), 1));
    store.upsert(written).await.unwrap();
    assert_eq!(store.intents().await.unwrap(), expected);
}

pub async fn a_relabel_changes_exactly_one_intent(place: &dyn Place) {
    let store = place.open().await;
    let other = point(full_example("other"));
    let similar = point(example("similar", "a text", "a b"));
    store.upsert(points(40, "a")).await.unwrap();
    store.upsert(vec![other.clone(), similar.clone()]).await.unwrap();
    let before = all(store.as_ref()).await;
    assert_eq!(store.relabel("a", "a b").await.unwrap(), 40);
    assert_eq!(store.relabel("a", "a b").await.unwrap(), 0);
    for (before, mut after) in before.into_iter().zip(all(store.as_ref()).await) {
        if before.example.labelled.intent == "a" {
            assert_eq!(std::mem::replace(&mut after.example.labelled.intent, "a".into()), "a b");
        }
        assert_eq!(after.example, before.example);
        assert!(close(&after.dense.unwrap(), &before.dense.unwrap()));
    }
    assert_eq!(store.intents().await.unwrap(), [("Refund/Exchange".to_owned(), 1), ("a b".to_owned(), 41)]);
}

pub async fn an_index_run_with_prune_takes_out_what_the_files_no_longer_hold(place: &dyn Place) {
    let store = place.open().await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("tickets.jsonl");
    let run = async |rows: &[(&str, &str)], source: &str, prune: bool| {
        let line =
            |(id, text): &(&str, &str)| format!("{{\"id\": \"{id}\", \"text\": \"{text}\", \"intent\": \"i\"}}\n");
        std::fs::write(&file, rows.iter().map(line).collect::<String>()).unwrap();
        let rows = input::read(&file, &InputOptions::default()).unwrap();
        let options = IndexOptions { source: source.to_owned(), prune, ..IndexOptions::default() };
        let report = index(store.as_ref(), &Letters, rows, &options, &|_, _| {}).await.unwrap();
        (report.added, report.updated, report.unchanged, report.removed, report.total)
    };
    let many: Vec<(String, String)> = (0..60).map(|n| (format!("m{n}"), format!("a text {n}"))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    assert_eq!(run(&many, "", false).await, (60, 0, 0, 0, 60));
    assert_eq!(run(&[("m1", "of another desk")], "second", false).await, (1, 0, 0, 0, 61));
    // Few changes go in place, many through a rebuild.
    assert_eq!(run(&many[..58], "", true).await, (0, 0, 58, 2, 59));
    assert_eq!(run(&[("m0", "a text 0"), ("m1", "changed")], "", true).await, (0, 1, 1, 56, 3));
    assert_eq!(run(&[("m0", "a text 0"), ("m1", "changed")], "", true).await, (0, 0, 2, 0, 3));
    let mut found: Vec<String> =
        all(store.as_ref()).await.into_iter().map(|s| s.example.labelled.ticket.text).collect();
    found.sort();
    assert_eq!(found, ["a text 0", "changed", "of another desk"]);
}

pub async fn what_was_acknowledged_is_there_after_reopening(place: &dyn Place) {
    let store = place.open().await;
    let points = points(30, "a");
    store.upsert(points.clone()).await.unwrap();
    store.delete(vec![points[0].example.key]).await.unwrap();
    store.relabel("a", "b").await.unwrap();
    let mut changed = points[1].example.clone();
    changed.labelled.intent = "c".into();
    store.update(vec![changed]).await.unwrap();
    store.put_blob("note", b"kept".to_vec()).await.unwrap();
    drop(store);
    place.restart();

    let store = place.open().await;
    assert_eq!(store.count().await.unwrap(), 29);
    assert_eq!(store.intents().await.unwrap(), [("b".to_owned(), 28), ("c".to_owned(), 1)]);
    assert_eq!(store.blob("note").await.unwrap().unwrap(), b"kept");
    let hits = store.query(Query { limit: 1, ..near(&points[9], 1) }).await.unwrap();
    assert_eq!((ids(&hits.dense), ids(&hits.sparse)), (vec!["n9"], vec!["n9"]));
    let info = store.info().await.unwrap();
    assert_eq!(info.dimension, super::DIMENSION);
    assert!([&info.engine, &info.content, &info.location].iter().all(|part| !part.is_empty()), "{info:?}");
}

pub async fn changes_after_much_was_written_stay(place: &dyn Place) {
    // Several files of the embedded engine's log, which are removed when a content is committed and when it is
    // opened. An engine that then counted its operations from the start would take later ones for old.
    let words = "a long ticket ".repeat(15_000);
    let long = |n: usize| {
        // To look for the words of so long a text would take longer than all the rest.
        let mut point = point(example(&format!("n{n}"), &format!("number{n}"), "a"));
        point.example.labelled.ticket.text = format!("{n} {words}");
        point
    };
    let much: Vec<Point> = (0..120).map(long).collect();
    let store = place.open().await;
    let mut next = store.rebuild(RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() }).await.unwrap();
    for point in &much[..60] {
        next.upsert(vec![point.clone()]).await.unwrap();
    }
    next.commit().await.unwrap();
    for point in &much[60..] {
        store.upsert(vec![point.clone()]).await.unwrap();
    }
    drop(store);
    let store = place.open().await;
    let mut changed = much[119].example.clone();
    changed.labelled.intent = "b".into();
    store.update(vec![changed]).await.unwrap();
    store.delete(vec![much[0].example.key, much[118].example.key]).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.intents().await.unwrap(), [("a".to_owned(), 117), ("b".to_owned(), 1)]);
}
