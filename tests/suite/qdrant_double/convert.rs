//! Between the wire's shapes and the engine's, with the server's words for what is refused.

use std::collections::HashMap;

use chrono::DateTime;
use qdrant_client::qdrant as wire;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_update_operation::Operation;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{query, vector, vector_input, vectors_config, vectors_output};
use qdrant_client::qdrant::{with_payload_selector, with_vectors_selector};
use qdrant_edge::{
    Condition, ConditionalInsertOperation, CreateIndex, DateTimeWrapper, Distance, EdgeConfig, EdgeSparseVectorParams,
    EdgeVectorParams, FacetValue, FacetValueHit, FieldCondition, FieldIndexOperations, Filter, HasIdCondition,
    JsonPath, Match, MinShould, Modifier, NamedQuery, OperationError, Payload, PayloadFieldSchema, PayloadIndexInfo,
    PayloadOps, PayloadSchemaType, PointId, PointInsertOperations, PointOperations, PointStructPersisted,
    QuantizationSearchParams, QueryEnum, Range, Record, ScoredPoint, SearchParams, SearchRequest, SetPayloadOp,
    SparseVector, UpdateOperation, VectorInternal, VectorPersisted, VectorStructInternal, VectorStructPersisted,
    WalOptions, WithPayloadInterface, WithVector,
};
use tonic::Status;

type Result<T> = std::result::Result<T, Status>;
type Fields = HashMap<String, wire::Value>;

/// The page of a scroll, and the hits of a query or a facet, when nothing was said.
const DEFAULT_LIMIT: u64 = 10;

/// The server's code and words for an error of the engine.
pub(super) fn refused(e: &OperationError) -> Status {
    match e {
        OperationError::PointIdError { .. } => Status::not_found(format!("Not found: {e}")),
        OperationError::WrongSparse => {
            Status::invalid_argument("Wrong input: Conversion between sparse and regular vectors failed")
        }
        OperationError::WrongVectorDimension { .. }
        | OperationError::VectorNameNotExists { .. }
        | OperationError::TypeError { .. }
        | OperationError::TypeInferenceError { .. }
        | OperationError::ValidationError { .. }
        | OperationError::MissingMapIndexForFacet { .. } => Status::invalid_argument(format!("Wrong input: {e}")),
        OperationError::Timeout { .. } => Status::deadline_exceeded(format!("Timeout: {e}")),
        _ => Status::internal(format!("Service internal error: {e}")),
    }
}

fn missing(what: &str) -> Status {
    Status::unimplemented(format!("the double has no {what}"))
}

fn number(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Status::invalid_argument("Wrong input: number too large"))
}

pub(super) fn limit(limit: Option<u64>) -> Result<usize> {
    match limit.unwrap_or(DEFAULT_LIMIT) {
        0 => Err(Status::invalid_argument("Validation error in body: [limit: value 0 invalid, must be 1 or larger]")),
        limit => number(limit),
    }
}

pub(super) fn path(path: &str) -> Result<JsonPath> {
    path.parse().map_err(|()| Status::invalid_argument(format!("Unable to parse key: {path}")))
}

// Collections

pub(super) fn engine_config(request: &wire::CreateCollection) -> Result<EdgeConfig> {
    // Pieces of the log are reserved on disk: the usual 32 MB are much for a test.
    let log = WalOptions { segment_capacity: 4 * 1024 * 1024, ..WalOptions::default() };
    let mut config = EdgeConfig::builder().wal_options(log);
    match request.vectors_config.as_ref().and_then(|vectors| vectors.config.as_ref()) {
        Some(vectors_config::Config::ParamsMap(vectors)) => {
            for (name, params) in &vectors.map {
                config = config.vector(name.clone(), dense_params(params)?);
            }
        }
        Some(vectors_config::Config::Params(params)) => config = config.vector("", dense_params(params)?),
        None => {}
    }
    for (name, params) in request.sparse_vectors_config.iter().flat_map(|sparse| &sparse.map) {
        let mut sparse = EdgeSparseVectorParams::builder();
        if params.modifier == Some(wire::Modifier::Idf.into()) {
            sparse = sparse.modifier(Modifier::Idf);
        }
        config = config.sparse_vector(name.clone(), sparse.build());
    }
    Ok(config.build())
}

