//! Copies whole stores, and tells whether two stores hold the same.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::data::example::Point;
use crate::embed::Bm25;
use crate::store::{BLOBS, ExampleStore, MANIFEST_BLOB, Manifest, Pages, RebuildOptions};
use crate::text::hex;
use crate::{Error, Result};

/// The blob of an unfinished copy that says where it goes on.
const POSITION_BLOB: &str = "copy-position";
/// How many examples are copied before the position is noted again. A folder flushes all that it has for each note.
const NOTED_EVERY: usize = 16_384;

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// Examples in both stores now.
    pub examples: usize,
    /// Examples that this run wrote. They are fewer when it went on with an earlier run.
    pub copied: usize,
    /// Whether it went on with a copy that was not complete.
    pub resumed: bool,
    /// The [`checksum`] of both stores.
    pub checksum: String,
}

/// Copies a store to another one that is empty, or that may be replaced: examples with their vectors, and all
/// blobs. Nothing is embedded again. Readers of `to` see the copy once it is complete. After a kill, the
/// same copy goes on where it was. Fails when the two stores do not hold the same in the end, and when
/// `from` holds nothing.
pub async fn copy(
    from: &dyn ExampleStore,
    to: &dyn ExampleStore,
    replace: bool,
    progress: &(dyn Fn(usize, usize) + Send + Sync),
) -> Result<CopyReport> {
    let source = from.info().await?;
    let Some(manifest_json) = from.blob(MANIFEST_BLOB).await? else {
        return Err(Error::store(format!("the store {} holds nothing to copy", source.location)));
    };
    let manifest = Manifest::from_json(&manifest_json)?;
    if to.blob(MANIFEST_BLOB).await?.is_some() && !replace {
        let target = to.info().await?.location;
        return Err(Error::store(format!(
            "the store {target} holds an index already; name another place, or replace what is there with --replace"
        )));
    }
    let bm25 = Bm25::new(&manifest.bm25)?;
    let total = from.count().await?;

    // A store that changed meanwhile would be copied half and half, so the copy begins anew.
    let identity = format!("{} {total} {}", source.location, hex(&Sha256::digest(&manifest_json)));
    let options = RebuildOptions {
        dimension: source.dimension,
        bm25: manifest.bm25.clone(),
        other_vectors: false,
        points: total,
        keep_old: false,
        resume: Some(format!("copy of {identity}")),
    };
    let mut next = to.rebuild(options).await?;
    let start = next.blob(POSITION_BLOB).await?.and_then(|key| uuid::Uuid::from_slice(&key).ok());
    let (mut copied, mut noted) = (0, 0);
    let mut pages = Pages::after(from, true, start);
    while let Some(page) = pages.next().await? {
        let points = page.into_iter().map(|stored| {
            let dense = stored.dense.ok_or_else(|| Error::store("the store returned an example without its vector"))?;
            let sparse = bm25.document(&stored.example.labelled.ticket.text);
            Ok(Point { example: stored.example, dense, sparse })
        });
        let points = points.collect::<Result<Vec<_>>>()?;
        copied += points.len();
        next.upsert(points).await?;
        if let Some(key) = pages.position().filter(|_| copied >= noted) {
            next.put_blob(POSITION_BLOB, key.as_bytes().to_vec()).await?;
            noted = copied + NOTED_EVERY;
        }
        progress(copied, total);
    }
    for name in BLOBS {
        if let Some(content) = from.blob(name).await? {
            next.put_blob(name, content).await?;
        }
    }
    next.commit().await?;

    let (wanted, found) = (checksum(from).await?, checksum(to).await?);
    let examples = to.count().await?;
    if wanted != found || examples != total {
        return Err(Error::store(format!(
            "the copy in {} is not what {} holds ({examples} of {total} examples, checksum {found} and not {wanted}); \
             if nobody wrote to either meanwhile, copy again with --replace",
            to.info().await?.location,
            source.location
        )));
    }
    Ok(CopyReport { examples, copied, resumed: start.is_some(), checksum: found })
}

/// A checksum of all examples of a store, in 64 hexadecimal digits: the sha256 of their keys, their JSON and
/// the bits of their vectors, in the order of the keys.
pub async fn checksum(store: &dyn ExampleStore) -> Result<String> {
    let mut sum = Sha256::new();
    let mut pages = Pages::of(store, true);
    while let Some(page) = pages.next().await? {
        for stored in page {
            let json = serde_json::to_vec(&stored.example)
                .map_err(|e| Error::internal(format!("an example cannot be written: {e}")))?;
            sum.update(stored.example.key.as_bytes());
            sum.update(&json);
            for number in stored.dense.unwrap_or_default() {
                sum.update(number.to_le_bytes());
            }
        }
    }
    Ok(hex(&sum.finalize()))
}
