//! Examples that make others be taken for their intent.

use std::collections::{HashMap, HashSet};

use super::judge::Judged;
use super::{Corpus, Kind, SURE, Suggestion};
use crate::eval::stats::wilson;

/// Fewer may be chance.
const MISLED: usize = 2;

/// What an example did as one of the first voters for the winner of a vote.
#[derive(Default)]
struct Led {
    to: usize,
    /// The labels of those that are something else.
    astray: HashMap<usize, usize>,
}

/// Examples that led to more wrong winners than right ones, other than those that are `known` to be
/// doubtful themselves. The score is the lower end of the 95 % interval of the share that was
/// led astray.
pub(super) fn misleading(corpus: &Corpus, judged: &Judged, known: &[Suggestion]) -> Vec<Suggestion> {
    let known: HashSet<_> = known.iter().filter_map(|suggestion| Some(suggestion.example.as_ref()?.key)).collect();
    let mut led: HashMap<usize, Led> = HashMap::new();
    for (position, verdict) in judged.verdicts.iter().enumerate() {
        let label = corpus.labels[position];
        let astray = verdict.winner != Some(label);
        // Where the label itself is wrong, or has no other example, the voters are not to blame.
        if astray && (verdict.suspicion >= SURE || corpus.is_alone(position)) {
            continue;
        }
        for leader in judged.leaders(corpus, position) {
            let led = led.entry(leader).or_default();
            led.to += 1;
            if astray {
                *led.astray.entry(label).or_default() += 1;
            }
        }
    }
    let mut leaders: Vec<(usize, Led)> = led.into_iter().collect();
    leaders.sort_unstable_by_key(|(position, _)| *position);
    let suggestion = |(position, led): (usize, Led)| {
        let example = &corpus.examples[position];
        let misled: usize = led.astray.values().sum();
        let (&mostly, _) = led.astray.iter().max_by_key(|(label, count)| (**count, usize::MAX - **label))?;
        if misled < MISLED || 2 * misled <= led.to || known.contains(&example.key) {
            return None;
        }
        let (intent, mostly) = (&example.labelled.intent, &corpus.intents[mostly]);
        let message = format!(
            "of {} tickets for which it led the vote for {intent:?}, {misled} are something else, mostly {mostly:?}",
            led.to
        );
        #[expect(clippy::cast_possible_truncation, reason = "a share for people")]
        let score = wilson(misled, led.to).0 as f32;
        let suggestion = Suggestion::on_example(Kind::Misleading, example, mostly, score, message);
        Some(Suggestion { counts: Some([misled, led.to]), ..suggestion })
    };
    leaders.into_iter().filter_map(suggestion).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::corpus::tests::at;
    use crate::lint::judge::judge;

    #[test]
    fn an_example_between_those_of_another_intent_misleads_them() {
        // Number 0 is nearest to the two of b at its sides; there is enough of b for these not to
        // be suspicious beyond doubt.
        let corpus = at(&[("a", 0.0), ("b", 12.0), ("b", -12.0), ("b", 32.0), ("b", -32.0), ("a", 90.0), ("a", 95.0)]);
        let judged = judge(&corpus, &|_, _| {}).unwrap();
        let found = misleading(&corpus, &judged, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].id.as_deref(), found[0].suggested.as_deref()), (Some("0"), Some("b")));
        assert_eq!(found[0].counts, Some([2, 2]));
        assert_eq!(misleading(&corpus, &judged, &found), [], "what is known is not repeated");
    }
}
