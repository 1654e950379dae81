//! What a run used and paid, and the bound that it must not pass.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Answer, Model, Request};
use crate::{Error, ErrorKind, Remedy, Result};

/// The most tokens that a byte of a request can make: no text is denser.
const TOKENS_PER_BYTE: f64 = 0.5;

/// A run's account. Shared by all its workers.
#[derive(Debug)]
pub struct Ledger {
    model: Model,
    max_cost: Option<f64>,
    totals: Arc<Mutex<Totals>>,
    models: Arc<Mutex<Vec<Model>>>,
}

/// What a run used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// Answers, those of the journal included.
    pub answers: u64,
    /// Answers that the journal already held.
    pub from_journal: u64,
    /// Answers that came through a batch, at half the price.
    pub from_batch: u64,
    /// Input at the full price.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// Input written to the cache.
    pub cache_written: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// US$, as far as the prices are known.
    pub cost: f64,
    /// US$ if nothing had been cached.
    pub cost_without_cache: f64,
    /// The part of the cost that earlier runs of the same journal paid.
    pub paid_before: f64,
    /// What the requests that are under way may cost at most.
    reserved: f64,
    /// Whether a request was refused. None may follow it, even a smaller one that would fit: a run that has ended
    /// would pay for it.
    stopped: bool,
}

impl Totals {
    /// The share of all input that was read from the cache.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn cache_hit_rate(&self) -> f64 {
        let all = self.input_tokens + self.cache_written + self.cache_read;
        if all == 0 { 0.0 } else { self.cache_read as f64 / all as f64 }
    }
}

impl Ledger {
    /// An empty account. Fails when a bound is set for a model without known prices.
    pub fn new(model: Model, max_cost: Option<f64>) -> Result<Self> {
        if let Some(bound) = max_cost {
            if model.price.is_empty() {
                return Err(Error::configuration(format!(
                    "the cost cannot be held below ${bound}: the prices of {} are not known",
                    model.id
                ))
                .with_remedy(Remedy::AddPrices));
            }
            if bound.is_nan() || bound < 0.0 {
                return Err(Error::configuration(format!("the bound on the cost is {bound}, which is no sum of US$")));
            }
        }
        let models = Arc::new(Mutex::new(vec![model.clone()]));
        Ok(Self { model, max_cost, totals: Arc::default(), models })
    }

    /// The same account for another model. Fails like [`new`](Self::new).
    pub fn also_for(&self, model: Model) -> Result<Self> {
        let other = Self::new(model, self.max_cost)?;
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.iter().all(|known| known.id != other.model.id) {
            models.push(other.model.clone());
        }
        Ok(Self { totals: Arc::clone(&self.totals), models: Arc::clone(&self.models), ..other })
    }

    /// All models that this account is for.
    #[must_use]
    pub fn models(&self) -> Vec<Model> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was used so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        *self.lock()
    }

    /// The model that this account is for.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Sets aside what a request may cost at most. When that would pass the bound, this request and all that
    /// follow are refused.
    pub(super) fn reserve(&self, request: &Request, bytes: usize) -> Result<Reservation<'_>> {
        let most = self.most(request, bytes);
        let mut totals = self.lock();
        if totals.stopped {
            return Err(self.refusal(&totals, most));
        }
        let reservation = self.set_aside(&mut totals, most);
        totals.stopped = reservation.is_err();
        reservation
    }

    /// Sets aside what a batch may cost at most, at half the price. A refusal is not for good: once a batch that
    /// is under way is in, the next one may fit.
    pub(super) fn reserve_batch<'a>(
        &self,
        requests: impl Iterator<Item = (&'a Request, usize)>,
    ) -> Result<Reservation<'_>> {
        let most = requests.map(|(request, bytes)| self.most(request, bytes) / 2.0).sum();
        self.set_aside(&mut self.lock(), most)
    }

    fn set_aside(&self, totals: &mut Totals, most: f64) -> Result<Reservation<'_>> {
        if self.max_cost.is_some_and(|bound| totals.cost + totals.reserved + most > bound) {
            return Err(self.refusal(totals, most));
        }
        totals.reserved += most;
        Ok(Reservation { ledger: self, most })
    }

    fn refusal(&self, totals: &Totals, most: f64) -> Error {
        let text = format!(
            "stopped before the run costs more than ${}: ${:.6} is spent, and the requests under way and the next ones \
             may cost ${:.6} more",
            self.max_cost.unwrap_or_default(),
            totals.cost,
            totals.reserved + most
        );
        Error::new(ErrorKind::Stopped, text).with_remedy(Remedy::RaiseMaxCost)
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    fn most(&self, request: &Request, bytes: usize) -> f64 {
        let tokens = bytes as f64 * TOKENS_PER_BYTE;
        let fits = |limit: u64| tokens <= limit as f64;
        let price = self.model.price.iter().find(|price| price.up_to_input_tokens.is_none_or(fits));
        price.map_or(0.0, |price| {
            (tokens * price.cache_write_5m.max(price.input) + f64::from(request.max_tokens) * price.output) / 1e6
        })
    }

    /// Forgets the answers entered so far, before a pass that is made again. What is set aside for requests under
    /// way stays.
    pub fn reset(&self) {
        let mut totals = self.lock();
        *totals = Totals { reserved: totals.reserved, ..Totals::default() };
    }

    /// Enters an answer.
    pub(super) fn enter(&self, answer: &Answer, from_journal: bool) {
        let cost = self.model.cost_of(answer).unwrap_or(0.0);
        let usage = &answer.usage;
        let mut totals = self.lock();
        totals.answers += 1;
        totals.from_journal += u64::from(from_journal);
        totals.from_batch += u64::from(answer.batch);
        totals.input_tokens = totals.input_tokens.saturating_add(usage.input_tokens);
        totals.output_tokens = totals.output_tokens.saturating_add(usage.output_tokens);
        totals.cache_written = totals.cache_written.saturating_add(usage.cache_creation_input_tokens.unwrap_or(0));
        totals.cache_read = totals.cache_read.saturating_add(usage.cache_read_input_tokens.unwrap_or(0));
        totals.cost += cost;
        totals.cost_without_cache += self.model.cost_of(&answer.uncached()).unwrap_or(0.0);
        if from_journal {
            totals.paid_before += cost;
        }
    }
}

/// A sum that is set aside until the answer is in.
pub(super) struct Reservation<'a> {
    ledger: &'a Ledger,
    most: f64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.ledger.lock().reserved -= self.most;
    }
}
