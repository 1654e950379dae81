//! Between this crate's shapes and the engine's.

use std::collections::HashMap;

use qdrant_edge::{
    Condition, DateTimeWrapper, FieldCondition, Filter, Match, Payload, PointId, PointStructPersisted, Range,
    SparseVector, VectorInternal, VectorPersisted, VectorStructInternal, VectorStructPersisted,
};
use serde_json::Value;
use uuid::Uuid;

use super::super::settings::{DENSE, SPARSE};
use super::super::{self as seam, Example, Point};
use super::shard::path;
use crate::data::example;
use crate::{Error, Result};

pub(super) fn payload(example: &Example) -> Result<Payload> {
    match serde_json::to_value(example) {
        Ok(Value::Object(fields)) => Ok(Payload(fields.into_iter().collect())),
        _ => Err(Error::internal("an example is not a JSON object")),
    }
}

pub(super) fn point(point: Point) -> Result<PointStructPersisted> {
    let payload = payload(&point.example)?;
    let vectors = HashMap::from([
        (DENSE.to_owned(), VectorPersisted::Dense(point.dense)),
        (SPARSE.to_owned(), VectorPersisted::Sparse(sparse(point.sparse)?)),
    ]);
    Ok(PointStructPersisted {
        id: PointId::Uuid(point.example.key),
        vector: VectorStructPersisted::Named(vectors),
        payload: Some(payload),
    })
}

pub(super) fn sparse(vector: example::SparseVector) -> Result<SparseVector> {
    SparseVector::new(vector.indices, vector.values)
        .map_err(|e| Error::internal(format!("a sparse vector is not valid: {e}")))
}

pub(super) fn key(id: PointId) -> Result<Uuid> {
    match id {
        PointId::Uuid(key) => Ok(key),
        PointId::NumId(number) => Err(Error::store(format!(
            "the store holds a point {number} that ticket-router did not write; use a store of its own"
        ))),
    }
}

pub(super) fn example(id: PointId, payload: Option<Payload>) -> Result<Example> {
    let fields = payload.map(|payload| payload.0).unwrap_or_default();
    let mut example: Example = serde_json::from_value(Value::Object(fields.into_iter().collect()))
        .map_err(|e| Error::store(format!("the point {id} is not an example: {e}; index again into a new --store")))?;
    example.key = key(id)?;
    Ok(example)
}

/// The dense vector among those that came along.
pub(super) fn dense(vectors: Option<VectorStructInternal>) -> Option<Vec<f32>> {
    match vectors? {
        VectorStructInternal::Named(mut named) => match named.remove(DENSE)? {
            VectorInternal::Dense(vector) => Some(vector),
            _ => None,
        },
        VectorStructInternal::Single(vector) => Some(vector),
        VectorStructInternal::MultiDense(_) => None,
    }
}

pub(super) fn filter(filter: &seam::Filter) -> Result<Filter> {
    let must = filter.must.iter().map(condition).collect::<Result<Vec<_>>>()?;
    Ok(Filter { must: (!must.is_empty()).then_some(must), ..Filter::default() })
}

fn condition(condition: &seam::Condition) -> Result<Condition> {
    let field = match condition {
        seam::Condition::OneOf(field, values) => FieldCondition::new_match(path(field)?, Match::from(values.clone())),
        seam::Condition::After(field, moment) => {
            let range = Range { gte: Some(time(moment)?), gt: None, lte: None, lt: None };
            FieldCondition::new_datetime_range(path(field)?, range)
        }
        seam::Condition::Before(field, moment) => {
            let range = Range { lt: Some(time(moment)?), gt: None, lte: None, gte: None };
            FieldCondition::new_datetime_range(path(field)?, range)
        }
    };
    Ok(Condition::Field(field))
}

fn time(moment: &str) -> Result<DateTimeWrapper> {
    moment
        .parse()
        .map_err(|_| Error::bad_input(format!("{moment:?} is no date; write it as 2026-03-01 or 2026-03-01T08:00:00Z")))
}
