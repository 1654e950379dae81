//! What the other examples say of each example's label.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::ArrayView1;

use super::Corpus;
use super::misleading::leading;
use super::neighbours::{Neighbour, nearest};
use crate::Result;
use crate::learn::probe::out_of_fold;
use crate::stages::rank::{VOTERS, shares};

/// How many neighbours of an example are kept; near-duplicates are looked for among them.
const KEPT: usize = 50;
/// Added to a share of the vote before the probe multiplies it, so that among labels without
/// a vote the probe decides.
const FLOOR: f32 = 0.01;

/// The verdicts on all examples, by position.
pub(super) struct Judged {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) neighbours: Vec<Vec<Neighbour>>,
    /// Whether the probe was asked too.
    pub(super) probe: bool,
}

/// What the other examples say of one example. It has no vote itself.
#[derive(Debug)]
pub(super) struct Verdict {
    /// 1 minus the self-confidence, 0 to 1. The self-confidence is what the vote gives the example's own
    /// label, or where the probe was asked too, the geometric mean of both.
    pub(super) suspicion: f32,
    /// The share of the vote for the example's own label.
    pub(super) vote: f32,
    /// The probe's probability for the example's own label.
    pub(super) probability: Option<f32>,
    /// The best other label, and its standing divided by that of the own label: above 1 it is better.
    pub(super) rival: Option<(usize, f32)>,
    /// The label with the most of the vote.
    pub(super) winner: Option<usize>,
}

impl Verdict {
    /// The best other label, where its standing is better than that of the own label.
    pub(super) fn beaten_by(&self) -> Option<usize> {
        self.rival.filter(|(_, odds)| *odds > 1.0).map(|(label, _)| label)
    }
}

impl Judged {
    /// The first voters for the winner of an example's vote.
    pub(super) fn leaders(&self, corpus: &Corpus, position: usize) -> impl Iterator<Item = usize> {
        let winner = self.verdicts[position].winner;
        let voters = self.neighbours[position].iter().take(VOTERS);
        let voters = voters.filter(move |voter| Some(corpus.labels[voter.position]) == winner);
        leading(voters.map(|voter| (voter.position, voter.cosine)))
    }
}

/// Lets neighbours and, where there are enough examples, the probe judge every example.
pub(super) fn judge(corpus: &Corpus, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Judged> {
    let done = AtomicUsize::new(0);
    let tick = |rows: usize| progress(done.fetch_add(rows, Ordering::Relaxed) + rows, 2 * corpus.len());
    let neighbours = nearest(&corpus.vectors, KEPT, &tick);
    let opinions = out_of_fold(&corpus.vectors, &corpus.labels, corpus.intents.len(), &tick)?;
    let opinion = |position: usize| opinions.as_ref().map(|opinions| opinions.row(position));
    let verdicts = neighbours
        .iter()
        .enumerate()
        .map(|(position, near)| verdict(corpus, corpus.labels[position], near, opinion(position)))
        .collect();
    Ok(Judged { verdicts, neighbours, probe: opinions.is_some() })
}

fn verdict(corpus: &Corpus, own: usize, near: &[Neighbour], opinion: Option<ArrayView1<f32>>) -> Verdict {
    let mut votes = vec![0.0; corpus.intents.len()];
    for (label, share) in shares(near.iter().map(|near| (corpus.labels[near.position], near.cosine))) {
        votes[label] = share;
    }
    let probability = |label: usize| opinion.map_or(1.0, |opinion| opinion[label]);
    let standing = |label: usize| (votes[label] + FLOOR) / (1.0 + FLOOR) * probability(label);
    // Of equals the first by name.
    let best = |labels: &mut dyn Iterator<Item = usize>, value: &dyn Fn(usize) -> f32| {
        labels.reduce(|best, next| if value(next) > value(best) { next } else { best })
    };
    let mut others = (0..votes.len()).filter(|&label| label != own && corpus.counts[label] > 0);
    let rival = best(&mut others, &standing);
    let winner = best(&mut (0..votes.len()), &|label| votes[label]).filter(|&label| votes[label] > 0.0);
    let confidence = standing(own);
    Verdict {
        suspicion: 1.0 - if opinion.is_some() { confidence.sqrt() } else { confidence },
        vote: votes[own],
        probability: opinion.map(|opinion| opinion[own]),
        rival: rival.map(|label| (label, standing(label) / confidence.max(f32::MIN_POSITIVE))),
        winner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::lint::corpus::tests::at;

    #[test]
    fn an_example_among_others_of_another_label_is_suspicious_and_has_no_vote_itself() {
        let corpus = at(&[("a", 0.0), ("a", 1.0), ("b", 2.0), ("a", 3.0), ("b", 90.0), ("b", 91.0)]);
        let judged = judge(&corpus, &|_, _| {}).unwrap();
        assert!(!judged.probe);
        let suspicion: Vec<f32> = judged.verdicts.iter().map(|verdict| verdict.suspicion).collect();
        assert!(suspicion[2] > 0.95 && suspicion[1] < 0.5 && suspicion[4] < 0.1, "{suspicion:?}");
        let beaten: Vec<bool> = judged.verdicts.iter().map(|verdict| verdict.beaten_by().is_some()).collect();
        assert_eq!(beaten, [false, false, true, false, false, false]);
        assert_eq!(judged.verdicts[2].beaten_by().map(|label| corpus.intents[label].as_str()), Some("a"));
    }

    /// By hand: without votes (0.01 / 1.01 x 0.9) the rival stands 4.5 times as well as (0.01 / 1.01 x 0.2).
    #[test]
    fn the_probe_decides_among_labels_without_a_vote() {
        let corpus = at(&[("a", 0.0), ("b", 1.0), ("c", 2.0)]);
        let verdict = verdict(&corpus, 0, &[], Some(ndarray::aview1(&[0.2, 0.1, 0.9])));
        let (rival, odds) = verdict.rival.unwrap();
        assert_eq!(corpus.intents[rival], "c");
        assert!((odds - 4.5).abs() < 1e-4 && (verdict.suspicion - (1.0 - (0.002_f32 / 1.01).sqrt())).abs() < 1e-6);
    }
}
