//! The operations of the embedded engine, in this crate's shapes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use qdrant_edge::{
    Condition, CountRequest, CreateIndex, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeShard,
    EdgeSparseVectorParams, EdgeVectorParams, FacetRequest, FacetValue, FieldIndexOperations, Filter, HasIdCondition,
    HnswIndexConfig, JsonPath, Modifier, NamedQuery, OperationError, Payload, PayloadFieldSchema, PayloadOps,
    PayloadSchemaType, PointId, PointInsertOperations, PointOperations, QuantizationConfig, QuantizationSearchParams,
    QueryEnum, ScalarQuantizationConfig, ScalarType, ScrollRequest, SearchParams, SearchRequest, SetPayloadOp,
    UpdateOperation, VectorInternal, WalOptions, WithPayloadInterface, WithVector,
};
use uuid::Uuid;

use super::super::settings::{DENSE, GRAPH, KEYWORD_FIELDS, OVERSAMPLING, QUANTILE, SEARCH_BEAM, SPARSE, TIME_FIELD};
use super::super::{self as seam, CollectionSettings, Example, Hit, Hits, Point, Quantization, Query, StoredExample};
use super::cache::{Cache, Cached};
use super::convert;
use super::generation::Generation;
use crate::{Error, Result};

/// Key and score.
type Found = (Uuid, f32);

pub(super) fn create(generation: &Generation, dimension: usize, settings: &CollectionSettings) -> Result<EdgeShard> {
    let mut dense = EdgeVectorParams::builder(dimension, Distance::Cosine).on_disk(settings.vectors_on_disk);
    if settings.quantization == Quantization::Scalar {
        dense = dense.quantization_config(scalar());
    }
    let config = EdgeConfig::builder()
        .vector(DENSE, dense.build())
        .sparse_vector(SPARSE, EdgeSparseVectorParams::builder().modifier(Modifier::Idf).build())
        .hnsw_config(HnswIndexConfig { m: GRAPH.0.into(), ef_construct: GRAPH.1.into(), ..HnswIndexConfig::default() })
        // One segment: one graph to search instead of one per processor.
        .optimizers(EdgeOptimizersConfig { default_segment_number: Some(1), ..EdgeOptimizersConfig::default() })
        // The log is scanned at every opening, so it is cut into pieces of a modest size.
        .wal_options(WalOptions { segment_capacity: 4 * 1024 * 1024, ..WalOptions::default() })
        .build();
    let shard = EdgeShard::new(&generation.shard_path()?, config).map_err(|e| failed(&e))?;
    for field in KEYWORD_FIELDS {
        create_index(&shard, field, PayloadSchemaType::Keyword)?;
    }
    create_index(&shard, TIME_FIELD, PayloadSchemaType::Datetime)?;
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
    EdgeShard::load(&generation.shard_path()?, None).map_err(|e| failed(&e))
}

pub(super) fn dimension(shard: &EdgeShard) -> usize {
    shard.config().vectors.get(DENSE).map_or(0, |params| params.size)
}

