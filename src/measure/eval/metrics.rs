//! Scores of answers against gold labels. Pure.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::statistics::{bootstrap, real};

/// One scored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// The right intent.
    pub gold: String,
    /// The intent given, if any.
    pub answer: Option<String>,
    /// Whether it counts as right.
    pub correct: bool,
    /// The ticket's case, where a column of cases was named.
    pub case: Option<String>,
}

impl Scored {
    /// Scores an answer. No intent, or an error, is wrong, unless the gold intent is the fallback: then no intent
    /// is right.
    #[must_use]
    pub fn new(gold: &str, answer: Option<&str>, gold_is_fallback: bool, case: Option<&str>) -> Self {
        let correct = match answer {
            Some(answer) => answer == gold,
            None => gold_is_fallback,
        };
        Self { gold: gold.into(), answer: answer.map(Into::into), correct, case: case.map(Into::into) }
    }

    /// What counts as the prediction: no intent counts as the fallback where that is right.
    pub(super) fn predicted(&self) -> Option<&str> {
        match &self.answer {
            None if self.correct => Some(&self.gold),
            answer => answer.as_deref(),
        }
    }
}

/// Precision, recall and F1 of one intent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntentScore {
    /// The intent.
    pub intent: String,
    /// How many tickets have it as their gold intent.
    pub n: usize,
    /// Share of the answers with this intent that are right.
    pub precision: f64,
    /// Share of its tickets that got it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

/// Accuracy on the tickets of one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseScore {
    /// The case; `plain` for tickets without one.
    pub case: String,
    /// How many tickets.
    pub n: usize,
    /// Share answered right.
    pub accuracy: f64,
}

/// How many answers are right.
#[must_use]
pub fn correct(answers: &[Scored]) -> usize {
    answers.iter().filter(|answer| answer.correct).count()
}

/// Scores by intent, over all intents that occur as a gold label or as an answer.
#[must_use]
pub fn by_intent(answers: &[Scored]) -> Vec<IntentScore> {
    #[derive(Default)]
    struct Counts {
        gold: usize,
        answered: usize,
        right: usize,
    }
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for answer in answers {
        counts.entry(&answer.gold).or_default().gold += 1;
        if let Some(predicted) = answer.predicted() {
            counts.entry(predicted).or_default().answered += 1;
            if answer.correct {
                counts.entry(&answer.gold).or_default().right += 1;
            }
        }
    }
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { real(part) / real(whole) };
    counts
        .into_iter()
        .map(|(intent, count)| IntentScore {
            intent: intent.to_owned(),
            n: count.gold,
            precision: share(count.right, count.answered),
            recall: share(count.right, count.gold),
            f1: share(2 * count.right, count.gold + count.answered),
        })
        .collect()
}

/// The plain mean of the intents' F1.
#[must_use]
pub fn macro_f1(intents: &[IntentScore]) -> f64 {
    if intents.is_empty() { 0.0 } else { intents.iter().map(|intent| intent.f1).sum::<f64>() / real(intents.len()) }
}

/// The 95 % interval of the macro-F1 of at least one answer, by the bootstrap.
#[must_use]
pub fn macro_f1_interval(answers: &[Scored], seed: u64) -> (f64, f64) {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut number = |intent| {
        let next = numbers.len();
        *numbers.entry(intent).or_insert(next)
    };
    let pairs: Vec<(usize, Option<usize>)> =
        answers.iter().map(|answer| (number(&answer.gold), answer.predicted().map(&mut number))).collect();
    // For each intent, how often it is the gold label or the answer, and how often both.
    let mut counts = vec![(0_usize, 0_usize); numbers.len()];
    bootstrap::interval(answers.len(), seed, |drawn| {
        counts.fill((0, 0));
        for &position in drawn {
            let (gold, predicted) = pairs[position];
            counts[gold].0 += 1;
            if let Some(predicted) = predicted {
                counts[predicted].0 += 1;
                counts[gold].1 += usize::from(gold == predicted);
            }
        }
        let (mut sum, mut intents) = (0.0, 0);
        for &(either, both) in counts.iter().filter(|(either, _)| *either > 0) {
            sum += 2.0 * real(both) / real(either);
            intents += 1;
        }
        sum / real(intents)
    })
}

