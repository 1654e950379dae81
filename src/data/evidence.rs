//! What is known of a ticket before it is labelled: its neighbours, and what they speak for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::example::Example;
use super::taxonomy::Taxonomy;
use super::ticket::Ticket;

/// A neighbour: an example that the search found for the ticket.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The example.
    pub example: Arc<Example>,
    /// The fused score, about 0 to 1.1. Neighbours are ordered by it.
    pub score: f32,
    /// Cosine similarity; 0 where only the words matched.
    pub cosine: f32,
    /// BM25 score divided by the best one of the search, 0 to 1.
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
    /// Its neighbours, best first.
    pub candidates: Vec<Candidate>,
    /// The examples that are shown to the model, each with the reason why: some of the neighbours, or static ones.
    pub examples: Vec<Chosen>,
    /// What neighbours and probe say of each intent, best first.
    pub votes: Vec<Vote>,
    /// The intents that are put forward, best first, at most [`crate::stages::rank::SHORTLIST`].
    pub shortlist: Vec<String>,
    /// Whether static examples stand in for the retrieved ones.
    pub is_fixed: bool,
    /// On the way down a hierarchy: the category that is chosen within, `None` at the top.
    pub step: Option<Option<String>>,
    /// What is chosen from: the intents of the desk, or the categories and intents of one level.
    pub taxonomy: Arc<Taxonomy>,
}

impl Evidence {
    /// The intents that are put forward, best first.
    #[must_use]
    pub fn shortlist(&self) -> Vec<&str> {
        self.shortlist.iter().map(String::as_str).collect()
    }

    /// The [`support`] of an intent, 0 to 1.
    #[must_use]
    pub fn support_of(&self, intent: &str) -> f32 {
        support(intent, &self.votes)
    }
}

/// An intent and what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A neighbour that is shown as an example.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The neighbour.
    pub candidate: Candidate,
    /// Why it was chosen, in a few words.
    pub why: String,
}

/// How much speaks for an intent, 0 to 1: the mean of its share of the neighbours' vote and the
/// probe's probability, or that share alone where the probe has no opinion. The formula is fixed and
/// not fitted, so that the same tickets may serve a dial and a calibrated probability.
#[must_use]
pub fn support(intent: &str, votes: &[Vote]) -> f32 {
    votes.iter().find(|vote| vote.intent == intent).map_or(0.0, |vote| match vote.probe {
        Some(probe) => f32::midpoint(vote.neighbours, probe),
        None => vote.neighbours,
    })
}
