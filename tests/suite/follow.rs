//! Readers that run while others write: what is learned, renamed and rebuilt reaches them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use ticket_router::data::evidence::Candidate;
use ticket_router::input::{self, InputOptions};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::learn::learner::{Learner, fold_in};
use ticket_router::learn::relabel::{Change, relabel};
use ticket_router::pipeline::{Retriever, Scope};
use ticket_router::store::{Reader, ServerStore, manifest_of};
use ticket_router::{
    Content as _, EdgeStore, Embedder, ErrorKind, ExampleStore, LabelledTicket, Result, Taxonomy, Ticket,
};

use crate::contract::data::{DIMENSION, points};
use crate::library::Letters;
use crate::qdrant_double::QdrantDouble;

const CLOSED: &str = "[[intent]]\nname = \"order\"\naliases = [\"parcel\"]\n[[intent]]\nname = \"fox\"\n";

/// [`Letters`] by another name.
struct Others;

#[async_trait]
impl Embedder for Others {
    fn name(&self) -> &'static str {
        "others"
    }

    fn dimension(&self) -> usize {
        Letters.dimension()
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        Letters.embed(texts).await
    }
}

fn ticket(id: &str, text: &str, intent: &str) -> LabelledTicket {
    LabelledTicket { ticket: Ticket { id: id.into(), ..Ticket::new(text) }, intent: intent.into(), reasoning: None }
}

/// Indexes forty tickets of two intents with [`Letters`].
async fn fill(store: &dyn ExampleStore, folder: &Path, taxonomy: Option<&str>) {
    let file = folder.join("tickets.jsonl");
    let row = |n: usize| {
        let (text, intent) =
            if n.is_multiple_of(2) { ("my parcel is late", "order") } else { ("zzz quick fox", "fox") };
        format!("{{\"id\": \"{n}\", \"text\": \"{text} {n}\", \"intent\": \"{intent}\"}}\n")
    };
    std::fs::write(&file, (0..40).map(row).collect::<String>()).unwrap();
    let taxonomy = taxonomy.map(|text| Taxonomy::from_toml(text, "taxonomy.toml").unwrap());
    let options = IndexOptions { taxonomy, ..IndexOptions::default() };
    let rows = input::read(&file, &InputOptions::default()).unwrap();
    index(store, &Letters, rows, &options, &|_, _| {}).await.unwrap();
}

async fn in_a_folder(folder: &Path, taxonomy: Option<&str>) -> Arc<EdgeStore> {
    let store = EdgeStore::open_or_create(&folder.join("store"), Letters.dimension()).await.unwrap();
    fill(&store, folder, taxonomy).await;
    Arc::new(store)
}

async fn found(retriever: &Retriever, text: &str) -> Vec<(String, String)> {
    let gathered = retriever.gather(Ticket::new(text), Scope::default()).await.unwrap();
    let pair = |candidate: &Candidate| {
        (candidate.example.labelled.ticket.id.clone(), candidate.example.labelled.intent.clone())
    };
    gathered.candidates.iter().map(pair).collect()
}

#[tokio::test]
async fn a_reader_that_runs_while_an_intent_is_renamed_keeps_its_examples() {
    let folder = TempDir::new().unwrap();
    let store = in_a_folder(folder.path(), Some(CLOSED)).await;
    let retriever = Retriever::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let before = found(&retriever, "my parcel is late").await;
    assert_eq!(before.iter().filter(|(_, intent)| intent == "order").count(), 20);
    let change = Change::Rename { old: "order".into(), new: "shipment".into() };
    relabel(store.as_ref(), &change, false).await.unwrap();
    let after = found(&retriever, "my parcel is late").await;
    assert_eq!(after.iter().filter(|(_, intent)| intent == "shipment").count(), 20, "{after:?}");
    assert!(retriever.taxonomy().intent("shipment").is_some());

    // And goes on with a new generation, whose index is built while it reads.
    fold_in(store.as_ref(), &Letters).await.unwrap();
    assert_eq!(found(&retriever, "my parcel is late").await.len(), after.len());
}

#[tokio::test]
async fn what_is_learned_is_found_by_the_next_search_and_stays() {
    let folder = TempDir::new().unwrap();
    let store = in_a_folder(folder.path(), None).await;
    let retriever = Retriever::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let learner = Learner::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let text = "bbb hhh vvv";
    let key = learner.learn("", ticket("new", text, "learned")).await.unwrap();
    assert_eq!(found(&retriever, text).await[0], ("new".to_owned(), "learned".to_owned()));
    // Its label is another one, then its text, then it is gone.
    learner.learn("", ticket("new", text, "corrected")).await.unwrap();
    assert_eq!(found(&retriever, text).await[0], ("new".to_owned(), "corrected".to_owned()));
    learner.learn("", ticket("new", "ppp qqq", "corrected")).await.unwrap();
    assert_eq!(found(&retriever, "ppp qqq").await[0].0, "new");
    learner.learn("other", ticket("0", text, "learned")).await.unwrap();
    learner.forget(key).await.unwrap();
    assert!(found(&retriever, "ppp qqq").await.iter().all(|(id, _)| id != "new"));
    assert_eq!(manifest_of(store.as_ref()).await.unwrap().unwrap().changed_in_place, 5);
    assert!(learner.learn("", ticket("empty", " ", "learned")).await.is_err());
    drop((learner, retriever, store));

    let store = EdgeStore::open(&folder.path().join("store")).await.unwrap();
    let intents = [("fox".to_owned(), 20), ("learned".to_owned(), 1), ("order".to_owned(), 20)];
    assert_eq!(store.intents().await.unwrap(), intents);
    assert_eq!(manifest_of(&store).await.unwrap().unwrap().changed_in_place, 5);
    // Folded in, they are no changes any more.
    fold_in(&store, &Letters).await.unwrap();
    assert_eq!(store.intents().await.unwrap(), intents);
    assert_eq!(manifest_of(&store).await.unwrap().unwrap().changed_in_place, 0);
}

