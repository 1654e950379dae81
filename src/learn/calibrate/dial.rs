//! The dial: finds the lowest score from which on answers are right as often as asked for, with a guarantee
//! that holds for few tickets too. Pure.
//!
//! A set of routed answers passes when the exact one-sided lower bound of its precision (Clopper &
//! Pearson 1934) reaches the target. The sets are nested by score and tested in that order until
//! the first failure, so that no correction for many tests is needed (fixed-sequence testing:
//! Bauer 1991, Wiens 2003; for the choice of a threshold: Angelopoulos et al. 2021, "Learn then
//! test"). So the chance that the threshold's true precision is below the target is at most
//! one minus the confidence.

use serde::Serialize;

use super::Answer;
use crate::statistics::{at_most, clopper_pearson_low, real, wilson};

/// The first set holds at least this share of all answers: smaller ones are too often unlucky, and
/// a failure ends the sequence.
const FIRST_SHARE: f64 = 0.4;
/// With at least so many answers, the first set must also be large enough to forgive two errors.
const MANY: usize = 300;
/// The most answers that are ever asked for.
const MOST_NEEDED: usize = 1_000_000;

/// The dial: what it was set to, and what it brings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dial {
    /// Share of the routed answers that must be right.
    pub target: f64,
    /// How sure it is that the dial holds, 0 to 1.
    pub confidence: f64,
    /// The threshold: answers are routed from this score on. `None` where no set of answers passed.
    pub threshold: Option<f32>,
    /// Answers at or above it.
    pub routed: usize,
    /// How many of these are wrong.
    pub wrong: usize,
    /// Share of the routed ones that are right; `None` when nothing is routed.
    pub precision: Option<f64>,
    /// Its lower bound at that confidence.
    pub precision_at_least: Option<f64>,
    /// Share of all answers that are routed.
    pub coverage: f64,
    /// Its 95 % Wilson interval.
    pub coverage_ci95: (f64, f64),
    /// Where nothing passed: about how many labelled tickets would be enough, if errors stay as frequent as here;
    /// `None` when no number would.
    pub needed: Option<usize>,
}

/// Sets the dial by labelled answers.
#[must_use]
pub fn set(answers: &[Answer], target: f64, confidence: f64) -> Dial {
    let test = Test { miss: 1.0 - target, alpha: 1.0 - confidence };
    let mut ranked: Vec<&Answer> = answers.iter().filter(|answer| answer.routable).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    let first = test.first(answers.len());
    let (mut errors, mut passed, mut failed) = (0, None, None);
    for (place, answer) in ranked.iter().enumerate() {
        errors += usize::from(!answer.right);
        let n = place + 1;
        let is_tied = ranked.get(n).is_some_and(|next| next.score.total_cmp(&answer.score).is_eq());
        if n < first || is_tied {
            continue;
        }
        if !test.passes(n, errors) {
            failed = Some((n, errors));
            break;
        }
        passed = Some((n, errors, answer.score));
    }
    let (routed, wrong) = passed.map_or((0, 0), |(n, errors, _)| (n, errors));
    Dial {
        target,
        confidence,
        threshold: passed.map(|(_, _, score)| score),
        routed,
        wrong,
        precision: passed.map(|_| 1.0 - real(wrong) / real(routed)),
        precision_at_least: passed.map(|_| clopper_pearson_low(routed - wrong, routed, test.alpha)),
        coverage: real(routed) / real(answers.len().max(1)),
        coverage_ci95: wilson(routed, answers.len()),
        needed: match passed {
            Some(_) => None,
            None => test.needed(answers.len(), ranked.len(), failed.unwrap_or((ranked.len(), errors))),
        },
    }
}

/// The test of one set of answers.
#[derive(Clone, Copy)]
struct Test {
    /// The share of errors that is too much.
    miss: f64,
    /// The chance, at most, that a set passes that should not.
    alpha: f64,
}

