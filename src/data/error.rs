//! The one error of the crate. Its text says what was given, what is wrong with it and what
//! to do; [`Error::kind`] is for code that branches.
//!
//! The text never names a flag: the library does not know who shows it. Where the way out is a
//! setting of the caller's, the error carries a [`Remedy`], and the front end says in its own words
//! what to do (the command line in `cli/hint.rs`). What an error wraps is its
//! [`source`](std::error::Error::source); the text holds what a reader needs of it already, so
//! whoever prints the chain stops at the first [`Error`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

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
    /// The run must not go on: a bound on its cost, or the account's spend limit, is reached, or a
    /// labeler says so.
    Stopped,
    /// The answer is not there yet: its request waits for a batch.
    Pending,
    /// A fault of this crate.
    Internal,
}

/// What would mend an [`Error`], where the way out is a setting of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// Raise the bound on the cost, then go on from the journal.
    RaiseMaxCost,
    /// Add the model's prices to the table of models.
    AddPrices,
    /// Mend the cause and run once more: what was answered is in the journal.
    RunAgain,
    /// Allow requests to be sent again that may be paid for twice.
    Resend,
    /// Wait for the other run, or choose another journal.
    OtherJournal,
    /// Begin a new journal.
    FreshJournal,
    /// Let the API answer what the journal does not hold.
    AskApi,
}

/// An error with a [`kind`](Error::kind), one line of text and, for API errors, the
/// request id that the vendor's support asks for.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    request_id: Option<String>,
    status: Option<u16>,
    remedy: Option<Remedy>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    /// An error of `kind` with a text that is complete in itself.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), request_id: None, status: None, remedy: None, source: None }
    }

    /// Adds the `request-id` of an API answer.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// Keeps the error that this one wraps.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Says what would mend it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// What would mend it, where that is a setting of the caller's.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        self.remedy
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

    #[cfg(feature = "claude")]
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

    /// For a labeler of one's own: this ticket cannot be judged, and asking again changes nothing.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ApiPermanent, message)
    }

    /// For a labeler of one's own: this ticket could not be judged now; later it may be.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ApiTransient, message)
    }

    /// For a labeler of one's own: no ticket can be judged, so the run ends.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Stopped, message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_wraps_is_its_source_and_survives_a_clone() {
        let cause = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let error = Error::store("the file cannot be written").with_source(cause).clone();
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>()).unwrap();
        assert_eq!(source.kind(), std::io::ErrorKind::BrokenPipe);
        assert_eq!(error.to_string(), "the file cannot be written");
    }
}
