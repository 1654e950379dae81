//! Sends requests and reads answers. The one place that knows HTTP.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};

use super::wire::ErrorBody;
use super::{Answer, Request, retry};
use crate::{Error, ErrorKind, Result};

const API_VERSION: &str = "2023-06-01";

/// How the client proves who it is. Never both: the API rejects that.
#[derive(Clone)]
pub enum Credentials {
    /// `x-api-key`.
    ApiKey(String),
    /// `Authorization: Bearer`.
    Token(String),
}

/// Where and how patiently to call.
#[derive(Clone)]
pub struct ClientSettings {
    /// `https://api.anthropic.com`, or a gateway that speaks the same API.
    pub base_url: String,
    /// Who calls.
    pub credentials: Credentials,
    /// How often a failed request is sent again; the official SDKs say 2.
    pub retries: u32,
    /// For making the connection.
    pub connect_timeout: Duration,
    /// For one request from its start to the last byte of the answer.
    pub timeout: Duration,
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
        }
    }
}

/// A client of the Messages API. Cheap to share: connections are reused.
pub struct Client {
    http: reqwest::Client,
    messages: Url,
    retries: u32,
}

impl Client {
    /// Fails when the base URL or the key cannot be used as given.
    pub fn new(settings: &ClientSettings) -> Result<Self> {
        let messages = format!("{}/v1/messages", settings.base_url.trim_end_matches('/'));
        let messages = Url::parse(&messages)
            .map_err(|e| Error::configuration(format!("ANTHROPIC_BASE_URL {:?} is no URL: {e}", settings.base_url)))?;
        let (name, value, variable) = match &settings.credentials {
            Credentials::ApiKey(key) => ("x-api-key", key.clone(), "ANTHROPIC_API_KEY"),
            Credentials::Token(token) => ("authorization", format!("Bearer {token}"), "ANTHROPIC_AUTH_TOKEN"),
        };
        let mut secret = HeaderValue::from_str(value.trim())
            .map_err(|_| Error::configuration(format!("{variable} holds characters that no key has; copy it again")))?;
        secret.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static(name), secret),
            (HeaderName::from_static("anthropic-version"), HeaderValue::from_static(API_VERSION)),
        ]);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .user_agent(concat!("ticket-router/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::configuration(format!("the HTTP client cannot be set up: {e}")))?;
        Ok(Self { http, messages, retries: settings.retries })
    }

    /// Sends a request, again where that may help, and returns the answer.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        let mut attempt = 0;
        loop {
            let (error, headers) = match self.send_once(request).await {
                Ok(answer) => return Ok(answer),
                Err(Failure { error, retryable: true, headers }) if attempt < self.retries => (error, headers),
                Err(Failure { error, .. }) => return Err(error),
            };
            let wait = retry::delay(headers.as_ref(), attempt, rand::random(), SystemTime::now());
            tracing::debug!(attempt, wait_ms = wait.as_millis(), %error, "sending again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: &Request) -> Result<Answer, Failure> {
        let response =
            self.http.post(self.messages.clone()).json(request).send().await.map_err(|e| self.unreachable(&e))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let request_id = retry::header(&headers, "request-id").map(str::to_owned);
        let body = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        if !status.is_success() {
            let error = refused(status, &body).with_request_id(request_id);
            return Err(Failure { error, retryable: retry::is_retryable(status, &headers), headers: Some(headers) });
        }
        match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) => Ok(Answer { request_id, ..answer }),
            // A cut-off or garbled body: the answer may come through whole next time.
            Err(e) => {
                let text =
                    format!("the answer of {} is not the API's JSON: {e}; is ANTHROPIC_BASE_URL right?", self.messages);
                let error = Error::new(ErrorKind::ApiTransient, text).with_request_id(request_id);
                Err(Failure { error, retryable: true, headers: Some(headers) })
            }
        }
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        let host = self.messages.host_str().unwrap_or_default();
        let what = if e.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        // The chain below the first error says what the network said.
        let mut cause: &dyn std::error::Error = e;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let text = format!("the API at {host} {what}: {cause}; check the network, HTTPS_PROXY and ANTHROPIC_BASE_URL");
        Failure { error: Error::new(ErrorKind::ApiTransient, text), retryable: true, headers: None }
    }
}

struct Failure {
    error: Error,
    retryable: bool,
    headers: Option<HeaderMap>,
}

/// One clear line for an error answer.
fn refused(status: StatusCode, body: &[u8]) -> Error {
    let detail = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
    let what = if detail.message.is_empty() {
        "no further explanation".to_owned()
    } else {
        format!("{}: {}", detail.kind, detail.message)
    };
    let remedy = match status.as_u16() {
        401 => "; check ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)",
        402 => "; check the billing of the account",
        403 => "; this key may not use this model or workspace",
        404 => "; check --model and ANTHROPIC_BASE_URL",
        413 => "; shorten the tickets or use fewer examples (-k)",
        429 => "; lower --concurrency or raise the account's limits",
        529 => "; the API is overloaded, try again later",
        _ => "",
    };
    let headers = HeaderMap::new();
    let kind = if retry::is_retryable(status, &headers) { ErrorKind::ApiTransient } else { ErrorKind::ApiPermanent };
    Error::new(kind, format!("the API answered {} ({what}){remedy}", status.as_u16()))
}
