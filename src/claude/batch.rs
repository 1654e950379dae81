//! Message Batches: the same requests at half the price, answered within a day.
//!
//! Results go into the journal under the keys that serve as `custom_id`, so a batch only fills
//! the journal; the run then answers from it. The journal also remembers which batches are
//! about to be made and which are under way, so a run that was stopped collects them when it is started
//! again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;

use super::client::Created;
use super::source::Pending;
use super::{Client, Journal, Ledger, RequestKey};
use crate::Result;

mod object;
mod results;
mod settle;

use object::{BatchObject, parse};
use results::Unanswered;

/// How often a request is submitted in all, when it comes back expired or failed.
const ROUNDS: u32 = 3;
/// How often making a batch is tried, when it certainly was not made.
const CREATIONS: u32 = 3;

/// Bounds of one batch, and how it is waited for.
#[derive(Debug, Clone, Copy)]
pub struct BatchSettings {
    /// Requests in one batch; the API takes 100,000.
    pub max_requests: usize,
    /// Bytes in one batch; the API takes 256 MB.
    pub max_bytes: usize,
    /// The time between two looks at a batch.
    pub poll: Duration,
    /// Whether requests are sent again although a batch may hold them already, and nothing can tell. They
    /// may be paid for twice.
    pub resend: bool,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_requests: 100_000, max_bytes: 250_000_000, poll: Duration::from_mins(1), resend: false }
    }
}

/// Sends collected requests as batches and brings their answers into the journal.
pub struct Batches {
    client: Arc<Client>,
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    settings: BatchSettings,
}

/// Told how many of how many requests are done.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

impl Batches {
    /// The batches of one run.
    #[must_use]
    pub fn new(client: Arc<Client>, journal: Arc<Journal>, ledger: Arc<Ledger>, settings: BatchSettings) -> Self {
        Self { client, journal, ledger, settings }
    }

    /// Brings the answers of these requests into the journal. First collects what earlier
    /// runs of the journal left under way, then submits the rest. Returns the requests that
    /// failed for good, with the reason.
    ///
    /// Batches that together may cost more than the bound are sent one after the other: each waits until
    /// the cost of those before it is known. Fails with kind
    /// [`Stopped`](crate::ErrorKind::Stopped) when the next one may pass the bound, and when it
    /// cannot be told whether a batch was made (see [`BatchSettings::resend`]).
    pub async fn fulfil(&self, wanted: Vec<Pending>, progress: Progress<'_>) -> Result<HashMap<RequestKey, String>> {
        let mut unanswered = Unanswered::default();
        let mut submissions: HashMap<RequestKey, u32> = HashMap::new();
        // Names are unique within a batch.
        let mut names = HashSet::new();
        let mut missing: Vec<Pending> =
            wanted.into_iter().filter(|pending| names.insert(pending.key.clone())).collect();
        for intent in self.journal.intents() {
            self.settle(&intent).await?;
        }
        loop {
            self.collect_open(&mut unanswered, progress).await?;
            missing
                .retain(|pending| !self.journal.holds(&pending.key) && !unanswered.failed.contains_key(&pending.key));
            let (given_up, rest): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(|pending| submissions.get(&pending.key) == Some(&ROUNDS));
            missing = rest;
            for Pending { key, .. } in given_up {
                let why = unanswered.again.remove(&key).unwrap_or_else(|| "its result is missing".into());
                unanswered.failed.insert(
                    key,
                    format!("the batch did not answer this request: {why}; another run asks it once more"),
                );
            }
            if missing.is_empty() {
                return Ok(unanswered.failed);
            }
            let mut reserved = Vec::new();
            for part in split(&missing, &self.settings) {
                match self.ledger.reserve_batch(part.iter().map(|pending| (&pending.request, pending.body.len()))) {
                    Ok(reservation) => reserved.push(reservation),
                    Err(_) if !reserved.is_empty() => break,
                    Err(e) => return Err(e),
                }
                self.submit(part).await?;
                for pending in part {
                    *submissions.entry(pending.key.clone()).or_default() += 1;
                }
            }
        }
    }

