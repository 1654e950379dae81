//! From gathered examples to a classification: choose what to show, label, decide.

use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;

use super::hierarchy::{Descent, Strategy, relabelled};
use super::{Classification, Considered, Gathered, Latency, Neighbour, Retriever};
use crate::Result;
use crate::data::evidence::Chosen;
use crate::data::evidence::Vote;
use crate::data::evidence::{Candidate, Evidence};
use crate::data::example::Example;
use crate::data::label::Label;
use crate::data::taxonomy::{Level, Taxonomy};
use crate::label::Labeler;
use crate::learn::calibrate::{Setup, Stored};
use crate::stages::confidence::{self, Calibration};
use crate::stages::decide::{Decided, Decision, decide, decide_calibrated};
use crate::stages::retrieve::rank_fixed;
use crate::stages::select::{Selection, select};
use crate::statistics::milliseconds;

/// Which examples the labeler sees.
#[derive(Clone)]
pub enum Examples {
    /// The k nearest of the store.
    Retrieved,
    /// The same for every ticket, with their vectors.
    Static(Vec<(Arc<Example>, Arc<[f32]>)>),
    /// None.
    None,
}

/// A labeler with the examples it gets and the confidence it must reach.
pub struct Judge {
    labeler: Arc<dyn Labeler>,
    examples: Examples,
    k: usize,
    selection: Selection,
    strategy: Strategy,
    /// What the user asks for; the labeler's own default otherwise.
    min_confidence: Option<f32>,
    calibration: Option<Calibration>,
}

/// What of the gathered evidence a labeler chooses from: all of it, or one level.
pub(super) struct View {
    pub(super) candidates: Vec<Candidate>,
    pub(super) votes: Vec<Vote>,
    pub(super) shortlist: Vec<String>,
    pub(super) taxonomy: Arc<Taxonomy>,
    pub(super) level: Option<Level>,
}

impl Judge {
    /// A judge; `min_confidence` is the labeler's own default unless given.
    #[must_use]
    pub fn new(labeler: Arc<dyn Labeler>, examples: Examples, k: usize, min_confidence: Option<f32>) -> Self {
        let (selection, strategy) = (Selection::default(), Strategy::default());
        Self { labeler, examples, k, selection, strategy, min_confidence, calibration: None }
    }

    /// Chooses the retrieved examples another way.
    #[must_use]
    pub fn with_selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Gets to an intent another way.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Decides by this calibration.
    #[must_use]
    pub fn with_calibration(mut self, calibration: Calibration) -> Self {
        self.calibration = Some(calibration);
        self
    }

    /// Decides by the store's calibration for the labeler, if there is one and it fits; the note
    /// says why it does not, or what to know of it. Only answers from retrieved examples are ever
    /// calibrated.
    pub async fn calibrated(self, retriever: &Retriever) -> Result<(Self, Option<String>)> {
        if !matches!(self.examples, Examples::Retrieved) {
            return Ok((self, None));
        }
        let setup = self.setup(retriever)?;
        let (calibration, note) = Stored::fitting(retriever.store(), self.labeler.name(), &setup).await?;
        Ok((Self { calibration, ..self }, note))
    }

    /// What a calibration of its answers holds for.
    pub fn setup(&self, retriever: &Retriever) -> Result<Setup> {
        let identity = self.labeler.identity(&retriever.taxonomy())?;
        let shown = identity.prompt.is_some().then(|| format!("{} {:?}", self.k, self.selection).to_lowercase());
        let of_search = retriever.setup(self.strategy);
        Ok(Setup { model: identity.model, prompt: identity.prompt, examples: shown, ..of_search })
    }

