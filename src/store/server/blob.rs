//! Named blobs, as points without vectors: no search finds them, and they move with the examples.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qdrant_client::qdrant::{GetPoints, NamedVectors, PointStruct, UpsertPoints, Value};
use uuid::Uuid;

use super::call::Server;
use super::convert;
use crate::{Error, Result};

/// The field that only blobs have; it holds the name.
pub(super) const BLOB_FIELD: &str = "blob";
const CONTENT_FIELD: &str = "content";

/// A server takes 32 MiB at once, and text takes a third more than bytes.
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
        let point = PointStruct {
            id: Some(convert::id(blob_key(name))),
            payload: payload.into_iter().map(|(field, text)| (field.to_owned(), Value::from(text))).collect(),
            // None at all would be refused.
            vectors: Some(NamedVectors { vectors: HashMap::new() }.into()),
        };
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

fn blob_key(name: &str) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x2b54_90c1_8f0e_4d0b_9a0c_5b1e_77aa_3c10);
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}
