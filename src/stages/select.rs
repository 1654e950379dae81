//! Which of the neighbours are shown to the model as examples, in which order, and why. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::data::evidence::{Candidate, Chosen, Vote};
use crate::statistics::cosine;
use crate::text::jaccard;

/// The most examples of one requester, so that one customer cannot fill the prompt.
pub const PER_REQUESTER: usize = 2;

/// Two texts are near-duplicates from this cosine similarity on.
const SAME_COSINE: f32 = 0.97;
/// Two texts are also near-duplicates from this share of common words on (Jaccard).
const SAME_WORDS: f32 = 0.8;

/// How much nearness to the ticket counts beside difference from what is already chosen
/// (maximal marginal relevance, Carbonell and Goldstein 1998).
const RELEVANCE: f32 = 0.7;

/// Contrastive examples are taken from half as many intents as there are examples, and from at least so many.
const CONTRASTED: usize = 3;

/// How examples are chosen from the neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The nearest, best first.
    Nearest,
    /// Near to the ticket and unlike each other, in the order of choice.
    Diverse,
    /// The leading intents side by side, on the boundary between them, best intent first.
    #[default]
    Contrastive,
}

/// Chooses from the neighbours. Near-duplicates are skipped, and no requester has more than
/// [`PER_REQUESTER`].
struct Pool<'a> {
    chosen: Vec<Chosen>,
    candidates: &'a [Candidate],
    taken: HashSet<usize>,
}

/// Chooses at most `k` of the neighbours. `votes` are the intents with their shares, best first.
#[must_use]
pub fn select(candidates: &[Candidate], votes: &[Vote], k: usize, selection: Selection) -> Vec<Chosen> {
    let mut pool = Pool { chosen: Vec::with_capacity(k), candidates, taken: HashSet::new() };
    match selection {
        Selection::Nearest => pool.fill(k, "nearest", |_, candidate| candidate.score),
        Selection::Diverse => pool.fill(k, "near and unlike the others", |chosen, candidate| {
            let likeness =
                chosen.iter().map(|other| cosine(&other.candidate.vector, &candidate.vector)).fold(0.0, f32::max);
            RELEVANCE * candidate.score - (1.0 - RELEVANCE) * likeness
        }),
        Selection::Contrastive => pool.contrast(votes, k),
    }
    pool.chosen
}

impl Pool<'_> {
    /// Adds the neighbours of the highest value until there are `k`. The value may depend on what is
    /// chosen already.
    fn fill(&mut self, k: usize, why: &str, value: impl Fn(&[Chosen], &Candidate) -> f32) {
        while self.chosen.len() < k && self.add_best(why, |_| true, &value) {}
    }

    /// Adds the best neighbour that `fits`; false when there is none.
    fn add_best(
        &mut self,
        why: &str,
        fits: impl Fn(&Candidate) -> bool,
        value: &impl Fn(&[Chosen], &Candidate) -> f32,
    ) -> bool {
        loop {
            let open = self
                .candidates
                .iter()
                .enumerate()
                .filter(|(place, candidate)| !self.taken.contains(place) && fits(candidate));
            // The first of equals is the nearest one.
            let best = open
                .map(|(place, candidate)| (place, value(&self.chosen, candidate)))
                .reduce(|best, next| if next.1 > best.1 { next } else { best });
            let Some((place, _)) = best else { return false };
            self.taken.insert(place);
            let candidate = &self.candidates[place];
            if self.is_welcome(candidate) {
                self.chosen.push(Chosen { candidate: candidate.clone(), why: why.to_owned() });
                return true;
            }
        }
    }

    fn is_welcome(&self, candidate: &Candidate) -> bool {
        let requester = candidate.example.labelled.ticket.requester.as_deref();
        let of_requester = |other: &&Chosen| other.candidate.example.labelled.ticket.requester.as_deref() == requester;
        let crowded = requester.is_some() && self.chosen.iter().filter(of_requester).count() >= PER_REQUESTER;
        !crowded && !self.chosen.iter().any(|other| is_near_duplicate(&other.candidate, candidate))
    }

    /// Takes the leading intents in turns: first the nearest neighbour of each, then those that lie closest
    /// to the rival. They are shown intent by intent.
    fn contrast(&mut self, votes: &[Vote], k: usize) {
        let has_candidate = |intent: &str| self.candidates.iter().any(|candidate| candidate.intent() == intent);
        let leading: Vec<&str> = votes
            .iter()
            .map(|vote| vote.intent.as_str())
            .filter(|intent| has_candidate(intent))
            .take(k.div_ceil(2).max(CONTRASTED))
            .collect();
        for round in 0..k {
            let before = self.chosen.len();
            for (rank, intent) in leading.iter().enumerate() {
                // Winner and runner-up come first to a second example.
                if self.chosen.len() == k {
                    continue;
                }
                let rival = leading.get(usize::from(rank == 0)).copied();
                let why = match (round, rival) {
                    (0, _) => format!("nearest of {intent:?}"),
                    (_, Some(rival)) => format!("{intent:?} on the boundary to {rival:?}"),
                    (_, None) => format!("next of {intent:?}"),
                };
                self.add_best(&why, |candidate| candidate.intent() == *intent, &|chosen, candidate| {
                    let to_rival = chosen
                        .iter()
                        .filter(|other| Some(other.candidate.intent()) == rival)
                        .map(|other| cosine(&other.candidate.vector, &candidate.vector))
                        .fold(0.0, f32::max);
                    candidate.score + if round == 0 { 0.0 } else { 0.5 * to_rival }
                });
            }
            if self.chosen.len() == before {
                break;
            }
        }
        self.fill(k, "nearest of the rest", |_, candidate| candidate.score);
        let place = |intent: &str| leading.iter().position(|leader| *leader == intent).unwrap_or(leading.len());
        self.chosen.sort_by_key(|chosen| place(chosen.candidate.intent()));
    }
}

