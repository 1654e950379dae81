//! The library as a user of the crate sees it: own parts behind the public traits.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use tempfile::TempDir;
use ticket_router::input::{self, InputOptions};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::{
    Classifier, Content as _, Decision, EdgeStore, Embedder, ErrorKind, Evidence, Label, Labeler, Options, ReasonCode,
    Result, Ticket, VoteLabeler,
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

/// A store of four examples of two intents, `ay` and `zed`.
pub async fn store(dir: &TempDir) -> Arc<EdgeStore> {
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
    let mut careful = Options::default();
    careful.min_confidence = Some(0.9);
    let unsure =
        stubborn(Some("ay")).options(careful).build().await.unwrap().classify(&Ticket::new("zzz")).await.unwrap();
    assert_eq!((unsure.decision, unsure.reason_code), (Decision::Review, ReasonCode::BelowMinimum));
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
