//! Message Batches: the same requests at half the price, answered within a day.
//!
//! Results go into the journal under the keys that serve as `custom_id`, so a batch only fills
//! the journal; the run then answers from it. The journal also remembers which batches are
//! under way, so a run that is stopped collects them when it is started again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;

use super::source::Pending;
use super::{Answer, Client, Journal, Ledger, RequestKey};
use crate::{Error, ErrorKind, Result};

/// A request that comes back expired or failed is submitted again so many times.
const ROUNDS: u32 = 3;

/// Bounds of one batch, and how patiently it is waited for.
#[derive(Debug, Clone, Copy)]
pub struct BatchSettings {
    /// Requests in one batch; the API takes 100,000.
    pub max_requests: usize,
    /// Bytes in one batch; the API takes 256 MB.
    pub max_bytes: usize,
    /// Between two looks at a batch.
    pub poll: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_requests: 100_000, max_bytes: 250_000_000, poll: Duration::from_mins(1) }
    }
}

/// Sends collected requests as batches and brings their answers into the journal.
pub struct Batches {
    client: Arc<Client>,
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    settings: BatchSettings,
}

#[derive(Deserialize)]
struct BatchObject {
    id: String,
    processing_status: String,
    #[serde(default)]
    request_counts: Counts,
    #[serde(default)]
    results_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    processing: usize,
    succeeded: usize,
    errored: usize,
    canceled: usize,
    expired: usize,
}

#[derive(Deserialize)]
struct ResultLine {
    custom_id: String,
    result: Outcome,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outcome {
    Succeeded {
        message: Value,
    },
    Errored {
        #[serde(default)]
        error: Value,
    },
    Canceled,
    Expired,
    #[serde(other)]
    Unknown,
}

/// Told how many of how many requests are done.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

impl Batches {
    /// For one run.
    #[must_use]
    pub fn new(client: Arc<Client>, journal: Arc<Journal>, ledger: Arc<Ledger>, settings: BatchSettings) -> Self {
        Self { client, journal, ledger, settings }
    }

    /// Brings the answers of these requests into the journal. First collects what earlier
    /// runs of the journal left under way, then submits the rest. Returns the requests that
    /// failed for good, with the reason.
    pub async fn fulfil(&self, wanted: Vec<Pending>, progress: Progress<'_>) -> Result<HashMap<RequestKey, String>> {
        let mut failed = HashMap::new();
        let mut missing = wanted;
        for round in 0..=ROUNDS {
            let mut again: HashMap<RequestKey, String> = HashMap::new();
            self.collect_open(&mut failed, &mut again, progress).await?;
            missing.retain(|pending| self.journal.answer(&pending.key).is_none() && !failed.contains_key(&pending.key));
            if missing.is_empty() {
                break;
            }
            if round == ROUNDS {
                for pending in &missing {
                    let why = again.get(&pending.key).cloned().unwrap_or_else(|| "its result is missing".into());
                    failed.insert(
                        pending.key.clone(),
                        format!("the batch did not answer this request: {why}; run the same command again"),
                    );
                }
                break;
            }
            for part in split(&missing, &self.settings) {
                self.submit(part).await?;
            }
        }
        Ok(failed)
    }

    /// Asks the API to cancel all batches that are under way. What they already answered is
    /// collected by the next run.
    pub async fn cancel(&self) -> Result<usize> {
        let open = self.journal.open_batches();
        for (id, _) in &open {
            let url = self.client.http.url(&format!("/v1/messages/batches/{id}/cancel"))?;
            self.client.call(Method::POST, &url, Some(b"{}".to_vec())).await?;
        }
        Ok(open.len())
    }

    async fn submit(&self, part: &[Pending]) -> Result<()> {
        let reserved = part
            .iter()
            .map(|pending| self.ledger.reserve(&pending.request, pending.body.len(), true))
            .collect::<Result<Vec<_>>>()?;
        // The very bytes whose hash is the key; a custom_id needs no escaping.
        let mut body = b"{\"requests\":[".to_vec();
        for (position, pending) in part.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            body.extend_from_slice(
                format!("{comma}{{\"custom_id\":\"{}\",\"params\":", pending.key.as_str()).as_bytes(),
            );
            body.extend_from_slice(&pending.body);
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        let url = self.client.http.url("/v1/messages/batches")?;
        let batch: BatchObject = parse(&self.client.call(Method::POST, &url, Some(body)).await?)?;
        tracing::info!(batch = batch.id, requests = part.len(), "batch submitted");
        self.journal.submitted(&batch.id, part.iter().map(|pending| pending.key.clone()).collect())?;
        drop(reserved);
        Ok(())
    }

