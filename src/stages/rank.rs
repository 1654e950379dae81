//! Which intents the evidence speaks for: the neighbours' vote, the probe's opinion, and
//! both together. Pure.

use std::collections::{HashMap, HashSet};

use crate::data::evidence::{Candidate, Vote};
use crate::data::probe::Probe;
use crate::data::taxonomy::Taxonomy;

/// How many of the neighbours vote: the nearest ones.
pub const VOTERS: usize = 20;

/// A neighbour's weight is exp(score / this). At 0.045, a score that is 0.031 higher doubles the weight.
pub const TEMPERATURE: f32 = 0.045;

/// Added to every share of the vote before the probe multiplies it: an intent that no
/// neighbour has is unlikely, not impossible.
const VOTE_FLOOR: f32 = 0.03;

/// The power of the probe's probabilities beside the vote. It was chosen together with the temperature and the
/// floor, by cross-validation on two data sets (`scripts/bench-retrieval`). Around these values the
/// accuracy is flat.
const PROBE_POWER: f32 = 1.25;

/// The most intents that a shortlist has.
pub const SHORTLIST: usize = 10;

/// How many intents are kept of what vote and probe say: those with the largest shares.
const KEPT: usize = 20;

/// The first places of the shortlist go by the neighbours alone, the next by both opinions.
const NEIGHBOURS_FIRST: usize = 5;

/// The shares of a distance-weighted vote (Dudani 1976), in the order of first appearance.
/// Ballots are labels with scores, best first; the first [`VOTERS`] count.
pub fn shares<L: PartialEq>(ballots: impl IntoIterator<Item = (L, f32)>) -> Vec<(L, f32)> {
    let mut shares: Vec<(L, f32)> = Vec::new();
    let (mut best, mut total) = (None, 0.0);
    for (label, score) in ballots.into_iter().take(VOTERS) {
        let weight = ((score - *best.get_or_insert(score)) / TEMPERATURE).exp();
        total += weight;
        match shares.iter_mut().find(|(known, _)| *known == label) {
            Some((_, share)) => *share += weight,
            None => shares.push((label, weight)),
        }
    }
    for (_, share) in &mut shares {
        *share /= total;
    }
    shares
}

/// The neighbours' vote, largest share first; ties by name.
#[must_use]
pub fn vote(candidates: &[Candidate]) -> Vec<Vote> {
    let ballots = candidates.iter().map(|candidate| (candidate.intent(), candidate.score));
    let votes = shares(ballots).into_iter().map(|(intent, share)| Vote {
        intent: intent.to_owned(),
        share,
        neighbours: share,
        probe: None,
    });
    sorted(votes.collect())
}

/// The standing of an intent by its share of the vote and its probability. The scale has no meaning.
#[must_use]
pub fn product(share: f32, probability: f32) -> f32 {
    (share + VOTE_FLOOR) * probability.powf(PROBE_POWER)
}

/// Vote and probe together: the [`product`] of both, with shares that add up to 1. Only the intents with the
/// largest shares are kept.
#[must_use]
pub fn combine(candidates: &[Candidate], probe: &Probe, vector: &[f32]) -> Vec<Vote> {
    let neighbours = shares(candidates.iter().map(|candidate| (candidate.intent(), candidate.score)));
    let opinion = probe.probabilities(vector);
    let surest = opinion.iter().map(|(_, p)| *p).fold(f32::MIN_POSITIVE, f32::max);
    let by_intent: HashMap<&str, f32> = neighbours.iter().copied().collect();
    let known: HashSet<&str> = opinion.iter().map(|(intent, _)| *intent).collect();
    // The probe has no opinion on an intent that came after its training. That is no veto.
    let unknown = neighbours.iter().filter(|(intent, _)| !known.contains(intent)).map(|(intent, _)| (*intent, None));
    // In a fixed order, so that the sums never differ in their last bits.
    let intents = opinion.iter().map(|(intent, p)| (*intent, Some(*p))).chain(unknown);
    let mut votes: Vec<Vote> = intents
        .map(|(intent, p)| {
            let share_of_vote = by_intent.get(intent).copied().unwrap_or(0.0);
            let share = product(share_of_vote, p.unwrap_or(surest));
            Vote { intent: intent.to_owned(), share, neighbours: share_of_vote, probe: p }
        })
        .collect();
    let total = votes.iter().map(|vote| vote.share).sum::<f32>().max(f32::MIN_POSITIVE);
    for vote in &mut votes {
        vote.share /= total;
    }
    let mut votes = sorted(votes);
    votes.truncate(KEPT);
    votes
}

