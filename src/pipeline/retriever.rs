//! Embeds tickets and finds their neighbours.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::served::Served;
use super::{Options, Setup};
use crate::data::evidence::Candidate;
use crate::data::evidence::Vote;
use crate::data::example::{Example, example_key};
use crate::data::probe::Probe;
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::{LabelledTicket, Ticket, text_hash};
use crate::embed::{Embedder, embed_checked};
use crate::stages::rank::{self};
use crate::stages::retrieve::{BM25_WEIGHT, CANDIDATES, fuse};
use crate::stages::unknown::Floor;
use crate::store::{ExampleStore, Filter, Query, Reader, Snapshot};
use crate::{Error, Result};

/// A store, and the embedder that it was built with.
pub struct Retriever {
    reader: Reader,
    /// Made of the snapshot that was searched in last.
    served: RwLock<Arc<Served>>,
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
    /// The options. Only filter, probe and novelty count here.
    pub options: Arc<Options>,
    /// Examples that must not be found, such as the ticket itself.
    pub exclude: Vec<Uuid>,
}

/// A ticket with its neighbours: what judges work from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gathered {
    /// The ticket.
    pub ticket: Ticket,
    /// Its dense vector.
    pub vector: Vec<f32>,
    /// Its neighbours, best first.
    pub candidates: Vec<Candidate>,
    /// What neighbours and probe say of each intent, best first.
    pub votes: Vec<Vote>,
    /// The shortlist.
    pub shortlist: Vec<String>,
    /// The desk's intents.
    pub taxonomy: Arc<Taxonomy>,
    /// The floor below which it is novel, if novelty is asked for.
    pub floor: Option<Floor>,
    /// What it was searched for in.
    pub(super) served: Arc<Served>,
    /// How it was searched for.
    pub(super) scope: Scope,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Time of its embedding and of the search.
    pub times: (Duration, Duration),
}

impl fmt::Debug for Retriever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (embedder, intents) = (self.reader.embedder().name(), self.taxonomy().intents.len());
        f.debug_struct("Retriever").field("embedder", &embedder).field("intents", &intents).finish_non_exhaustive()
    }
}

impl Retriever {
    /// Checks that the store fits the embedder and reads its taxonomy. What is written to the store later is
    /// followed.
    pub async fn open(store: Arc<dyn ExampleStore>, embedder: Arc<dyn Embedder>) -> Result<Self> {
        let reader = Reader::open(store, embedder).await?;
        let served = RwLock::new(Arc::new(Served::new(reader.known())?));
        Ok(Self { reader, served, turn: tokio::sync::Mutex::new(()) })
    }

    /// The part of a calibration's set-up that is known here: store and options.
    pub(super) fn setup(&self, options: &Options) -> Setup {
        Setup {
            embedder: self.reader.embedder().name().to_owned(),
            strategy: options.strategy_name().to_owned(),
            probe: self.asks_probe(options),
            filter: options.filter_name(),
            unknown: options.novelty,
            ..Setup::default()
        }
    }

    /// Whether the store's probe is used. It has seen every example.
    #[must_use]
    pub fn asks_probe(&self, options: &Options) -> bool {
        self.known().probe(options).is_some()
    }

    /// The intents of the store, as they were at the last search.
    #[must_use]
    pub fn taxonomy(&self) -> Arc<Taxonomy> {
        Arc::clone(self.known().taxonomy())
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &dyn ExampleStore {
        self.reader.store().as_ref()
    }

    fn known(&self) -> Arc<Served> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a snapshot is searched by; where it cannot be used, what was used before.
    fn serve(&self, snapshot: Arc<Snapshot>) -> Arc<Served> {
        let known = self.known();
        if Arc::ptr_eq(&known.snapshot, &snapshot) {
            return known;
        }
        match Served::new(snapshot) {
            Ok(served) => {
                let served = Arc::new(served);
                *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&served);
                served
            }
            Err(e) => {
                tracing::error!("what is new in the store cannot be used; what was known goes on serving: {e}");
                known
            }
        }
    }

    /// Embeds and searches for one ticket.
    pub async fn gather(&self, ticket: Ticket, scope: Scope) -> Result<Gathered> {
        let embedded = self.embed(vec![ticket]).await.swap_remove(0)?;
        self.search(embedded, scope).await
    }

