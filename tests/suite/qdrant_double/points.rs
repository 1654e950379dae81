//! Points: what is written and what is found.

use std::sync::Arc;
use std::time::Duration;

use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::points_update_operation::{Operation, OverwritePayload, PointStructList, SetPayload};
use qdrant_client::qdrant::{
    BatchResult, ClearPayloadPoints, CountPoints, CountResponse, CountResult, CreateFieldIndexCollection,
    CreateVectorNameRequest, DeleteFieldIndexCollection, DeletePayloadPoints, DeletePointVectors, DeletePoints,
    DeleteVectorNameRequest, DiscoverBatchPoints, DiscoverBatchResponse, DiscoverPoints, DiscoverResponse, FacetCounts,
    FacetResponse, GetPoints, GetResponse, PointsOperationResponse, PointsUpdateOperation, QueryBatchPoints,
    QueryBatchResponse, QueryGroupsResponse, QueryPointGroups, QueryPoints, QueryResponse, RecommendBatchPoints,
    RecommendBatchResponse, RecommendGroupsResponse, RecommendPointGroups, RecommendPoints, RecommendResponse,
    ScoredPoint, ScrollPoints, ScrollResponse, SearchBatchPoints, SearchBatchResponse, SearchGroupsResponse,
    SearchMatrixOffsetsResponse, SearchMatrixPairsResponse, SearchMatrixPoints, SearchPointGroups, SearchPoints,
    SearchResponse, SetPayloadPoints, UpdateBatchPoints, UpdateBatchResponse, UpdatePointVectors, UpdateResult,
    UpdateStatus, UpsertPoints, points_update_operation,
};
use qdrant_edge::{CountRequest, EdgeShard, FacetRequest, ScrollRequest, UpdateOperation};
use tonic::{Request, Response, Status};

use super::Services;
use super::collections::Catalogue;
use super::convert;

/// Methods that the program does not use.
macro_rules! not_here {
    ($($method:ident: $request:ty => $response:ty;)*) => {$(
        fn $method<'life, 'async_trait>(
            &'life self,
            _: Request<$request>,
        ) -> futures::future::BoxFuture<'async_trait, Result<Response<$response>, Status>>
        where
            'life: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented(concat!("the double has no ", stringify!($method)))) })
        }
    )*};
}
pub(super) use not_here;

type Answer<T> = Result<Response<T>, Status>;

/// When a write is seen that nobody waits for.
const LATER: Duration = Duration::from_millis(200);

impl Services {
    /// Runs work on the engine off the async threads, as it blocks.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Catalogue) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let catalogue = Arc::clone(&self.catalogue);
        tokio::task::spawn_blocking(move || work(&catalogue)).await.map_err(|e| stopped(&e))?
    }

    async fn read<T: Send + 'static>(
        &self,
        collection: String,
        work: impl FnOnce(&EdgeShard) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        self.blocking(move |catalogue| work(&catalogue.resolve(&collection)?.shard.read().unwrap())).await
    }

    /// Applies the operations in their order. What the caller waits for is on disk when it is
    /// answered; what nobody waits for comes a little later.
    async fn write(
        &self,
        collection: String,
        wait: Option<bool>,
        operations: Vec<UpdateOperation>,
    ) -> Result<Vec<UpdateResult>, Status> {
        let waits = wait == Some(true);
        let status = if waits { UpdateStatus::Completed } else { UpdateStatus::Acknowledged };
        let result = UpdateResult { operation_id: Some(0), status: status.into() };
        let results = vec![result; operations.len()];
        let collection = self.catalogue.resolve(&collection)?;
        let work = tokio::task::spawn_blocking(move || {
            if !waits {
                std::thread::sleep(LATER);
            }
            let applied = operations.into_iter().try_for_each(|operation| {
                let applied = collection.shard.write().unwrap().update(operation).map_err(|e| convert::refused(&e));
                collection.remember_intents();
                applied
            });
            collection.shard.write().unwrap().flush();
            applied
        });
        if waits {
            work.await.map_err(|e| stopped(&e))??;
        }
        Ok(results)
    }

    async fn write_one(
        &self,
        collection: String,
        wait: Option<bool>,
        operation: Operation,
    ) -> Answer<PointsOperationResponse> {
        let operation = convert::operation(PointsUpdateOperation { operation: Some(operation) })?;
        let result = self.write(collection, wait, vec![operation]).await?.pop();
        Ok(Response::new(PointsOperationResponse { result, ..PointsOperationResponse::default() }))
    }
}