#[tokio::test]
async fn what_a_closed_taxonomy_does_not_list_is_not_learned() {
    let folder = TempDir::new().unwrap();
    let store = in_a_folder(folder.path(), Some(CLOSED)).await;
    let learner = Learner::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let refused = learner.learn("", ticket("new", "bbb", "unheard of")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BadInput);
    learner.learn("", ticket("new", "bbb", "parcel")).await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [("fox".to_owned(), 20), ("order".to_owned(), 21)]);
}

/// As a process beside another one, on the same server.
async fn beside(double: &QdrantDouble) -> Arc<ServerStore> {
    Arc::new(ServerStore::open(double.connection(), "desk").await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_server_what_another_process_changes_is_noticed_within_two_seconds() {
    let (double, folder) = (QdrantDouble::start(), TempDir::new().unwrap());
    let store = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    fill(&store, folder.path(), Some(CLOSED)).await;
    let reading = beside(&double).await;
    let retriever = Retriever::open(reading.clone(), Arc::new(Letters)).await.unwrap();
    let mut revisions = reading.revisions();
    let mut noticed = async || {
        tokio::time::timeout(Duration::from_secs(2), revisions.changed()).await.unwrap().unwrap();
        revisions.borrow_and_update().clone()
    };
    let change = Change::Rename { old: "order".into(), new: "shipment".into() };
    relabel(&store, &change, false).await.unwrap();
    noticed().await;
    let after = found(&retriever, "my parcel is late").await;
    assert_eq!(after.iter().filter(|(_, intent)| intent == "shipment").count(), 20, "{after:?}");

    let before = store.snapshot().await.unwrap().generation;
    fold_in(&store, &Letters).await.unwrap();
    while noticed().await.generation == before {}
    assert_eq!(found(&retriever, "my parcel is late").await.len(), after.len());

    // What is gone before it was noticed is no failure either.
    fold_in(&store, &Letters).await.unwrap();
    fold_in(&store, &Letters).await.unwrap();
    assert_eq!(found(&retriever, "my parcel is late").await.len(), after.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_of_another_embedder_is_not_served_and_the_old_one_is() {
    let (double, folder) = (QdrantDouble::start(), TempDir::new().unwrap());
    let on_server = ServerStore::open_or_create(double.connection(), "desk", DIMENSION).await.unwrap();
    fill(&on_server, folder.path(), None).await;
    let stores: [(Arc<dyn ExampleStore>, Arc<dyn ExampleStore>); 2] = {
        let in_folder = in_a_folder(folder.path(), None).await;
        [(in_folder.clone(), in_folder), (Arc::new(on_server), beside(&double).await)]
    };
    for (writing, reading) in stores {
        let reader = Reader::open(reading, Arc::new(Letters)).await.unwrap();
        let before = reader.snapshot().await;
        fold_in(writing.as_ref(), &Others).await.unwrap();
        let now = writing.snapshot().await.unwrap().generation;
        let mut revisions = reader.store().revisions();
        let told = revisions.wait_for(|revision| revision.generation == now);
        tokio::time::timeout(Duration::from_secs(2), told).await.unwrap().unwrap();
        let after = reader.snapshot().await;
        assert_eq!(after.generation(), before.generation());
        assert!(reader.is_behind(&after));
        assert_eq!(after.content().count().await.unwrap(), 40);
        let learner = Learner::open(writing.clone(), Arc::new(Letters)).await;
        assert_eq!(learner.unwrap_err().kind(), ErrorKind::Store);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_corrections_are_folded_in_behind_the_back_of_readers() {
    let folder = TempDir::new().unwrap();
    let store = in_a_folder(folder.path(), None).await;
    let retriever = Retriever::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let learner = Learner::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let before = store.info().await.unwrap().content;
    for _ in 0..4 {
        store.upsert(points(500, "order")).await.unwrap();
    }
    assert!(!learner.is_folding_in());
    for n in 0..20 {
        learner.learn("", ticket(&format!("c{n}"), &format!("correction {n}"), "order")).await.unwrap();
    }
    let mut revisions = store.revisions();
    revisions.wait_for(|revision| revision.generation != before).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 40 + 500 + 20);
    assert!(manifest_of(store.as_ref()).await.unwrap().unwrap().changed_in_place <= 20);
    assert!(found(&retriever, "correction 7").await[0].0.starts_with('c'));
}