fn dense_params(params: &wire::VectorParams) -> Result<EdgeVectorParams> {
    let distance = match params.distance() {
        wire::Distance::Cosine => Distance::Cosine,
        wire::Distance::Euclid => Distance::Euclid,
        wire::Distance::Dot => Distance::Dot,
        wire::Distance::Manhattan => Distance::Manhattan,
        wire::Distance::UnknownDistance => return Err(Status::failed_precondition("Unknown distance")),
    };
    match params.size {
        1..=65_536 => Ok(EdgeVectorParams::builder(number(params.size)?, distance).build()),
        size => Err(Status::invalid_argument(format!(
            "Validation error in body: [vectors_config.size: value {size} invalid, must be from 1 to 65536]"
        ))),
    }
}

/// The kinds of an index, which both sides name alike.
const KINDS: [(wire::FieldType, PayloadSchemaType, wire::PayloadSchemaType); 3] = [
    (wire::FieldType::Keyword, PayloadSchemaType::Keyword, wire::PayloadSchemaType::Keyword),
    (wire::FieldType::Datetime, PayloadSchemaType::Datetime, wire::PayloadSchemaType::Datetime),
    (wire::FieldType::Integer, PayloadSchemaType::Integer, wire::PayloadSchemaType::Integer),
];

pub(super) fn field_index(request: &wire::CreateFieldIndexCollection) -> Result<UpdateOperation> {
    let kind = KINDS.iter().find(|(asked, ..)| request.field_type == Some((*asked).into()));
    let (_, kind, _) = kind.ok_or_else(|| missing("index of this type"))?;
    let field_schema = Some(PayloadFieldSchema::FieldType(*kind));
    let index = CreateIndex { field_name: path(&request.field_name)?, field_schema };
    Ok(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index)))
}

pub(super) fn payload_schema(index: &PayloadIndexInfo) -> wire::PayloadSchemaInfo {
    let kind = KINDS.iter().find(|(_, kind, _)| *kind == index.data_type).map_or_else(Default::default, |kind| kind.2);
    wire::PayloadSchemaInfo { data_type: kind.into(), params: None, points: Some(index.points as u64) }
}

// Ids, payloads and vectors

pub(super) fn point_id(id: wire::PointId) -> Result<PointId> {
    match id.point_id_options {
        Some(PointIdOptions::Num(number)) => Ok(PointId::NumId(number)),
        Some(PointIdOptions::Uuid(text)) => match text.parse() {
            Ok(uuid) => Ok(PointId::Uuid(uuid)),
            Err(_) => Err(Status::invalid_argument(format!("Unable to parse UUID: {text}"))),
        },
        None => Err(Status::invalid_argument("No ID options provided")),
    }
}

pub(super) fn point_ids(ids: Vec<wire::PointId>) -> Result<Vec<PointId>> {
    ids.into_iter().map(point_id).collect()
}

pub(super) fn proto_id(id: PointId) -> wire::PointId {
    match id {
        PointId::NumId(number) => number.into(),
        PointId::Uuid(uuid) => uuid.to_string().into(),
    }
}

fn payload(fields: Fields) -> Payload {
    Payload(qdrant_client::Payload::from(fields).into())
}

fn fields(payload: Option<Payload>) -> Fields {
    payload.map(|payload| qdrant_client::Payload::from(payload.0).into()).unwrap_or_default()
}