fn stopped(e: &tokio::task::JoinError) -> Status {
    Status::internal(format!("Service internal error: {e}"))
}

fn search(shard: &EdgeShard, query: QueryPoints) -> Result<Vec<ScoredPoint>, Status> {
    let found = shard.search(convert::search(query)?).map_err(|e| convert::refused(&e))?;
    Ok(found.into_iter().map(convert::scored).collect())
}

#[tonic::async_trait]
impl Points for Services {
    async fn upsert(&self, request: Request<UpsertPoints>) -> Answer<PointsOperationResponse> {
        let UpsertPoints { collection_name, wait, points, update_filter, .. } = request.into_inner();
        let list = PointStructList { points, update_filter, ..PointStructList::default() };
        self.write_one(collection_name, wait, Operation::Upsert(list)).await
    }

    async fn delete(&self, request: Request<DeletePoints>) -> Answer<PointsOperationResponse> {
        let DeletePoints { collection_name, wait, points, .. } = request.into_inner();
        let delete = points_update_operation::DeletePoints { points, shard_key_selector: None };
        self.write_one(collection_name, wait, Operation::DeletePoints(delete)).await
    }

    async fn set_payload(&self, request: Request<SetPayloadPoints>) -> Answer<PointsOperationResponse> {
        let SetPayloadPoints { collection_name, wait, payload, points_selector, key, .. } = request.into_inner();
        let set = SetPayload { payload, points_selector, key, shard_key_selector: None };
        self.write_one(collection_name, wait, Operation::SetPayload(set)).await
    }

    async fn overwrite_payload(&self, request: Request<SetPayloadPoints>) -> Answer<PointsOperationResponse> {
        let SetPayloadPoints { collection_name, wait, payload, points_selector, key, .. } = request.into_inner();
        let overwrite = OverwritePayload { payload, points_selector, key, shard_key_selector: None };
        self.write_one(collection_name, wait, Operation::OverwritePayload(overwrite)).await
    }

    async fn update_batch(&self, request: Request<UpdateBatchPoints>) -> Answer<UpdateBatchResponse> {
        let UpdateBatchPoints { collection_name, wait, operations, .. } = request.into_inner();
        let operations = operations.into_iter().map(convert::operation).collect::<Result<_, _>>()?;
        let result = self.write(collection_name, wait, operations).await?;
        Ok(Response::new(UpdateBatchResponse { result, ..UpdateBatchResponse::default() }))
    }

    async fn create_field_index(
        &self,
        request: Request<CreateFieldIndexCollection>,
    ) -> Answer<PointsOperationResponse> {
        let request = request.into_inner();
        let index = convert::field_index(&request)?;
        let result = self.write(request.collection_name, request.wait, vec![index]).await?.pop();
        Ok(Response::new(PointsOperationResponse { result, ..PointsOperationResponse::default() }))
    }

    async fn get(&self, request: Request<GetPoints>) -> Answer<GetResponse> {
        let GetPoints { collection_name, ids, with_payload, with_vectors, .. } = request.into_inner();
        let ids = convert::point_ids(ids)?;
        let with_payload = convert::with_payload(with_payload, false)?;
        let with_vectors = convert::with_vectors(with_vectors);
        let result = self.read(collection_name, move |shard| {
            let found = shard.retrieve(&ids, Some(with_payload), Some(with_vectors));
            Ok(found.map_err(|e| convert::refused(&e))?.into_iter().map(convert::record).collect())
        });
        Ok(Response::new(GetResponse { result: result.await?, ..GetResponse::default() }))
    }

    async fn scroll(&self, request: Request<ScrollPoints>) -> Answer<ScrollResponse> {
        let request = request.into_inner();
        if request.order_by.is_some() {
            return Err(Status::unimplemented("the double has no order_by"));
        }
        let scroll = ScrollRequest {
            offset: request.offset.map(convert::point_id).transpose()?,
            limit: Some(convert::limit(request.limit.map(u64::from))?),
            filter: request.filter.map(convert::filter).transpose()?,
            with_payload: Some(convert::with_payload(request.with_payload, true)?),
            with_vector: convert::with_vectors(request.with_vectors),
            order_by: None,
        };
        let read =
            self.read(request.collection_name, move |shard| shard.scroll(scroll).map_err(|e| convert::refused(&e)));
        let (page, next) = read.await?;
        Ok(Response::new(ScrollResponse {
            next_page_offset: next.map(convert::proto_id),
            result: page.into_iter().map(convert::record).collect(),
            ..ScrollResponse::default()
        }))
    }

