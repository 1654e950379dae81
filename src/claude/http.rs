//! One HTTP exchange with the API, and what its failures mean.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::retry;
use crate::text::excerpt;
use crate::{Error, ErrorKind, Result};

const API_VERSION: &str = "2023-06-01";
/// The longest answer that is read. No answer of the API is longer.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// How many bytes a second even a slow line uploads. A body gets the time that it needs at this speed on top.
const SLOWEST_UPLOAD: f64 = 250_000.0;

/// How the client proves who it is. The API rejects a request with both.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `x-api-key`.
    ApiKey(SecretString),
    /// `Authorization: Bearer`.
    Token(SecretString),
}

/// The settings of a connection.
#[derive(Clone)]
pub(super) struct HttpSettings {
    pub(super) base_url: String,
    pub(super) credentials: Credentials,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) ca_file: Option<PathBuf>,
}

/// A pool of connections to one base URL.
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    timeout: Duration,
}

/// Receives a line of a body, without its line break.
pub(super) type LineReader<'a> = dyn FnMut(&[u8]) -> Result<()> + Send + 'a;

/// A failed exchange.
pub(super) struct Failure {
    pub(super) error: Error,
    /// `None` when no answer came at all.
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
    pub(super) retryable: bool,
    /// Whether the request may have been carried out although it failed.
    pub(super) may_have_acted: bool,
}

