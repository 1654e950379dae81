//! Reads of one generation, off the async threads.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::super::{Content, Hits, Query, StoreInfo, StoredExample};
use super::search::By;
use super::serving::Serving;
use super::{ENGINE, Shared, off_thread, shard};
use crate::Result;

/// A generation that is read.
pub(super) struct EdgeContent {
    /// Keeps the folder locked while the generation is read.
    pub(super) shared: Arc<Shared>,
    pub(super) serving: Arc<Serving>,
}

impl EdgeContent {
    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Serving) -> Result<T> + Send + 'static) -> Result<T> {
        let serving = Arc::clone(&self.serving);
        off_thread(move || work(&serving)).await
    }
}

#[async_trait]
impl Content for EdgeContent {
    /// Runs both searches side by side: together they take most of a ticket's time.
    async fn query(&self, query: Query) -> Result<Hits> {
        let query = Arc::new(query);
        let by = |by: By| {
            let query = Arc::clone(&query);
            self.read(move |serving| serving.search(&query, by))
        };
        let (dense, sparse) = tokio::try_join!(by(By::Meaning), by(By::Words))?;
        Ok(Hits { dense, sparse })
    }

    async fn scroll(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        self.read(move |serving| shard::scroll(&*serving.shard()?, start, limit, with_vectors)).await
    }

    async fn count(&self) -> Result<usize> {
        self.read(|serving| shard::count(&*serving.shard()?)).await
    }

    async fn intents(&self) -> Result<Vec<(String, usize)>> {
        self.read(|serving| shard::intents(&*serving.shard()?)).await
    }

    async fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.read(move |serving| serving.generation.blob(&name)).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        let root = self.shared.root.clone();
        self.read(move |serving| {
            let shard = serving.shard()?;
            Ok(StoreInfo {
                location: root.display().to_string(),
                engine: format!("Qdrant embedded ({ENGINE})"),
                content: serving.generation.name(),
                dimension: shard::dimension(&shard),
                disk_bytes: Some(serving.generation.bytes()?),
                settings: shard::settings(&shard),
            })
        })
        .await
    }
}
