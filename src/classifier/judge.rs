//! From gathered examples to a classification: choose what to show, label, decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;

use super::{Classification, Gathered, Latency, Neighbour, milliseconds};
use crate::Result;
use crate::decide::decide;
use crate::label::{Labeler, vote};
use crate::retrieve::{Candidate, Evidence, rank_fixed};
use crate::store::Example;

/// Which examples the labeler sees.
#[derive(Clone)]
pub enum Examples {
    /// The k nearest of the store.
    Retrieved,
    /// The same for every ticket, with their vectors.
    Static(Vec<(Arc<Example>, Vec<f32>)>),
    /// None.
    None,
}

/// A labeler with the examples it gets and the confidence it must reach.
pub struct Judge {
    labeler: Arc<dyn Labeler>,
    examples: Examples,
    k: usize,
    min_confidence: f32,
}

impl Judge {
    /// A judge; `min_confidence` is the labeler's own default unless given.
    #[must_use]
    pub fn new(labeler: Arc<dyn Labeler>, examples: Examples, k: usize, min_confidence: Option<f32>) -> Self {
        let min_confidence = min_confidence.unwrap_or_else(|| labeler.default_min_confidence());
        Self { labeler, examples, k, min_confidence }
    }

    pub(super) fn with_labeler(&self, labeler: Arc<dyn Labeler>) -> Self {
        Self { labeler, examples: self.examples.clone(), ..*self }
    }

    /// Classifies a gathered ticket.
    pub async fn judge(&self, gathered: &Gathered) -> Result<Classification> {
        let span = tracing::info_span!("ticket", id = gathered.ticket.id, labeler = self.labeler.name());
        let answer = self.judge_inside(gathered).instrument(span.clone()).await;
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

    async fn judge_inside(&self, gathered: &Gathered) -> Result<Classification> {
        let begun = Instant::now();
        let evidence = self.evidence(gathered);
        let label = self.labeler.label(&evidence).await?;
        let decided = decide(&label, &evidence, self.min_confidence);
        let (embed, retrieve, labelled) =
            (milliseconds(gathered.times.0), milliseconds(gathered.times.1), milliseconds(begun.elapsed()));
        let (taxonomy, intent) = (&gathered.taxonomy, label.intent.as_deref());
        Ok(Classification {
            id: gathered.ticket.id.clone(),
            category: intent.and_then(|intent| taxonomy.category_of(intent)).map(Into::into),
            route: intent.and_then(|intent| taxonomy.route(intent, &BTreeMap::new(), &gathered.ticket)),
            intent: label.intent,
            decision: decided.decision,
            reason: decided.reason,
            reasoning: label.reasoning,
            confidence: decided.confidence,
            neighbours: evidence.examples.iter().map(neighbour).collect(),
            shortlist: evidence.shortlist().into_iter().map(Into::into).collect(),
            labeler: self.labeler.name().to_owned(),
            model: label.model,
            usage: label.usage,
            cost_usd: label.cost_usd,
            latency_ms: Latency { embed, retrieve, label: labelled, total: embed + retrieve + labelled },
            notes: gathered.notes.clone(),
            request_id: label.request_id,
        })
    }

    /// The request that would be sent for a gathered ticket.
    pub fn preview(&self, gathered: &Gathered) -> Result<Option<serde_json::Value>> {
        self.labeler.preview(&self.evidence(gathered))
    }

    fn evidence(&self, gathered: &Gathered) -> Evidence {
        let (candidates, examples) = match &self.examples {
            Examples::Retrieved => {
                (gathered.candidates.clone(), gathered.candidates.iter().take(self.k).cloned().collect())
            }
            // A person's choice for a prompt is shown whole and in its own order, save the
            // ticket itself.
            Examples::Static(fixed) => {
                let others: Vec<_> = fixed.iter().filter(|(example, _)| !is_same(example, gathered)).cloned().collect();
                let ranked = rank_fixed(&others, &gathered.vector);
                let shown = in_file_order(&others, &ranked);
                (ranked, shown)
            }
            Examples::None => (Vec::new(), Vec::new()),
        };
        Evidence {
            ticket: gathered.ticket.clone(),
            // What retrieval puts forward is reported for every labeler.
            votes: vote(&gathered.candidates),
            candidates,
            examples,
            taxonomy: Arc::clone(&gathered.taxonomy),
        }
    }
}

fn is_same(example: &Example, gathered: &Gathered) -> bool {
    let ticket = &example.labelled.ticket;
    ticket.id == gathered.ticket.id || ticket.text == gathered.ticket.text
}

fn in_file_order(fixed: &[(Arc<Example>, Vec<f32>)], ranked: &[Candidate]) -> Vec<Candidate> {
    let of = |example: &Arc<Example>| ranked.iter().find(|candidate| Arc::ptr_eq(&candidate.example, example)).cloned();
    fixed.iter().filter_map(|(example, _)| of(example)).collect()
}

fn neighbour(candidate: &Candidate) -> Neighbour {
    let labelled = &candidate.example.labelled;
    Neighbour {
        id: labelled.ticket.id.clone(),
        intent: labelled.intent.clone(),
        score: candidate.score,
        text: labelled.ticket.text.clone(),
    }
}
