//! A store of one's own: one desk's view of a store that several desks share. It finds the desk's own examples alone,
//! and hands everything else on.
//!
//! A store that keeps examples itself implements the same two traits; `tests/suite/contract.rs` says what they must do.
//!
//!     cargo run --release --example own_store

use std::sync::Arc;

use async_trait::async_trait;
use ticket_router::data::example::{Example, Point, StoredExample};
use ticket_router::input::{Row, RowContent};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::store::{Filter, Hits, Pinned, Query, Rebuild, RebuildOptions, Revision, StoreInfo};
use ticket_router::{
    Classifier, Content, Embedder as _, ExampleStore, HashEmbedder, MemoryStore, Result, Ticket, VoteLabeler,
};
use tokio::sync::watch;
use uuid::Uuid;

/// What a desk reads: of the store itself, or of one generation of it.
struct DeskContent<C: ?Sized> {
    desk: String,
    inner: Arc<C>,
}

type Desk = DeskContent<dyn ExampleStore>;

#[async_trait]
impl<C: Content + ?Sized> Content for DeskContent<C> {
    async fn query(&self, mut query: Query) -> Result<Hits> {
        query.filter.must.extend(Filter::parse(&[format!("source={}", self.desk)])?.must);
        self.inner.query(query).await
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        let (mut page, next) = self.inner.scroll(start, limit, with_vectors).await?;
        page.retain(|stored| stored.example.source == self.desk);
        Ok((page, next))
    }

    async fn count(&self) -> Result<usize> {
        self.inner.count().await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.inner.intents().await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.inner.blob(name).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        self.inner.info().await
    }
}

#[async_trait]
impl ExampleStore for Desk {
    /// Readers hold a generation, so that is what must be narrowed.
    async fn snapshot(&self) -> Result<Pinned> {
        let Pinned { generation, content } = self.inner.snapshot().await?;
        Ok(Pinned { generation, content: Arc::new(DeskContent { desk: self.desk.clone(), inner: content }) })
    }

    fn revisions(&self) -> watch::Receiver<Arc<Revision>> {
        self.inner.revisions()
    }

    async fn upsert(&self, points: Vec<Point>) -> Result<()> {
        self.inner.upsert(points).await
    }

    async fn update(&self, examples: Vec<Example>) -> Result<()> {
        self.inner.update(examples).await
    }

    async fn relabel(&self, from: &str, to: &str) -> Result<usize> {
        self.inner.relabel(from, to).await
    }

    async fn delete(&self, keys: Vec<Uuid>) -> Result<()> {
        self.inner.delete(keys).await
    }

    async fn put_blob(&self, name: &str, content: Vec<u8>) -> Result<()> {
        self.inner.put_blob(name, content).await
    }

    async fn rebuild(&self, options: RebuildOptions) -> Result<Box<dyn Rebuild>> {
        self.inner.rebuild(options).await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let shared: Arc<dyn ExampleStore> = Arc::new(MemoryStore::new(HashEmbedder.dimension()));
    for (desk, intent) in [("sales", "new_order"), ("support", "order_status")] {
        let rows = ["Where is my order?", "My order has not come"].map(|text| Row {
            place: text.to_owned(),
            id: None,
            content: Ok(RowContent { ticket: Ticket::new(text), intent: Some(intent.to_owned()), reasoning: None }),
        });
        let options = IndexOptions { source: desk.to_owned(), ..IndexOptions::default() };
        index(shared.as_ref(), &HashEmbedder, rows.into(), &options, &|_, _| {}).await?;
    }
    for desk in ["sales", "support"] {
        let store = Arc::new(DeskContent { desk: desk.to_owned(), inner: Arc::clone(&shared) });
        let classifier = Classifier::builder()
            .store(store)
            .embedder(Arc::new(HashEmbedder))
            .labeler(Arc::new(VoteLabeler))
            .build()
            .await?;
        let answer = classifier.classify(&Ticket::new("Where is my order now?")).await?;
        println!("{desk}: {:?} {:?}", answer.decision, answer.intent);
    }
    Ok(())
}
