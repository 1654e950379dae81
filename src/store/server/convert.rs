//! Between this crate's shapes and those of the wire.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveTime};
use qdrant_client::Payload;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vector_output::Vector as Found;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{
    Condition, DatetimeRange, DenseVector, Filter, NamedVectors, PointId, PointStruct, SparseVector, Timestamp, Value,
    Vector, VectorsOutput, vector,
};
use uuid::Uuid;

use super::super::settings::{DENSE, SPARSE};
use super::super::{self as seam, Example, Point};
use super::blob::BLOB_FIELD;
use crate::{Error, Result};

pub(super) type Fields = HashMap<String, Value>;

pub(super) fn id(key: Uuid) -> PointId {
    PointId::from(key.to_string())
}

pub(super) fn key(id: Option<PointId>) -> Result<Uuid> {
    let foreign = |what: &str| {
        Error::store(format!(
            "the collection holds a point {what} that ticket-router did not write; use one of its own"
        ))
    };
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(text)) => text.parse().map_err(|_| foreign(&text)),
        Some(PointIdOptions::Num(number)) => Err(foreign(&number.to_string())),
        None => Err(foreign("without an id")),
    }
}

pub(super) fn payload(example: &Example) -> Result<Fields> {
    let value = serde_json::to_value(example).map_err(|e| Error::internal(format!("an example is no JSON: {e}")))?;
    let payload = Payload::try_from(value).map_err(|_| Error::internal("an example is not a JSON object"))?;
    Ok(payload.into())
}

pub(super) fn example(id: Option<PointId>, fields: Fields) -> Result<Example> {
    let key = key(id)?;
    let mut example: Example = serde_json::from_value(Payload::from(fields).into()).map_err(|e| {
        Error::store(format!("the point {key} is not an example: {e}; index again into a new collection"))
    })?;
    example.key = key;
    Ok(example)
}

pub(super) fn point(point: Point) -> Result<PointStruct> {
    let (id, payload) = (id(point.example.key), payload(&point.example)?);
    let mut vectors = HashMap::from([(DENSE.to_owned(), dense(point.dense))]);
    vectors.insert(SPARSE.to_owned(), sparse(point.sparse));
    Ok(PointStruct { id: Some(id), payload, vectors: Some(NamedVectors { vectors }.into()) })
}

fn dense(data: Vec<f32>) -> Vector {
    Vector { vector: Some(vector::Vector::Dense(DenseVector { data })), ..Vector::default() }
}

fn sparse(vector: crate::data::example::SparseVector) -> Vector {
    let vector = SparseVector { values: vector.values, indices: vector.indices };
    Vector { vector: Some(vector::Vector::Sparse(vector)), ..Vector::default() }
}

/// The dense vector among those that came along.
pub(super) fn found_dense(vectors: Option<VectorsOutput>) -> Option<Vec<f32>> {
    let VectorsOptions::Vectors(mut named) = vectors?.vectors_options? else { return None };
    match named.vectors.remove(DENSE)?.into_vector() {
        Found::Dense(vector) => Some(vector.data),
        _ => None,
    }
}

pub(super) fn filter(filter: &seam::Filter) -> Result<Filter> {
    Ok(Filter::must(filter.must.iter().map(condition).collect::<Result<Vec<_>>>()?))
}

/// All examples, and none of the blobs.
pub(super) fn examples() -> Filter {
    Filter::must([Condition::is_empty(BLOB_FIELD)])
}

fn condition(condition: &seam::Condition) -> Result<Condition> {
    Ok(match condition {
        seam::Condition::OneOf(field, values) => Condition::matches(field.as_str(), values.clone()),
        seam::Condition::After(field, moment) => {
            Condition::datetime_range(field, DatetimeRange { gte: Some(time(moment)?), ..DatetimeRange::default() })
        }
        seam::Condition::Before(field, moment) => {
            Condition::datetime_range(field, DatetimeRange { lt: Some(time(moment)?), ..DatetimeRange::default() })
        }
    })
}

/// A moment, or the beginning of a day in UTC.
fn time(moment: &str) -> Result<Timestamp> {
    let day = || Some(moment.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    let parsed = DateTime::parse_from_rfc3339(moment).ok().map(|moment| moment.to_utc()).or_else(day);
    let parsed = parsed.ok_or_else(|| {
        Error::bad_input(format!("{moment:?} is no date; write it as 2026-03-01 or 2026-03-01T08:00:00Z"))
    })?;
    let nanos = i32::try_from(parsed.timestamp_subsec_nanos()).unwrap_or_default();
    Ok(Timestamp { seconds: parsed.timestamp(), nanos })
}
