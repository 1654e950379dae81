//! Sends requests until they are answered, or until it is clear that they will not be.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use tokio::time::Instant;

use super::http::{Failure, Http, HttpSettings, LineReader};
use super::pace::{Pace, PaceLimits};
use super::{Answer, Credentials, Request, retry};
use crate::{Error, ErrorKind, Remedy, Result};

/// So many 429 without `retry-after` in a row are a spend limit and not a rate limit. They count for one
/// request, while no other request succeeds.
const SPEND_CAP_TRIES: u32 = 5;

/// Where to call, and how long to wait.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `https://api.anthropic.com`, or a gateway that speaks the same API.
    pub base_url: String,
    /// The key or token.
    pub credentials: Credentials,
    /// How often a request that failed is sent again; 2 in the official SDKs. An answer that says to slow
    /// down (429, 529) does not count: it is waited out until the deadline.
    pub retries: u32,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long one request may take, from its start to the last byte of the answer.
    pub timeout: Duration,
    /// How long a request is tried, from its first sending on.
    pub deadline: Duration,
    /// How long no request is sent after a refusal that every other request would meet too (a wrong key,
    /// a spend limit). Then one goes first to see whether the refusal still holds.
    pub refusal_pause: Duration,
    /// How fast requests go out.
    pub pace: PaceLimits,
    /// Further certificate authorities to trust, in PEM form.
    pub ca_file: Option<PathBuf>,
}

impl ClientSettings {
    /// The usual settings for these credentials.
    #[must_use]
    pub fn new(base_url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            base_url: base_url.into(),
            credentials,
            retries: 2,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_mins(2),
            deadline: Duration::from_mins(5),
            refusal_pause: Duration::from_secs(10),
            pace: PaceLimits { concurrency: 8, requests_per_minute: None, input_tokens_per_minute: None },
            ca_file: None,
        }
    }
}

/// A client of the Messages API, shared by all workers of a run.
pub struct Client {
    pub(super) http: Http,
    retries: u32,
    deadline: Duration,
    pace: Pace,
    successes: AtomicU64,
    retried: AtomicU32,
    refusals: Mutex<Refusals>,
    refusal_pause: Duration,
}

/// Refusals that every other request would meet too: a wrong key, a spend limit.
#[derive(Default)]
struct Refusals {
    /// How many refusals there were.
    count: u64,
    /// The last refusal and its moment; `None` once a request succeeded.
    last: Option<(Instant, Error)>,
}

/// What became of a request that creates something.
pub(super) enum Created {
    Answered(Vec<u8>),
    /// It is not known whether the request was carried out.
    Unknown(Error),
}

impl Client {
    /// Fails when the base URL, the key or the CA file cannot be used as given.
    pub fn new(settings: &ClientSettings) -> Result<Self> {
        let http = Http::new(&HttpSettings {
            base_url: settings.base_url.clone(),
            credentials: settings.credentials.clone(),
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            ca_file: settings.ca_file.clone(),
        })?;
        Ok(Self {
            http,
            retries: settings.retries,
            deadline: settings.deadline,
            pace: Pace::new(settings.pace),
            successes: AtomicU64::new(0),
            retried: AtomicU32::new(0),
            refusals: Mutex::default(),
            refusal_pause: settings.refusal_pause,
        })
    }

