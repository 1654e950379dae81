//! Intents that are taken for each other, and intents with few examples.

use std::collections::BTreeMap;

use super::judge::Judged;
use super::{Corpus, Kind, Suggestion};
use crate::statistics::real;

/// An intent should have at least so many examples: as many as a prompt shows.
pub const FEW: usize = crate::pipeline::DEFAULT_K;
/// Two intents with fewer confusions, or with a smaller share of their examples, are not reported.
const CONFUSED: usize = 3;
const CONFUSED_SHARE: f64 = 0.05;

/// Pairs of intents that the neighbours' vote takes for each other. The score is the share of the
/// pair's examples that this happens to.
pub(super) fn overlapping(corpus: &Corpus, judged: &Judged) -> Vec<Suggestion> {
    let mut taken_for: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (position, verdict) in judged.verdicts.iter().enumerate().filter(|(position, _)| !corpus.is_alone(*position)) {
        let own = corpus.labels[position];
        if let Some(winner) = verdict.winner.filter(|&winner| winner != own) {
            *taken_for.entry((own, winner)).or_default() += 1;
        }
    }
    let count = |from: usize, to: usize| taken_for.get(&(from, to)).copied().unwrap_or(0);
    // Each pair once. The intent that loses more comes first.
    let leads = |&&(a, b): &&(usize, usize)| count(a, b) > count(b, a) || (count(a, b) == count(b, a) && a < b);
    let suggestion = |&(a, b): &(usize, usize)| {
        let (there, back) = (count(a, b), count(b, a));
        let share = real(there + back) / real(corpus.counts[a] + corpus.counts[b]);
        if there + back < CONFUSED || share < CONFUSED_SHARE {
            return None;
        }
        let (intent, other) = (&corpus.intents[a], &corpus.intents[b]);
        let message = format!(
            "the vote takes {there} of {} examples of {intent:?} for {other:?}, and {back} of {} the other way round",
            corpus.counts[a], corpus.counts[b]
        );
        let suggestion = Suggestion::on_intent(Kind::Overlap, intent, single(share), message);
        Some(Suggestion { suggested: Some(other.clone()), counts: Some([there, back]), ..suggestion })
    };
    taken_for.keys().filter(leads).filter_map(suggestion).collect()
}

/// Intents with fewer than [`FEW`] examples. The fallback needs none.
pub(super) fn few(corpus: &Corpus) -> Vec<Suggestion> {
    let counts = corpus.counts.iter().enumerate();
    let few = counts.filter(|&(position, &count)| count < FEW && Some(position) != corpus.fallback);
    few.map(|(position, &count)| {
        let name = &corpus.intents[position];
        let message = format!("examples of {name:?}: {count}; {FEW} or more are wanted");
        Suggestion::on_intent(Kind::FewExamples, name, single(1.0 - real(count) / real(FEW)), message)
    })
    .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a share for people")]
fn single(share: f64) -> f32 {
    share as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::lint::corpus::tests::at;
    use crate::measure::lint::judge::judge;

    #[test]
    fn intents_that_take_each_others_places_overlap_and_separate_ones_do_not() {
        let mixed = (0_u8..12).map(|i| (if i % 2 == 0 { "a" } else { "b" }, f32::from(i) * 3.0));
        let apart = (0_u8..6).map(|i| ("c", 120.0 + f32::from(i)));
        let corpus = at(&mixed.chain(apart).collect::<Vec<_>>());
        let found = overlapping(&corpus, &judge(&corpus, &|_, _| {}).unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        let pair = [found[0].intent.as_str(), found[0].suggested.as_deref().unwrap()];
        assert!(pair == ["a", "b"] || pair == ["b", "a"], "{pair:?}");
        let [there, back] = found[0].counts.unwrap();
        assert!(there >= back && there + back >= CONFUSED);
        assert!((f64::from(found[0].score) - real(there + back) / 12.0).abs() < 1e-6);
    }

    #[test]
    fn intents_below_the_number_are_listed_the_emptier_the_higher() {
        let mut placed = vec![("one", 0.0), ("four", 10.0), ("four", 11.0), ("four", 12.0), ("four", 13.0)];
        placed.extend((0_u8..5).map(|i| ("five", 90.0 + f32::from(i))));
        let scores: Vec<(String, f32)> = few(&at(&placed)).into_iter().map(|s| (s.intent, s.score)).collect();
        let expected = [("four", 0.2), ("one", 0.8)];
        assert_eq!(scores.len(), 2, "{scores:?}");
        assert!(scores.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6), "{scores:?}");
    }
}
