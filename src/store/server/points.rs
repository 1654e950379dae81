//! Examples on the wire: written in pieces, found, paged through.

use std::collections::HashMap;
use std::sync::Arc;

use qdrant_client::qdrant::points_update_operation::{Operation, OverwritePayload};
use qdrant_client::qdrant::{
    Condition, CountPoints, DeletePoints, DenseVector, FacetCounts, Filter, GetPoints, PointId, PointStruct,
    PointsSelector, PointsUpdateOperation, QuantizationSearchParams, QueryBatchPoints, QueryPoints, ScoredPoint,
    ScrollPoints, SearchParams, SetPayloadPoints, SparseVector, UpdateBatchPoints, UpsertPoints, Value, VectorInput,
    VectorsSelector, WithVectorsSelector, facet_value, query, vector_input, with_vectors_selector,
};
use uuid::Uuid;

use super::super::settings::{DENSE, OVERSAMPLING, SEARCH_BEAM, SPARSE};
use super::super::{self as seam, Example, Hit, Hits, Point, Query, StoredExample};
use super::call::Server;
use super::convert;
use crate::{Error, Result};

/// The most bytes of a request (a server takes 32 MiB), and the most points.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
const PIECE_POINTS: usize = 1_000;

/// The most intents that are listed: more than any taxonomy has.
const MOST_INTENTS: u64 = 1_000_000;

