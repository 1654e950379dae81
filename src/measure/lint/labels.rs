//! Examples whose label is doubtful: neighbours and probe disagree, or a near-duplicate does.

use std::collections::HashMap;

use super::judge::Judged;
use super::{Corpus, Kind, Suggestion, percent};
use crate::stages::select::is_near_text;

/// The most doubtful first; each example at most once.
pub(super) fn doubtful(corpus: &Corpus, judged: &Judged) -> Vec<Suggestion> {
    let twins = twins(corpus, judged);
    let mut found: Vec<(f32, Suggestion)> = (0..corpus.len())
        .filter_map(|position| {
            let suggestion = match twins.get(&position) {
                Some(&twin) => conflict(corpus, judged, position, twin),
                None => mislabelled(corpus, judged, position)?,
            };
            Some((judged.verdicts[position].rival.map_or(0.0, |(_, odds)| odds), suggestion))
        })
        .collect();
    // Without a probe many examples are equally suspicious; how clearly another label wins tells them apart.
    found.sort_by(|(a_odds, a), (b_odds, b)| b.score.total_cmp(&a.score).then(b_odds.total_cmp(a_odds)));
    found.into_iter().map(|(_, suggestion)| suggestion).collect()
}

fn mislabelled(corpus: &Corpus, judged: &Judged, position: usize) -> Option<Suggestion> {
    // No other example could have voted for the only one of its intent.
    let rival = judged.verdicts[position].beaten_by().filter(|_| !corpus.is_alone(position))?;
    let suggested = &corpus.intents[rival];
    let message = format!("{}; {suggested:?} has more", standing(corpus, judged, position));
    Some(on(corpus, judged, Kind::Mislabelled, position, suggested, message))
}

fn conflict(corpus: &Corpus, judged: &Judged, position: usize, twin: usize) -> Suggestion {
    let (id, label) = (&corpus.examples[twin].labelled.ticket.id, corpus.intent(twin));
    let rival = judged.verdicts[position].beaten_by();
    let suggested = rival.map_or(label, |rival| &corpus.intents[rival]);
    let message = format!("{}; {id:?} says nearly the same and is {label:?}", standing(corpus, judged, position));
    let suggestion = on(corpus, judged, Kind::Conflict, position, suggested, message);
    Suggestion { near_duplicate: Some(id.clone()), ..suggestion }
}

fn on(corpus: &Corpus, judged: &Judged, kind: Kind, position: usize, suggested: &str, message: String) -> Suggestion {
    let score = judged.verdicts[position].suspicion;
    Suggestion::on_example(kind, &corpus.examples[position], suggested, score, message)
}

fn standing(corpus: &Corpus, judged: &Judged, position: usize) -> String {
    let verdict = &judged.verdicts[position];
    let probe = verdict.probability.map(|p| format!(" and {} by the probe", percent(p))).unwrap_or_default();
    let intent = corpus.intent(position);
    format!("its label {intent:?} has {} of its neighbours' vote{probe}", percent(verdict.vote))
}

/// Near-duplicates with different labels: the more doubtful example of each pair, and the least
/// doubtful of the others. They are looked for among the nearest neighbours.
fn twins(corpus: &Corpus, judged: &Judged) -> HashMap<usize, usize> {
    let suspicion = |position: usize| judged.verdicts[position].suspicion;
    let more_doubtful = |a: usize, b: usize| suspicion(a).total_cmp(&suspicion(b)).then(a.cmp(&b)).is_gt();
    let mut twins: HashMap<usize, usize> = HashMap::new();
    for (position, near) in judged.neighbours.iter().enumerate() {
        for other in near.iter().filter(|other| corpus.labels[other.position] != corpus.labels[position]) {
            if !is_near_text(other.cosine, corpus.text(position), corpus.text(other.position)) {
                continue;
            }
            let (a, b) = (position, other.position);
            let (doubtful, twin) = if more_doubtful(a, b) { (a, b) } else { (b, a) };
            let known = twins.entry(doubtful).or_insert(twin);
            if more_doubtful(*known, twin) {
                *known = twin;
            }
        }
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::lint::corpus::tests::at;
    use crate::measure::lint::judge::judge;

    fn found(placed: &[(&str, f32)]) -> Vec<Suggestion> {
        let corpus = at(placed);
        doubtful(&corpus, &judge(&corpus, &|_, _| {}).unwrap())
    }

    #[test]
    fn a_near_duplicate_with_another_label_is_one_conflict_about_the_more_doubtful_of_the_two() {
        // A degree apart is a cosine of 0.9998, fifteen degrees is one of 0.966.
        let near = [("a", 0.0), ("b", 1.0), ("a", 16.0), ("a", -16.0), ("a", 18.0), ("a", -18.0)];
        let found = found(&[&near[..], &[("b", 120.0), ("b", 140.0)]].concat());
        let pairs: Vec<_> = found.iter().map(|s| (s.kind, s.id.as_deref(), s.near_duplicate.as_deref())).collect();
        assert_eq!(pairs, [(Kind::Conflict, Some("1"), Some("0"))]);
        assert_eq!(found[0].suggested.as_deref(), Some("a"));
    }

    #[test]
    fn the_only_example_of_an_intent_is_not_called_mislabelled() {
        assert_eq!(found(&[("a", 0.0), ("a", 20.0), ("a", 40.0), ("only", 60.0)]), []);
        let two = found(&[("a", 0.0), ("a", 20.0), ("a", 40.0), ("two", 60.0), ("two", 170.0)]);
        assert!(two.iter().any(|s| s.kind == Kind::Mislabelled && s.intent == "two"), "{two:?}");
    }
}
