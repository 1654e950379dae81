//! Many readers beside one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ticket_router::ExampleStore;
use ticket_router::store::RebuildOptions;

use super::Place;
use super::data::{DIMENSION, near, points};

const READERS: usize = 4;

/// The content of a round: as many examples as its number says, all of one intent.
fn size(round: usize) -> usize {
    40 + 10 * round
}

/// One look at the store by all that reads it; each must see one whole content.
async fn look(store: &dyn ExampleStore) {
    let whole = |kind: &str, intents: &mut dyn Iterator<Item = String>| {
        let intents: Vec<String> = intents.collect();
        let round = intents[0].parse().unwrap();
        assert!(intents.iter().all(|intent| *intent == intents[0]), "{kind}: {intents:?}");
        assert_eq!(intents.len(), size(round), "{kind} of {round}");
    };
    let hits = store.query(near(&points(1, "0")[0], 1_000)).await.unwrap();
    whole("dense", &mut hits.dense.iter().map(|hit| hit.example.labelled.intent.clone()));
    whole("sparse", &mut hits.sparse.iter().map(|hit| hit.example.labelled.intent.clone()));
    let (page, next) = store.scroll(None, 1_000, true).await.unwrap();
    assert_eq!(next, None);
    whole("scroll", &mut page.into_iter().map(|stored| stored.example.labelled.intent));
    let intents = store.intents().await.unwrap();
    assert_eq!(intents.len(), 1, "{intents:?}");
    assert_eq!(intents[0].1, size(intents[0].0.parse().unwrap()));
    let count = store.count().await.unwrap();
    assert!((0..100).any(|round| size(round) == count), "{count}");
    let note = store.blob("round").await.unwrap().unwrap();
    assert!(String::from_utf8(note).unwrap().parse::<usize>().is_ok());
}

pub async fn readers_see_whole_contents_while_rebuilds_switch(place: &dyn Place) {
    let store = place.open().await;
    fill(store.as_ref(), 0).await;
    let (done, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let (reader, done, looks) = (place.beside(&store).await, Arc::clone(&done), Arc::clone(&looks));
        readers.push(tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                look(reader.as_ref()).await;
                looks.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for round in 1..6 {
        let before = looks.load(Ordering::Relaxed);
        fill(store.as_ref(), round).await;
        // Each content is looked at.
        while looks.load(Ordering::Relaxed) < before + READERS
            && !readers.iter().any(tokio::task::JoinHandle::is_finished)
        {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

async fn fill(store: &dyn ExampleStore, round: usize) {
    let options = RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() };
    let mut next = store.rebuild(options).await.unwrap();
    for part in points(size(round), &round.to_string()).chunks(15) {
        next.upsert(part.to_vec()).await.unwrap();
    }
    next.put_blob("round", round.to_string().into_bytes()).await.unwrap();
    next.commit().await.unwrap();
}

pub async fn readers_are_served_while_examples_are_written(place: &dyn Place) {
    const ALL: usize = 200;
    let store = place.open().await;
    let written = points(ALL, "a");
    store.upsert(written[..20].to_vec()).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let (reader, first) = (place.beside(&store).await, written[0].clone());
        readers.push(tokio::spawn(async move {
            let mut seen = 20;
            while seen < ALL {
                let count = reader.count().await.unwrap();
                assert!(count >= seen, "{count} after {seen}: what was seen stays seen");
                seen = count;
                let hits = reader.query(near(&first, 20)).await.unwrap();
                assert_eq!((hits.dense.len(), hits.sparse.len()), (20, 20));
                assert_eq!(hits.dense[0].example.key, first.example.key);
                let page = reader.scroll(None, 1_000, true).await.unwrap().0;
                assert!(page.len() >= seen && page.iter().all(|stored| stored.dense.is_some()));
            }
        }));
    }
    for part in written[20..].chunks(12) {
        store.upsert(part.to_vec()).await.unwrap();
        // What was acknowledged is seen by all.
        let last = &part[part.len() - 1];
        let found = place.beside(&store).await.query(near(last, 1)).await.unwrap();
        assert_eq!(found.dense[0].example.key, last.example.key);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}