fn create_index(shard: &EdgeShard, field: &str, schema: PayloadSchemaType) -> Result<()> {
    let index = CreateIndex { field_name: path(field)?, field_schema: Some(PayloadFieldSchema::FieldType(schema)) };
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

pub(super) fn query(shard: &EdgeShard, cache: &Cache, query: Query) -> Result<Hits> {
    let mut filter = convert::filter(&query.filter)?;
    if !query.exclude.is_empty() {
        let ids: HashSet<PointId> = query.exclude.into_iter().map(PointId::Uuid).collect();
        filter.must_not = Some(vec![Condition::HasId(HasIdCondition::from_iter(ids))]);
    }
    let filter = (filter != Filter::default()).then_some(filter);
    // What a smaller copy of the vectors found is scored again with the full ones.
    let quantization =
        QuantizationSearchParams { ignore: false, rescore: Some(true), oversampling: Some(OVERSAMPLING) };
    let params = SearchParams {
        hnsw_ef: Some(SEARCH_BEAM.into()),
        exact: query.exact,
        quantization: (!query.exact).then_some(quantization),
        ..SearchParams::default()
    };
    let search = |name: &str, vector: VectorInternal| -> Result<Vec<Found>> {
        shard
            .search(SearchRequest {
                query: QueryEnum::Nearest(NamedQuery::new(vector, name)),
                filter: filter.clone(),
                params: Some(params),
                limit: query.limit,
                offset: 0,
                with_payload: None,
                with_vector: None,
                score_threshold: None,
            })
            .map_err(|e| failed(&e))?
            .into_iter()
            .map(|point| Ok((convert::key(point.id)?, point.score)))
            .collect()
    };
    // A text without a single word (an emoji, say) has an empty vector, which finds nothing.
    let by_words = || {
        if query.sparse.indices.is_empty() {
            return Ok(Vec::new());
        }
        search(SPARSE, VectorInternal::Sparse(convert::sparse(query.sparse.clone())?))
    };
    // Side by side: together they are most of the time that a ticket takes.
    let (dense, sparse) = std::thread::scope(|scope| {
        let words = scope.spawn(by_words);
        let dense = search(DENSE, VectorInternal::Dense(query.dense.clone()));
        (dense, words.join().unwrap_or_else(|_| Err(Error::store("the search by words stopped"))))
    });
    let (dense, sparse) = (dense?, sparse?);
    let examples = examples(shard, cache, dense.iter().chain(&sparse).map(|(key, _)| *key))?;
    // One that was removed between the search and the reading is no hit.
    let hit = |(key, score): Found| {
        let (example, vector) = examples.get(&key)?.clone();
        Some(Hit { example, vector, score })
    };
    Ok(Hits {
        dense: dense.into_iter().filter_map(hit).collect(),
        sparse: sparse.into_iter().filter_map(hit).collect(),
    })
}

/// The examples of these keys, read from the engine where they are not known yet.
fn examples(
    shard: &EdgeShard,
    cache: &Cache,
    keys: impl Iterator<Item = Uuid> + Clone,
) -> Result<HashMap<Uuid, Cached>> {
    let mut known = cache.get(keys.clone());
    let missing: Vec<PointId> = keys.filter(|key| !known.contains_key(key)).map(PointId::Uuid).collect();
    if missing.is_empty() {
        return Ok(known);
    }
    let records = shard
        .retrieve(&missing, Some(WithPayloadInterface::Bool(true)), Some(dense_vector(true)))
        .map_err(|e| failed(&e))?;
    let read = records
        .into_iter()
        .map(|record| {
            let vector = convert::dense(record.vector).unwrap_or_default();
            Ok((Arc::new(convert::example(record.id, record.payload)?), vector.into()))
        })
        .collect::<Result<Vec<Cached>>>()?;
    cache.insert(read.iter().cloned());
    known.extend(read.into_iter().map(|cached| (cached.0.key, cached)));
    Ok(known)
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
    let page = records
        .into_iter()
        .map(|record| {
            Ok(StoredExample {
                example: convert::example(record.id, record.payload)?,
                dense: convert::dense(record.vector),
            })
        })
        .collect::<Result<_>>()?;
    Ok((page, next.map(convert::key).transpose()?))
}

pub(super) fn count(shard: &EdgeShard) -> Result<usize> {
    shard.count(CountRequest { filter: None, exact: true }).map_err(|e| failed(&e))
}

pub(super) fn intents(shard: &EdgeShard) -> Result<Vec<(String, usize)>> {
    let request = FacetRequest { key: path("intent")?, limit: usize::MAX >> 1, filter: None, exact: true };
    let mut intents: Vec<(String, usize)> = shard
        .facet(request)
        .map_err(|e| failed(&e))?
        .hits
        .into_iter()
        .filter_map(|hit| match hit.value {
            FacetValue::Keyword(name) => Some((name, hit.count)),
            _ => None,
        })
        .collect();
    intents.sort();
    Ok(intents)
}

fn dense_vector(wanted: bool) -> WithVector {
    if wanted { WithVector::Selector(vec![DENSE.to_owned()]) } else { WithVector::Bool(false) }
}

pub(super) fn path(field: &str) -> Result<JsonPath> {
    field.parse().map_err(|()| Error::bad_input(format!("{field:?} is no name of a field")))
}

fn failed(e: &OperationError) -> Error {
    Error::store(format!("the embedded engine failed: {e}"))
}
