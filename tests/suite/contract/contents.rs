//! Blobs, and contents that are built anew.

use std::time::{Duration, Instant};

use ticket_router::data::example::Point;
use ticket_router::store::{MANIFEST_BLOB, Query, RebuildOptions, Revision, TAXONOMY_BLOB};

use super::Place;
use super::data::{DIMENSION, all, example, ids, near, point, points};

fn options() -> RebuildOptions {
    RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() }
}

/// What is served, and what was replaced a moment ago.
fn few_contents(place: &dyn Place) -> bool {
    place.contents().is_none_or(|contents| contents <= 1 + place.replaced())
}

pub async fn blobs_are_kept_byte_for_byte(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.blob("note").await.unwrap(), None);
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for content in [b"first".to_vec(), every_byte, vec![], large.clone()] {
        store.put_blob("note", content.clone()).await.unwrap();
        assert!(store.blob("note").await.unwrap() == Some(content));
    }
    store.put_blob(MANIFEST_BLOB, b"{}".to_vec()).await.unwrap();
    assert_eq!(store.blob(MANIFEST_BLOB).await.unwrap().unwrap(), b"{}");
    assert!(store.blob("note").await.unwrap() == Some(large), "another blob changes nothing");
    assert_eq!(store.blob(TAXONOMY_BLOB).await.unwrap(), None);
}

pub async fn blobs_are_no_examples(place: &dyn Place) {
    let store = place.open().await;
    for n in 0..20 {
        store.put_blob(&format!("blob {n}"), b"ticket word0 of a".to_vec()).await.unwrap();
    }
    assert_eq!((store.count().await.unwrap(), all(store.as_ref()).await.len()), (0, 0));
    let points = points(5, "a");
    store.upsert(points.clone()).await.unwrap();
    assert_eq!((store.count().await.unwrap(), all(store.as_ref()).await.len()), (5, 5));
    let (page, next) = store.scroll(None, 5, false).await.unwrap();
    assert_eq!((page.len(), next), (5, None));
    assert_eq!(store.intents().await.unwrap(), [("a".to_owned(), 5)]);
    for exact in [true, false] {
        let exclude = vec![points[0].example.key];
        let hits = store.query(Query { exact, exclude, ..near(&points[0], 30) }).await.unwrap();
        assert_eq!((hits.dense.len(), hits.sparse.len()), (4, 4));
    }
    assert_eq!(store.relabel("a", "b").await.unwrap(), 5);
    store.delete(points.iter().map(|point| point.example.key).collect()).await.unwrap();
    assert_eq!(store.blob("blob 19").await.unwrap().unwrap(), b"ticket word0 of a");
}

pub async fn blobs_that_are_written_at_once_stay_whole(place: &dyn Place) {
    let store = place.open().await;
    for _ in 0..5 {
        let writing = (0..8_u8).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { store.put_blob("note", vec![writer; 200_000 + usize::from(writer)]).await })
        });
        for done in futures::future::join_all(writing).await {
            done.unwrap().unwrap();
        }
        let found = store.blob("note").await.unwrap().unwrap();
        assert_eq!(found.len(), 200_000 + usize::from(found[0]));
        assert!(found.iter().all(|byte| *byte == found[0]));
    }
}

pub async fn readers_see_the_old_content_until_a_rebuild_is_committed(place: &dyn Place) {
    let store = place.open().await;
    let reader = place.beside(&store).await;
    let old = points(10, "old");
    store.upsert(old.clone()).await.unwrap();
    store.put_blob("note", b"old".to_vec()).await.unwrap();
    store.put_blob("of the old alone", b"x".to_vec()).await.unwrap();

    let mut next = store.rebuild(options()).await.unwrap();
    assert_eq!(next.blob("note").await.unwrap(), None, "a new content is empty");
    next.upsert(points(6, "new")).await.unwrap();
    next.put_blob("note", b"new".to_vec()).await.unwrap();
    assert_eq!(next.blob("note").await.unwrap().unwrap(), b"new");
    for store in [&store, &reader] {
        assert_eq!(store.intents().await.unwrap(), [("old".to_owned(), 10)]);
        assert_eq!(store.blob("note").await.unwrap().unwrap(), b"old");
        assert_eq!(store.query(near(&old[9], 1)).await.unwrap().dense[0].example.labelled.intent, "old");
    }
    next.commit().await.unwrap();
    for store in [&store, &reader] {
        assert_eq!((store.count().await.unwrap(), all(store.as_ref()).await.len()), (6, 6));
        assert_eq!(store.intents().await.unwrap(), [("new".to_owned(), 6)]);
        assert_eq!(store.blob("note").await.unwrap().unwrap(), b"new");
        assert_eq!(store.blob("of the old alone").await.unwrap(), None);
        assert_eq!(store.query(near(&old[9], 10)).await.unwrap().dense.len(), 6);
    }
    assert!(few_contents(place), "the old content stays: {:?}", place.contents());
    store.upsert(vec![point(example("more", "written after it", "new"))]).await.unwrap();
    assert_eq!(reader.count().await.unwrap(), 7);
}