fn point(point: wire::PointStruct) -> Result<PointStructPersisted> {
    let vectors = point.vectors.ok_or_else(|| Status::invalid_argument("Expected some vectors"))?;
    let vector = match vectors.vectors_options {
        Some(VectorsOptions::Vectors(named)) => VectorStructPersisted::Named(
            named.vectors.into_iter().map(|(name, vector)| Ok((name, one_vector(vector)?))).collect::<Result<_>>()?,
        ),
        Some(VectorsOptions::Vector(_)) => return Err(missing("vectors without a name")),
        None => return Err(Status::invalid_argument("No Vector Provided")),
    };
    let id = point.id.ok_or_else(|| Status::invalid_argument("Empty ID is not allowed"))?;
    Ok(PointStructPersisted { id: point_id(id)?, vector, payload: Some(payload(point.payload)) })
}

#[expect(deprecated, reason = "the server still takes the old form")]
fn one_vector(vector: wire::Vector) -> Result<VectorPersisted> {
    Ok(match (vector.vector, vector.indices) {
        (Some(vector::Vector::Dense(dense)), _) => VectorPersisted::Dense(dense.data),
        (Some(vector::Vector::Sparse(found)), _) => VectorPersisted::Sparse(sparse(found.indices, found.values)?),
        (Some(_), _) => return Err(missing("vectors of this kind")),
        (None, Some(indices)) => VectorPersisted::Sparse(sparse(indices.data, vector.data)?),
        (None, None) => VectorPersisted::Dense(vector.data),
    })
}

fn sparse(indices: Vec<u32>, values: Vec<f32>) -> Result<SparseVector> {
    SparseVector::new(indices, values)
        .map_err(|e| Status::invalid_argument(format!("Wrong input: Validation error in sparse vector: {e}")))
}

/// In the old form, as the server writes it.
#[expect(deprecated, reason = "this is what the server sends")]
fn vectors(vectors: Option<VectorStructInternal>) -> Option<wire::VectorsOutput> {
    let VectorStructInternal::Named(named) = vectors? else { return None };
    let output = |vector| match vector {
        VectorInternal::Dense(data) => wire::VectorOutput { data, ..wire::VectorOutput::default() },
        VectorInternal::Sparse(SparseVector { indices, values }) => wire::VectorOutput {
            data: values,
            indices: Some(wire::SparseIndices { data: indices }),
            ..wire::VectorOutput::default()
        },
        VectorInternal::MultiDense(_) => wire::VectorOutput::default(),
    };
    let vectors = named.into_iter().map(|(name, vector)| (name, output(vector))).collect();
    let options = vectors_output::VectorsOptions::Vectors(wire::NamedVectorsOutput { vectors });
    Some(wire::VectorsOutput { vectors_options: Some(options) })
}

pub(super) fn record(record: Record) -> wire::RetrievedPoint {
    wire::RetrievedPoint {
        id: Some(proto_id(record.id)),
        payload: fields(record.payload),
        vectors: vectors(record.vector),
        ..wire::RetrievedPoint::default()
    }
}

pub(super) fn scored(point: ScoredPoint) -> wire::ScoredPoint {
    wire::ScoredPoint {
        id: Some(proto_id(point.id)),
        payload: fields(point.payload),
        score: point.score,
        version: point.version,
        vectors: vectors(point.vector),
        ..wire::ScoredPoint::default()
    }
}

pub(super) fn facet_hit(hit: FacetValueHit) -> wire::FacetHit {
    use wire::facet_value::Variant;
    let variant = match hit.value {
        FacetValue::Keyword(word) => Variant::StringValue(word),
        FacetValue::Int(number) => Variant::IntegerValue(number),
        FacetValue::Bool(flag) => Variant::BoolValue(flag),
        FacetValue::Uuid(number) => Variant::StringValue(uuid::Uuid::from_u128(number).to_string()),
    };
    wire::FacetHit { value: Some(wire::FacetValue { variant: Some(variant) }), count: hit.count as u64 }
}

// Writes

/// Those that a selector selects.
fn selected(selector: Option<wire::PointsSelector>) -> Result<(Option<Vec<PointId>>, Option<Filter>)> {
    match selector.and_then(|selector| selector.points_selector_one_of) {
        Some(PointsSelectorOneOf::Points(list)) => Ok((Some(point_ids(list.ids)?), None)),
        Some(PointsSelectorOneOf::Filter(chosen)) => Ok((None, Some(filter(chosen)?))),
        None => Err(Status::invalid_argument("PointSelector is missing")),
    }
}

