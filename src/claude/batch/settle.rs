//! Finds out whether a batch was made. That is unknown when its creation was not answered, or when the
//! run was killed before it could note the answer.
//!
//! Creating a batch cannot be made safe to repeat: both batches would be paid for. But the API lists the
//! batches of a workspace, and a batch's results name its requests. So a batch of the same size that was
//! made since then is waited for, and recognised by these names.

use std::collections::HashSet;

use chrono::{TimeDelta, Utc};

use super::Batches;
use super::object::{BatchObject, Page, parse};
use crate::claude::RequestKey;
use crate::claude::journal::Intent;
use crate::{Error, ErrorKind, Remedy, Result};

/// How much the API's clock may differ from ours.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(1);
/// After so many looks, a batch that is not in the list was not made.
const LOOKS: u32 = 5;
/// The most pages that are read, of a hundred batches each. A longer list is one that does not page.
const PAGES: usize = 100;

enum Found {
    Made(String),
    NotMade,
    Unclear(String),
}

impl Batches {
    /// Whether the batch of an intent was made. Fails when that cannot be told, unless its requests
    /// may be sent again in that case.
    pub(super) async fn settle(&self, intent: &Intent) -> Result<bool> {
        let why = match self.find(intent).await {
            Ok(Found::Made(id)) => {
                tracing::info!(batch = id, "a batch that was made without our knowing is recognised");
                return self.journal.submitted(&id, intent).map(|()| true);
            }
            Ok(Found::NotMade) => return self.journal.abandoned(intent).map(|()| false),
            Ok(Found::Unclear(why)) => why,
            Err(e) => e.to_string(),
        };
        if self.settings.resend {
            return self.journal.abandoned(intent).map(|()| false);
        }
        let text = format!(
            "whether a batch of {} requests was made at {} cannot be told: {why}; they are not sent again, since they \
             might be paid for twice",
            intent.keys.len(),
            intent.at.format("%Y-%m-%d %H:%M UTC"),
        );
        Err(Error::new(ErrorKind::Stopped, text).with_remedy(Remedy::Resend))
    }

    async fn find(&self, intent: &Intent) -> Result<Found> {
        let keys: HashSet<&str> = intent.keys.iter().map(RequestKey::as_str).collect();
        let mut others = HashSet::new();
        let mut looks = 0;
        loop {
            let mut is_waiting = false;
            for batch in self.candidates(intent).await? {
                if others.contains(&batch.id) {
                    continue;
                }
                if !batch.has_ended() {
                    is_waiting = true;
                    continue;
                }
                let names = self.names(&batch).await?;
                if names.is_empty() {
                    return Ok(Found::Unclear(format!("the batch {} shows no results", batch.id)));
                }
                if names.iter().all(|name| keys.contains(name.as_str())) {
                    return Ok(Found::Made(batch.id));
                }
                others.insert(batch.id);
            }
            looks += u32::from(!is_waiting);
            let is_old = Utc::now() - intent.at > CLOCKS_DIFFER;
            if !is_waiting && (is_old || looks == LOOKS) {
                return Ok(Found::NotMade);
            }
            tracing::debug!(is_waiting, "looking for a batch that may have been made");
            tokio::time::sleep(self.settings.poll).await;
        }
    }

    /// Batches that may be the intended one: of its size, made since then, and of no other run.
    async fn candidates(&self, intent: &Intent) -> Result<Vec<BatchObject>> {
        let since = intent.at - CLOCKS_DIFFER;
        let mut candidates = Vec::new();
        let mut url = self.client.http.url("/v1/messages/batches?limit=100")?;
        for _ in 0..PAGES {
            let page: Page = parse(&self.client.call(reqwest::Method::GET, &url, None).await?)?;
            let last = page.data.last().map(|batch| batch.id.clone());
            for batch in page.data {
                if batch.created_at().is_some_and(|at| at < since) {
                    return Ok(candidates);
                }
                if batch.request_counts.total() == intent.keys.len() && !self.journal.knows_batch(&batch.id) {
                    candidates.push(batch);
                }
            }
            let Some(last) = last.filter(|_| page.has_more) else { return Ok(candidates) };
            url = self.client.http.url("/v1/messages/batches?limit=100")?;
            url.query_pairs_mut().append_pair("after_id", &last);
        }
        Err(Error::new(ErrorKind::ApiPermanent, "the API's list of batches does not end"))
    }
}
