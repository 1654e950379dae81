//! From gathered examples to a classification: choose what to show, label, decide.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;

use super::hierarchy::{Strategy, relabelled};
use super::{
    Classification, Considered, Gathered, Latency, Neighbour, Options, Retriever, SCHEMA, Setup, Step, Stored,
};
use crate::Result;
use crate::data::decision::Reason;
use crate::data::evidence::Chosen;
use crate::data::evidence::Vote;
use crate::data::evidence::{Candidate, Evidence};
use crate::data::example::Example;
use crate::data::label::Label;
use crate::data::taxonomy::{Level, Taxonomy};
use crate::data::ticket::Ticket;
use crate::label::{CascadeLabeler, Labeler};
use crate::stages::confidence::{self, Calibration};
use crate::stages::policy::{self, Facts, Terms};
use crate::stages::retrieve::rank_fixed;
use crate::stages::select::select;

/// Which examples the labeler sees.
#[derive(Debug, Clone)]
pub enum Examples {
    /// Some of the neighbours.
    Retrieved,
    /// Static examples with their vectors: the same for every ticket.
    Static(Vec<(Arc<Example>, Arc<[f32]>)>),
    /// No examples.
    None,
}

/// A labeler, with the examples that it gets and the confidence that it must reach.
#[derive(Clone)]
pub struct Judge {
    labeler: Arc<dyn Labeler>,
    examples: Examples,
    options: Arc<Options>,
    calibration: Option<Calibration>,
}

/// Which parts of the preparation a judge needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The ticket's vector.
    pub(crate) embedding: bool,
    /// The ticket's neighbours.
    pub(crate) search: bool,
}