/// Whether two neighbours are near-duplicates of the same intent. With two intents they are not: the
/// contradiction is worth showing.
#[must_use]
pub fn is_near_duplicate(a: &Candidate, b: &Candidate) -> bool {
    let texts = || (&a.example.labelled.ticket.text, &b.example.labelled.ticket.text);
    a.intent() == b.intent() && is_near_text(cosine(&a.vector, &b.vector), texts().0, texts().1)
}

/// Whether two texts are near-duplicates, by the cosine of their vectors or by their words. This is the one
/// definition, for examples, `eval` and `lint`.
#[must_use]
pub fn is_near_text(cosine: f32, a: &str, b: &str) -> bool {
    cosine >= SAME_COSINE || jaccard(a, b) >= SAME_WORDS
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::example::{Example, example_key};
    use crate::data::ticket::{LabelledTicket, Ticket};

    /// A candidate whose vector lies at `angle` (radians) from the ticket's, which is at 0.
    fn candidate(intent: &str, text: &str, angle: f32) -> Candidate {
        let labelled = LabelledTicket { ticket: Ticket::new(text), intent: intent.into(), reasoning: None };
        let key = example_key("", text);
        let example = Example { key, source: String::new(), text_hash: String::new(), labelled };
        let (score, vector) = (angle.cos(), Arc::from([angle.cos(), angle.sin()]));
        Candidate { example: Arc::new(example), score, cosine: score, bm25: 0.0, vector }
    }

    fn vote(intent: &str, share: f32) -> Vote {
        Vote { intent: intent.into(), share, neighbours: share, probe: None }
    }

    fn texts(chosen: &[Chosen]) -> Vec<&str> {
        chosen.iter().map(|chosen| chosen.candidate.example.labelled.ticket.text.as_str()).collect()
    }

    #[test]
    fn near_duplicates_of_one_intent_are_shown_once_and_a_contradiction_stays() {
        let candidates = [
            candidate("a", "my parcel is late", 0.1),
            candidate("a", "My parcel is late!", 0.5),
            candidate("b", "my parcel is late, again", 0.12),
            candidate("a", "where is it", 0.15),
            candidate("a", "something else", 1.0),
        ];
        let shown = select(&candidates, &[], 5, Selection::Nearest);
        // The second has the same words, the fourth nearly the same vector.
        assert_eq!(texts(&shown), ["my parcel is late", "my parcel is late, again", "something else"]);
    }

    /// Four of five words in common are 0.8; four of six are not.
    #[test]
    fn words_or_vectors_alone_make_a_near_duplicate() {
        let is_near = |text: &str, cosine: f32| is_near_text(cosine, "Where is my parcel now?", text);
        assert!(is_near("my parcel, where IS", 0.1));
        assert!(!is_near("my parcel, where IS it", 0.1));
        assert!(is_near("something else", 0.97));
        assert!(!is_near("something else", 0.969));
    }

    #[test]
    fn one_requester_has_at_most_two_examples() {
        let mut candidates: Vec<Candidate> =
            (1..6_u8).map(|i| candidate("a", &format!("text {i}"), f32::from(i) * 0.25)).collect();
        for candidate in &mut candidates[..4] {
            Arc::make_mut(&mut candidate.example).labelled.ticket.requester = Some("anna".into());
        }
        for selection in [Selection::Nearest, Selection::Diverse, Selection::Contrastive] {
            let shown = select(&candidates, &[vote("a", 1.0)], 5, selection);
            assert_eq!(shown.len(), 3, "{selection:?}");
            assert!(texts(&shown).contains(&"text 5"), "{selection:?}");
        }
    }

    #[test]
    fn contrastive_shows_the_leading_intents_side_by_side_on_their_boundary() {
        let candidates = [
            candidate("a", "a1", 0.1),
            candidate("a", "a2", -0.4),
            candidate("a", "a3", 0.45),
            candidate("b", "b1", 0.7),
            candidate("b", "b2", 1.2),
        ];
        let votes = [vote("a", 0.7), vote("b", 0.3)];
        let shown = select(&candidates, &votes, 4, Selection::Contrastive);
        // Of the other two a's the one on the side of b, though it is a little farther away.
        assert_eq!(texts(&shown), ["a1", "a3", "b1", "b2"]);
        assert_eq!(shown[1].why, "\"a\" on the boundary to \"b\"");
        let nearest = select(&candidates, &votes, 3, Selection::Nearest);
        assert_eq!(texts(&nearest), ["a1", "a2", "a3"]);
    }

    #[test]
    fn diverse_prefers_what_is_unlike_the_chosen() {
        let candidates = [
            candidate("a", "a1", 0.1),
            candidate("b", "b1", 0.4),
            candidate("c", "c1", -0.5),
            candidate("d", "d1", 1.5),
        ];
        let shown = select(&candidates, &[], 2, Selection::Diverse);
        assert_eq!(texts(&shown), ["a1", "c1"]);
    }

    #[test]
    fn nothing_to_choose_from_is_nothing_chosen() {
        assert!(select(&[], &[vote("a", 1.0)], 5, Selection::Contrastive).is_empty());
    }
}