impl Test {
    /// Whether the lower bound of the precision reaches the target. It does when so few errors would be rare at the
    /// target's own share of errors.
    fn passes(self, n: usize, errors: usize) -> bool {
        at_most(errors, n, self.miss).is_some_and(|chance| chance <= self.alpha)
    }

    /// The most errors with which a set of `n` passes.
    fn forgiven(self, n: usize) -> Option<usize> {
        (0..n).take_while(|&errors| self.passes(n, errors)).last()
    }

    /// The least `n` with which so many errors pass.
    fn least(self, errors: usize) -> usize {
        (errors + 1..MOST_NEEDED).find(|&n| self.passes(n, errors)).unwrap_or(MOST_NEEDED)
    }

    /// The size of the first set that is tested: one that is just large enough for its number of
    /// errors, since a larger one forgives no more.
    fn first(self, answers: usize) -> usize {
        let share = first_share(answers);
        let from = if answers < MANY { share } else { share.max(self.least(2)) };
        (from.max(1)..MOST_NEEDED).find(|&n| self.forgiven(n) > self.forgiven(n - 1)).unwrap_or(MOST_NEEDED)
    }

    /// How many answers would be enough, at the share of errors in `seen` (answers, and the errors among them), if the
    /// same share of them may be routed.
    fn needed(self, answers: usize, routable: usize, seen: (usize, usize)) -> Option<usize> {
        let share = real(seen.1) / real(seen.0.max(1));
        let (least, forgiving) = (self.least(0), self.least(2));
        let mut wanted = least.max(answers + 1);
        while wanted <= MOST_NEEDED {
            let n = first_share(wanted).max(if wanted < MANY { least } else { forgiving });
            if n * answers <= wanted * routable && self.passes(n, expected(share, n)) {
                return Some(wanted);
            }
            wanted += (wanted / 100).max(1);
        }
        None
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
fn first_share(answers: usize) -> usize {
    (FIRST_SHARE * real(answers)).ceil() as usize
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
fn expected(share: f64, n: usize) -> usize {
    (share * real(n)).ceil() as usize
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const TEST: Test = Test { miss: 0.03, alpha: 0.1 };

    fn answers(rights: impl IntoIterator<Item = (f32, bool)>) -> Vec<Answer> {
        rights.into_iter().map(|(score, right)| Answer { score, right, routable: true }).collect()
    }

    /// scipy 1.17: the least n with `binom.cdf(k, n, 0.03) <= 0.1`.
    #[test]
    fn critical_sizes_match_a_reference() {
        assert_eq!([0, 1, 2, 3].map(|errors| TEST.least(errors)), [76, 129, 176, 221]);
        assert_eq!([75, 76, 128, 129].map(|n| TEST.forgiven(n)), [None, Some(0), Some(0), Some(1)]);
    }

    #[test]
    fn the_first_set_is_critical_and_large_enough() {
        assert_eq!(TEST.first(100), 76, "40 is not enough for any error");
        assert_eq!(TEST.first(250), 129, "the next critical size after 100");
        assert_eq!(TEST.first(300), 176, "with 300 answers two errors must be forgiven");
        assert!(TEST.first(1_540) >= 616);
    }

    #[test]
    fn the_threshold_is_the_last_score_that_passes() {
        // 200 right ones, then wrong ones only: 2 errors pass from 176 on, 3 not before 221.
        let scored = (0..400_u16).map(|i| (1.0 - f32::from(i) / 1_000.0, i < 200));
        let dial = set(&answers(scored), 0.97, 0.9);
        assert_eq!((dial.routed, dial.wrong), (202, 2));
        assert_eq!(dial.threshold, Some(1.0 - 201.0 / 1_000.0));
        assert!(dial.precision_at_least.unwrap() >= 0.97 && dial.coverage < 0.51, "{dial:?}");
    }

    #[test]
    fn equal_scores_pass_or_fail_together() {
        // The second half of the tie would fail.
        let scored = (0..300_u16).map(|i| (if i < 180 { 0.9 } else { 0.5 }, i < 220));
        let dial = set(&answers(scored), 0.97, 0.9);
        assert_eq!((dial.routed, dial.threshold), (180, Some(0.9)));
    }

    #[test]
    fn answers_that_may_not_be_routed_count_for_the_coverage_alone() {
        let mut all = answers((0..400_u16).map(|i| (f32::from(i) / 1_000.0, true)));
        all.iter_mut().skip(200).for_each(|answer| (answer.routable, answer.right) = (false, false));
        let dial = set(&all, 0.97, 0.9);
        assert_eq!((dial.routed, dial.wrong), (200, 0));
        assert!((dial.coverage - 0.5).abs() < 1e-9);
    }

    #[test]
    fn too_few_answers_leave_no_threshold_and_say_how_many_are_needed() {
        let perfect = |n: u16| answers((0..n).map(|i| (f32::from(i) / 1_000.0, true)));
        let dial = set(&perfect(60), 0.97, 0.9);
        assert_eq!((dial.threshold, dial.needed), (None, Some(76)));
        assert!(set(&perfect(76), 0.97, 0.9).threshold.is_some());
        assert_eq!(set(&[], 0.97, 0.9).needed, Some(76), "not less without any");
        // 2 % errors: more are needed, and so many are enough.
        let with_errors = |n: u16| answers((0..n).map(|i| (f32::from(i) / 1e5, i % 50 != 25)));
        let needed = set(&with_errors(300), 0.97, 0.9).needed.unwrap();
        assert!((600..6_000).contains(&needed), "{needed}");
        // 5 % errors among the surest: no number would do.
        let hopeless = answers((0..1_000_u16).map(|i| (f32::from(i) / 1e5, i % 20 != 10)));
        let dial = set(&hopeless, 0.97, 0.9);
        assert_eq!((dial.threshold, dial.needed), (None, None));
    }

    /// Scores are uniform; from 0.45 on all answers are right, below it one in four is wrong. Of those
    /// from t on 0.25 (0.45 - t) / (1 - t) are wrong: more than 0.03 where t is below 0.375.
    #[test]
    fn the_guarantee_holds_as_often_as_stated_and_a_threshold_is_found() {
        const DRAWS: usize = 1_000;
        let mut random = StdRng::seed_from_u64(5);
        for n in [250, 1_000] {
            let (mut broken, mut naive_broken, mut found) = (0, 0, 0);
            for _ in 0..DRAWS {
                let drawn = answers((0..n).map(|_| {
                    let score: f32 = random.random();
                    (score, score >= 0.45 || random.random::<f32>() >= 0.25)
                }));
                let misses = |threshold: f32| threshold < 0.375;
                let dial = set(&drawn, 0.97, 0.9);
                found += usize::from(dial.threshold.is_some());
                broken += usize::from(dial.threshold.is_some_and(misses));
                naive_broken += usize::from(naive(&drawn, 0.97).is_some_and(misses));
            }
            // 10 % and three standard errors of a thousand draws.
            assert!(broken <= 128, "{n} answers: missed in {broken} of {DRAWS} draws");
            assert!(naive_broken > 350, "without the bound it would be missed: {naive_broken}");
            // It is no guarantee to route nothing.
            assert!(found >= 800, "{n} answers: found in {found} of {DRAWS} draws");
        }
    }

    /// The lowest score above which enough of the seen answers are right.
    fn naive(answers: &[Answer], target: f64) -> Option<f32> {
        let mut ranked: Vec<_> = answers.iter().collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut right = 0;
        let passing = ranked.iter().enumerate().filter(|(place, answer)| {
            right += usize::from(answer.right);
            real(right) >= target * real(place + 1)
        });
        passing.last().map(|(_, answer)| answer.score)
    }
}