pub async fn a_rebuild_that_is_dropped_leaves_nothing(place: &dyn Place) {
    let store = place.open().await;
    store.upsert(points(10, "old")).await.unwrap();
    let mut next = store.rebuild(options()).await.unwrap();
    next.upsert(points(6, "new")).await.unwrap();
    drop(next);
    assert_eq!(store.intents().await.unwrap(), [("old".to_owned(), 10)]);
    // A server is told of it in the background.
    let begun = Instant::now();
    while !few_contents(place) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?} contents", place.contents());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.intents().await.unwrap(), [("old".to_owned(), 10)]);
}

pub async fn a_named_rebuild_goes_on_where_it_was(place: &dyn Place) {
    let named = |name: &str| RebuildOptions { points: 150_000, resume: Some(name.to_owned()), ..options() };
    let written: Vec<Point> = points(20, "new");
    let store = place.open().await;
    store.upsert(points(10, "old")).await.unwrap();
    let mut next = store.rebuild(named("a copy")).await.unwrap();
    next.upsert(written[..12].to_vec()).await.unwrap();
    next.put_blob("progress", b"12".to_vec()).await.unwrap();
    drop((next, store));
    place.restart();

    let store = place.open().await;
    assert_eq!(store.intents().await.unwrap(), [("old".to_owned(), 10)]);
    let mut next = store.rebuild(named("a copy")).await.unwrap();
    assert_eq!(next.blob("progress").await.unwrap().unwrap(), b"12");
    next.upsert(written[12..].to_vec()).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [("new".to_owned(), 20)]);

    let mut unfinished = store.rebuild(named("a copy")).await.unwrap();
    assert_eq!(unfinished.blob("progress").await.unwrap(), None, "the finished one is not gone on with");
    unfinished.upsert(written[..3].to_vec()).await.unwrap();
    unfinished.put_blob("progress", b"3".to_vec()).await.unwrap();
    drop(unfinished);
    // One of another name begins anew, and the other one is over.
    let mut other = store.rebuild(named("another copy")).await.unwrap();
    assert_eq!(other.blob("progress").await.unwrap(), None);
    other.upsert(written[..1].to_vec()).await.unwrap();
    other.commit().await.unwrap();
    assert_eq!(store.count().await.unwrap(), 1);
    assert!(few_contents(place), "{:?} contents", place.contents());
}

pub async fn a_rebuild_may_change_the_dimension(place: &dyn Place) {
    let store = place.open().await;
    store.upsert(points(3, "old")).await.unwrap();
    let mut next = store.rebuild(RebuildOptions { dimension: 4, ..options() }).await.unwrap();
    let mut short = point(example("short", "a short vector", "new"));
    short.dense = vec![0.0, 0.6, 0.0, 0.8];
    next.upsert(vec![short.clone()]).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(store.info().await.unwrap().dimension, 4);
    assert_eq!(ids(&store.query(near(&short, 5)).await.unwrap().dense), ["short"]);
    let refused = store.upsert(points(1, "long")).await.unwrap_err().to_string();
    assert!(refused.contains("26") && refused.contains('4'), "{refused}");
}

pub async fn a_rebuild_that_expects_many_holds_the_few_it_gets(place: &dyn Place) {
    let store = place.open().await;
    let mut next = store.rebuild(RebuildOptions { points: 150_000, ..options() }).await.unwrap();
    let few = points(40, "a");
    for chunk in few.chunks(7) {
        next.upsert(chunk.to_vec()).await.unwrap();
    }
    // What came before is replaced, wherever it is.
    next.upsert(few[..9].to_vec()).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!((store.count().await.unwrap(), all(store.as_ref()).await.len()), (40, 40));
    let hits = store.query(Query { exact: false, ..near(&few[3], 40) }).await.unwrap();
    assert_eq!((hits.dense.len(), hits.sparse.len(), ids(&hits.dense)[0]), (40, 40, "n3"));
}

pub async fn a_snapshot_stays_what_it_was_while_the_store_goes_on(place: &dyn Place) {
    let store = place.open().await;
    store.upsert(points(10, "old")).await.unwrap();
    store.put_blob("note", b"old".to_vec()).await.unwrap();
    let mut revisions = store.revisions();
    let held = store.snapshot().await.unwrap();
    assert_eq!(held.generation, store.info().await.unwrap().content);

    let mut next = store.rebuild(options()).await.unwrap();
    next.upsert(points(6, "new")).await.unwrap();
    next.commit().await.unwrap();
    let current = store.snapshot().await.unwrap();
    assert_ne!(current.generation, held.generation);
    revisions.wait_for(|revision| revision.generation == current.generation).await.unwrap();
    assert_eq!(current.content.intents().await.unwrap(), [("new".to_owned(), 6)]);
    assert_eq!(held.content.intents().await.unwrap(), [("old".to_owned(), 10)]);
    assert_eq!(held.content.blob("note").await.unwrap().unwrap(), b"old");
    assert_eq!(ids(&held.content.query(near(&points(1, "old")[0], 1)).await.unwrap().dense), ["n0"]);
    // And through one more rebuild, which clears up.
    let next = store.rebuild(options()).await.unwrap();
    assert_eq!(current.content.count().await.unwrap(), 6);
    drop(next);
}

