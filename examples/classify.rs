//! Indexes labelled tickets and classifies new ones, with the model that `scripts/setup` provides and a vote of the
//! nearest examples: no network, no key.
//!
//!     cargo run --release --example classify -- "Where is my parcel?"

use std::path::Path;
use std::sync::Arc;

use ticket_router::input::{self, InputOptions};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::{
    Classifier, DEFAULT_MODEL, Embedder as _, FastEmbedder, MemoryStore, ModelPaths, Result, Ticket, VoteLabeler,
};

#[tokio::main]
async fn main() -> Result<()> {
    let paths = ModelPaths { usual: vec![".runtime".into()], ..ModelPaths::default() };
    let embedder = Arc::new(FastEmbedder::load(DEFAULT_MODEL, &paths)?);
    let store = Arc::new(MemoryStore::new(embedder.dimension()));
    let rows = input::read(Path::new("examples_db/static.jsonl"), &InputOptions::default())?;
    index(store.as_ref(), embedder.as_ref(), rows, &IndexOptions::default(), &|_, _| {}).await?;

    let classifier =
        Classifier::builder().store(store).embedder(embedder).labeler(Arc::new(VoteLabeler)).build().await?;
    let mut texts: Vec<String> = std::env::args().skip(1).collect();
    if texts.is_empty() {
        texts.push("My order is late, where is my parcel?".to_owned());
    }
    for text in texts {
        let answer = classifier.classify(&Ticket::new(text)).await?;
        println!("{:?} {}: {}", answer.decision, answer.intent.as_deref().unwrap_or("(no intent)"), answer.reason);
    }
    Ok(())
}
