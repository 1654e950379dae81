//! Embeds tickets and finds the examples most like them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Options, Setup};
use crate::data::evidence::Candidate;
use crate::data::evidence::Vote;
use crate::data::example::{Example, example_key};
use crate::data::probe::Probe;
use crate::data::taxonomy::{Levels, Taxonomy};
use crate::data::ticket::{LabelledTicket, Ticket, text_hash};
use crate::embed::{Bm25, Embedder, embed_checked};
use crate::stages::rank::{self};
use crate::stages::retrieve::{BM25_WEIGHT, CANDIDATES, fuse};
use crate::stages::unknown::Floor;
use crate::store::{ExampleStore, Filter, MANIFEST_BLOB, Manifest, PROBE_BLOB, Query, taxonomy_of};
use crate::{Error, Result};

/// A store and the embedder it was built with.
pub struct Retriever {
    store: Arc<dyn ExampleStore>,
    embedder: Arc<dyn Embedder>,
    bm25: Bm25,
    taxonomy: Arc<Taxonomy>,
    levels: OnceLock<Levels>,
    probe: Option<Probe>,
    turn: tokio::sync::Mutex<()>,
}

/// A ticket with its vector.
#[derive(Debug)]
pub struct Embedded {
    pub(super) ticket: Ticket,
    pub(super) vector: Vec<f32>,
    notes: Vec<String>,
    time: Duration,
}

/// How a ticket is searched for.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Of these the filter, the probe and the novelty count.
    pub options: Arc<Options>,
    /// Examples that must not be found, such as the ticket itself.
    pub exclude: Vec<Uuid>,
}

/// A ticket with the examples that were found for it: what judges work from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gathered {
    /// The ticket.
    pub ticket: Ticket,
    /// Its dense vector.
    pub vector: Vec<f32>,
    /// The most similar examples, best first.
    pub candidates: Vec<Candidate>,
    /// The intents that they, and the probe, speak for, best first.
    pub votes: Vec<Vote>,
    /// The intents that are put forward.
    pub shortlist: Vec<String>,
    /// The desk's intents.
    pub taxonomy: Arc<Taxonomy>,
    /// Below what it counts as unlike everything seen, if that is asked for.
    pub floor: Option<Floor>,
    /// How it was searched for.
    pub(super) scope: Scope,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Time of its embedding and of the search.
    pub times: (Duration, Duration),
}

impl fmt::Debug for Retriever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (embedder, intents) = (self.embedder.name(), self.taxonomy.intents.len());
        f.debug_struct("Retriever").field("embedder", &embedder).field("intents", &intents).finish_non_exhaustive()
    }
}