/// The gathered evidence that a labeler chooses from: all of it, or one level.
pub(super) struct View {
    pub(super) candidates: Vec<Candidate>,
    pub(super) votes: Vec<Vote>,
    pub(super) shortlist: Vec<String>,
    pub(super) taxonomy: Arc<Taxonomy>,
    pub(super) level: Option<Level>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("labeler", &self.name()).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Judge {
    /// A judge. With [`Options::cascade`], the vote answers where it is sure, and `labeler` answers the rest.
    #[must_use]
    pub fn new(labeler: Arc<dyn Labeler>, examples: Examples, options: Options) -> Self {
        let labeler = match options.cascade {
            Some(threshold) => Arc::new(CascadeLabeler::new(labeler, threshold)),
            None => labeler,
        };
        Self { labeler, examples, options: Arc::new(options), calibration: None }
    }

    /// The same judge with another labeler and without a calibration.
    pub(super) fn with_labeler(&self, labeler: Arc<dyn Labeler>) -> Self {
        Self::new(labeler, self.examples.clone(), Options::clone(&self.options))
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> &Arc<Options> {
        &self.options
    }

    /// Decides by this calibration.
    #[must_use]
    pub fn with_calibration(mut self, calibration: Calibration) -> Self {
        self.calibration = Some(calibration);
        self
    }

    /// Decides by the store's calibration for the labeler, if there is one and it fits. The note says why it does not,
    /// or what to know of it. Only answers from retrieved examples are ever calibrated.
    pub async fn calibrated(self, retriever: &Retriever) -> Result<(Self, Option<String>)> {
        if !matches!(self.examples, Examples::Retrieved) {
            return Ok((self, None));
        }
        let setup = self.setup(retriever)?;
        let (calibration, note) = Stored::fitting(retriever.store(), self.labeler.name(), &setup).await?;
        Ok((Self { calibration, ..self }, note))
    }

    /// The set-up that a calibration of its answers holds for.
    pub fn setup(&self, retriever: &Retriever) -> Result<Setup> {
        let identity = self.labeler.identity(&retriever.taxonomy())?;
        let shown = identity.prompt.is_some().then(|| self.options.shown());
        let of_search = retriever.setup(&self.options);
        let cascade_threshold = identity.threshold.map(|threshold| threshold.to_string());
        Ok(Setup { model: identity.model, prompt: identity.prompt, examples: shown, cascade_threshold, ..of_search })
    }

    /// Which parts of the preparation its answers and decisions rest on. Those that only fill `confidence` and
    /// `shortlist` do not count.
    pub(crate) fn needs(&self, taxonomy: &Taxonomy) -> Needs {
        let basis = self.labeler.basis(taxonomy);
        let is_fixed = matches!(self.examples, Examples::Static(_));
        let search = matches!(self.examples, Examples::Retrieved)
            || self.options.strategy == Strategy::Hierarchical
            || self.terms().min_confidence() > 0.0
            || basis.shortlist
            || (basis.votes && !is_fixed);
        Needs { embedding: search || basis.votes, search }
    }

    /// The labeler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labeler.name()
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
        let found = match self.options.strategy {
            Strategy::Hierarchical => self.descend(retriever, gathered).await?,
            Strategy::Flat => self.choose(gathered).await?,
        };
        let latency = Latency::of(gathered.times.0, gathered.times.1, begun.elapsed() + found.label.spared);
        let score = confidence::score(&found.label, &gathered.votes, found.steps.len().max(1));
        let decided = policy::decide(&self.facts(&found, score, gathered), &self.terms());
        let Found { label, category, evidence, steps, .. } = found;
        let (taxonomy, intent) = (&gathered.taxonomy, label.intent.as_deref());
        Ok(Classification {
            schema: SCHEMA,
            id: gathered.ticket.id.clone(),
            category,
            route: intent.and_then(|intent| taxonomy.route(intent, &label.attributes, &gathered.ticket)),
            intent: label.intent,
            secondary: label.secondary,
            attributes: label.attributes,
            decision: decided.decision,
            reason_code: decided.reason.code(),
            reason: policy::sentence(&decided.reason),
            reasoning: label.reasoning,
            confidence: decided.confidence,
            calibrated: self.calibration.is_some(),
            score,
            neighbours: neighbours(&evidence.examples),
            // The shortlist is reported for every labeler.
            shortlist: gathered.shortlist.clone(),
            votes: gathered.votes.clone(),
            candidates: gathered.candidates.iter().map(|candidate| considered(candidate, &evidence.examples)).collect(),
            steps,
            labeler: self.labeler.name().to_owned(),
            model: label.model,
            usage: label.usage,
            cost_usd: label.cost_usd,
            latency_ms: latency,
            notes: gathered.notes.iter().cloned().chain(label.notes).collect(),
            request_id: label.request_id,
        })
    }

    /// The facts of an answer, for the policy.
    fn facts<'a>(&self, found: &'a Found, score: f32, gathered: &'a Gathered) -> Facts<'a> {
        let floor = gathered.floor.filter(|_| matches!(self.examples, Examples::Retrieved));
        Facts {
            has_text: has_text(&gathered.ticket),
            label: &found.label,
            taxonomy: &gathered.taxonomy,
            confidence: found.confidence,
            score,
            unlike: floor.and_then(|floor| floor.check(&found.label, &gathered.votes, &gathered.candidates)),
            unsure_step: found.unsure_step.clone(),
        }
    }

    /// The terms that an answer must meet.
    pub(super) fn terms(&self) -> Terms {
        let (calibration, asked) = (self.calibration, self.options.min_confidence);
        Terms { calibration, asked, usual: self.labeler.default_min_confidence() }
    }

    /// One choice among all intents.
    async fn choose(&self, gathered: &Gathered) -> Result<Found> {
        let evidence = self.evidence(gathered, View::whole(gathered));
        let label = self.ask(&evidence).await?;
        let confidence = confidence_of(&label, &evidence);
        let category = label.intent.as_deref().and_then(|intent| gathered.taxonomy.category_of(intent)).map(Into::into);
        Ok(Found { label, confidence, unsure_step: None, category, evidence, steps: Vec::new() })
    }

    /// Asks the labeler, unless there is no text to ask about.
    pub(super) async fn ask(&self, evidence: &Evidence) -> Result<Label> {
        if !has_text(&evidence.ticket) {
            return Ok(Label { cost_usd: Some(0.0), ..Label::default() });
        }
        self.labeler.label(evidence).await
    }

    /// The request that would be sent first for a gathered ticket.
    pub async fn preview(&self, retriever: &Retriever, gathered: &Gathered) -> Result<Option<serde_json::Value>> {
        let view = match self.options.strategy {
            Strategy::Flat => View::whole(gathered),
            Strategy::Hierarchical => View::top(retriever, gathered).await?,
        };
        self.labeler.preview(&self.evidence(gathered, view))
    }

    pub(super) fn evidence(&self, gathered: &Gathered, view: View) -> Evidence {
        let View { candidates, votes, shortlist, taxonomy, level } = view;
        let (candidates, examples) = match &self.examples {
            Examples::Retrieved => {
                let examples = select(&candidates, &votes, self.options.k, self.options.selection);
                (candidates, examples)
            }
            // Static examples are shown all and in their own order, without the ticket
            // itself.
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

/// The labeler's answer, in one choice or down a hierarchy.
pub(super) struct Found {
    pub(super) label: Label,
    /// Its confidence before any calibration.
    pub(super) confidence: f32,
    /// Why the way down ended before an intent that is sure.
    pub(super) unsure_step: Option<Reason>,
    /// The category of the intent, or the one that the way down ended in.
    pub(super) category: Option<String>,
    /// The evidence of the last choice.
    pub(super) evidence: Evidence,
    pub(super) steps: Vec<Step>,
}

/// The confidence of a label: the labeler's own, or the agreement on its intent.
pub(super) fn confidence_of(label: &Label, evidence: &Evidence) -> f32 {
    let agreement = || label.intent.as_deref().map_or(0.0, |intent| evidence.support_of(intent));
    label.confidence.unwrap_or_else(agreement)
}

fn has_text(ticket: &Ticket) -> bool {
    !ticket.text.trim().is_empty()
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