pub(super) fn operation(operation: wire::PointsUpdateOperation) -> Result<UpdateOperation> {
    let set = |payload_fields, selector, key: Option<String>| -> Result<SetPayloadOp> {
        let (points, filter) = selected(selector)?;
        let key = key.as_deref().map(path).transpose()?;
        Ok(SetPayloadOp { payload: payload(payload_fields), points, filter, key })
    };
    Ok(match operation.operation {
        Some(Operation::Upsert(list)) => {
            let points = list.points.into_iter().map(point).collect::<Result<_>>()?;
            let points_op = PointInsertOperations::PointsList(points);
            UpdateOperation::PointOperation(match list.update_filter.map(filter).transpose()? {
                None => PointOperations::UpsertPoints(points_op),
                Some(condition) => PointOperations::UpsertPointsConditional(ConditionalInsertOperation {
                    points_op,
                    condition,
                    update_mode: None,
                }),
            })
        }
        Some(Operation::SetPayload(op)) => {
            UpdateOperation::PayloadOperation(PayloadOps::SetPayload(set(op.payload, op.points_selector, op.key)?))
        }
        Some(Operation::OverwritePayload(op)) => UpdateOperation::PayloadOperation(PayloadOps::OverwritePayload(set(
            op.payload,
            op.points_selector,
            op.key,
        )?)),
        Some(Operation::DeletePoints(op)) => UpdateOperation::PointOperation(match selected(op.points)? {
            (_, Some(filter)) => PointOperations::DeletePointsByFilter(filter),
            (ids, None) => PointOperations::DeletePoints { ids: ids.unwrap_or_default() },
        }),
        Some(_) => return Err(missing("update operation of this kind")),
        None => return Err(Status::invalid_argument("Operation is missing")),
    })
}

// Reads

pub(super) fn search(query: wire::QueryPoints) -> Result<SearchRequest> {
    if !query.prefetch.is_empty() {
        return Err(missing("prefetch"));
    }
    let Some(query::Variant::Nearest(nearest)) = query.query.and_then(|query| query.variant) else {
        return Err(missing("query of this kind"));
    };
    let vector = match nearest.variant {
        Some(vector_input::Variant::Dense(dense)) => VectorInternal::Dense(dense.data),
        Some(vector_input::Variant::Sparse(found)) => VectorInternal::Sparse(sparse(found.indices, found.values)?),
        _ => return Err(missing("query vector of this kind")),
    };
    Ok(SearchRequest {
        query: QueryEnum::Nearest(NamedQuery::new(vector, query.using.unwrap_or_default())),
        filter: query.filter.map(filter).transpose()?,
        params: query.params.as_ref().map(search_params).transpose()?,
        limit: limit(query.limit)?,
        offset: number(query.offset.unwrap_or(0))?,
        with_payload: Some(with_payload(query.with_payload, false)?),
        with_vector: Some(with_vectors(query.with_vectors)),
        score_threshold: query.score_threshold,
    })
}

fn search_params(params: &wire::SearchParams) -> Result<SearchParams> {
    Ok(SearchParams {
        hnsw_ef: params.hnsw_ef.map(number).transpose()?,
        exact: params.exact.unwrap_or(false),
        quantization: params.quantization.as_ref().map(|asked| QuantizationSearchParams {
            ignore: asked.ignore.unwrap_or(false),
            rescore: asked.rescore,
            oversampling: asked.oversampling,
        }),
        indexed_only: params.indexed_only.unwrap_or(false),
        ..SearchParams::default()
    })
}

