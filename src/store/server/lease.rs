//! The lease of a rebuild: a point in the served collection that names who may switch.
//!
//! It is written with a filter on what is there (mine, or expired) under strong ordering and then read back, so that of
//! several at once one gets it. It is renewed while its holder lives, and expires a while after. A server that did not
//! know the filter would let everybody in; what then keeps one switch from undoing another is the token, see `switch`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use qdrant_client::qdrant::{Condition, DatetimeRange, Filter, Timestamp, Value};
use tokio::task::JoinHandle;

use super::super::{Revision, holder};
use super::blob::blob_key;
use super::call::Server;
use super::convert::{self, Fields};
use crate::{Error, Result};

/// The name of the point.
pub(super) const LEASE: &str = "lease";
const OWNER_FIELD: &str = "owner";
const HOLDER_FIELD: &str = "holder";
const UNTIL_FIELD: &str = "until";
const CLOSING_FIELD: &str = "closing";

/// It holds for as long as a request may take, and is renewed so many times in that time.
const RENEWALS: u32 = 4;
/// One who waits for a killed run has a little longer than its lease.
const GRACE: Duration = Duration::from_secs(2);
/// How often one who waits looks again.
const PAUSE: Duration = Duration::from_millis(200);

/// The right to switch, until it is dropped.
pub(super) struct Lease {
    claim: Claim,
    renewal: JoinHandle<()>,
    /// Whether it was given back.
    is_over: bool,
}

/// One who has the lease of a collection, or wants it.
#[derive(Clone)]
struct Claim {
    server: Server,
    collection: String,
    owner: String,
}

/// A lease as it is found in a collection.
#[derive(Debug, Clone)]
pub(super) struct Found {
    owner: String,
    holder: String,
    until: DateTime<Utc>,
    /// Whether what small changes write is not taken over any more.
    pub(super) closing: bool,
}

impl Found {
    pub(super) fn of(fields: &Fields) -> Option<Self> {
        let text = |field: &str| fields.get(field)?.as_str().cloned();
        Some(Self {
            owner: text(OWNER_FIELD)?,
            holder: text(HOLDER_FIELD).unwrap_or_default(),
            until: text(UNTIL_FIELD)?.parse().ok()?,
            closing: fields.get(CLOSING_FIELD).and_then(Value::as_bool).unwrap_or_default(),
        })
    }

    /// What one is told who has waited for it.
    pub(super) fn busy(&self, server: &Server, name: &str) -> Error {
        Error::store(format!(
            "the store {name:?} on the Qdrant server {} is being rebuilt by {} (waited {} s); try again when it is done",
            server.url,
            self.holder,
            (server.timeout + GRACE).as_secs()
        ))
    }

    /// Whether its holder may still be there.
    pub(super) fn holds(&self) -> bool {
        self.until > Utc::now()
    }
}

impl Lease {
    /// Takes the lease of the collection that an alias names. Waits while another one has it, as long as one
    /// request may take, and then names that one.
    pub(super) async fn take(server: &Server, name: &str) -> Result<Self> {
        let begun = Instant::now();
        loop {
            let collection = server.behind(name).await?.ok_or_else(|| super::foreign(&server.url, name))?;
            match Self::take_of(server, &collection).await? {
                // What was switched in between has a lease of its own.
                Ok(lease) if server.behind(name).await?.as_ref() == Some(&collection) => return Ok(lease),
                Ok(_) => {}
                Err(found) if begun.elapsed() > server.timeout + GRACE => return Err(found.busy(server, name)),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Takes the lease of a collection, or says who has it.
    pub(super) async fn take_of(server: &Server, collection: &str) -> Result<Result<Self, Found>> {
        let claim = Claim { server: server.clone(), collection: collection.to_owned(), owner: Revision::new_tag() };
        claim.write(false).await?;
        match claim.find().await? {
            Some(found) if found.owner != claim.owner => Ok(Err(found)),
            _ => Ok(Ok(Self { renewal: tokio::spawn(claim.clone().renewed()), claim, is_over: false })),
        }
    }

    /// The collection that it is for.
    pub(super) fn collection(&self) -> &str {
        &self.claim.collection
    }

    /// A name for the holder that nobody else has.
    pub(super) fn owner(&self) -> &str {
        &self.claim.owner
    }

    /// Gives it back, and waits until that is done.
    pub(super) async fn end(mut self) -> Result<()> {
        self.is_over = true;
        self.claim.clone().give_back().await
    }

    /// From now on small changes wait until the lease ends. Fails when it has been lost.
    pub(super) async fn close(&self) -> Result<()> {
        self.renewal.abort();
        self.claim.write(true).await?;
        match self.claim.find().await? {
            Some(found) if found.owner == self.claim.owner => Ok(()),
            found => {
                let by = found.map(|found| format!(" ({} has it now)", found.holder)).unwrap_or_default();
                Err(Error::store(format!(
                    "the Qdrant server {}: this run was away for too long and lost its right to replace {}{by}; nothing \
                     was changed, run it again",
                    self.claim.server.url, self.claim.collection
                )))
            }
        }
    }
}

impl Claim {
    async fn renewed(self) {
        loop {
            tokio::time::sleep(self.server.timeout / RENEWALS).await;
            // What does not come through now may the next time; before the switch it is looked at.
            if let Err(e) = self.write(false).await {
                tracing::warn!(error = %e, "the lease of the rebuild could not be renewed");
            }
        }
    }

    async fn find(&self) -> Result<Option<Found>> {
        let found = self.server.notes(&self.collection, &[LEASE]).await?.pop().flatten();
        Ok(found.as_ref().and_then(Found::of))
    }

    async fn write(&self, closing: bool) -> Result<()> {
        let now = Utc::now();
        let until = (now + self.server.timeout).to_rfc3339_opts(SecondsFormat::Millis, true);
        let fields = HashMap::from([
            (OWNER_FIELD.to_owned(), Value::from(self.owner.clone())),
            (HOLDER_FIELD.to_owned(), Value::from(holder())),
            (UNTIL_FIELD.to_owned(), Value::from(until)),
            (CLOSING_FIELD.to_owned(), Value::from(closing)),
        ]);
        let now =
            Timestamp { seconds: now.timestamp(), nanos: i32::try_from(now.timestamp_subsec_nanos()).unwrap_or(0) };
        let expired = DatetimeRange { lt: Some(now), ..DatetimeRange::default() };
        let mine_or_over = Filter::should([
            Condition::matches(OWNER_FIELD, self.owner.clone()),
            Condition::datetime_range(UNTIL_FIELD, expired),
        ]);
        self.server.put_note(&self.collection, LEASE, fields, Some(mine_or_over)).await
    }

    /// Gives it back, if it is still this one's.
    async fn give_back(self) -> Result<()> {
        let mine = [Condition::has_id([convert::id(blob_key(LEASE))]), Condition::matches(OWNER_FIELD, self.owner)];
        self.server.delete_where(&self.collection, Filter::must(mine)).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.is_over {
            return;
        }
        // Best effort: what stays expires, or goes with its collection.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.claim.clone().give_back());
        }
    }
}