    /// Asks the API to cancel all batches that are under way. What they already answered is
    /// collected by the next run.
    pub async fn cancel(&self) -> Result<usize> {
        let open = self.journal.open_batches();
        for (id, _) in &open {
            let url = self.client.http.url(&format!("/v1/messages/batches/{id}/cancel"))?;
            self.client.call(Method::POST, &url, Some(Bytes::from_static(b"{}"))).await?;
        }
        Ok(open.len())
    }

    async fn submit(&self, part: &[Pending]) -> Result<()> {
        let url = self.client.http.url("/v1/messages/batches")?;
        let body = Bytes::from(body(part));
        let mut tries = 0;
        loop {
            // The journal comes first: a run that is killed from here on leaves a trace of its batch.
            let intent = self.journal.intend(part.iter().map(|pending| pending.key.clone()).collect())?;
            let lost = match self.create(&url, body.clone()).await {
                Ok(Ok(batch)) => {
                    tracing::info!(batch = batch.id, requests = part.len(), "batch submitted");
                    return self.journal.submitted(&batch.id, &intent);
                }
                Ok(Err(lost)) => lost,
                Err(e) => {
                    self.journal.abandoned(&intent)?;
                    return Err(e);
                }
            };
            tracing::warn!(requests = part.len(), "it is not known whether a batch was made: {lost}");
            tries += 1;
            if self.settle(&intent).await? {
                return Ok(());
            }
            if tries == CREATIONS {
                return Err(lost);
            }
        }
    }

    /// Makes a batch. The inner error says why it is not known whether the batch was made.
    async fn create(&self, url: &reqwest::Url, body: Bytes) -> Result<Result<BatchObject>> {
        Ok(match self.client.create(url, body).await? {
            Created::Answered(answer) => parse(&answer),
            Created::Unknown(e) => Err(e),
        })
    }

    /// Waits for every batch that is under way and takes its results.
    async fn collect_open(&self, unanswered: &mut Unanswered, progress: Progress<'_>) -> Result<()> {
        let open = self.journal.open_batches();
        let total: usize = open.iter().map(|(_, keys)| keys.len()).sum();
        let mut before = 0;
        for (id, keys) in open {
            let url = self.client.http.url(&format!("/v1/messages/batches/{id}"))?;
            let batch = loop {
                let batch: BatchObject = match self.client.call(Method::GET, &url, None).await {
                    Ok(body) => parse(&body)?,
                    // Results are kept for 29 days; after that the requests are sent anew.
                    Err(e) if e.status() == Some(404) => break None,
                    Err(e) => return Err(e),
                };
                progress(before + batch.request_counts.done().min(keys.len()), total);
                if batch.has_ended() {
                    break Some(batch);
                }
                tracing::debug!(batch = id, processing = batch.request_counts.processing, "batch is under way");
                tokio::time::sleep(self.settings.poll).await;
            };
            if let Some(batch) = batch {
                self.take_results(&batch, &keys, unanswered).await?;
            }
            self.journal.finished(&id)?;
            before += keys.len();
            progress(before, total);
        }
        Ok(())
    }
}

/// The body that makes a batch. It holds the very bytes whose hash is the key. A `custom_id` needs no
/// escaping.
fn body(part: &[Pending]) -> Vec<u8> {
    let mut body = b"{\"requests\":[".to_vec();
    for (position, pending) in part.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        body.extend_from_slice(format!("{comma}{{\"custom_id\":\"{}\",\"params\":", pending.key.as_str()).as_bytes());
        body.extend_from_slice(&pending.body);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

/// Splits requests into parts that keep to the bounds of one batch.
fn split<'a>(requests: &'a [Pending], settings: &BatchSettings) -> Vec<&'a [Pending]> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (position, pending) in requests.iter().enumerate() {
        // The envelope of a request: its custom_id and some punctuation.
        let size = pending.body.len() + 128;
        if position > start && (position - start >= settings.max_requests || bytes + size > settings.max_bytes) {
            parts.push(&requests[start..position]);
            (start, bytes) = (position, 0);
        }
        bytes += size;
    }
    if start < requests.len() {
        parts.push(&requests[start..]);
    }
    parts
}