pub(super) fn with_payload(asked: Option<wire::WithPayloadSelector>, default: bool) -> Result<WithPayloadInterface> {
    use with_payload_selector::SelectorOptions;
    match asked.and_then(|asked| asked.selector_options) {
        None => Ok(WithPayloadInterface::Bool(default)),
        Some(SelectorOptions::Enable(all)) => Ok(WithPayloadInterface::Bool(all)),
        Some(SelectorOptions::Include(some)) => {
            Ok(WithPayloadInterface::Fields(some.fields.iter().map(|field| path(field)).collect::<Result<_>>()?))
        }
        Some(SelectorOptions::Exclude(_)) => Err(missing("payload without some fields")),
    }
}

pub(super) fn with_vectors(asked: Option<wire::WithVectorsSelector>) -> WithVector {
    use with_vectors_selector::SelectorOptions;
    match asked.and_then(|asked| asked.selector_options) {
        None => WithVector::Bool(false),
        Some(SelectorOptions::Enable(all)) => WithVector::Bool(all),
        Some(SelectorOptions::Include(some)) => WithVector::Selector(some.names),
    }
}

// Filters

pub(super) fn filter(filter: wire::Filter) -> Result<Filter> {
    let min_should = match filter.min_should {
        Some(wire::MinShould { conditions, min_count }) => Some(MinShould {
            conditions: self::conditions(conditions)?.unwrap_or_default(),
            min_count: number(min_count)?,
        }),
        None => None,
    };
    Ok(Filter {
        should: conditions(filter.should)?,
        min_should,
        must: conditions(filter.must)?,
        must_not: conditions(filter.must_not)?,
    })
}

fn conditions(conditions: Vec<wire::Condition>) -> Result<Option<Vec<Condition>>> {
    let conditions = conditions.into_iter().map(condition).collect::<Result<Vec<_>>>()?;
    Ok((!conditions.is_empty()).then_some(conditions))
}

fn condition(condition: wire::Condition) -> Result<Condition> {
    match condition.condition_one_of {
        Some(ConditionOneOf::Field(field)) => Ok(Condition::Field(field_condition(field)?)),
        Some(ConditionOneOf::IsEmpty(field)) => {
            Ok(Condition::Field(FieldCondition::new_is_empty(path(&field.key)?, true)))
        }
        Some(ConditionOneOf::HasId(ids)) => Ok(Condition::HasId(HasIdCondition::from_iter(point_ids(ids.has_id)?))),
        Some(ConditionOneOf::Filter(inner)) => Ok(Condition::Filter(filter(inner)?)),
        Some(_) => Err(missing("condition of this kind")),
        None => Err(Status::invalid_argument("Malformed Condition type")),
    }
}

fn field_condition(field: wire::FieldCondition) -> Result<FieldCondition> {
    let key = path(&field.key)?;
    if let Some(range) = field.datetime_range {
        let range =
            Range { lt: moment(range.lt)?, gt: moment(range.gt)?, gte: moment(range.gte)?, lte: moment(range.lte)? };
        return Ok(FieldCondition::new_datetime_range(key, range));
    }
    if let Some(is_empty) = field.is_empty {
        return Ok(FieldCondition::new_is_empty(key, is_empty));
    }
    let wanted = match field.r#match.and_then(|wanted| wanted.match_value) {
        Some(MatchValue::Keyword(word)) => Match::from(word),
        Some(MatchValue::Keywords(words)) => Match::from(words.strings),
        Some(MatchValue::Integer(number)) => Match::from(number),
        Some(MatchValue::Boolean(flag)) => Match::from(flag),
        _ => return Err(missing("condition on a field of this kind")),
    };
    Ok(FieldCondition::new_match(key, wanted))
}

fn moment(moment: Option<wire::Timestamp>) -> Result<Option<DateTimeWrapper>> {
    let Some(wire::Timestamp { seconds, nanos }) = moment else { return Ok(None) };
    let moment = u32::try_from(nanos).ok().and_then(|nanos| DateTime::from_timestamp(seconds, nanos));
    let moment = moment.ok_or_else(|| Status::invalid_argument("Unable to convert timestamp"))?;
    Ok(Some(DateTimeWrapper(moment)))
}