    /// The labeler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labeler.name()
    }

    pub(super) fn labeler(&self) -> &dyn Labeler {
        self.labeler.as_ref()
    }

    pub(super) fn min_confidence(&self) -> f32 {
        self.min_confidence.unwrap_or_else(|| self.labeler.default_min_confidence())
    }

    pub(super) fn with_labeler(&self, labeler: Arc<dyn Labeler>) -> Self {
        Self { labeler, examples: self.examples.clone(), ..*self }
    }

    /// Classifies a ticket that `retriever` gathered examples for.
    pub async fn judge(&self, retriever: &Retriever, gathered: &Gathered) -> Result<Classification> {
        let span = tracing::info_span!("ticket", id = gathered.ticket.id, labeler = self.labeler.name());
        let answer = self.judge_inside(retriever, gathered).instrument(span.clone()).await;
        span.in_scope(|| match &answer {
            Ok(answer) => tracing::info!(
                decision = ?answer.decision,
                model = answer.model,
                requests = answer.usage.requests,
                input_tokens = answer.usage.input_tokens,
                output_tokens = answer.usage.output_tokens,
                cache_read_input_tokens = answer.usage.cache_read_input_tokens,
                cost_usd = answer.cost_usd,
                embed_ms = answer.latency_ms.embed,
                retrieve_ms = answer.latency_ms.retrieve,
                label_ms = answer.latency_ms.label,
                request_id = answer.request_id,
                "classified"
            ),
            Err(e) => tracing::warn!(kind = ?e.kind(), status = e.status(), request_id = e.request_id(), "failed"),
        });
        answer
    }

    async fn judge_inside(&self, retriever: &Retriever, gathered: &Gathered) -> Result<Classification> {
        let begun = Instant::now();
        let Descent { label, decided, category, evidence, steps } = match self.strategy {
            Strategy::Hierarchical => self.descend(retriever, gathered).await?,
            Strategy::Flat => self.choose(gathered).await?,
        };
        let (embed, retrieve, labelled) =
            (milliseconds(gathered.times.0), milliseconds(gathered.times.1), milliseconds(begun.elapsed()));
        let score = confidence::score(&label, &gathered.votes, steps.len().max(1));
        let decided = self.settle(decided, &label, score, gathered);
        let (taxonomy, intent) = (&gathered.taxonomy, label.intent.as_deref());
        Ok(Classification {
            id: gathered.ticket.id.clone(),
            category,
            route: intent.and_then(|intent| taxonomy.route(intent, &label.attributes, &gathered.ticket)),
            intent: label.intent,
            secondary: label.secondary,
            attributes: label.attributes,
            decision: decided.decision,
            reason: decided.reason,
            reasoning: label.reasoning,
            confidence: decided.confidence,
            calibrated: self.calibration.is_some(),
            score,
            neighbours: neighbours(&evidence.examples),
            // What retrieval puts forward is reported for every labeler.
            shortlist: gathered.shortlist.clone(),
            votes: gathered.votes.clone(),
            candidates: gathered.candidates.iter().map(|candidate| considered(candidate, &evidence.examples)).collect(),
            steps,
            labeler: self.labeler.name().to_owned(),
            model: label.model,
            usage: label.usage,
            cost_usd: label.cost_usd,
            latency_ms: Latency { embed, retrieve, label: labelled, total: embed + retrieve + labelled },
            notes: gathered.notes.iter().cloned().chain(label.notes).collect(),
            request_id: label.request_id,
        })
    }

    /// The last word on a decision: the calibration's where there is one (what the way down a
    /// hierarchy was unsure of stays a review), and a review where nothing like the ticket was seen.
    fn settle(&self, decided: Decided, label: &Label, score: f32, gathered: &Gathered) -> Decided {
        let mut decided = match &self.calibration {
            Some(calibration) if self.strategy == Strategy::Hierarchical && decided.decision == Decision::Review => {
                Decided { confidence: calibration.probability(score), ..decided }
            }
            Some(calibration) => decide_calibrated(label, &gathered.taxonomy, score, calibration, self.min_confidence),
            None => decided,
        };
        let may_be_unknown = label.doubt.is_none() && matches!(self.examples, Examples::Retrieved);
        let floor = gathered.floor.filter(|_| may_be_unknown);
        if let Some(reason) = floor.and_then(|floor| floor.check(label, &gathered.votes, &gathered.candidates)) {
            (decided.decision, decided.reason) = (Decision::Review, reason);
        }
        decided
    }

    /// One choice among all intents.
    async fn choose(&self, gathered: &Gathered) -> Result<Descent> {
        let evidence = self.evidence(gathered, View::whole(gathered));
        let label = self.labeler.label(&evidence).await?;
        let decided = decide(&label, &evidence, self.min_confidence());
        let category = label.intent.as_deref().and_then(|intent| gathered.taxonomy.category_of(intent)).map(Into::into);
        Ok(Descent { label, decided, category, evidence, steps: Vec::new() })
    }

    /// The request that would be sent first for a gathered ticket.
    pub async fn preview(&self, retriever: &Retriever, gathered: &Gathered) -> Result<Option<serde_json::Value>> {
        let view = match self.strategy {
            Strategy::Flat => View::whole(gathered),
            Strategy::Hierarchical => View::top(retriever, gathered).await?,
        };
        self.labeler.preview(&self.evidence(gathered, view))
    }

    pub(super) fn evidence(&self, gathered: &Gathered, view: View) -> Evidence {
        let View { candidates, votes, shortlist, taxonomy, level } = view;
        let (candidates, examples) = match &self.examples {
            Examples::Retrieved => {
                let examples = select(&candidates, &votes, self.k, self.selection);
                (candidates, examples)
            }
            // A person's choice for a prompt is shown whole and in its own order, save the
            // ticket itself.
            Examples::Static(fixed) => {
                let others: Vec<_> = fixed.iter().filter(|(example, _)| !is_same(example, gathered)).cloned().collect();
                let in_level = |candidate: Candidate| match &level {
                    Some(level) => relabelled(&candidate, level),
                    None => Some(candidate),
                };
                let ranked = rank_fixed(&others, &gathered.vector);
                let shown = in_file_order(&others, &ranked);
                let shown = shown
                    .into_iter()
                    .filter_map(|chosen| Some(Chosen { candidate: in_level(chosen.candidate)?, ..chosen }));
                (ranked.into_iter().filter_map(in_level).collect(), shown.collect())
            }
            Examples::None => (Vec::new(), Vec::new()),
        };
        Evidence {
            ticket: gathered.ticket.clone(),
            votes,
            shortlist,
            is_fixed: matches!(self.examples, Examples::Static(_)),
            candidates,
            examples,
            step: level.map(|level| level.parent),
            taxonomy,
        }
    }
}

