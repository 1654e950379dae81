//! What is known of a ticket before it is labelled: similar examples, and what they speak for.

use std::sync::Arc;

use serde::Serialize;

use super::example::Example;
use super::taxonomy::Taxonomy;
use super::ticket::Ticket;

/// A stored example that may resemble the ticket.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The example.
    pub example: Arc<Example>,
    /// The fused score, about 0 to 1.1; what candidates are ordered by.
    pub score: f32,
    /// Cosine similarity, 0 where only the words matched.
    pub cosine: f32,
    /// BM25 score divided by the best one of this query, 0 to 1.
    pub bm25: f32,
    /// The example's dense vector.
    pub vector: Arc<[f32]>,
}

impl Candidate {
    /// The example's intent.
    #[must_use]
    pub fn intent(&self) -> &str {
        &self.example.labelled.intent
    }
}

/// All that a labeler may look at.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The ticket.
    pub ticket: Ticket,
    /// The stored examples most like it, best first.
    pub candidates: Vec<Candidate>,
    /// Those of them, or fixed ones, that are shown to the model, each with the reason why.
    pub examples: Vec<Chosen>,
    /// The intents that retrieval speaks for, best first.
    pub votes: Vec<Vote>,
    /// The intents that are put forward, best first, at most [`crate::stages::rank::SHORTLIST`].
    pub shortlist: Vec<String>,
    /// Whether fixed examples stand in for the retrieved ones.
    pub is_fixed: bool,
    /// On the way down a hierarchy the group that is chosen within, which is `None` at the top.
    pub step: Option<Option<String>>,
    /// What is chosen from: the intents of the desk, or the groups and intents of one step.
    pub taxonomy: Arc<Taxonomy>,
}

impl Evidence {
    /// The intents that are put forward, best first.
    #[must_use]
    pub fn shortlist(&self) -> Vec<&str> {
        self.shortlist.iter().map(String::as_str).collect()
    }

    /// What history says for an intent, 0 to 1.
    #[must_use]
    pub fn support_of(&self, intent: &str) -> f32 {
        support(intent, &self.votes)
    }
}

/// An intent and what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Vote {
    /// The intent.
    pub intent: String,
    /// Neighbours and probe together, 0 to 1; all intents' shares add up to 1.
    pub share: f32,
    /// Share of the neighbours' vote, 0 to 1.
    pub neighbours: f32,
    /// The probe's probability; `None` where there is no probe, or it does not know the intent.
    pub probe: Option<f32>,
}

/// A candidate that is shown.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The candidate.
    pub candidate: Candidate,
    /// Why it was chosen, in a few words.
    pub why: String,
}

/// What history says for an intent, 0 to 1: the mean of its share of the neighbours' vote and
/// the probe's probability, or the vote alone where the probe has no opinion. It is fixed and not
/// fitted, so that the same tickets may serve a dial and a calibrated probability.
#[must_use]
pub fn support(intent: &str, votes: &[Vote]) -> f32 {
    votes.iter().find(|vote| vote.intent == intent).map_or(0.0, |vote| match vote.probe {
        Some(probe) => f32::midpoint(vote.neighbours, probe),
        None => vote.neighbours,
    })
}