    /// Waits for every batch that is under way and takes its results.
    async fn collect_open(
        &self,
        failed: &mut HashMap<RequestKey, String>,
        again: &mut HashMap<RequestKey, String>,
        progress: Progress<'_>,
    ) -> Result<()> {
        let open = self.journal.open_batches();
        let total: usize = open.iter().map(|(_, keys)| keys.len()).sum();
        let mut before = 0;
        for (id, keys) in open {
            let url = self.client.http.url(&format!("/v1/messages/batches/{id}"))?;
            let batch = loop {
                let batch: BatchObject = match self.client.call(Method::GET, &url, None).await {
                    Ok(body) => parse(&body)?,
                    // Results are kept for 29 days; after that the requests are sent anew.
                    Err(e) if e.status() == Some(404) => {
                        self.journal.finished(&id)?;
                        break None;
                    }
                    Err(e) => return Err(e),
                };
                let counts = &batch.request_counts;
                let done = counts.succeeded + counts.errored + counts.canceled + counts.expired;
                progress(before + done.min(keys.len()), total);
                if batch.processing_status == "ended" {
                    break Some(batch);
                }
                tracing::debug!(batch = id, processing = counts.processing, "batch is under way");
                tokio::time::sleep(self.settings.poll).await;
            };
            if let Some(batch) = batch {
                self.take_results(&batch, &keys, failed, again).await?;
                self.journal.finished(&id)?;
            }
            before += keys.len();
            progress(before, total);
        }
        Ok(())
    }

    async fn take_results(
        &self,
        batch: &BatchObject,
        keys: &[RequestKey],
        failed: &mut HashMap<RequestKey, String>,
        again: &mut HashMap<RequestKey, String>,
    ) -> Result<()> {
        let named = batch.results_url.as_deref().and_then(|url| Url::parse(url).ok());
        // The key goes only where it belongs; a gateway may name the host behind it.
        let url = match named.filter(|url| self.client.http.is_own(url)) {
            Some(url) => url,
            None => self.client.http.url(&format!("/v1/messages/batches/{}/results", batch.id))?,
        };
        let body = self.client.call(Method::GET, &url, None).await?;
        let known: HashSet<&str> = keys.iter().map(RequestKey::as_str).collect();
        let by_name: HashMap<&str, &RequestKey> = keys.iter().map(|key| (key.as_str(), key)).collect();
        for line in body.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let Ok(line) = serde_json::from_slice::<ResultLine>(line) else { continue };
            if !known.contains(line.custom_id.as_str()) {
                continue;
            }
            let key = by_name[line.custom_id.as_str()].clone();
            match line.result {
                Outcome::Succeeded { message } => match Answer::from_raw(message) {
                    Ok(answer) => self.journal.keep(key, &Answer { batch: true, ..answer })?,
                    Err(e) => {
                        again.insert(key, format!("its answer is not the API's JSON ({e})"));
                    }
                },
                Outcome::Errored { error } => {
                    let (kind, message) = error_of(&error);
                    let text = format!("the API answered in a batch ({kind}: {message})");
                    let lasting = matches!(
                        kind.as_str(),
                        "invalid_request_error"
                            | "authentication_error"
                            | "billing_error"
                            | "permission_error"
                            | "not_found_error"
                            | "request_too_large"
                    );
                    if lasting {
                        failed.insert(key, text)
                    } else {
                        again.insert(key, text)
                    };
                }
                Outcome::Expired => {
                    again.insert(key, "it expired".into());
                }
                Outcome::Canceled | Outcome::Unknown => {
                    again.insert(key, "it was cancelled".into());
                }
            }
        }
        Ok(())
    }
}

/// `result.error.error.type`, or one level higher.
fn error_of(error: &Value) -> (String, String) {
    let inner = error.get("error").unwrap_or(error);
    let field = |name: &str| inner.get(name).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    (field("type"), field("message"))
}

/// Parts that keep to the bounds of one batch.
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

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        Error::new(ErrorKind::ApiTransient, format!("the API's answer about a batch is not its JSON: {e}"))
    })
}
