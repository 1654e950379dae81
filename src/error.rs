//! The one error of the crate. Its text says what was given, what is wrong with it and what
//! to do; [`Error::kind`] is for code that branches.

use std::error::Error as StdError;

/// What an [`Error`] is about, for callers that branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A ticket, an example or a taxonomy cannot be used as given.
    BadInput,
    /// A setting, a flag, a key or a file of the set-up is missing or wrong.
    Configuration,
    /// The example store is missing, locked, damaged, or belongs to another embedder.
    Store,
    /// The embedding model or its runtime is missing or failed.
    Embedder,
    /// The API refused the request; sending it again would change nothing.
    ApiPermanent,
    /// The API could not answer now; sending it again later may work.
    ApiTransient,
    /// A fault of this crate.
    Internal,
}

/// An error with a [`kind`](Error::kind), one line of text and, for API errors, the
/// request id that the vendor's support asks for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    request_id: Option<String>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a text that is complete in itself.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), request_id: None, source: None }
    }

    /// Keeps the cause for [`std::error::Error::source`]; the text stays as it is.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the `request-id` of an API answer.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// What the error is about.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The `request-id` of the API answer that this error reports.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadInput, message)
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Store, message)
    }

    pub(crate) fn embedder(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Embedder, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}