impl Http {
    pub(super) fn new(settings: &HttpSettings) -> Result<Self> {
        let base = Url::parse(settings.base_url.trim_end_matches('/')).ok().filter(Url::has_host);
        // A value with an @ may hold a password, which is not for the screen.
        let base = base.filter(|url| url.username().is_empty() && url.password().is_none()).ok_or_else(|| {
            let given = if settings.base_url.contains('@') { "(with a user or password)" } else { &*settings.base_url };
            Error::configuration(format!(
                "ANTHROPIC_BASE_URL {given:?} is no URL that can be used; write it as https://host"
            ))
        })?;
        let (name, value, variable) = match &settings.credentials {
            Credentials::ApiKey(key) => ("x-api-key", String::from(key.expose_secret().trim()), "ANTHROPIC_API_KEY"),
            Credentials::Token(token) => {
                ("authorization", format!("Bearer {}", token.expose_secret().trim()), "ANTHROPIC_AUTH_TOKEN")
            }
        };
        let value = SecretString::from(value);
        let mut secret = HeaderValue::from_str(value.expose_secret())
            .map_err(|_| Error::configuration(format!("{variable} holds characters that no key has; copy it again")))?;
        secret.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static(name), secret),
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
        ]);
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(settings.connect_timeout)
            // A redirect would carry the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ticket-router/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca_file {
            let bad = |why: &dyn Display| Error::configuration(format!("the CA file {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|e| bad(&e).with_source(e))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(&e).with_source(e))?;
            if certificates.is_empty() {
                return Err(bad(&"it holds no certificate in PEM form"));
            }
            builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let client = builder
            .build()
            .map_err(|e| Error::configuration(format!("the HTTP client cannot be set up: {e}")).with_source(e))?;
        Ok(Self { client, base, timeout: settings.timeout })
    }

    /// The URL of a path below the base.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&url).map_err(|e| Error::internal(format!("{url}: {e}")))
    }

    /// Whether a URL that the API named is on the host that has the key.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Sends one request; `begun` is called when the headers are here. Returns the body of a
    /// success.
    pub(super) async fn exchange(
        &self,
        method: Method,
        url: Url,
        body: Option<Bytes>,
        begun: impl FnOnce(&HeaderMap),
    ) -> Result<(Vec<u8>, Option<String>), Failure> {
        let mut request = self.client.request(method, url).timeout(self.time_for(body.as_ref().map_or(0, Bytes::len)));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        begun(response.headers());
        if !response.status().is_success() {
            return Err(self.failed(response).await);
        }
        let request_id = retry::header(response.headers(), "request-id").map(str::to_owned);
        Ok((self.body(response).await?, request_id))
    }

    /// Reads the body of a success line by line, however long it is. The time-out bounds the wait for the next
    /// piece.
    pub(super) async fn lines(&self, url: Url, line: &mut LineReader<'_>) -> Result<(), Failure> {
        let mut response = self.in_time(self.client.get(url).send()).await?;
        if !response.status().is_success() {
            return Err(self.in_time(async { Ok(self.failed(response).await) }).await?);
        }
        let mut begun = Vec::new();
        while let Some(piece) = self.in_time(response.chunk()).await? {
            let mut piece = &piece[..];
            while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
                begun.extend_from_slice(&piece[..end]);
                line(&begun).map_err(Failure::permanent)?;
                begun.clear();
                piece = &piece[end + 1..];
            }
            begun.extend_from_slice(piece);
            if begun.len() > LONGEST_ANSWER {
                return Err(self.endless());
            }
        }
        line(&begun).map_err(Failure::permanent)
    }

    async fn in_time<T>(&self, work: impl Future<Output = reqwest::Result<T>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done.map_err(|e| self.unreachable(e)),
            Err(e) => Err(self.unanswered("did not answer in time", e)),
        }
    }

    /// How long an exchange with a body of this size may take.
    fn time_for(&self, bytes: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let upload = Duration::from_secs_f64(bytes as f64 / SLOWEST_UPLOAD);
        self.timeout.saturating_add(upload)
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
        let mut received = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            received.extend_from_slice(&piece);
            if received.len() > LONGEST_ANSWER {
                return Err(self.endless());
            }
        }
        Ok(received)
    }

    /// The error that an answer means which is no success.
    async fn failed(&self, response: reqwest::Response) -> Failure {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match self.body(response).await {
            Ok(body) => body,
            Err(failure) => return failure,
        };
        let retryable = retry::is_retryable(status, &headers);
        let request_id = retry::header(&headers, "request-id").map(str::to_owned);
        let error = self.refused(status, &body, retryable).with_request_id(request_id);
        // A 529 turns a request away. After any other 5xx, and after 408, the work may have been done.
        let may_have_acted = matches!(status.as_u16(), 408 | 500..=528 | 530..);
        Failure { error, status: Some(status), headers, retryable, may_have_acted }
    }

    fn endless(&self) -> Failure {
        let text = format!("the answer of {} does not end; is ANTHROPIC_BASE_URL right?", self.host());
        Failure::permanent(Error::new(ErrorKind::ApiPermanent, text))
    }

    /// A body that was cut off or garbled. It may come through whole the next time.
    pub(super) fn garbled(&self, why: &str, request_id: Option<String>) -> Failure {
        let text = format!("the answer of {} is not the API's JSON: {why}; is ANTHROPIC_BASE_URL right?", self.host());
        Failure::lost(Error::new(ErrorKind::ApiTransient, text).with_request_id(request_id))
    }

    fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    fn unreachable(&self, e: reqwest::Error) -> Failure {
        let what = if e.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        let may_have_acted = !e.is_connect();
        // The URL may hold what a proxy or gateway was given as a secret.
        Failure { may_have_acted, ..self.unanswered(what, e.without_url()) }
    }

    fn unanswered(&self, what: &str, e: impl std::error::Error + Send + Sync + 'static) -> Failure {
        // The end of the chain is what the network said.
        let mut cause: &dyn std::error::Error = &e;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let text = format!(
            "the API at {} {what}: {cause}; check the network, HTTPS_PROXY and ANTHROPIC_BASE_URL",
            self.host()
        );
        Failure::lost(Error::new(ErrorKind::ApiTransient, text).with_source(e))
    }

    /// One clear line for an error answer.
    fn refused(&self, status: StatusCode, body: &[u8], retryable: bool) -> Error {
        let detail = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
        let what = match (status.is_redirection(), detail.message.as_str()) {
            (true, _) => format!("a redirect, which {} should not send", self.host()),
            (false, "") => "no further explanation".to_owned(),
            (false, message) => format!("{}: {message}", detail.kind),
        };
        let remedy = match status.as_u16() {
            401 => "; check ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)",
            402 => "; check the billing of the account",
            403 => "; this key may not use this model or workspace",
            300..=399 | 404 => "; check the model's name and ANTHROPIC_BASE_URL",
            413 => "; shorten the tickets or show fewer examples",
            429 => "; send fewer at once or raise the account's limits",
            529 => "; the API is overloaded, try again later",
            _ => "",
        };
        let kind = if retryable { ErrorKind::ApiTransient } else { ErrorKind::ApiPermanent };
        // Whatever the API writes stays one line.
        let what = excerpt(&what, 300);
        Error::new(kind, format!("the API answered {} ({what}){remedy}", status.as_u16())).with_status(status.as_u16())
    }
}

impl Failure {
    fn permanent(error: Error) -> Self {
        Self { retryable: false, ..Self::lost(error) }
    }

    /// The error of a request without an answer that could be read.
    fn lost(error: Error) -> Self {
        Self { error, status: None, headers: HeaderMap::new(), retryable: true, may_have_acted: true }
    }
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
struct ErrorDetail {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}
