//! The search for the nearest examples, by one kind of vector.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use qdrant_edge::{
    Condition, EdgeShard, Filter, HasIdCondition, NamedQuery, PointId, QuantizationSearchParams, QueryEnum,
    SearchParams, SearchRequest, VectorInternal, WithPayloadInterface,
};
use uuid::Uuid;

use super::super::settings::{DENSE, OVERSAMPLING, SPARSE};
use super::super::{Hit, Query};
use super::cache::{Cache, Cached};
use super::convert;
use super::shard::{dense_vector, failed};
use crate::Result;

/// Key and score.
type Found = (Uuid, f32);

/// What a query searches by.
#[derive(Clone, Copy)]
pub(super) enum By {
    Meaning,
    Words,
}

/// The hits by one kind of vector. Each search reads its own examples, so that both kinds are found and read side
/// by side.
pub(super) fn search(shard: &EdgeShard, cache: &Cache, beam: usize, query: &Query, by: By) -> Result<Vec<Hit>> {
    let vector = match by {
        By::Meaning => NamedQuery::new(VectorInternal::Dense(query.dense.clone()), DENSE),
        // A text without a single word (an emoji, say) has an empty vector, which finds nothing.
        By::Words if query.sparse.indices.is_empty() => return Ok(Vec::new()),
        By::Words => NamedQuery::new(VectorInternal::Sparse(convert::sparse(query.sparse.clone())?), SPARSE),
    };
    let mut filter = convert::filter(&query.filter)?;
    if !query.exclude.is_empty() {
        let ids: HashSet<PointId> = query.exclude.iter().copied().map(PointId::Uuid).collect();
        filter.must_not = Some(vec![Condition::HasId(HasIdCondition::from_iter(ids))]);
    }
    // Hits that a smaller copy of the vectors found are scored again with the full vectors.
    let quantization =
        QuantizationSearchParams { ignore: false, rescore: Some(true), oversampling: Some(OVERSAMPLING) };
    let params = SearchParams {
        hnsw_ef: Some(beam),
        exact: query.exact,
        quantization: (!query.exact).then_some(quantization),
        ..SearchParams::default()
    };
    let found = shard
        .search(SearchRequest {
            query: QueryEnum::Nearest(vector),
            filter: (filter != Filter::default()).then_some(filter),
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
        .collect::<Result<Vec<Found>>>()?;
    let examples = examples(shard, cache, found.iter().map(|(key, _)| *key))?;
    // An example that was removed between search and reading is no hit.
    let hit = |(key, score): Found| {
        let (example, vector) = examples.get(&key)?.clone();
        Some(Hit { example, vector, score })
    };
    Ok(found.into_iter().filter_map(hit).collect())
}

/// The examples of these keys, read from the engine where they are not known yet.
fn examples(
    shard: &EdgeShard,
    cache: &Cache,
    keys: impl Iterator<Item = Uuid> + Clone,
) -> Result<HashMap<Uuid, Cached>> {
    let (mut known, moment) = cache.get(keys.clone());
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
    cache.insert(read.iter().cloned(), moment);
    known.extend(read.into_iter().map(|cached| (cached.0.key, cached)));
    Ok(known)
}
