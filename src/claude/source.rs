//! Where answers come from: the journal, then the API; or the journal alone; or, for a batch,
//! nowhere yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::repeats::Repeats;
use super::{Answer, Client, Journal, Ledger, Request, RequestKey};
use crate::{Error, ErrorKind, Remedy, Result};

/// A request that a batch shall answer.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its name in the journal and in the batch.
    pub key: RequestKey,
    /// The request.
    pub request: Request,
    /// Its exact body.
    pub body: Vec<u8>,
}

enum Beyond {
    /// What the journal does not hold is asked of the API.
    Api(Arc<Client>),
    /// It is an error.
    Nothing,
    /// It is collected for a batch, or has failed in one.
    Batch { pending: Mutex<Vec<Pending>>, failed: HashMap<RequestKey, String> },
}

/// Answers that the sources of one run have in common: what several of them ask alike is sent,
/// and paid for, once.
#[derive(Default)]
pub struct Asked(Mutex<HashMap<RequestKey, Shared>>);

/// An answer that several sources wait for, and how long it took.
type Shared = Arc<OnceCell<(Answer, Duration)>>;

/// Answers requests. One source serves one pass over the tickets: it numbers equal requests.
pub struct AnswerSource {
    journal: Option<Arc<Journal>>,
    ledger: Arc<Ledger>,
    beyond: Beyond,
    repeats: Mutex<Repeats>,
    asked: Option<Arc<Asked>>,
    round: u16,
}

impl AnswerSource {
    fn new(journal: Option<Arc<Journal>>, ledger: Arc<Ledger>, beyond: Beyond) -> Self {
        Self { journal, ledger, beyond, repeats: Mutex::default(), asked: None, round: 0 }
    }

    /// From the API, by way of a journal if there is one.
    #[must_use]
    pub fn api(client: Arc<Client>, journal: Option<Arc<Journal>>, ledger: Arc<Ledger>) -> Self {
        Self::new(journal, ledger, Beyond::Api(client))
    }

    /// From a journal alone; a request that it does not hold is an error.
    #[must_use]
    pub fn replay(journal: Arc<Journal>, ledger: Arc<Ledger>) -> Self {
        Self::new(Some(journal), ledger, Beyond::Nothing)
    }

    /// From a journal; requests that it does not hold are collected and answered with an
    /// error of kind [`Pending`](ErrorKind::Pending), save those that failed for good.
    #[must_use]
    pub fn collecting(journal: Arc<Journal>, ledger: Arc<Ledger>, failed: HashMap<RequestKey, String>) -> Self {
        Self::new(Some(journal), ledger, Beyond::Batch { pending: Mutex::new(Vec::new()), failed })
    }

    /// Shares its answers with the other sources of the same `asked` and `round`. Another round
    /// asks all questions again: its requests have names of their own in the journal.
    #[must_use]
    pub fn sharing(mut self, asked: Arc<Asked>, round: u16) -> Self {
        (self.asked, self.round) = (Some(asked), round);
        self
    }

    /// What was collected.
    #[must_use]
    pub fn take_pending(&self) -> Vec<Pending> {
        match &self.beyond {
            Beyond::Batch { pending, .. } => {
                std::mem::take(&mut *pending.lock().unwrap_or_else(PoisonError::into_inner))
            }
            _ => Vec::new(),
        }
    }

    /// The run's account.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The answer to a request, and how much longer it would have taken, had another source not
    /// asked for the same before.
    pub async fn send(&self, request: &Request) -> Result<(Answer, Duration)> {
        let body =
            serde_json::to_vec(request).map_err(|e| Error::internal(format!("the request cannot be written: {e}")))?;
        // Without these nobody asks for the key.
        let is_named = self.journal.is_some() || self.asked.is_some();
        let key = if is_named { self.number(&body) } else { RequestKey::default() };
        let begun = Instant::now();
        let Some(asked) = &self.asked else { return Ok((self.fetch(key, request, body).await?, Duration::ZERO)) };
        let cell = {
            let mut cells = asked.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key.clone()).or_default())
        };
        let fetched = async || Ok::<_, Error>((self.fetch(key, request, body).await?, begun.elapsed()));
        let (answer, took) = cell.get_or_try_init(fetched).await?;
        Ok((answer.clone(), took.saturating_sub(begun.elapsed())))
    }

    async fn fetch(&self, key: RequestKey, request: &Request, body: Vec<u8>) -> Result<Answer> {
        if let Some((answer, before)) = self.journal.as_ref().and_then(|journal| journal.answer(&key)) {
            self.ledger.enter(&answer, before);
            return Ok(answer);
        }
        match &self.beyond {
            Beyond::Nothing => Err(Error::bad_input(format!(
                "the journal {} holds no answer for this request: prompt, model, store or tickets have changed since",
                self.journal.as_ref().map(|journal| journal.path().display().to_string()).unwrap_or_default()
            ))
            .with_remedy(Remedy::AskApi)),
            Beyond::Batch { failed, .. } if failed.contains_key(&key) => {
                Err(Error::new(ErrorKind::ApiPermanent, failed[&key].clone()))
            }
            Beyond::Batch { pending, .. } => {
                let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
                pending.push(Pending { key, request: request.clone(), body });
                Err(Error::new(ErrorKind::Pending, "this request waits for its batch"))
            }
            Beyond::Api(client) => {
                let reserved = self.ledger.reserve(request, body.len())?;
                let answer = client.send(request, body.into()).await?;
                if let Some(journal) = &self.journal {
                    journal.keep(key, &answer)?;
                }
                self.ledger.enter(&answer, false);
                drop(reserved);
                Ok(answer)
            }
        }
    }

    /// The key of the next request with this body.
    fn number(&self, body: &[u8]) -> RequestKey {
        let round = u32::from(self.round) << 16;
        let first = RequestKey::new(body, round);
        match self.repeats.lock().unwrap_or_else(PoisonError::into_inner).count(&first) {
            0 => first,
            before => RequestKey::new(body, round + u32::from(before)),
        }
    }
}