impl Server {
    pub(super) async fn upsert(&self, collection: &str, points: Vec<Point>) -> Result<()> {
        let points = points.into_iter().map(convert::point).collect::<Result<Vec<_>>>()?;
        for points in pieces(points, |point: &PointStruct| encoded(point)) {
            let request = UpsertPoints {
                collection_name: collection.to_owned(),
                wait: Some(true),
                points,
                ..UpsertPoints::default()
            };
            self.send(
                "writing examples",
                request,
                |client, request| async move { client.upsert_points(request).await },
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn overwrite(&self, collection: &str, examples: Vec<Example>) -> Result<()> {
        let operations = examples
            .iter()
            .map(|example| {
                let operation = Operation::OverwritePayload(OverwritePayload {
                    payload: convert::payload(example)?,
                    points_selector: Some(of_keys([example.key])),
                    ..OverwritePayload::default()
                });
                Ok(PointsUpdateOperation { operation: Some(operation) })
            })
            .collect::<Result<Vec<_>>>()?;
        for operations in pieces(operations, |operation: &PointsUpdateOperation| encoded(operation)) {
            let request = UpdateBatchPoints {
                collection_name: collection.to_owned(),
                wait: Some(true),
                operations,
                ..UpdateBatchPoints::default()
            };
            self.send("changing examples", request, |client, request| async move {
                client.update_points_batch(request).await
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn relabel(&self, collection: &str, from: &str, to: &str) -> Result<usize> {
        let of_intent = convert::filter(&seam::Filter::default().within(vec![from.to_owned()]))?;
        let count = self.count(collection, of_intent.clone()).await?;
        let request = SetPayloadPoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            payload: HashMap::from([("intent".to_owned(), Value::from(to))]),
            points_selector: Some(of_intent.into()),
            ..SetPayloadPoints::default()
        };
        self.send("relabelling examples", request, |client, request| async move { client.set_payload(request).await })
            .await?;
        Ok(count)
    }

    pub(super) async fn delete(&self, collection: &str, keys: &[Uuid]) -> Result<()> {
        for keys in keys.chunks(PIECE_POINTS) {
            let request = DeletePoints {
                collection_name: collection.to_owned(),
                wait: Some(true),
                points: Some(of_keys(keys.iter().copied())),
                ..DeletePoints::default()
            };
            self.send(
                "removing examples",
                request,
                |client, request| async move { client.delete_points(request).await },
            )
            .await?;
        }
        Ok(())
    }

    /// Removes the points that pass a filter.
    pub(super) async fn delete_where(&self, collection: &str, filter: Filter) -> Result<()> {
        let request = DeletePoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            points: Some(filter.into()),
            ..DeletePoints::default()
        };
        self.send("removing notes", request, |client, request| async move { client.delete_points(request).await })
            .await
            .map(|_| ())
    }

    /// Runs both searches in one request. The examples come along, since another process may have changed what was read
    /// before.
    pub(super) async fn query(&self, collection: &str, query: Query) -> Result<Hits> {
        let mut filter = convert::filter(&query.filter)?;
        if !query.exclude.is_empty() {
            filter.must_not.push(Condition::has_id(query.exclude.iter().map(|key| convert::id(*key))));
        }
        let search = |using: &str, vector: vector_input::Variant| QueryPoints {
            collection_name: collection.to_owned(),
            query: Some(qdrant_client::qdrant::Query {
                variant: Some(query::Variant::Nearest(VectorInput { variant: Some(vector) })),
            }),
            using: Some(using.to_owned()),
            filter: Some(filter.clone()),
            params: Some(params(query.exact)),
            limit: u64::try_from(query.limit).ok(),
            with_payload: Some(true.into()),
            with_vectors: Some(dense_alone(true)),
            ..QueryPoints::default()
        };
        let dense = vector_input::Variant::Dense(DenseVector { data: query.dense.clone() });
        let mut query_points = vec![search(DENSE, dense)];
        // A text without a single word (an emoji, say) has an empty vector, which finds nothing.
        if !query.sparse.indices.is_empty() {
            let sparse = SparseVector { values: query.sparse.values.clone(), indices: query.sparse.indices.clone() };
            query_points.push(search(SPARSE, vector_input::Variant::Sparse(sparse)));
        }
        let request = QueryBatchPoints { collection_name: collection.to_owned(), query_points, ..Default::default() };
        let reply = self.send("searching", request, |client, request| async move { client.query_batch(request).await });
        let mut answers = reply.await?.result.into_iter();
        let mut next = || answers.next().map(|answer| answer.result).unwrap_or_default().into_iter();
        Ok(Hits { dense: next().map(hit).collect::<Result<_>>()?, sparse: next().map(hit).collect::<Result<_>>()? })
    }

    pub(super) async fn scroll(
        &self,
        collection: &str,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> Result<(Vec<StoredExample>, Option<Uuid>)> {
        let request = ScrollPoints {
            collection_name: collection.to_owned(),
            filter: Some(convert::examples()),
            offset: start.map(convert::id),
            limit: u32::try_from(limit).ok(),
            with_payload: Some(true.into()),
            with_vectors: Some(dense_alone(with_vectors)),
            ..ScrollPoints::default()
        };
        let reply = self
            .send("reading examples", request, |client, request| async move { client.scroll(request).await })
            .await?;
        let page = reply.result.into_iter().map(|point| {
            let dense = convert::found_dense(point.vectors);
            Ok(StoredExample { example: convert::example(point.id, point.payload)?, dense })
        });
        let next = reply.next_page_offset.map(|id| convert::key(Some(id))).transpose()?;
        Ok((page.collect::<Result<_>>()?, next))
    }

    /// The examples of these keys that are there, with their vectors.
    pub(super) async fn retrieve(&self, collection: &str, keys: &[Uuid]) -> Result<Vec<StoredExample>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(PIECE_POINTS) {
            let request = GetPoints {
                collection_name: collection.to_owned(),
                ids: keys.iter().copied().map(convert::id).collect(),
                with_payload: Some(true.into()),
                with_vectors: Some(dense_alone(true)),
                ..GetPoints::default()
            };
            let reply = self
                .send("reading examples", request, |client, request| async move { client.get_points(request).await })
                .await?;
            for point in reply.result {
                let dense = convert::found_dense(point.vectors);
                found.push(StoredExample { example: convert::example(point.id, point.payload)?, dense });
            }
        }
        Ok(found)
    }

    pub(super) async fn count(&self, collection: &str, filter: Filter) -> Result<usize> {
        let request = CountPoints {
            collection_name: collection.to_owned(),
            filter: Some(filter),
            exact: Some(true),
            ..CountPoints::default()
        };
        let reply =
            self.send("counting examples", request, |client, request| async move { client.count(request).await });
        let count = reply.await?.result.map(|result| result.count).unwrap_or_default();
        usize::try_from(count).map_err(|_| Error::internal("there are more examples than can be counted"))
    }

    pub(super) async fn intents(&self, collection: &str) -> Result<Vec<(String, usize)>> {
        let request = FacetCounts {
            collection_name: collection.to_owned(),
            key: "intent".to_owned(),
            limit: Some(MOST_INTENTS),
            exact: Some(true),
            ..FacetCounts::default()
        };
        let reply =
            self.send("counting intents", request, |client, request| async move { client.facet(request).await });
        // A server also lists values that no point has any more, with a count of 0.
        let there = reply.await?.hits.into_iter().filter(|hit| hit.count > 0);
        let named = there.filter_map(|hit| match hit.value?.variant? {
            facet_value::Variant::StringValue(name) => Some((name, usize::try_from(hit.count).ok()?)),
            _ => None,
        });
        let mut intents: Vec<(String, usize)> = named.collect();
        intents.sort();
        Ok(intents)
    }
}

fn hit(point: ScoredPoint) -> Result<Hit> {
    let (score, vector) = (point.score, convert::found_dense(point.vectors).unwrap_or_default());
    Ok(Hit { example: Arc::new(convert::example(point.id, point.payload)?), vector: vector.into(), score })
}

fn params(exact: bool) -> SearchParams {
    let quantization =
        QuantizationSearchParams { ignore: Some(exact), rescore: Some(true), oversampling: Some(OVERSAMPLING) };
    SearchParams {
        hnsw_ef: Some(SEARCH_BEAM.into()),
        exact: Some(exact),
        quantization: Some(quantization),
        ..SearchParams::default()
    }
}

fn of_keys(keys: impl IntoIterator<Item = Uuid>) -> PointsSelector {
    keys.into_iter().map(convert::id).collect::<Vec<PointId>>().into()
}

fn dense_alone(wanted: bool) -> WithVectorsSelector {
    let names = VectorsSelector { names: vec![DENSE.to_owned()] };
    let options = if wanted {
        with_vectors_selector::SelectorOptions::Include(names)
    } else {
        with_vectors_selector::SelectorOptions::Enable(false)
    };
    WithVectorsSelector { selector_options: Some(options) }
}

/// Splits a list into parts that a server takes at once.
fn pieces<T>(items: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pieces: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let own = size(&item);
        match pieces.last_mut() {
            Some(piece) if piece.len() < PIECE_POINTS && bytes + own <= PIECE_BYTES => {
                bytes += own;
                piece.push(item);
            }
            _ => {
                bytes = own;
                pieces.push(vec![item]);
            }
        }
    }
    pieces
}

fn encoded(message: &impl prost::Message) -> usize {
    message.encoded_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_bounded_in_bytes_and_in_number() {
        let cut = |sizes: &[usize]| pieces(sizes.to_vec(), |size| *size).iter().map(Vec::len).collect::<Vec<_>>();
        let third = PIECE_BYTES / 3;
        assert_eq!(cut(&[third, third, third, third]), [3, 1]);
        assert_eq!(cut(&[2 * PIECE_BYTES, 1, 1]), [1, 2]);
        assert_eq!(cut(&vec![1; 2 * PIECE_POINTS + 1]), [PIECE_POINTS, PIECE_POINTS, 1]);
        assert!(cut(&[]).is_empty());
    }
}