fn sorted(mut votes: Vec<Vote>) -> Vec<Vote> {
    votes.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.intent.cmp(&b.intent)));
    votes
}

/// The shortlist, at most [`SHORTLIST`] intents: the winner, the intents with the most of the neighbours' vote,
/// the intents that the winner is confused with, then the rest by share. Where votes are too few to
/// fill it, the intents follow that the others are confused with.
#[must_use]
pub fn shortlist(votes: &[Vote], taxonomy: &Taxonomy) -> Vec<String> {
    let mut by_neighbours: Vec<&Vote> = votes.iter().filter(|vote| vote.neighbours > 0.0).collect();
    by_neighbours.sort_by(|a, b| b.neighbours.total_cmp(&a.neighbours));
    let name = |vote: &'_ Vote| vote.intent.clone();
    let confused_with = |vote: &'_ Vote| -> Vec<String> {
        let names = taxonomy.intent(&vote.intent).map(|intent| intent.confused_with.as_slice()).unwrap_or_default();
        names.iter().filter_map(|other| taxonomy.resolve(other)).map(str::to_owned).collect()
    };
    let in_question = votes
        .iter()
        .take(1)
        .chain(by_neighbours.into_iter().take(NEIGHBOURS_FIRST))
        .map(name)
        .chain(votes.iter().take(1).flat_map(confused_with))
        .chain(votes.iter().map(name))
        .chain(votes.iter().flat_map(confused_with));
    let mut list: Vec<String> = Vec::with_capacity(SHORTLIST);
    for intent in in_question {
        if list.len() == SHORTLIST {
            break;
        }
        if !list.contains(&intent) {
            list.push(intent);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::example::{Example, example_key};
    use crate::data::ticket::{LabelledTicket, Ticket};

    fn candidate(intent: &str, score: f32) -> Candidate {
        let ticket = Ticket::new(format!("{intent} {score}"));
        let example = Example {
            key: example_key("", &ticket.id),
            source: String::new(),
            text_hash: String::new(),
            labelled: LabelledTicket { ticket, intent: intent.into(), reasoning: None },
        };
        Candidate { example: Arc::new(example), score, cosine: score, bm25: 0.0, vector: Arc::from([]) }
    }

    #[test]
    fn one_near_example_outweighs_two_far_ones() {
        let votes = vote(&[candidate("near", 0.9), candidate("far", 0.6), candidate("far", 0.6)]);
        assert_eq!(votes[0].intent, "near");
        assert!(votes[0].share > 0.9, "{votes:?}");
        assert!((votes.iter().map(|v| v.share).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn several_near_examples_outweigh_one_that_is_a_little_nearer() {
        let votes = vote(&[candidate("one", 0.82), candidate("two", 0.80), candidate("two", 0.80)]);
        assert_eq!(votes[0].intent, "two");
    }

    #[test]
    fn no_candidates_no_votes() {
        assert!(vote(&[]).is_empty());
    }

    fn voted(intent: &str, share: f32, neighbours: f32) -> Vote {
        Vote { intent: intent.into(), share, neighbours, probe: None }
    }

    #[test]
    fn the_shortlist_holds_winner_neighbours_what_it_is_confused_with_and_the_rest_by_share() {
        let intents: Vec<String> = (0..20).map(|i| format!("[[intent]]\nname = \"i{i}\"\n")).collect();
        let confused = intents.concat().replace("name = \"i0\"", "name = \"i0\"\nconfused_with = [\"i19\"]");
        let taxonomy = Taxonomy::from_toml(&confused, "t").unwrap();
        let mut votes = vec![voted("i0", 0.5, 0.0), voted("i1", 0.2, 0.4), voted("i2", 0.1, 0.6)];
        votes.extend((3..15).map(|i| voted(&format!("i{i}"), 0.01, 0.0)));
        let list = shortlist(&votes, &taxonomy);
        assert_eq!(list[..5], ["i0", "i2", "i1", "i19", "i3"]);
        assert_eq!(list.len(), SHORTLIST);
    }

    #[test]
    fn few_votes_are_filled_up_with_what_they_are_confused_with() {
        let text =
            "[[intent]]\nname = \"a\"\n[[intent]]\nname = \"b\"\nconfused_with = [\"c\"]\n[[intent]]\nname = \"c\"";
        let taxonomy = Taxonomy::from_toml(text, "t").unwrap();
        assert_eq!(shortlist(&[voted("a", 0.9, 0.9), voted("b", 0.1, 0.1)], &taxonomy), ["a", "b", "c"]);
    }
}
