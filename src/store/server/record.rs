//! The point that tells readers of changes: which generation this is, and a tag for each thing that changed.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use qdrant_client::qdrant::{Condition, Filter, SetPayloadPoints, Value};

use super::super::{Revision, Revisions};
use super::blob::BLOB_FIELD;
use super::call::Server;
use super::convert::{self, Fields};
use crate::Result;

/// The name of the point.
pub(super) const RECORD: &str = "revision";
const GENERATION_FIELD: &str = "generation";
const CHANGES_FIELD: &str = "changes";
/// The prefix of a tag's field; the name of the changed thing follows.
const TAG: &str = "tag ";
/// How often the record is read.
const PERIOD: Duration = Duration::from_secs(1);

impl Server {
    /// The revision of a store. A store of an earlier version may have no record yet. The record of one that was
    /// restored elsewhere still names the collection that it was.
    pub(super) async fn revision(&self, name: &str) -> Result<Revision> {
        let (generation, found) = tokio::join!(self.behind(name), self.notes(name, &[RECORD]));
        let generation = generation?.unwrap_or_else(|| name.to_owned());
        let known = found?.pop().flatten().as_ref().and_then(revision).unwrap_or_default();
        Ok(Revision { generation, ..known })
    }

    /// Makes the record of a collection, if it has none.
    pub(super) async fn make_record(&self, collection: &str) -> Result<()> {
        // Nothing has such a name, so what is there stays.
        let never = Filter::must([Condition::matches(BLOB_FIELD, "nothing".to_owned())]);
        self.put_note(collection, RECORD, first(collection, 0), Some(never)).await
    }

    /// The record of a collection that begins with so many changes.
    pub(super) async fn set_changes(&self, collection: &str, changes: usize) -> Result<()> {
        self.put_note(collection, RECORD, first(collection, changes), None).await
    }

    /// Notes a change of `what`. `known` is the record as it was read a moment ago, `changed` how many examples
    /// were changed in place. Of two changes at the same moment the number of one may be lost, so that folding in
    /// comes a little late.
    pub(super) async fn record_change(
        &self,
        collection: &str,
        known: Option<&Fields>,
        what: &str,
        changed: usize,
    ) -> Result<Revision> {
        let known_revision = known.and_then(revision).unwrap_or_default();
        let mut now = Revision { generation: collection.to_owned(), ..known_revision };
        if known.is_none() {
            self.make_record(collection).await?;
        }
        let tag = Revision::new_tag();
        now.changes += changed;
        let mut payload = HashMap::from([(format!("{TAG}{what}"), Value::from(tag.clone()))]);
        if changed > 0 {
            payload.insert(CHANGES_FIELD.to_owned(), number(now.changes));
        }
        now.tags.insert(what.to_owned(), tag);
        let of_record = Filter::must([Condition::has_id([convert::id(super::blob::blob_key(RECORD))])]);
        let request = SetPayloadPoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            payload,
            points_selector: Some(of_record.into()),
            ..SetPayloadPoints::default()
        };
        self.send("noting a change", request, |client, request| async move { client.set_payload(request).await })
            .await?;
        Ok(now)
    }
}

/// Reads the record again and again, for as long as anybody has the store open.
pub(super) fn follow(server: Server, name: String, revisions: Weak<Revisions>) {
    tokio::spawn(async move {
        let mut last = None;
        loop {
            tokio::time::sleep(PERIOD).await;
            if revisions.strong_count() == 0 {
                return;
            }
            // A failure is tried again in a second. Readers see the failure themselves.
            let Ok(mut found) = server.notes(&name, &[RECORD]).await else { continue };
            let found = found.pop().flatten();
            if found.is_some() && found == last {
                continue;
            }
            let Ok(now) = server.revision(&name).await else { continue };
            let Some(known) = revisions.upgrade() else { return };
            known.set(now);
            last = found;
        }
    });
}

fn revision(fields: &Fields) -> Option<Revision> {
    let changes = fields.get(CHANGES_FIELD)?.as_integer()?;
    let tag =
        |(field, value): (&String, &Value)| Some((field.strip_prefix(TAG)?.to_owned(), value.as_str()?.to_owned()));
    Some(Revision {
        generation: fields.get(GENERATION_FIELD)?.as_str()?.to_owned(),
        changes: usize::try_from(changes).ok()?,
        tags: fields.iter().filter_map(tag).collect(),
    })
}

fn first(collection: &str, changes: usize) -> Fields {
    HashMap::from([(GENERATION_FIELD.to_owned(), Value::from(collection)), (CHANGES_FIELD.to_owned(), number(changes))])
}

fn number(count: usize) -> Value {
    Value::from(i64::try_from(count).unwrap_or(i64::MAX))
}