impl Retriever {
    /// Checks that the store fits the embedder and reads its taxonomy.
    pub async fn open(store: Arc<dyn ExampleStore>, embedder: Arc<dyn Embedder>) -> Result<Self> {
        let manifest = store.blob(MANIFEST_BLOB).await?.ok_or_else(|| {
            Error::store("the store has no manifest: no index run has completed on it; run ticket-router index again")
        })?;
        let manifest = Manifest::from_json(&manifest)?;
        manifest.check(embedder.as_ref()).await?;
        let taxonomy = taxonomy_of(store.as_ref()).await?;
        if manifest.examples > 0 && store.count().await? == 0 {
            return Err(Error::store(format!(
                "the store is damaged: it holds none of the {} examples that were written; index again into a new --store",
                manifest.examples
            )));
        }
        let bm25 = Bm25::new(&manifest.bm25)?;
        let probe = store.blob(PROBE_BLOB).await?.map(|bytes| Probe::from_bytes(&bytes, &taxonomy)).transpose()?;
        Ok(Self {
            store,
            embedder,
            bm25,
            taxonomy: Arc::new(taxonomy),
            levels: OnceLock::new(),
            probe: probe.filter(Probe::is_useful),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// What of a calibration's set-up lies here and in the options.
    pub(super) fn setup(&self, options: &Options) -> Setup {
        Setup {
            embedder: self.embedder.name().to_owned(),
            strategy: options.strategy_name().to_owned(),
            probe: self.asks_probe(options),
            filter: options.filter_name(),
            unknown: options.novelty,
            ..Setup::default()
        }
    }

    /// Whether the store's probe, which has seen every example, has a say.
    #[must_use]
    pub fn asks_probe(&self, options: &Options) -> bool {
        self.probe(options).is_some()
    }

    fn probe(&self, options: &Options) -> Option<&Probe> {
        self.probe.as_ref().filter(|_| options.probe)
    }

    /// The intents of the store.
    #[must_use]
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.taxonomy
    }

    /// The levels of its taxonomy.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        self.levels.get_or_init(|| Levels::of(&self.taxonomy))
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &dyn ExampleStore {
        self.store.as_ref()
    }

    /// Embeds and searches for one ticket.
    pub async fn gather(&self, ticket: Ticket, scope: Scope) -> Result<Gathered> {
        let embedded = self.embed(vec![ticket]).await.swap_remove(0)?;
        self.search(embedded, scope).await
    }

    /// Embeds tickets together and searches for one after the other, so that the work is spread over
    /// the time in which earlier tickets wait for their answers, and no search waits for another.
    pub(super) async fn gather_all(&self, tickets: Vec<(Ticket, Scope)>) -> Vec<Result<Gathered>> {
        let (tickets, scopes): (Vec<_>, Vec<_>) = tickets.into_iter().unzip();
        let mut gathered = Vec::with_capacity(tickets.len());
        for (embedded, scope) in self.embed(tickets).await.into_iter().zip(scopes) {
            gathered.push(match embedded {
                Ok(embedded) => self.search(embedded, scope).await,
                Err(e) => Err(e),
            });
        }
        gathered
    }

    /// Embeds tickets together. A failure is every ticket's own.
    #[tracing::instrument(skip_all, fields(tickets = tickets.len()))]
    pub async fn embed(&self, tickets: Vec<Ticket>) -> Vec<Result<Embedded>> {
        // Chunks take turns, so that the time of one does not hold its wait for another.
        // Single tickets do not: the embedder gathers them.
        let _turn = if tickets.len() > 1 { Some(self.turn.lock().await) } else { None };
        let begun = Instant::now();
        let mut notes: Vec<Vec<String>> = Vec::with_capacity(tickets.len());
        let mut tickets = tickets;
        for ticket in &mut tickets {
            notes.push(ticket.shorten().into_iter().collect());
        }
        let texts = tickets.iter().map(|ticket| ticket.text.clone()).collect();
        match embed_checked(self.embedder.as_ref(), texts).await {
            Ok(vectors) => {
                let time = begun.elapsed() / u32::try_from(tickets.len().max(1)).unwrap_or(u32::MAX);
                let parts = tickets.into_iter().zip(vectors).zip(notes);
                parts.map(|((ticket, vector), notes)| Ok(Embedded { ticket, vector, notes, time })).collect()
            }
            Err(e) => tickets.iter().map(|_| Err(e.clone())).collect(),
        }
    }

    /// Finds the examples most like a ticket.
    #[tracing::instrument(skip_all, fields(id = embedded.ticket.id))]
    pub async fn search(&self, embedded: Embedded, scope: Scope) -> Result<Gathered> {
        let Embedded { ticket, vector, notes, time } = embedded;
        let begun = Instant::now();
        let filter = scope.options.filter.clone();
        let candidates = self.candidates(&ticket, &vector, filter, &scope).await?;
        let votes = self.votes(&candidates, &vector, &scope);
        let shortlist = rank::shortlist(&votes, &self.taxonomy);
        let taxonomy = Arc::clone(&self.taxonomy);
        let times = (time, begun.elapsed());
        let familiarity = self.probe(&scope.options).map(Probe::familiarity_floor);
        let floor = scope.options.novelty.then_some(Floor { familiarity });
        Ok(Gathered { ticket, vector, candidates, votes, shortlist, taxonomy, floor, scope, notes, times })
    }

    /// What candidates, and the probe unless it is left out, say of a ticket.
    pub(super) fn votes(&self, candidates: &[Candidate], vector: &[f32], scope: &Scope) -> Vec<Vote> {
        match self.probe(&scope.options) {
            Some(probe) => rank::combine(candidates, probe, vector),
            None => rank::vote(candidates),
        }
    }

    /// Searches once more for a gathered ticket, among the examples of these intents alone.
    pub(super) async fn candidates_within(&self, gathered: &Gathered, intents: Vec<String>) -> Result<Vec<Candidate>> {
        let filter = gathered.scope.options.filter.clone().within(intents);
        self.candidates(&gathered.ticket, &gathered.vector, filter, &gathered.scope).await
    }

    async fn candidates(
        &self,
        ticket: &Ticket,
        vector: &[f32],
        filter: Filter,
        scope: &Scope,
    ) -> Result<Vec<Candidate>> {
        let query = Query {
            dense: vector.to_vec(),
            sparse: self.bm25.query(&ticket.text),
            limit: CANDIDATES,
            filter,
            exclude: scope.exclude.clone(),
            exact: false,
        };
        let mut candidates = fuse(self.store.query(query).await?, vector, BM25_WEIGHT);
        // A taxonomy that came later may know fewer intents, or know them by other names; what
        // it does not know is never given out.
        candidates.retain_mut(|candidate| self.resolve(candidate));
        Ok(candidates)
    }

    /// Puts a candidate's intent under its own name; false when the taxonomy lacks it.
    fn resolve(&self, candidate: &mut Candidate) -> bool {
        let stored = &candidate.example.labelled.intent;
        match self.taxonomy.resolve(stored) {
            None => false,
            Some(name) if name == stored => true,
            Some(name) => {
                let mut example = Example::clone(&candidate.example);
                name.clone_into(&mut example.labelled.intent);
                candidate.example = Arc::new(example);
                true
            }
        }
    }

    /// Embeds fixed examples; their intents are checked against the taxonomy.
    pub async fn embed_examples(&self, mut examples: Vec<LabelledTicket>) -> Result<Vec<(Arc<Example>, Arc<[f32]>)>> {
        for labelled in &mut examples {
            labelled.ticket.shorten();
        }
        let texts = examples.iter().map(|labelled| labelled.ticket.text.clone()).collect();
        let vectors = embed_checked(self.embedder.as_ref(), texts).await?;
        examples
            .into_iter()
            .zip(vectors)
            .map(|(mut labelled, vector)| {
                let intent = self.taxonomy.resolve(&labelled.intent).ok_or_else(|| {
                    Error::bad_input(format!(
                        "the static example {} has the intent {:?}, which the store does not know; correct it",
                        labelled.ticket.id, labelled.intent
                    ))
                })?;
                intent.clone_into(&mut labelled.intent);
                let key = example_key("", &labelled.ticket.id);
                let text_hash = text_hash(&labelled.ticket.text);
                Ok((Arc::new(Example { key, source: String::new(), labelled, text_hash }), vector.into()))
            })
            .collect()
    }
}