/// Accuracy by case, in alphabetical order.
#[must_use]
pub fn by_case(answers: &[Scored]) -> Vec<CaseScore> {
    let mut cases: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for answer in answers {
        let (n, right) = cases.entry(answer.case.as_deref().unwrap_or("plain")).or_default();
        *n += 1;
        *right += usize::from(answer.correct);
    }
    let score = |(case, (n, right)): (&str, (usize, usize))| CaseScore {
        case: case.to_owned(),
        n,
        accuracy: real(right) / real(n),
    };
    cases.into_iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(gold: &str, answer: Option<&str>) -> Scored {
        Scored::new(gold, answer, gold == "other", None)
    }

    /// By hand: a has P 1 and R 2/3, so F1 0.8; b has P and R 1/2; c and d have none right.
    /// scikit-learn's `f1_score(average="macro")` gives the same 0.325.
    #[test]
    fn scores_by_intent_match_hand_worked_values() {
        let pairs = [("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("b", "c"), ("c", "d")];
        let answers: Vec<Scored> = pairs.iter().map(|(gold, answer)| scored(gold, Some(answer))).collect();
        let scores = by_intent(&answers);
        let f1: Vec<f64> = scores.iter().map(|score| (score.f1 * 1e4).round() / 1e4).collect();
        assert_eq!(f1, [0.8, 0.5, 0.0, 0.0]);
        assert!((macro_f1(&scores) - 0.325).abs() < 1e-9);
        assert_eq!(correct(&answers), 3);
    }

    #[test]
    fn no_answer_is_wrong_unless_the_fallback_was_right() {
        assert!(!scored("a", None).correct);
        let unsaid = scored("other", None);
        assert!(unsaid.correct);
        assert!((by_intent(&[unsaid])[0].f1 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn cases_are_counted_apart() {
        let mut short = scored("a", Some("a"));
        short.case = Some("short".into());
        let cases = by_case(&[short, scored("a", Some("b")), scored("a", Some("a"))]);
        assert_eq!(cases[0], CaseScore { case: "plain".into(), n: 2, accuracy: 0.5 });
        assert_eq!(cases[1].case, "short");
    }

    /// 200 answers over five intents; every third and every seventh is wrong.
    fn many() -> Vec<Scored> {
        let intent = |i: usize| ["a", "b", "c", "d", "e"][i % 5];
        (0..200)
            .map(|i| {
                let answer = if i % 3 == 0 || i % 7 == 0 { intent(i / 5 + i) } else { intent(i) };
                Scored::new(intent(i), Some(answer), false, None)
            })
            .collect()
    }

    /// By scipy 1.17.1 and scikit-learn 1.9.1, with `g` and `p` the intents' numbers of `many()`:
    /// `bootstrap((arange(200),), lambda i: f1_score(g[i], p[i], average="macro"), n_resamples=20000,
    /// method="percentile", vectorized=False, random_state=0)` is 0.58476 to 0.71797.
    #[test]
    fn the_interval_of_the_macro_f1_matches_a_reference() {
        let answers = many();
        assert!((macro_f1(&by_intent(&answers)) - 0.655_052).abs() < 5e-7);
        let (low, high) = macro_f1_interval(&answers, 7);
        assert!((low - 0.584_76).abs() < 0.012 && (high - 0.717_97).abs() < 0.012, "{low} {high}");
        assert_eq!(macro_f1_interval(&answers, 3), macro_f1_interval(&answers, 3));
        assert_ne!(macro_f1_interval(&answers, 3), macro_f1_interval(&answers, 4));
    }
}
