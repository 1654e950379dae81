//! The library as a user of the crate sees it: own parts behind the public traits.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use tempfile::TempDir;
use ticket_router::data::evidence::Candidate;
use ticket_router::input::{self, InputOptions};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::learn::learner::{Learner, fold_in};
use ticket_router::learn::relabel::{Change, relabel};
use ticket_router::pipeline::Retriever;
use ticket_router::store::manifest_of;
use ticket_router::{
    Classifier, Content as _, Decision, EdgeStore, Embedder, ErrorKind, Evidence, Label, Labeler, LabelledTicket,
    Result, Taxonomy, Ticket, VoteLabeler,
};

/// Counts letters: a small embedder of one's own.
pub struct Letters;

#[async_trait]
impl Embedder for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn dimension(&self) -> usize {
        26
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let vector = |text: &String| {
            let mut counts = vec![0.01_f32; 26];
            for letter in text.to_lowercase().bytes().filter(u8::is_ascii_lowercase) {
                counts[usize::from(letter - b'a')] += 1.0;
            }
            let length = counts.iter().map(|x| x * x).sum::<f32>().sqrt();
            counts.iter().map(|x| x / length).collect()
        };
        Ok(texts.iter().map(vector).collect())
    }
}

/// Always says the same.
struct Stubborn(Option<&'static str>);

#[async_trait]
impl Labeler for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    async fn label(&self, _: &Evidence) -> Result<Label> {
        Ok(Label { intent: self.0.map(Into::into), ..Label::default() })
    }
}

async fn store(dir: &TempDir) -> Arc<EdgeStore> {
    let file = dir.path().join("t.csv");
    std::fs::write(&file, "text,intent\nzzzz zzz,zed\nzz zzzz z,zed\naaa aaaa,ay\na aa aaa,ay\n").unwrap();
    let rows = input::read(&file, &InputOptions::default()).unwrap();
    let store = EdgeStore::open_or_create(&dir.path().join("store"), 26).await.unwrap();
    let report = index(&store, &Letters, rows, &IndexOptions::default(), &|_, _| {}).await.unwrap();
    assert_eq!((report.added, report.total), (4, 4));
    Arc::new(store)
}

#[tokio::test]
async fn own_parts_work_together() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir).await;
    assert_eq!(store.intents().await.unwrap(), [("ay".to_owned(), 2), ("zed".to_owned(), 2)]);
    let classifier = Classifier::builder()
        .store(store.clone())
        .embedder(Arc::new(Letters))
        .labeler(Arc::new(VoteLabeler))
        .build()
        .await
        .unwrap();
    let answer = classifier.classify(&Ticket::new("zzz?")).await.unwrap();
    assert_eq!((answer.intent.as_deref(), answer.decision), (Some("zed"), Decision::Route));

    let tickets: Vec<Ticket> = (0..150).map(|i| Ticket::new(if i % 3 == 0 { "zzz" } else { "aaa" })).collect();
    let answers: Vec<_> = classifier.classify_all(&tickets).collect().await;
    assert_eq!(answers.len(), 150);
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().intent.as_deref(), Some(if i % 3 == 0 { "zed" } else { "ay" }));
    }

    let stubborn = |intent| {
        Classifier::builder().store(store.clone()).embedder(Arc::new(Letters)).labeler(Arc::new(Stubborn(intent)))
    };
    let silent = stubborn(None).build().await.unwrap().classify(&Ticket::new("zzz")).await.unwrap();
    assert_eq!((silent.intent, silent.decision), (None, Decision::Review));
    let unsure =
        stubborn(Some("ay")).min_confidence(0.9).build().await.unwrap().classify(&Ticket::new("zzz")).await.unwrap();
    assert_eq!(unsure.decision, Decision::Review, "the examples do not agree");
}

