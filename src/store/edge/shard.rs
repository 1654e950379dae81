//! The operations of the embedded engine, in this crate's shapes.

use qdrant_edge::{
    CountRequest, CreateIndex, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard, EdgeSparseVectorParams,
    EdgeVectorParams, FacetRequest, FacetValue, FieldIndexOperations, HnswIndexConfig, JsonPath, Modifier,
    OperationError, Payload, PayloadFieldSchema, PayloadOps, PointId, PointInsertOperations, PointOperations,
    QuantizationConfig, Record, ScalarQuantizationConfig, ScalarType, ScrollRequest, SetPayloadOp, UpdateOperation,
    WalOptions, WithPayloadInterface, WithVector,
};
use uuid::Uuid;

use super::super::settings::{DENSE, GRAPH, KEYWORD_FIELDS, QUANTILE, SPARSE, TIME_FIELD};
use super::super::{self as seam, CollectionSettings, Example, Point, Quantization, StoredExample};
use super::generation::Generation;
use super::log;
use super::{cache, convert};
use crate::{Error, Result};

/// How many points are written into one segment before they are joined. The time of the index of words grows with the
/// square of it: for every point that has a word, the engine walks through the whole list of that word.
const SEGMENT_POINTS: usize = 32_768;
/// The largest segment, in kilobytes. One segment is wanted, however large it gets.
const ANY_SIZE: usize = usize::MAX >> 10;

/// A shard that is about to get so many points.
pub(super) fn create(
    generation: &Generation,
    dimension: usize,
    settings: &CollectionSettings,
    points: usize,
) -> Result<EdgeShard> {
    let mut dense = EdgeVectorParams::builder(dimension, Distance::Cosine).on_disk(settings.vectors_on_disk);
    if settings.quantization == Quantization::Scalar {
        dense = dense.quantization_config(scalar());
    }
    let config = EdgeConfig::builder()
        .vector(DENSE, dense.build())
        .sparse_vector(SPARSE, EdgeSparseVectorParams::builder().modifier(Modifier::Idf).build())
        .hnsw_config(HnswIndexConfig { m: GRAPH.0.into(), ef_construct: GRAPH.1.into(), ..HnswIndexConfig::default() })
        // One segment means one graph to search, instead of one for each processor.
        .optimizers(EdgeOptimizersConfig {
            default_segment_number: Some(1),
            max_segment_size: Some(ANY_SIZE),
            ..EdgeOptimizersConfig::default()
        })
        // Loading the texts takes time when a store is opened. A few texts are in the system's cache soon anyway.
        .on_disk_payload(settings.vectors_on_disk || points <= cache::CAPACITY)
        // The log is scanned at every opening, so it is cut into pieces of a modest size.
        .wal_options(WalOptions { segment_capacity: 4 * 1024 * 1024, ..WalOptions::default() })
        .build();
    let path = generation.shard_path()?;
    let mut shard = EdgeShard::new(&path, config.clone()).map_err(|e| failed(&e))?;
    // Two are too few: the engine joins two small ones only when each is large enough for a graph.
    let segments = points / SEGMENT_POINTS;
    if segments > 2 {
        drop(shard);
        for _ in 1..segments {
            generation.add_segment(|spare| EdgeShard::new(spare, config.clone()).map(drop).map_err(|e| failed(&e)))?;
        }
        shard = EdgeShard::load(&path, None).map_err(|e| failed(&e))?;
    }
    for field in KEYWORD_FIELDS {
        create_index(&shard, field, "keyword", settings.vectors_on_disk)?;
    }
    create_index(&shard, TIME_FIELD, "datetime", settings.vectors_on_disk)?;
    Ok(shard)
}

fn scalar() -> QuantizationConfig {
    let config =
        ScalarQuantizationConfig { r#type: ScalarType::Int8, quantile: Some(QUANTILE), always_ram: Some(true) };
    config.into()
}

/// How the content of a shard is kept.
pub(super) fn settings(shard: &EdgeShard) -> CollectionSettings {
    let config = shard.config();
    let dense = config.vectors.get(DENSE);
    CollectionSettings {
        vectors_on_disk: dense.and_then(|params| params.on_disk).unwrap_or_default(),
        quantization: match dense.and_then(|params| params.quantization_config.as_ref()) {
            Some(_) => Quantization::Scalar,
            None => Quantization::None,
        },
        ..CollectionSettings::default()
    }
}

pub(super) fn load(generation: &Generation) -> Result<EdgeShard> {
    let path = generation.shard_path()?;
    log::cut(&path)?;
    EdgeShard::load(&path, None).map_err(|e| failed(&e))
}

pub(super) fn dimension(shard: &EdgeShard) -> usize {
    shard.config().vectors.get(DENSE).map_or(0, |params| params.size)
}

fn create_index(shard: &EdgeShard, field: &str, kind: &str, on_disk: bool) -> Result<()> {
    let schema: PayloadFieldSchema = serde_json::from_value(serde_json::json!({ "type": kind, "on_disk": on_disk }))
        .map_err(|e| Error::internal(format!("the index of {field} is not described well: {e}")))?;
    let index = CreateIndex { field_name: path(field)?, field_schema: Some(schema) };
    shard.update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index))).map_err(|e| failed(&e))
}

