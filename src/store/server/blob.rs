//! Named blobs and notes, as points without vectors: no search finds them, and they move with the examples.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qdrant_client::qdrant::{
    Filter, GetPoints, NamedVectors, PointId, PointStruct, ReadConsistency, ReadConsistencyType, UpsertPoints, Value,
    WriteOrdering, WriteOrderingType, read_consistency,
};
use uuid::Uuid;

use super::call::Server;
use super::convert::{self, Fields};
use crate::{Error, Result};

/// The field that only blobs have; it holds the name.
pub(super) const BLOB_FIELD: &str = "blob";
const CONTENT_FIELD: &str = "content";

/// The largest blob. A server takes 32 MiB at once, and text takes a third more than bytes.
const LARGEST: usize = 20 * 1024 * 1024;

impl Server {
    pub(super) async fn blob(&self, collection: &str, name: &str) -> Result<Option<Vec<u8>>> {
        let request = GetPoints {
            collection_name: collection.to_owned(),
            ids: vec![convert::id(blob_key(name))],
            with_payload: Some(true.into()),
            with_vectors: Some(false.into()),
            ..GetPoints::default()
        };
        let reply =
            self.send("reading a blob", request, |client, request| async move { client.get_points(request).await });
        let Some(mut point) = reply.await?.result.pop() else { return Ok(None) };
        let content = point.payload.remove(CONTENT_FIELD).unwrap_or_default();
        let bytes = content.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(|| {
            Error::store(format!(
                "the blob {name} in the collection {collection} is damaged; index again with --rebuild"
            ))
        })?;
        Ok(Some(bytes))
    }

    pub(super) async fn put_blob(&self, collection: &str, name: &str, content: &[u8]) -> Result<()> {
        if content.len() > LARGEST {
            return Err(Error::store(format!(
                "the blob {name} has {} bytes, and a server keeps at most {LARGEST}; use a store in a folder",
                content.len()
            )));
        }
        let payload = [(BLOB_FIELD, name.to_owned()), (CONTENT_FIELD, STANDARD.encode(content))];
        let fields = payload.into_iter().map(|(field, text)| (field.to_owned(), Value::from(text)));
        let point = without_vectors(name, fields.collect());
        let request = UpsertPoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            points: vec![point],
            ..UpsertPoints::default()
        };
        self.send("writing a blob", request, |client, request| async move { client.upsert_points(request).await })
            .await
            .map(|_| ())
    }
}

impl Server {
    /// The fields of named points, in the order of the names, as most of the replicas know them.
    pub(super) async fn notes(&self, collection: &str, names: &[&str]) -> Result<Vec<Option<Fields>>> {
        let keys: Vec<PointId> = names.iter().map(|name| convert::id(blob_key(name))).collect();
        let request = GetPoints {
            collection_name: collection.to_owned(),
            ids: keys.clone(),
            with_payload: Some(true.into()),
            with_vectors: Some(false.into()),
            read_consistency: Some(majority()),
            ..GetPoints::default()
        };
        let reply =
            self.send("reading a note", request, |client, request| async move { client.get_points(request).await });
        let mut found = reply.await?.result;
        let mut take = |key: PointId| {
            let place = found.iter().position(|point| point.id.as_ref() == Some(&key))?;
            Some(found.swap_remove(place).payload)
        };
        Ok(keys.into_iter().map(&mut take).collect())
    }

    /// Writes a named point with these fields, so that all replicas agree on the order of the writes. Where there
    /// is a point already, it is only written over if it passes `over`.
    pub(super) async fn put_note(
        &self,
        collection: &str,
        name: &str,
        mut fields: Fields,
        over: Option<Filter>,
    ) -> Result<()> {
        fields.insert(BLOB_FIELD.to_owned(), Value::from(name));
        let request = UpsertPoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            points: vec![without_vectors(name, fields)],
            ordering: Some(WriteOrdering { r#type: WriteOrderingType::Strong.into() }),
            update_filter: over,
            ..UpsertPoints::default()
        };
        self.send("writing a note", request, |client, request| async move { client.upsert_points(request).await })
            .await
            .map(|_| ())
    }
}

fn majority() -> ReadConsistency {
    ReadConsistency { value: Some(read_consistency::Value::Type(ReadConsistencyType::Majority.into())) }
}

fn without_vectors(name: &str, payload: Fields) -> PointStruct {
    PointStruct {
        id: Some(convert::id(blob_key(name))),
        payload,
        // None at all would be refused.
        vectors: Some(NamedVectors { vectors: HashMap::new() }.into()),
    }
}

pub(super) fn blob_key(name: &str) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x2b54_90c1_8f0e_4d0b_9a0c_5b1e_77aa_3c10);
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}
