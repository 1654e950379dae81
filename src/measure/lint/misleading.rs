//! Examples that mislead: tickets near them are taken for their intent. An evaluation tells which
//! ones; without an evaluation, each example in turn is the ticket, and the others vote.

use std::collections::{BTreeMap, HashSet};

use super::judge::Judged;
use super::{Corpus, Kind, SURE, Suggestion};
use crate::stages::rank::TEMPERATURE;
use crate::statistics::wilson;

/// An example that misled fewer tickets is not reported: that may be chance.
const MISLED: usize = 2;
/// At most so many examples led a ticket to the intent that was given: the nearest ones of that
/// intent, if they weigh about as much as the nearest.
const LEADERS: usize = 3;

/// An example that led a ticket to its intent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lead {
    /// The example's position.
    pub(super) leader: usize,
    /// The ticket's right intent (a position), where it is another one.
    pub(super) astray: Option<usize>,
}

/// Which examples led to an intent: a choice from those of the intent, given best first with their
/// scores.
pub(super) fn leading<T>(examples: impl Iterator<Item = (T, f32)>) -> impl Iterator<Item = T> {
    let mut first = examples.take(LEADERS).peekable();
    let nearest = first.peek().map_or(0.0, |(_, score)| *score);
    first.filter(move |(_, score)| *score >= nearest - TEMPERATURE).map(|(example, _)| example)
}

/// Takes every example as a ticket: which of the others led it to the winner of their vote?
pub(super) fn leave_one_out(corpus: &Corpus, judged: &Judged) -> Vec<Lead> {
    let verdicts = judged.verdicts.iter().enumerate();
    let leads = verdicts.flat_map(|(position, verdict)| {
        let label = corpus.labels[position];
        let astray = (verdict.winner != Some(label)).then_some(label);
        // Where the label itself is wrong, or has no other example, the voters are not to blame.
        let is_excused = astray.is_some() && (verdict.suspicion >= SURE || corpus.is_alone(position));
        let leaders = judged.leaders(corpus, position).filter(move |_| !is_excused);
        leaders.map(move |leader| Lead { leader, astray })
    });
    leads.collect()
}

/// What an example led tickets to, in all.
#[derive(Default)]
struct Led {
    to: usize,
    /// The right intents of the tickets that it led astray.
    astray: BTreeMap<usize, usize>,
}

/// Examples that led to more wrong answers than right ones, without those that are `known` to be
/// doubtful. The score is the lower end of the 95 % interval of the share that was led astray.
pub(super) fn misleading(corpus: &Corpus, leads: &[Lead], known: &[Suggestion]) -> Vec<Suggestion> {
    let known: HashSet<_> = known.iter().filter_map(|suggestion| Some(suggestion.example.as_ref()?.key)).collect();
    let mut by_leader: BTreeMap<usize, Led> = BTreeMap::new();
    for lead in leads {
        let led = by_leader.entry(lead.leader).or_default();
        led.to += 1;
        if let Some(right) = lead.astray {
            *led.astray.entry(right).or_default() += 1;
        }
    }
    let suggestion = |(position, led): (usize, Led)| {
        let example = &corpus.examples[position];
        let misled: usize = led.astray.values().sum();
        let (&mostly, _) = led.astray.iter().max_by_key(|(right, count)| (**count, usize::MAX - **right))?;
        if misled < MISLED || 2 * misled <= led.to || known.contains(&example.key) {
            return None;
        }
        let (intent, mostly) = (&example.labelled.intent, &corpus.intents[mostly]);
        let message =
            format!("of {} tickets that it led to {intent:?}, {misled} are something else, mostly {mostly:?}", led.to);
        #[expect(clippy::cast_possible_truncation, reason = "a share for people")]
        let score = wilson(misled, led.to).0 as f32;
        let suggestion = Suggestion::on_example(Kind::Misleading, example, mostly, score, message);
        Some(Suggestion { counts: Some([misled, led.to]), ..suggestion })
    };
    by_leader.into_iter().filter_map(suggestion).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::lint::corpus::tests::at;
    use crate::measure::lint::judge::judge;

    #[test]
    fn an_example_between_those_of_another_intent_misleads_them() {
        // Number 0 is nearest to the two of b at its sides; there is enough of b for these not to
        // be suspicious beyond doubt.
        let corpus = at(&[("a", 0.0), ("b", 12.0), ("b", -12.0), ("b", 32.0), ("b", -32.0), ("a", 90.0), ("a", 95.0)]);
        let judged = judge(&corpus, &|_, _| {}).unwrap();
        let leads = leave_one_out(&corpus, &judged);
        let found = misleading(&corpus, &leads, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].id.as_deref(), found[0].suggested.as_deref()), (Some("0"), Some("b")));
        assert_eq!(found[0].counts, Some([2, 2]));
        assert_eq!(misleading(&corpus, &leads, &found), [], "what is known is not repeated");
    }
}
