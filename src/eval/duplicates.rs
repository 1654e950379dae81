//! Near-duplicates: test tickets that the store holds in almost the same words. Pure.

use crate::retrieve::Candidate;
use crate::select::jaccard;

/// From this cosine similarity on, two texts are near-duplicates,
const COSINE: f32 = 0.97;
/// or from this much in common of all their words (Jaccard).
const WORDS: f32 = 0.8;

/// Whether one of the examples that were found is a near-duplicate of the text. Its intent does
/// not matter: what the labeler sees is nearly the ticket itself.
pub(super) fn has_near_duplicate(text: &str, candidates: &[Candidate]) -> bool {
    candidates
        .iter()
        .any(|candidate| candidate.cosine >= COSINE || jaccard(text, &candidate.example.labelled.ticket.text) >= WORDS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Example, example_key};
    use crate::ticket::{LabelledTicket, Ticket};

    fn is_found(text: &str, cosine: f32) -> bool {
        let ticket = Ticket::new(text);
        let example = Example {
            key: example_key("", &ticket.id),
            source: String::new(),
            text_hash: String::new(),
            labelled: LabelledTicket { ticket, intent: "a".into(), reasoning: None },
        };
        let candidate = Candidate { example: Arc::new(example), score: 0.0, cosine, bm25: 0.0, vector: Arc::from([]) };
        has_near_duplicate("Where is my parcel now?", &[candidate])
    }

    /// Four of five words in common are 0.8; four of six are not.
    #[test]
    fn words_or_vectors_alone_make_a_near_duplicate() {
        assert!(is_found("my parcel, where IS", 0.1));
        assert!(!is_found("my parcel, where IS it", 0.1));
        assert!(is_found("something else", 0.97));
        assert!(!is_found("something else", 0.969));
    }
}