    /// Embeds tickets together and searches for one after the other. So the work is spread over the time in which earlier
    /// tickets wait for their answers, and no search waits for another.
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
        // Chunks take turns, so that the time of a chunk does not include its wait for another one.
        // Single tickets do not: the embedder gathers them.
        let _turn = if tickets.len() > 1 { Some(self.turn.lock().await) } else { None };
        let begun = Instant::now();
        let mut notes: Vec<Vec<String>> = Vec::with_capacity(tickets.len());
        let mut tickets = tickets;
        for ticket in &mut tickets {
            notes.push(ticket.shorten().into_iter().collect());
        }
        let texts = tickets.iter().map(|ticket| ticket.text.clone()).collect();
        match embed_checked(self.reader.embedder().as_ref(), texts).await {
            Ok(vectors) => {
                let time = begun.elapsed() / u32::try_from(tickets.len().max(1)).unwrap_or(u32::MAX);
                let parts = tickets.into_iter().zip(vectors).zip(notes);
                parts.map(|((ticket, vector), notes)| Ok(Embedded { ticket, vector, notes, time })).collect()
            }
            Err(e) => tickets.iter().map(|_| Err(e.clone())).collect(),
        }
    }

    /// Finds the neighbours of a ticket.
    #[tracing::instrument(skip_all, fields(id = embedded.ticket.id))]
    pub async fn search(&self, embedded: Embedded, scope: Scope) -> Result<Gathered> {
        let Embedded { ticket, vector, notes, time } = embedded;
        let begun = Instant::now();
        let mut served = self.serve(self.reader.snapshot().await);
        let filter = &scope.options.filter;
        let search = async |served: &Served| self.candidates(served, &ticket, &vector, filter.clone(), &scope).await;
        let candidates = match search(&served).await {
            Ok(candidates) => candidates,
            // The generation may have been replaced so long ago that it is gone.
            Err(e) => {
                served = self.serve(self.reader.newer_than(&served.snapshot).await.ok_or(e)?);
                search(&served).await?
            }
        };
        let votes = served.votes(&candidates, &vector, &scope.options);
        let taxonomy = Arc::clone(served.taxonomy());
        let shortlist = rank::shortlist(&votes, &taxonomy);
        let times = (time, begun.elapsed());
        let familiarity = served.probe(&scope.options).map(Probe::familiarity_floor);
        let floor = scope.options.novelty.then_some(Floor { familiarity });
        Ok(Gathered { ticket, vector, candidates, votes, shortlist, taxonomy, floor, served, scope, notes, times })
    }

    /// Searches once more for a gathered ticket, among the examples of these intents alone.
    pub(super) async fn candidates_within(&self, gathered: &Gathered, intents: Vec<String>) -> Result<Vec<Candidate>> {
        let filter = gathered.scope.options.filter.clone().within(intents);
        self.candidates(&gathered.served, &gathered.ticket, &gathered.vector, filter, &gathered.scope).await
    }

    async fn candidates(
        &self,
        served: &Served,
        ticket: &Ticket,
        vector: &[f32],
        filter: Filter,
        scope: &Scope,
    ) -> Result<Vec<Candidate>> {
        let query = Query {
            dense: vector.to_vec(),
            sparse: served.bm25.query(&ticket.text),
            limit: CANDIDATES,
            filter,
            exclude: scope.exclude.clone(),
            exact: false,
        };
        let mut candidates = fuse(served.snapshot.content().query(query).await?, vector, BM25_WEIGHT);
        // A later taxonomy may know fewer intents, or know them by other names. An intent that it
        // does not know is never given out.
        candidates.retain_mut(|candidate| resolve(candidate, served.taxonomy()));
        Ok(candidates)
    }

    /// Embeds static examples. Their intents are checked against the taxonomy.
    pub async fn embed_examples(&self, mut examples: Vec<LabelledTicket>) -> Result<Vec<(Arc<Example>, Arc<[f32]>)>> {
        for labelled in &mut examples {
            labelled.ticket.shorten();
        }
        let texts = examples.iter().map(|labelled| labelled.ticket.text.clone()).collect();
        let vectors = embed_checked(self.reader.embedder().as_ref(), texts).await?;
        let taxonomy = self.taxonomy();
        examples
            .into_iter()
            .zip(vectors)
            .map(|(mut labelled, vector)| {
                let intent = taxonomy.resolve(&labelled.intent).ok_or_else(|| {
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

/// Puts the intent of a neighbour under its own name; false when the taxonomy lacks it.
fn resolve(candidate: &mut Candidate, taxonomy: &Taxonomy) -> bool {
    let stored = &candidate.example.labelled.intent;
    match taxonomy.resolve(stored) {
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
