//! The one error of the crate. Its text says what was given, what is wrong with it and what
//! to do; [`Error::kind`] is for code that branches.

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
    /// The run must not go on: a bound on its cost, or the account's spend limit, is reached.
    Stopped,
    /// A fault of this crate.
    Internal,
}

/// An error with a [`kind`](Error::kind), one line of text and, for API errors, the
/// request id that the vendor's support asks for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    request_id: Option<String>,
    status: Option<u16>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a text that is complete in itself.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), request_id: None, status: None }
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

    /// The HTTP status of the API's answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Whether every other ticket would fail the same way, so that going on is pointless.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.kind, ErrorKind::Configuration | ErrorKind::Store | ErrorKind::Stopped)
            || matches!(self.status, Some(401..=404))
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
