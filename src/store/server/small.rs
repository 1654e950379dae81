//! Small changes to the served collection, by many at a time, also while a rebuild is under way.
//!
//! A change is written to the served collection first. Then its writer looks for a rebuild. Where one holds the
//! lease, the writer notes what it changed, and looks once more. If the rebuild is still open, it will read the
//! note: it closes first and reads the notes afterwards. If it is closing, the writer waits, and writes to the
//! collection that is served then. Every change says what is to be, so writing it twice changes nothing.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use chrono::Utc;
use qdrant_client::qdrant::{Condition, Filter, ScrollPoints, Value};
use uuid::Uuid;

use super::super::Revision;
use super::super::missed::Missed;
use super::ServerStore;
use super::blob::BLOB_FIELD;
use super::call::Server;
use super::lease::{Found, LEASE};
use super::record::RECORD;
use crate::{Error, Result};

/// The prefix of a note's name.
const MISSED: &str = "missed";
const KEYS_FIELD: &str = "keys";
const RELABEL_FIELD: &str = "relabel";
const NAME_FIELD: &str = "name";
/// When it was written, in nanoseconds: relabels are repeated in their order.
const AT_FIELD: &str = "at";

/// The most keys in one note.
const NOTE_KEYS: usize = 10_000;
/// The time between two looks of one who waits for a switch.
const PAUSE: Duration = Duration::from_millis(50);

/// What a small change touches.
#[derive(Clone)]
pub(super) enum Change {
    Examples(Vec<Uuid>),
    Relabel(String, String),
    Blob(String),
}

/// What became of the collection that was written to.
enum Fate {
    Stays,
    Replaced,
}

impl ServerStore {
    /// Writes a change with `write`. It is given the collection, and returns how many examples it changed.
    pub(super) async fn change<F>(&self, change: Change, write: impl Fn(String) -> F) -> Result<usize>
    where
        F: Future<Output = Result<usize>>,
    {
        let (server, name) = (&self.served.server, &self.served.name);
        let mut changed = 0;
        loop {
            let collection = self.revisions.current().generation.clone();
            match write(collection.clone()).await {
                Ok(count) => changed = count.max(changed),
                // It was replaced by another process, and is gone.
                Err(e) if self.look_again().await? == collection => return Err(e),
                Err(_) => continue,
            }
            if let Fate::Replaced = self.settle(&collection, &change).await? {
                if self.look_again().await? == collection {
                    return Err(super::foreign(&server.url, name));
                }
                continue;
            }
            let known = server.notes(&collection, &[RECORD]).await?.pop().flatten();
            let (what, count) = match &change {
                Change::Examples(_) | Change::Relabel(..) => (Revision::EXAMPLES, changed),
                Change::Blob(name) => (name.as_str(), 0),
            };
            self.revisions.set(server.record_change(&collection, known.as_ref(), what, count).await?);
            return Ok(changed);
        }
    }

    /// The collection that is served, asked of the server.
    async fn look_again(&self) -> Result<String> {
        let now = self.served.server.revision(&self.served.name).await?;
        let collection = now.generation.clone();
        self.revisions.set(now);
        Ok(collection)
    }

    /// Makes sure that a rebuild under way does not lose the change.
    async fn settle(&self, collection: &str, change: &Change) -> Result<Fate> {
        let (server, name) = (&self.served.server, &self.served.name);
        let (begun, mut noted) = (Instant::now(), false);
        loop {
            let (served, found) = tokio::join!(server.behind(name), server.notes(collection, &[LEASE]));
            if served?.is_some_and(|served| served != collection) {
                return Ok(Fate::Replaced);
            }
            let lease = found?.pop().flatten().as_ref().and_then(Found::of).filter(Found::holds);
            match lease {
                None => return Ok(Fate::Stays),
                Some(lease) if !lease.closing && noted => return Ok(Fate::Stays),
                Some(lease) if !lease.closing => {
                    server.note_missed(collection, change).await?;
                    noted = true;
                }
                Some(_) if begun.elapsed() > server.timeout * 2 => {
                    return Err(Error::store(format!(
                        "the Qdrant server {}: the store {name:?} is being switched over and does not come to an end; try \
                         again later",
                        server.url
                    )));
                }
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Server {
    async fn note_missed(&self, collection: &str, change: &Change) -> Result<()> {
        let words = |words: Vec<String>| Value::from(words);
        let parts = match change {
            Change::Examples(keys) => keys
                .chunks(NOTE_KEYS)
                .map(|keys| (KEYS_FIELD, words(keys.iter().map(Uuid::to_string).collect())))
                .collect(),
            Change::Relabel(from, to) => vec![(RELABEL_FIELD, words(vec![from.clone(), to.clone()]))],
            Change::Blob(name) => vec![(NAME_FIELD, words(vec![name.clone()]))],
        };
        for part in parts {
            let at = Utc::now().timestamp_nanos_opt().unwrap_or_default();
            let fields = [(MISSED, Value::from(true)), (AT_FIELD, Value::from(at))].into_iter().chain([part]);
            let fields: HashMap<_, _> = fields.map(|(field, value)| (field.to_owned(), value)).collect();
            self.put_note(collection, &format!("{MISSED} {}", Revision::new_tag()), fields, None).await?;
        }
        Ok(())
    }

    /// The notes of small changes in a collection.
    pub(super) async fn missed(&self, collection: &str) -> Result<Missed> {
        let (mut missed, mut relabels, mut start) = (Missed::default(), Vec::new(), None);
        loop {
            let request = ScrollPoints {
                collection_name: collection.to_owned(),
                filter: Some(of_missed()),
                offset: start.take(),
                limit: Some(100),
                with_payload: Some(true.into()),
                ..ScrollPoints::default()
            };
            let reply = self
                .send("reading notes", request, |client, request| async move { client.scroll(request).await })
                .await?;
            for mut point in reply.result {
                let mut words = |field: &str| -> Vec<String> {
                    let list = point.payload.remove(field).and_then(|value| value.as_list().map(<[Value]>::to_vec));
                    list.into_iter().flatten().filter_map(|value| value.as_str().cloned()).collect()
                };
                missed.keys.extend(words(KEYS_FIELD).iter().filter_map(|key| key.parse::<Uuid>().ok()));
                missed.blobs.extend(words(NAME_FIELD));
                if let Ok([from, to]) = <[String; 2]>::try_from(words(RELABEL_FIELD)) {
                    let at = point.payload.get(AT_FIELD).and_then(Value::as_integer).unwrap_or_default();
                    relabels.push((at, from, to));
                }
            }
            start = reply.next_page_offset;
            if start.is_none() {
                relabels.sort();
                missed.relabels = relabels.into_iter().map(|(_, from, to)| (from, to)).collect();
                return Ok(missed);
            }
        }
    }

    pub(super) async fn forget_missed_blob(&self, collection: &str, name: &str) -> Result<()> {
        let mut of_blob = of_missed();
        of_blob.must.push(Condition::matches(NAME_FIELD, name.to_owned()));
        self.delete_where(collection, of_blob).await
    }

    pub(super) async fn forget_missed(&self, collection: &str) -> Result<()> {
        self.delete_where(collection, of_missed()).await
    }
}

fn of_missed() -> Filter {
    Filter { must_not: vec![Condition::is_empty(BLOB_FIELD)], ..Filter::must([Condition::matches(MISSED, true)]) }
}
