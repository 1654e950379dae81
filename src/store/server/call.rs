//! Requests to a server: which are sent again, and what failures mean.

use std::future::Future;
use std::time::{Duration, Instant};

use qdrant_client::{Qdrant, QdrantError};
use tonic::{Code, Status};

use super::Connection;
use crate::{Error, Result};

/// The oldest release that surely knows the form in which the client writes vectors.
const OLDEST: (u32, u32) = (1, 16);

/// How long reaching the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a request is sent again: it grows from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long after its first try a failure may still come from a switch.
const SWITCH: Duration = Duration::from_millis(500);

/// Messages of the transport that mean that the request may be lost, whatever the code.
const BROKEN: [&str; 5] =
    ["Failed to connect", "transport error", "h2 protocol error", "connection", "error reading a body"];

/// A server, and how to speak to it.
#[derive(Clone)]
pub(super) struct Server {
    client: Qdrant,
    pub(super) url: String,
    pub(super) api_key: Option<String>,
    pub(super) timeout: Duration,
}

impl Server {
    /// Reaches the server; fails when it is absent, refuses the key, or is too old.
    pub(super) async fn reach(connection: &Connection) -> Result<Self> {
        let url = connection.url.clone();
        let wrong = |what: String| Error::configuration(format!("the Qdrant server {url}: {what}"));
        // The client would put a key that it cannot send into its message.
        if connection.api_key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(wrong("QDRANT_API_KEY holds characters that no key has; set it again".into()));
        }
        let client = Qdrant::from_url(&url)
            .api_key(connection.api_key.as_deref())
            .timeout(connection.timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(connection.timeout))
            // It prints to stdout.
            .skip_compatibility_check()
            .build()
            .map_err(|e| wrong(e.to_string()))?;
        let Connection { url, api_key, timeout } = connection.clone();
        let server = Self { client, url, api_key, timeout };
        server.check_version(&server.version().await?)?;
        Ok(server)
    }

    /// The server's release.
    pub(super) async fn version(&self) -> Result<String> {
        let reply = self.client.health_check().await.map_err(|e| self.failed("cannot be used", &e))?;
        Ok(reply.version)
    }

    fn check_version(&self, version: &str) -> Result<()> {
        let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) if (major, minor) < OLDEST => Err(Error::store(format!(
                "the Qdrant server {} has version {version}, and {}.{} is the oldest that can be used; update the server",
                self.url, OLDEST.0, OLDEST.1
            ))),
            // A server with another kind of version, such as a build of one's own, is tried.
            _ => Ok(()),
        }
    }

    /// Sends a request, and sends it again while the server is away, for as long as one request may take. It is
    /// only for requests that may happen twice: reads, and writes that say what is to be.
    pub(super) async fn call<T, F>(&self, doing: &str, send: impl Fn(Qdrant) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let begun = Instant::now();
        let (mut pause, longest) = PAUSE;
        loop {
            match send(self.client.clone()).await {
                Ok(done) => return Ok(done),
                Err(e) if (may_pass(&e) || is_switched(&e, begun)) && begun.elapsed() + pause < self.timeout => {
                    tracing::warn!(url = self.url, doing, code = ?status(&e).map(Status::code), "sent again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
                Err(e) => return Err(self.failed(doing, &e)),
            }
        }
    }

    /// Like [`Self::call`], with a copy of the request for each try.
    pub(super) async fn send<R: Clone, T, F>(&self, doing: &str, request: R, send: impl Fn(Qdrant, R) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.call(doing, |client| send(client, request.clone())).await
    }

    /// Like [`Self::call`]; `None` when the server does not have it.
    pub(super) async fn find<T, F>(&self, doing: &str, send: impl Fn(Qdrant) -> F) -> Result<Option<T>>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let found = |outcome: Result<T, QdrantError>| match outcome {
            Ok(found) => Ok(Some(found)),
            Err(e) if status(&e).is_some_and(|status| status.code() == Code::NotFound) => Ok(None),
            Err(e) => Err(e),
        };
        self.call(doing, |client| {
            let reply = send(client);
            async { found(reply.await) }
        })
        .await
    }

    /// What a failure means, and what can be done.
    fn failed(&self, doing: &str, e: &QdrantError) -> Error {
        let url = &self.url;
        match status(e) {
            Some(status) => self.failed_with(doing, status),
            None => Error::store(format!("the Qdrant server {url}: {doing}: {e}")),
        }
    }

    /// What a refusal means, and what can be done.
    pub(super) fn failed_with(&self, doing: &str, status: &Status) -> Error {
        let url = &self.url;
        let said = status.message();
        let text = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => format!(
                "the Qdrant server {url} refuses the key ({said}); set QDRANT_API_KEY to one that may use this collection"
            ),
            Code::NotFound => format!(
                "the Qdrant server {url}: {doing}: {said}; it was deleted or rebuilt meanwhile: start again, and index if it is gone"
            ),
            Code::Cancelled | Code::DeadlineExceeded => format!(
                "the Qdrant server {url} did not answer within {} s ({doing}); try again, or set store_timeout_seconds",
                self.timeout.as_secs_f32()
            ),
            Code::ResourceExhausted => {
                format!(
                    "the Qdrant server {url} takes no more ({doing}: {said}); give it more memory or disk, or try later"
                )
            }
            _ if is_broken(status) => format!(
                "the Qdrant server {url} cannot be reached ({doing}: {}); is it running, and is this its gRPC port (6334)?",
                first_line(said)
            ),
            code => format!("the Qdrant server {url}: {doing}: {said} ({code:?})"),
        };
        Error::store(text)
    }
}

fn status(e: &QdrantError) -> Option<&Status> {
    match e {
        QdrantError::ResponseError { status } | QdrantError::ResourceExhaustedError { status, .. } => Some(status),
        _ => None,
    }
}

/// Whether the same request may succeed a little later.
fn may_pass(e: &QdrantError) -> bool {
    matches!(e, QdrantError::ResourceExhaustedError { .. }) || status(e).is_some_and(is_passing)
}

pub(super) fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted)
        || is_broken(status)
}

/// Whether a request may have met the end of the old collection, because the alias moved at that moment.
fn is_switched(e: &QdrantError, begun: Instant) -> bool {
    status(e).is_some_and(|status| status.code() == Code::NotFound) && begun.elapsed() < SWITCH
}

fn is_broken(status: &Status) -> bool {
    let is_transport = matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable);
    is_transport && (status.code() == Code::Unavailable || BROKEN.iter().any(|sign| status.message().contains(sign)))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
