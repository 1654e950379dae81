//! From what the store found to what decides: neighbours, examples, shortlist. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::data::evidence::Candidate;
use crate::data::example::Example;
use crate::store::Hits;

/// How many neighbours are kept. The store is asked for as many by each kind of vector.
pub const CANDIDATES: usize = 50;

/// How much the BM25 score weighs beside the cosine similarity. By cross-validation on two data sets,
/// 0.1 is as good as 0.2 to 0.4, or better, wherever BM25 is known for its best 50 hits alone.
pub const BM25_WEIGHT: f32 = 0.1;

/// Scores are kept to this many decimals. The last bits of a vector depend on the batch that it was
/// computed in, and must never decide an order.
const SCORE_DECIMALS: f32 = 1e5;

/// Joins the hits of both kinds: cosine plus a share of BM25 (divided by the best of the
/// query, since BM25 has no scale of its own). Best first; ties by key.
#[must_use]
pub fn fuse(hits: Hits, query: &[f32], bm25_weight: f32) -> Vec<Candidate> {
    let best_bm25 = hits.sparse.first().map_or(1.0, |hit| hit.score).max(f32::MIN_POSITIVE);
    let mut by_key: HashMap<Uuid, Candidate> = HashMap::with_capacity(hits.dense.len() + hits.sparse.len());
    for hit in hits.dense {
        let candidate =
            Candidate { example: hit.example, score: 0.0, cosine: hit.score, bm25: 0.0, vector: hit.vector };
        by_key.insert(candidate.example.key, candidate);
    }
    for hit in hits.sparse {
        let bm25 = hit.score / best_bm25;
        by_key.entry(hit.example.key).and_modify(|candidate| candidate.bm25 = bm25).or_insert_with(|| {
            let cosine = crate::statistics::cosine(&hit.vector, query);
            Candidate { example: hit.example, score: 0.0, cosine, bm25, vector: hit.vector }
        });
    }
    let mut candidates: Vec<Candidate> = by_key.into_values().collect();
    for candidate in &mut candidates {
        candidate.score = rounded(candidate.cosine + bm25_weight * candidate.bm25);
    }
    sort(&mut candidates);
    candidates.truncate(CANDIDATES);
    candidates
}

/// Scores static examples against a ticket, where they stand in for the retrieved ones.
#[must_use]
pub fn rank_fixed(examples: &[(Arc<Example>, Arc<[f32]>)], query: &[f32]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = examples
        .iter()
        .map(|(example, vector)| {
            let cosine = rounded(crate::statistics::cosine(vector, query));
            Candidate { example: Arc::clone(example), score: cosine, cosine, bm25: 0.0, vector: Arc::clone(vector) }
        })
        .collect();
    sort(&mut candidates);
    candidates
}

fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.example.key.cmp(&b.example.key)));
}

/// A score without the decimals that may differ from run to run.
pub(crate) fn rounded(score: f32) -> f32 {
    (score * SCORE_DECIMALS).round() / SCORE_DECIMALS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::example::example_key;
    use crate::data::ticket::{LabelledTicket, Ticket};
    use crate::store::Hit;

    fn hit(id: &str, score: f32, vector: &[f32]) -> Hit {
        let example = Example {
            key: example_key("", id),
            source: String::new(),
            labelled: LabelledTicket { ticket: Ticket::new(id), intent: "a".into(), reasoning: None },
            text_hash: String::new(),
        };
        Hit { example: Arc::new(example), vector: vector.into(), score }
    }

    #[test]
    fn both_kinds_of_hits_add_up_and_words_alone_still_get_their_cosine() {
        let hits = Hits {
            dense: vec![hit("near", 0.8, &[]), hit("nearer", 0.95, &[])],
            sparse: vec![hit("near", 12.0, &[]), hit("words", 6.0, &[0.6, 0.8])],
        };
        let found = fuse(hits, &[1.0, 0.0], 0.1);
        let scores: Vec<(&str, f32)> =
            found.iter().map(|c| (c.example.labelled.ticket.text.as_str(), c.score)).collect();
        assert_eq!(scores, [("nearer", 0.95), ("near", 0.9), ("words", 0.65)]);
    }
}
