//! One HTTP exchange with the API, and what its failures mean.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::retry;
use crate::text::excerpt;
use crate::{Error, ErrorKind, Result};

const API_VERSION: &str = "2023-06-01";
/// No answer of the API is longer; more is somebody else's.
const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// How the client proves who it is. Never both: the API rejects that.
#[derive(Clone)]
pub enum Credentials {
    /// `x-api-key`.
    ApiKey(String),
    /// `Authorization: Bearer`.
    Token(String),
}

/// What a connection is made with.
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
    http: reqwest::Client,
    base: Url,
}

/// A failed exchange.
pub(super) struct Failure {
    pub(super) error: Error,
    /// `None` when no answer came at all.
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
    pub(super) retryable: bool,
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
            Credentials::ApiKey(key) => ("x-api-key", key.trim().to_owned(), "ANTHROPIC_API_KEY"),
            Credentials::Token(token) => ("authorization", format!("Bearer {}", token.trim()), "ANTHROPIC_AUTH_TOKEN"),
        };
        let mut secret = HeaderValue::from_str(&value)
            .map_err(|_| Error::configuration(format!("{variable} holds characters that no key has; copy it again")))?;
        secret.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static(name), secret),
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
        ]);
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            // A redirect would carry the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ticket-router/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca_file {
            let bad = |e: String| Error::configuration(format!("the CA file {}: {e}", path.display()));
            let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))?;
            if certificates.is_empty() {
                return Err(bad("it holds no certificate in PEM form".into()));
            }
            builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let http =
            builder.build().map_err(|e| Error::configuration(format!("the HTTP client cannot be set up: {e}")))?;
        Ok(Self { http, base })
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
        body: Option<Vec<u8>>,
        begun: impl FnOnce(&HeaderMap),
    ) -> Result<(Vec<u8>, Option<String>), Failure> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let (status, headers) = (response.status(), response.headers().clone());
        begun(&headers);
        let request_id = retry::header(&headers, "request-id").map(str::to_owned);
        let mut received = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            received.extend_from_slice(&piece);
            if received.len() as u64 > LONGEST_ANSWER {
                let text = format!("the answer of {} does not end; is ANTHROPIC_BASE_URL right?", self.host());
                return Err(Failure::permanent(Error::new(ErrorKind::ApiPermanent, text)));
            }
        }
        if status.is_success() {
            return Ok((received, request_id));
        }
        let retryable = retry::is_retryable(status, &headers);
        let error = self.refused(status, &received, retryable).with_request_id(request_id);
        Err(Failure { error, status: Some(status), headers, retryable })
    }

    /// A body that is not what it should be: cut off or garbled. It may come through whole
    /// the next time.
    pub(super) fn garbled(&self, why: &str, request_id: Option<String>) -> Failure {
        let text = format!("the answer of {} is not the API's JSON: {why}; is ANTHROPIC_BASE_URL right?", self.host());
        let error = Error::new(ErrorKind::ApiTransient, text).with_request_id(request_id);
        Failure { error, status: None, headers: HeaderMap::new(), retryable: true }
    }

    fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        let what = if e.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        // The end of the chain is what the network said.
        let mut cause: &dyn std::error::Error = e;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let text = format!(
            "the API at {} {what}: {cause}; check the network, HTTPS_PROXY and ANTHROPIC_BASE_URL",
            self.host()
        );
        Failure {
            error: Error::new(ErrorKind::ApiTransient, text),
            status: None,
            headers: HeaderMap::new(),
            retryable: true,
        }
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
            300..=399 | 404 => "; check --model and ANTHROPIC_BASE_URL",
            413 => "; shorten the tickets or use fewer examples (-k)",
            429 => "; lower --concurrency or raise the account's limits",
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
    pub(super) fn permanent(error: Error) -> Self {
        Self { error, status: None, headers: HeaderMap::new(), retryable: false }
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