pub(super) fn upsert(shard: &EdgeShard, points: Vec<Point>) -> Result<()> {
    let points = points.into_iter().map(convert::point).collect::<Result<Vec<_>>>()?;
    let insert = PointInsertOperations::PointsList(points);
    shard.update(UpdateOperation::PointOperation(PointOperations::UpsertPoints(insert))).map_err(|e| failed(&e))
}

pub(super) fn update(shard: &EdgeShard, examples: Vec<Example>) -> Result<()> {
    for example in examples {
        let (id, payload) = (PointId::Uuid(example.key), convert::payload(&example)?);
        let operation = SetPayloadOp { payload, points: Some(vec![id]), filter: None, key: None };
        shard
            .update(UpdateOperation::PayloadOperation(PayloadOps::OverwritePayload(operation)))
            .map_err(|e| failed(&e))?;
    }
    Ok(())
}

/// One operation for all examples of an intent.
pub(super) fn relabel(shard: &EdgeShard, from: String, to: String) -> Result<usize> {
    let of_intent = seam::Filter::default().within(vec![from]);
    let filter = Some(convert::filter(&of_intent)?);
    let count = shard.count(CountRequest { filter: filter.clone(), exact: true }).map_err(|e| failed(&e))?;
    let payload = Payload(std::iter::once(("intent".to_owned(), to.into())).collect());
    let operation = SetPayloadOp { payload, points: None, filter, key: None };
    shard.update(UpdateOperation::PayloadOperation(PayloadOps::SetPayload(operation))).map_err(|e| failed(&e))?;
    Ok(count)
}

pub(super) fn delete(shard: &EdgeShard, keys: Vec<Uuid>) -> Result<()> {
    let ids = keys.into_iter().map(PointId::Uuid).collect();
    shard.update(UpdateOperation::PointOperation(PointOperations::DeletePoints { ids })).map_err(|e| failed(&e))
}

pub(super) fn optimize(shard: &EdgeShard) -> Result<()> {
    shard.optimize().map(|_| ()).map_err(|e| failed(&e))
}

pub(super) fn scroll(
    shard: &EdgeShard,
    start: Option<Uuid>,
    limit: usize,
    with_vectors: bool,
) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
    let (records, next) = shard
        .scroll(ScrollRequest {
            offset: start.map(PointId::Uuid),
            limit: Some(limit),
            filter: None,
            with_payload: Some(WithPayloadInterface::Bool(true)),
            with_vector: dense_vector(with_vectors),
            order_by: None,
        })
        .map_err(|e| failed(&e))?;
    Ok((records.into_iter().map(stored).collect::<Result<_>>()?, next.map(convert::key).transpose()?))
}

/// The examples of these keys that are there, with their vectors.
pub(super) fn retrieve(shard: &EdgeShard, keys: impl Iterator<Item = Uuid>) -> Result<Vec<StoredExample>> {
    let ids: Vec<PointId> = keys.map(PointId::Uuid).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let records = shard
        .retrieve(&ids, Some(WithPayloadInterface::Bool(true)), Some(dense_vector(true)))
        .map_err(|e| failed(&e))?;
    records.into_iter().map(stored).collect()
}

fn stored(record: Record) -> Result<StoredExample> {
    Ok(StoredExample { example: convert::example(record.id, record.payload)?, dense: convert::dense(record.vector) })
}

pub(super) fn count(shard: &EdgeShard) -> Result<usize> {
    shard.count(CountRequest { filter: None, exact: true }).map_err(|e| failed(&e))
}

/// About how many points there are, which the engine knows without counting.
pub(super) fn size(shard: &EdgeShard) -> usize {
    shard.count(CountRequest { filter: None, exact: false }).unwrap_or_default()
}

pub(super) fn intents(shard: &EdgeShard) -> Result<Vec<(String, usize)>> {
    let request = FacetRequest { key: path("intent")?, limit: usize::MAX >> 1, filter: None, exact: true };
    let mut intents: Vec<(String, usize)> = shard
        .facet(request)
        .map_err(|e| failed(&e))?
        .hits
        .into_iter()
        .filter(|hit| hit.count > 0)
        .filter_map(|hit| match hit.value {
            FacetValue::Keyword(name) => Some((name, hit.count)),
            _ => None,
        })
        .collect();
    intents.sort();
    Ok(intents)
}

pub(super) fn dense_vector(wanted: bool) -> WithVector {
    if wanted { WithVector::Selector(vec![DENSE.to_owned()]) } else { WithVector::Bool(false) }
}

pub(super) fn path(field: &str) -> Result<JsonPath> {
    field.parse().map_err(|()| Error::bad_input(format!("{field:?} is no name of a field")))
}

pub(super) fn failed(e: &OperationError) -> Error {
    Error::store(format!("the embedded engine failed: {e}"))
}