#[tokio::test]
async fn errors_have_a_kind_to_branch_on() {
    let dir = TempDir::new().unwrap();
    let missing = EdgeStore::open(dir.path()).await.err().unwrap();
    assert_eq!(missing.kind(), ErrorKind::Store);
    let unfinished = Classifier::builder().labeler(Arc::new(VoteLabeler)).build().await.err().unwrap();
    assert_eq!(unfinished.kind(), ErrorKind::Configuration);
    let no_file = input::read(std::path::Path::new("nowhere.csv"), &InputOptions::default()).unwrap_err();
    assert_eq!(no_file.kind(), ErrorKind::BadInput);
}

fn ticket(id: &str, text: &str, intent: &str) -> LabelledTicket {
    LabelledTicket { ticket: Ticket { id: id.into(), ..Ticket::new(text) }, intent: intent.into(), reasoning: None }
}

/// A store in a folder that holds forty tickets of two intents, indexed with [`Letters`].
async fn letters_store(folder: &std::path::Path, taxonomy: Option<&str>) -> Arc<EdgeStore> {
    let file = folder.join("tickets.jsonl");
    let row = |n: usize| {
        let (text, intent) = if n % 2 == 0 { ("my parcel is late", "order") } else { ("zzz quick fox", "fox") };
        format!("{{\"id\": \"{n}\", \"text\": \"{text} {n}\", \"intent\": \"{intent}\"}}\n")
    };
    std::fs::write(&file, (0..40).map(row).collect::<String>()).unwrap();
    let store = EdgeStore::open_or_create(&folder.join("store"), Letters.dimension()).await.unwrap();
    let taxonomy = taxonomy.map(|text| Taxonomy::from_toml(text, "taxonomy.toml").unwrap());
    let options = IndexOptions { taxonomy, ..IndexOptions::default() };
    let rows = input::read(&file, &InputOptions::default()).unwrap();
    index(&store, &Letters, rows, &options, &|_, _| {}).await.unwrap();
    Arc::new(store)
}

async fn found(retriever: &Retriever, text: &str) -> Vec<(String, String)> {
    let gathered = retriever.gather(Ticket::new(text)).await.unwrap();
    let pair = |candidate: &Candidate| {
        (candidate.example.labelled.ticket.id.clone(), candidate.example.labelled.intent.clone())
    };
    gathered.candidates.iter().map(pair).collect()
}

#[tokio::test]
async fn a_reader_that_runs_while_an_intent_is_renamed_keeps_its_examples() {
    let folder = tempfile::TempDir::new().unwrap();
    let taxonomy = "[[intent]]\nname = \"order\"\n[[intent]]\nname = \"fox\"\n";
    let store = letters_store(folder.path(), Some(taxonomy)).await;
    let retriever = Retriever::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let before = found(&retriever, "my parcel is late").await;
    assert_eq!(before.iter().filter(|(_, intent)| intent == "order").count(), 20);
    let change = Change::Rename { old: "order".into(), new: "parcel".into() };
    relabel(store.as_ref(), &change, false).await.unwrap();
    let after = found(&retriever, "my parcel is late").await;
    assert_eq!(after.iter().filter(|(_, intent)| intent == "parcel").count(), 20, "{after:?}");
    assert!(retriever.taxonomy().intent("parcel").is_some());

    // And goes on with a new generation, whose index is built while it reads.
    fold_in(store.as_ref(), &Letters).await.unwrap();
    assert_eq!(found(&retriever, "my parcel is late").await.len(), after.len());
}

#[tokio::test]
async fn what_is_learned_is_found_by_the_next_search_and_stays() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = letters_store(folder.path(), None).await;
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
    let folder = tempfile::TempDir::new().unwrap();
    let taxonomy = "[[intent]]\nname = \"order\"\naliases = [\"parcel\"]\n[[intent]]\nname = \"fox\"\n";
    let store = letters_store(folder.path(), Some(taxonomy)).await;
    let learner = Learner::open(store.clone(), Arc::new(Letters)).await.unwrap();
    let refused = learner.learn("", ticket("new", "bbb", "unheard of")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BadInput);
    learner.learn("", ticket("new", "bbb", "parcel")).await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [("fox".to_owned(), 20), ("order".to_owned(), 21)]);
}