    /// Sends a request at the common pace, and sends it again where that may help.
    #[tracing::instrument(name = "request", skip_all, fields(model = request.model))]
    pub(super) async fn send(&self, request: &Request, body: Bytes) -> Result<Answer> {
        // This is rough on purpose: before the API has counted, the pace needs an order of magnitude.
        let (input_tokens, output_tokens) = (body.len() as u64 / 4, u64::from(request.max_tokens) / 4);
        let url = self.http.url("/v1/messages")?;
        let mut tries = Tries::new(self);
        let refusals_before = self.refusals().count;
        loop {
            let permit = self.pace.admit(input_tokens, output_tokens).await;
            if let Some(e) = self.refusal(refusals_before) {
                return Err(e);
            }
            tries.begin();
            let sent = self
                .http
                .exchange(Method::POST, url.clone(), Some(body.clone()), |headers| permit.begun(headers))
                .await;
            let parsed = sent.and_then(|(body, request_id)| {
                let read = serde_json::from_slice(&body).map_err(|e| e.to_string()).and_then(Answer::from_raw);
                let answer = read.map_err(|why| self.http.garbled(&why, request_id.clone()))?;
                Ok(Answer { request_id, ..answer })
            });
            let failure = match parsed {
                Ok(answer) => {
                    tracing::info!(
                        model = request.model,
                        retries = tries.failures + tries.push_backs,
                        request_id = answer.request_id,
                        stop_reason = answer.stop_reason,
                        "answered"
                    );
                    permit.succeeded();
                    self.refusals().last = None;
                    self.successes.fetch_add(1, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let pushed_back = is_push_back(&failure);
            let wait = tries.wait_after(failure).inspect_err(|e| {
                if e.is_fatal() {
                    let mut refusals = self.refusals();
                    refusals.count += 1;
                    refusals.last = Some((Instant::now(), e.clone()));
                    self.pace.cool();
                }
            })?;
            if pushed_back {
                // Every request waits now. This one comes back through `admit` like all others.
                permit.pushed_back(wait);
                drop(permit);
            } else {
                drop(permit);
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Calls another endpoint, with the same retries but without the pace.
    pub(super) async fn call(&self, method: Method, url: &Url, body: Option<Bytes>) -> Result<Vec<u8>> {
        let mut tries = Tries::new(self);
        loop {
            tries.begin();
            match self.http.exchange(method.clone(), url.clone(), body.clone(), |_: &HeaderMap| {}).await {
                Ok((body, _)) => return Ok(body),
                Err(failure) => tokio::time::sleep(tries.wait_after(failure)?).await,
            }
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The refusal that holds for all requests, if there was one while this request waited or a moment ago.
    fn refusal(&self, count_before: u64) -> Option<Error> {
        let refusals = self.refusals();
        let (moment, e) = refusals.last.as_ref()?;
        (refusals.count > count_before || moment.elapsed() < self.refusal_pause).then(|| e.clone())
    }

    /// Reads a body line by line, and after a failure once more from its start. The deadline counts from the
    /// first failure: a long body is no reason to give up.
    pub(super) async fn lines(&self, url: &Url, line: &mut LineReader<'_>) -> Result<()> {
        let mut tries = Tries::new(self);
        while let Err(failure) = self.http.lines(url.clone(), line).await {
            tries.begin();
            tokio::time::sleep(tries.wait_after(failure)?).await;
        }
        Ok(())
    }

    /// Sends a request that costs money. It is sent again only when the API has certainly not acted. The
    /// deadline counts from the first failure, because a large body takes its time.
    pub(super) async fn create(&self, url: &Url, body: Bytes) -> Result<Created> {
        let mut tries = Tries::new(self);
        loop {
            match self.http.exchange(Method::POST, url.clone(), Some(body.clone()), |_: &HeaderMap| {}).await {
                Ok((answer, _)) => return Ok(Created::Answered(answer)),
                Err(failure) if failure.may_have_acted => return Ok(Created::Unknown(failure.error)),
                Err(failure) => {
                    tries.begin();
                    tokio::time::sleep(tries.wait_after(failure)?).await;
                }
            }
        }
    }

    /// Counts the input tokens of a request, which costs nothing.
    pub async fn count_tokens(&self, request: &serde_json::Value) -> Result<u64> {
        #[derive(serde::Deserialize)]
        struct Counted {
            input_tokens: u64,
        }
        let mut body = request.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|name, _| {
                ["model", "messages", "system", "thinking", "output_config"].contains(&name.as_str())
            });
        }
        let url = self.http.url("/v1/messages/count_tokens")?;
        let answer = self.call(Method::POST, &url, Some(body.to_string().into())).await?;
        serde_json::from_slice::<Counted>(&answer).map(|counted| counted.input_tokens).map_err(|e| {
            let text = format!("the count of tokens is not the API's JSON: {e}");
            Error::new(ErrorKind::ApiTransient, text).with_source(e)
        })
    }

    /// How many requests were sent again so far.
    #[must_use]
    pub fn retried(&self) -> u32 {
        self.retried.load(Ordering::Relaxed)
    }
}

/// Whether an answer says to slow down: 429 and 529 do. Any other failure is the request's own.
fn is_push_back(failure: &Failure) -> bool {
    matches!(failure.status.map(|status| status.as_u16()), Some(429 | 529)) && failure.retryable
}

/// The tries of one request.
struct Tries<'a> {
    client: &'a Client,
    begun: Option<Instant>,
    /// How often the request itself failed.
    failures: u32,
    /// How often it was told to slow down.
    push_backs: u32,
    /// The 429 without `retry-after` in a row, and how many successes there were at the first of them.
    unexplained: u32,
    successes_then: u64,
}

impl<'a> Tries<'a> {
    fn new(client: &'a Client) -> Self {
        Self { client, begun: None, failures: 0, push_backs: 0, unexplained: 0, successes_then: 0 }
    }

    /// The deadline counts from the first sending, not from the wait before it.
    fn begin(&mut self) {
        self.begun.get_or_insert_with(Instant::now);
    }

    /// How long to wait before the next try; the error when there is none.
    fn wait_after(&mut self, failure: Failure) -> Result<Duration> {
        let pushed_back = is_push_back(&failure);
        self.check_spend_cap(&failure)?;
        if !failure.retryable || (!pushed_back && self.failures >= self.client.retries) {
            return Err(failure.error);
        }
        let number = if pushed_back { &mut self.push_backs } else { &mut self.failures };
        let wait = retry::delay(&failure.headers, *number, rand::random(), SystemTime::now());
        *number += 1;
        let spent = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        if spent + wait > self.client.deadline {
            let text = format!("{} (given up after {} s)", failure.error, spent.as_secs());
            let request_id = failure.error.request_id().map(Into::into);
            return Err(Error::new(failure.error.kind(), text).with_request_id(request_id).with_source(failure.error));
        }
        self.client.retried.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            status = failure.status.map(|status| status.as_u16()),
            request_id = failure.error.request_id(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "sending again"
        );
        Ok(wait)
    }

    fn check_spend_cap(&mut self, failure: &Failure) -> Result<()> {
        let unexplained = failure.status.is_some_and(|status| status.as_u16() == 429)
            && failure.retryable
            && !failure.headers.contains_key("retry-after")
            && !failure.headers.contains_key("retry-after-ms");
        let successes = self.client.successes.load(Ordering::Relaxed);
        if !unexplained || self.unexplained == 0 || successes != self.successes_then {
            self.unexplained = u32::from(unexplained);
            self.successes_then = successes;
            return Ok(());
        }
        self.unexplained += 1;
        if self.unexplained < SPEND_CAP_TRIES {
            return Ok(());
        }
        let text = format!(
            "the API keeps answering 429 without saying when to try again: the account's spend limit seems to be reached \
             ({}); raise it",
            failure.error
        );
        let request_id = failure.error.request_id().map(Into::into);
        let error = Error::new(ErrorKind::Stopped, text).with_request_id(request_id).with_remedy(Remedy::RunAgain);
        Err(error.with_source(failure.error.clone()))
    }
}