impl View {
    fn whole(gathered: &Gathered) -> Self {
        Self {
            candidates: gathered.candidates.clone(),
            votes: gathered.votes.clone(),
            shortlist: gathered.shortlist.clone(),
            taxonomy: Arc::clone(&gathered.taxonomy),
            level: None,
        }
    }
}

fn is_same(example: &Example, gathered: &Gathered) -> bool {
    let ticket = &example.labelled.ticket;
    ticket.id == gathered.ticket.id || ticket.text == gathered.ticket.text
}

fn in_file_order(fixed: &[(Arc<Example>, Arc<[f32]>)], ranked: &[Candidate]) -> Vec<Chosen> {
    let of = |example: &Arc<Example>| ranked.iter().find(|candidate| Arc::ptr_eq(&candidate.example, example)).cloned();
    let chosen = |candidate| Chosen { candidate, why: "static".to_owned() };
    fixed.iter().filter_map(|(example, _)| of(example)).map(chosen).collect()
}

/// The examples that were shown, best first; in the prompt they stand in the order of their choice.
fn neighbours(chosen: &[Chosen]) -> Vec<Neighbour> {
    let neighbour = |Chosen { candidate, why }: &Chosen| {
        let labelled = &candidate.example.labelled;
        Neighbour {
            id: labelled.ticket.id.clone(),
            intent: labelled.intent.clone(),
            score: candidate.score,
            why: why.clone(),
            text: labelled.ticket.text.clone(),
        }
    };
    let mut neighbours: Vec<Neighbour> = chosen.iter().map(neighbour).collect();
    neighbours.sort_by(|a, b| b.score.total_cmp(&a.score));
    neighbours
}

fn considered(candidate: &Candidate, chosen: &[Chosen]) -> Considered {
    let labelled = &candidate.example.labelled;
    let is_same = |chosen: &&Chosen| chosen.candidate.example.key == candidate.example.key;
    Considered {
        id: labelled.ticket.id.clone(),
        intent: labelled.intent.clone(),
        score: candidate.score,
        cosine: candidate.cosine,
        bm25: candidate.bm25,
        chosen: chosen.iter().find(is_same).map(|chosen| chosen.why.clone()),
    }
}