pub async fn small_changes_during_a_rebuild_are_in_its_content(place: &dyn Place) {
    let store = place.open().await;
    let beside = place.beside(&store).await;
    let old = points(10, "a");
    store.upsert(old.clone()).await.unwrap();
    store.put_blob("note", b"old".to_vec()).await.unwrap();
    store.put_blob(TAXONOMY_BLOB, b"old".to_vec()).await.unwrap();

    let mut next = store.rebuild(options()).await.unwrap();
    // All as it was, then what others change, then what the rebuild knows of by then.
    next.upsert(old.clone()).await.unwrap();
    let mut changed = old[0].example.clone();
    changed.labelled.ticket.language = Some("de".into());
    beside.update(vec![changed.clone()]).await.unwrap();
    beside.delete(vec![old[1].example.key]).await.unwrap();
    beside.upsert(vec![point(example("learned", "learned meanwhile", "b"))]).await.unwrap();
    assert_eq!(beside.relabel("a", "c").await.unwrap(), 9);
    beside.upsert(vec![point(example("late", "learned after the rename", "a"))]).await.unwrap();
    beside.put_blob("note", b"new".to_vec()).await.unwrap();
    beside.put_blob(TAXONOMY_BLOB, b"new".to_vec()).await.unwrap();
    next.put_blob(TAXONOMY_BLOB, b"the rebuild's".to_vec()).await.unwrap();
    let wanted = [("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 9)];
    assert_eq!(store.intents().await.unwrap(), wanted, "what is served has them at once");
    next.commit().await.unwrap();

    assert_eq!(store.intents().await.unwrap(), wanted);
    let stored = all(store.as_ref()).await;
    let found = stored.iter().find(|stored| stored.example.key == changed.key).unwrap();
    assert_eq!((found.example.labelled.ticket.language.as_deref(), &*found.example.labelled.intent), (Some("de"), "c"));
    let learned = point(example("learned", "learned meanwhile", "b"));
    let hits = store.query(near(&learned, 1)).await.unwrap();
    assert_eq!((ids(&hits.dense), ids(&hits.sparse)), (vec!["learned"], vec!["learned"]));
    assert_eq!(store.blob("note").await.unwrap().unwrap(), b"new");
    assert_eq!(store.blob(TAXONOMY_BLOB).await.unwrap().unwrap(), b"the rebuild's");
    assert!(store.revisions().borrow().changes >= 4, "they count as changes of the new content");
    // Nothing of it is left for the next one.
    let mut again = store.rebuild(options()).await.unwrap();
    again.upsert(points(3, "d")).await.unwrap();
    again.commit().await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [("d".to_owned(), 3)]);
}

pub async fn a_second_rebuild_waits_for_the_first(place: &dyn Place) {
    let store = place.open().await;
    let beside = place.beside(&store).await;
    let mut first = store.rebuild(options()).await.unwrap();
    first.upsert(points(5, "first")).await.unwrap();
    let second = tokio::spawn(async move {
        let mut second = beside.rebuild(options()).await.unwrap();
        let seen = beside.intents().await.unwrap();
        second.upsert(points(6, "second")).await.unwrap();
        second.commit().await.unwrap();
        seen
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished());
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), [("first".to_owned(), 5)], "it begins when the first one is served");
    assert_eq!(store.intents().await.unwrap(), [("second".to_owned(), 6)]);
    // One that is given up lets the next one in.
    drop(store.rebuild(options()).await.unwrap());
    drop(store.rebuild(options()).await.unwrap());
}

pub async fn every_change_changes_the_revision(place: &dyn Place) {
    let store = place.open().await;
    let written = points(4, "a");
    let mut revisions = store.revisions();
    let mut next = async |what: &str| {
        revisions.changed().await.unwrap();
        let revision = revisions.borrow_and_update().clone();
        (revision.changes, revision.tag(what).unwrap().to_owned())
    };
    store.upsert(written.clone()).await.unwrap();
    let (changes, first) = next(Revision::EXAMPLES).await;
    assert_eq!(changes, 4);
    assert_eq!(store.relabel("a", "b").await.unwrap(), 4);
    let (changes, second) = next(Revision::EXAMPLES).await;
    assert_eq!(changes, 8);
    assert_ne!(first, second);
    store.delete(vec![written[0].example.key]).await.unwrap();
    assert_eq!(next(Revision::EXAMPLES).await.0, 9);
    store.put_blob(TAXONOMY_BLOB, b"{}".to_vec()).await.unwrap();
    let (changes, _) = next(TAXONOMY_BLOB).await;
    assert_eq!(changes, 9);
}