    async fn count(&self, request: Request<CountPoints>) -> Answer<CountResponse> {
        let CountPoints { collection_name, filter, exact, .. } = request.into_inner();
        let count = CountRequest { filter: filter.map(convert::filter).transpose()?, exact: exact.unwrap_or(true) };
        let read = self.read(collection_name, move |shard| shard.count(count).map_err(|e| convert::refused(&e)));
        let result = Some(CountResult { count: read.await? as u64 });
        Ok(Response::new(CountResponse { result, ..CountResponse::default() }))
    }

    async fn facet(&self, request: Request<FacetCounts>) -> Answer<FacetResponse> {
        let request = request.into_inner();
        let facet = FacetRequest {
            key: convert::path(&request.key)?,
            limit: convert::limit(request.limit)?,
            filter: request.filter.map(convert::filter).transpose()?,
            exact: request.exact.unwrap_or(false),
        };
        let is_of_intents = request.key == "intent";
        let hits = self.blocking(move |catalogue| {
            let collection = catalogue.resolve(&request.collection_name)?;
            let found = collection.shard.read().unwrap().facet(facet).map_err(|e| convert::refused(&e))?;
            let mut hits: Vec<_> = found.hits.into_iter().map(convert::facet_hit).collect();
            if is_of_intents {
                hits.extend(collection.forsaken_intents(&hits));
            }
            Ok(hits)
        });
        let hits = hits.await?;
        Ok(Response::new(FacetResponse { hits, ..FacetResponse::default() }))
    }

    async fn query(&self, request: Request<QueryPoints>) -> Answer<QueryResponse> {
        let query = request.into_inner();
        let result = self.read(query.collection_name.clone(), move |shard| search(shard, query)).await?;
        Ok(Response::new(QueryResponse { result, ..QueryResponse::default() }))
    }

    /// All on the collection of the batch; between two of them a write may come.
    async fn query_batch(&self, request: Request<QueryBatchPoints>) -> Answer<QueryBatchResponse> {
        let QueryBatchPoints { collection_name, query_points, .. } = request.into_inner();
        let result = self.blocking(move |catalogue| {
            let collection = catalogue.resolve(&collection_name)?;
            let one = |query| Ok(BatchResult { result: search(&collection.shard.read().unwrap(), query)? });
            query_points.into_iter().map(one).collect()
        });
        Ok(Response::new(QueryBatchResponse { result: result.await?, ..QueryBatchResponse::default() }))
    }

    not_here! {
        update_vectors: UpdatePointVectors => PointsOperationResponse;
        delete_vectors: DeletePointVectors => PointsOperationResponse;
        delete_payload: DeletePayloadPoints => PointsOperationResponse;
        clear_payload: ClearPayloadPoints => PointsOperationResponse;
        delete_field_index: DeleteFieldIndexCollection => PointsOperationResponse;
        create_vector_name: CreateVectorNameRequest => PointsOperationResponse;
        delete_vector_name: DeleteVectorNameRequest => PointsOperationResponse;
        search: SearchPoints => SearchResponse;
        search_batch: SearchBatchPoints => SearchBatchResponse;
        search_groups: SearchPointGroups => SearchGroupsResponse;
        recommend: RecommendPoints => RecommendResponse;
        recommend_batch: RecommendBatchPoints => RecommendBatchResponse;
        recommend_groups: RecommendPointGroups => RecommendGroupsResponse;
        discover: DiscoverPoints => DiscoverResponse;
        discover_batch: DiscoverBatchPoints => DiscoverBatchResponse;
        query_groups: QueryPointGroups => QueryGroupsResponse;
        search_matrix_pairs: SearchMatrixPoints => SearchMatrixPairsResponse;
        search_matrix_offsets: SearchMatrixPoints => SearchMatrixOffsetsResponse;
    }
}
