//! Collections and aliases: where the generations of a store are.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use qdrant_client::QdrantError;
use qdrant_client::qdrant::{
    CollectionInfo, CollectionOperationResponse, CollectionStatus, CreateCollection, CreateFieldIndexCollection,
    DeleteCollection, Distance, FieldType, HnswConfigDiff, Modifier, QuantizationConfig, QuantizationType,
    ScalarQuantization, SparseVectorConfig, SparseVectorParams, VectorParams, VectorParamsMap, VectorsConfig,
    quantization_config, vectors_config,
};
use tonic::Code;

use super::super::settings::{DENSE, GRAPH, KEYWORD_FIELDS, QUANTILE, SPARSE, TIME_FIELD};
use super::super::{CollectionSettings, Quantization};
use super::blob::BLOB_FIELD;
use super::call::Server;
use super::switch::TOKEN;
use crate::{Error, Result};

/// How long a switch waits for the server to have built its graph.
const INDEXING_PATIENCE: Duration = Duration::from_mins(30);

/// Whether a name is one that a rebuild would choose, for a collection or its token.
pub(in super::super) fn is_generation(name: &str) -> bool {
    let name = name.rsplit_once(TOKEN).map_or(name, |(collection, _)| collection);
    name.rsplit_once("-g").is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

impl Server {
    /// A collection, or the one that an alias names; `None` when there is neither.
    pub(super) async fn describe(&self, name: &str) -> Result<Option<CollectionInfo>> {
        let reply = self.find("describing the collection", |client| {
            let name = name.to_owned();
            async move { client.collection_info(name).await }
        });
        Ok(reply.await?.and_then(|reply| reply.result))
    }

    /// The collection that an alias names.
    pub(super) async fn behind(&self, alias: &str) -> Result<Option<String>> {
        let aliases = self.aliases().await?;
        Ok(aliases.into_iter().find(|(name, _)| name == alias).map(|(_, collection)| collection))
    }

    /// All aliases and their collections.
    pub(super) async fn aliases(&self) -> Result<Vec<(String, String)>> {
        let reply = self.call("listing the aliases", |client| async move { client.list_aliases().await }).await?;
        Ok(reply.aliases.into_iter().map(|found| (found.alias_name, found.collection_name)).collect())
    }

    /// The numbered collections of a store, oldest first.
    async fn generations(&self, name: &str) -> Result<Vec<(u64, String)>> {
        let reply =
            self.call("listing the collections", |client| async move { client.list_collections().await }).await?;
        let number = |full: &str| full.strip_prefix(name)?.strip_prefix("-g")?.parse().ok();
        let names = reply.collections.into_iter().map(|found| found.name);
        let mut found: Vec<(u64, String)> = names.filter_map(|full| Some((number(&full)?, full))).collect();
        found.sort();
        Ok(found)
    }

    /// The numbered collections that no alias names: unfinished rebuilds left them.
    pub(super) async fn leftovers(&self, name: &str) -> Result<Vec<String>> {
        let aliases = self.aliases().await?;
        let served = |full: &String| aliases.iter().any(|(_, collection)| collection == full);
        Ok(self.generations(name).await?.into_iter().map(|(_, full)| full).filter(|full| !served(full)).collect())
    }

    /// Makes a new, empty collection under a name that was never used, and returns the name.
    pub(super) async fn create_next(
        &self,
        name: &str,
        dimension: usize,
        settings: &CollectionSettings,
    ) -> Result<String> {
        let now = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
        let collection = format!("{name}-g{now}{:06}", rand::random_range(0..1_000_000));
        self.create(&collection, dimension, settings).await?;
        Ok(collection)
    }

    /// Makes an empty collection. A collection that is there already stays as it is.
    pub(super) async fn create(&self, collection: &str, dimension: usize, settings: &CollectionSettings) -> Result<()> {
        let request = new_collection(collection, dimension, settings)?;
        self.call("making a collection", |client| {
            let request = request.clone();
            async move {
                match client.create_collection(request).await {
                    // It was made, and the answer was lost; or somebody else makes the first one too.
                    Err(QdrantError::ResponseError { status }) if status.code() == Code::AlreadyExists => {
                        Ok(CollectionOperationResponse::default())
                    }
                    made => made,
                }
            }
        })
        .await?;
        let keywords = KEYWORD_FIELDS.map(|field| (field, FieldType::Keyword)).into_iter();
        for (field, kind) in keywords.chain([(BLOB_FIELD, FieldType::Keyword), (TIME_FIELD, FieldType::Datetime)]) {
            let request = CreateFieldIndexCollection {
                collection_name: collection.to_owned(),
                wait: Some(true),
                field_name: field.to_owned(),
                field_type: Some(kind.into()),
                ..CreateFieldIndexCollection::default()
            };
            self.send("making a payload index", request, |client, request| async move {
                client.create_field_index(request).await
            })
            .await?;
        }
        self.make_record(collection).await
    }

    /// Removes a collection and its aliases.
    pub(super) async fn remove(&self, collection: &str) -> Result<()> {
        self.find("deleting a collection", |client| {
            let request = DeleteCollection { collection_name: collection.to_owned(), ..DeleteCollection::default() };
            async move { client.delete_collection(request).await }
        })
        .await
        .map(|_| ())
    }

    /// Waits until the server is done with building its graph, within reason.
    pub(super) async fn settled(&self, collection: &str) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < INDEXING_PATIENCE {
            let info = self.describe(collection).await?;
            let info = info.ok_or_else(|| gone(&self.url, collection))?;
            match info.status() {
                CollectionStatus::Yellow => tokio::time::sleep(Duration::from_millis(500)).await,
                CollectionStatus::Red => {
                    let why = info.optimizer_status.map(|status| status.error).unwrap_or_default();
                    return Err(Error::store(format!(
                        "the Qdrant server {} cannot build the collection {collection}: {why}; see the server's log",
                        self.url
                    )));
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

fn gone(url: &str, collection: &str) -> Error {
    Error::store(format!(
        "the Qdrant server {url}: the collection {collection} was deleted while it was filled; run the command again"
    ))
}

fn new_collection(name: &str, dimension: usize, settings: &CollectionSettings) -> Result<CreateCollection> {
    let size = u64::try_from(dimension).map_err(|_| Error::internal("a vector is too long"))?;
    #[expect(deprecated, reason = "servers up to 1.19 know no other name for it")]
    let scalar = ScalarQuantization {
        r#type: QuantizationType::Int8.into(),
        quantile: Some(QUANTILE),
        always_ram: Some(true),
        ..ScalarQuantization::default()
    };
    let quantization = match settings.quantization {
        Quantization::None => None,
        Quantization::Scalar => Some(quantization_config::Quantization::Scalar(scalar)),
    };
    #[expect(deprecated, reason = "servers up to 1.19 know no other name for it")]
    let dense = VectorParams {
        size,
        distance: Distance::Cosine.into(),
        on_disk: Some(settings.vectors_on_disk),
        quantization_config: quantization.map(|kind| QuantizationConfig { quantization: Some(kind) }),
        ..VectorParams::default()
    };
    let sparse = SparseVectorParams { modifier: Some(Modifier::Idf.into()), ..SparseVectorParams::default() };
    let dense = VectorParamsMap { map: HashMap::from([(DENSE.to_owned(), dense)]) };
    Ok(CreateCollection {
        collection_name: name.to_owned(),
        vectors_config: Some(VectorsConfig { config: Some(vectors_config::Config::ParamsMap(dense)) }),
        sparse_vectors_config: Some(SparseVectorConfig { map: HashMap::from([(SPARSE.to_owned(), sparse)]) }),
        hnsw_config: Some(HnswConfigDiff {
            m: Some(GRAPH.0.into()),
            ef_construct: Some(GRAPH.1.into()),
            ..HnswConfigDiff::default()
        }),
        shard_number: Some(settings.shards),
        replication_factor: Some(settings.replication_factor),
        write_consistency_factor: Some(settings.write_consistency),
        ..CreateCollection::default()
    })
}

/// How a collection that is there is kept, and the length of its vectors; `None` for a collection
/// that somebody else made.
pub(super) fn settings(info: &CollectionInfo) -> Option<(usize, CollectionSettings)> {
    let params = info.config.as_ref()?.params.as_ref()?;
    let Some(vectors_config::Config::ParamsMap(vectors)) = params.vectors_config.as_ref()?.config.as_ref() else {
        return None;
    };
    let dense = vectors.map.get(DENSE)?;
    params.sparse_vectors_config.as_ref()?.map.get(SPARSE)?;
    #[expect(deprecated, reason = "servers up to 1.19 know no other name for it")]
    let vectors_on_disk = dense.on_disk.unwrap_or_default();
    let kind = dense.quantization_config.as_ref().and_then(|config| config.quantization.as_ref());
    let settings = CollectionSettings {
        shards: params.shard_number,
        replication_factor: params.replication_factor.unwrap_or(1),
        write_consistency: params.write_consistency_factor.unwrap_or(1),
        vectors_on_disk,
        quantization: if kind.is_some() { Quantization::Scalar } else { Quantization::None },
    };
    Some((usize::try_from(dense.size).ok()?, settings))
}
