//! Trains the probe from a store, and finds out whether it helps.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::fit;
use crate::data::probe::{Header, Probe, VERSION};
use crate::data::taxonomy::{Intent, Taxonomy};
use crate::embed::{Embedder, embed_checked};
use crate::stages::rank::{VOTERS, product, shares};
use crate::stages::unknown::familiarity;
use crate::statistics::cosine;
use crate::statistics::{percentile, real};
use crate::store::{ExampleStore, PROBE_BLOB, Pages};
use crate::{Error, Result};

/// With fewer examples, or fewer for each intent, no probe is trained: the neighbours know as much.
pub(super) const MIN_EXAMPLES: usize = 200;
const MIN_PER_INTENT: usize = 4;
/// The probe is trained again when this share of the examples has changed.
const STALE_SHARE: f64 = 0.1;
/// The description of an intent counts as so many examples of it.
const DESCRIPTION_WEIGHT: usize = 8;
/// One example in this many is held out to see whether the probe helps.
const HELD_OUT: usize = 5;
/// The most examples that are held out.
const MAX_HELD_OUT: usize = 1_000;
/// The share of the held-out examples that lie below the floor of novelty. Far fewer new tickets lie below
/// it, because they have all examples to resemble.
const UNKNOWN_SHARE: f64 = 0.05;

/// What training took and found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TrainedProbe {
    /// Examples that it learned from.
    pub examples: usize,
    /// Intents that it knows.
    pub intents: usize,
    /// Seconds.
    pub seconds: f64,
    /// Accuracy of the neighbours' vote on a held-out fifth.
    pub neighbours_accuracy: f64,
    /// Accuracy of vote and probe together on that fifth.
    pub accuracy: f64,
    /// Whether the probe is used.
    pub useful: bool,
}

/// Trains the store's probe where there is none yet, or where enough has changed; `None` when it did not.
/// `taxonomy` is the store's own, if it has one.
pub async fn refresh(
    store: &dyn ExampleStore,
    embedder: &dyn Embedder,
    taxonomy: Option<&Taxonomy>,
    changed_in_place: usize,
) -> Result<Option<TrainedProbe>> {
    let intents = store.intents().await?;
    let stored: usize = intents.iter().map(|(_, count)| count).sum();
    let header = store.blob(PROBE_BLOB).await?.and_then(|bytes| Header::read(&bytes));
    let knows = |header: &Header, intent: &str| header.classes.iter().any(|class| class == intent);
    let is_fresh = header.as_ref().is_some_and(|header| {
        let changed = changed_in_place.saturating_sub(header.changed_in_place);
        header.version == VERSION
            && real(changed) < STALE_SHARE * real(stored)
            && intents.iter().all(|(intent, _)| {
                knows(header, intent)
                    || taxonomy.is_some_and(|t| header.classes.iter().any(|c| t.resolve(c) == t.resolve(intent)))
            })
    });
    if is_fresh || !is_enough(stored, intents.len()) {
        return Ok(None);
    }
    let own_name = |label: String| match taxonomy {
        Some(taxonomy) => taxonomy.resolve(&label).map(str::to_owned),
        None => Some(label),
    };
    let mut examples = Vec::with_capacity(stored);
    let mut pages = Pages::of(store, true);
    while let Some(page) = pages.next().await? {
        examples.extend(
            page.into_iter().filter_map(|stored| Some((own_name(stored.example.labelled.intent)?, stored.dense?))),
        );
    }
    let described = describe(embedder, taxonomy).await?;
    let trained = tokio::task::spawn_blocking(move || train(&examples, &described))
        .await
        .map_err(|e| Error::internal(format!("training the probe stopped: {e}")))??;
    let Some((mut probe, outcome)) = trained else { return Ok(None) };
    probe.header.changed_in_place = changed_in_place;
    store.put_blob(PROBE_BLOB, probe.to_bytes()?).await?;
    Ok(Some(outcome))
}

/// The vectors of the intents' descriptions.
async fn describe(embedder: &dyn Embedder, taxonomy: Option<&Taxonomy>) -> Result<Vec<(String, Vec<f32>)>> {
    let intents = taxonomy.map(|taxonomy| taxonomy.intents.as_slice()).unwrap_or_default();
    // The description of the fallback says what its tickets are not.
    let is_told = |intent: &&Intent| {
        !intent.description.is_empty() && taxonomy.is_some_and(|taxonomy| !taxonomy.is_fallback(&intent.name))
    };
    let described: Vec<_> = intents.iter().filter(is_told).collect();
    let text = |intent: &Intent| format!("{}: {}", intent.name.replace('_', " "), intent.description);
    let vectors = embed_checked(embedder, described.iter().map(|intent| text(intent)).collect()).await?;
    Ok(described.into_iter().map(|intent| intent.name.clone()).zip(vectors).collect())
}

pub(super) fn is_enough(examples: usize, intents: usize) -> bool {
    examples >= MIN_EXAMPLES && intents >= 2 && examples >= MIN_PER_INTENT * intents
}

/// Vectors with the positions of their classes.
#[derive(Default)]
struct Rows {
    vectors: Vec<f32>,
    labels: Vec<usize>,
}

impl Rows {
    fn push(&mut self, vector: &[f32], label: usize) {
        self.vectors.extend_from_slice(vector);
        self.labels.push(label);
    }
}

/// Trains on labelled vectors of unit length. `described` are the vectors of descriptions. `None` when
/// there are too few examples.
pub fn train(
    examples: &[(String, Vec<f32>)],
    described: &[(String, Vec<f32>)],
) -> Result<Option<(Probe, TrainedProbe)>> {
    let begun = Instant::now();
    let classes: Vec<&str> = examples
        .iter()
        .chain(described)
        .map(|(intent, _)| intent.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let with_examples = examples.iter().map(|(intent, _)| intent).collect::<BTreeSet<_>>().len();
    if !is_enough(examples.len(), with_examples) {
        return Ok(None);
    }
    let dimension = examples[0].1.len();
    let class_of: HashMap<&str, usize> =
        classes.iter().enumerate().map(|(position, class)| (*class, position)).collect();
    let label = |intent: &str| class_of[intent];

    // By intent and in turns, so that every intent keeps its share.
    let affordable = fit::affordable_rows(dimension, classes.len()).max(MIN_EXAMPLES);
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&position| label(&examples[position].0));
    let used = fit::spread(&order, affordable);

    let rows = |chosen: &mut dyn Iterator<Item = usize>| {
        let mut rows = Rows::default();
        for position in chosen {
            let (intent, vector) = &examples[position];
            rows.push(vector, label(intent));
        }
        for (intent, vector) in described {
            (0..DESCRIPTION_WEIGHT).for_each(|_| rows.push(vector, label(intent)));
        }
        rows
    };
    let is_held_out = |place: &usize| place % HELD_OUT == HELD_OUT / 2;
    let all = rows(&mut used.iter().copied());
    let part =
        rows(&mut used.iter().enumerate().filter(|(place, _)| !is_held_out(place)).map(|(_, &position)| position));
    let fit = |rows: Rows| fit::fit(rows.vectors, rows.labels, dimension, classes.len());
    let (weights, part) = std::thread::scope(|scope| {
        let other = scope.spawn(|| fit(part));
        let weights = fit(all);
        (weights, other.join().unwrap_or_else(|_| Err(Error::internal("training the probe stopped"))))
    });

    let names: Vec<Option<String>> = classes.iter().map(|&class| Some(class.to_owned())).collect();
    let header = Header {
        classes: classes.into_iter().map(str::to_owned).collect(),
        dimension,
        useful: true,
        familiarity_floor: f32::MIN,
        examples: examples.len(),
        changed_in_place: 0,
        version: VERSION,
    };
    let part = Probe { header, names, weights: part? };
    let (held_out, kept): (Vec<_>, Vec<_>) = used.iter().enumerate().partition(|(place, _)| is_held_out(place));
    let trials = trials(examples, &held_out, &kept, &part);
    let share = |right: usize| real(right) / real(trials.len().max(1));
    let alone = trials.iter().filter(|trial| trial.is_right(|(share, _)| share)).count();
    let together = trials.iter().filter(|trial| trial.is_right(|(share, p)| product(share, p))).count();
    let outcome = TrainedProbe {
        examples: used.len(),
        intents: part.names.len(),
        seconds: begun.elapsed().as_secs_f64(),
        neighbours_accuracy: share(alone),
        accuracy: share(together),
        // A few hundred trials cannot tell a difference of a point, and nearly always the probe helps.
        useful: together * 100 >= alone * 99,
    };
    let mut familiar: Vec<f64> = trials.iter().map(|trial| f64::from(trial.familiarity())).collect();
    familiar.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, reason = "it was one before")]
    let familiarity_floor = percentile(&familiar, UNKNOWN_SHARE) as f32;
    let header = Header { useful: outcome.useful, familiarity_floor, ..part.header };
    Ok(Some((Probe { header, weights: weights?, ..part }, outcome)))
}

/// A held-out example: for each intent in question the vote's share and the probe's
/// probability, and which intent is right.
struct Trial {
    intents: Vec<(f32, f32)>,
    right: usize,
    nearest: f32,
}

impl Trial {
    fn is_right(&self, standing: impl Fn((f32, f32)) -> f32) -> bool {
        self.best(standing).is_some_and(|position| position == self.right)
    }

    fn best(&self, standing: impl Fn((f32, f32)) -> f32) -> Option<usize> {
        let standings = self.intents.iter().map(|&both| standing(both));
        standings.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(position, _)| position)
    }

    fn familiarity(&self) -> f32 {
        let best = self.best(|(share, p)| product(share, p)).map_or((0.0, 0.0), |position| self.intents[position]);
        familiarity(f32::midpoint(best.0, best.1), self.nearest)
    }
}

/// Exact search by cosine among what was kept.
fn trials(
    examples: &[(String, Vec<f32>)],
    held_out: &[(usize, &usize)],
    kept: &[(usize, &usize)],
    probe: &Probe,
) -> Vec<Trial> {
    let step = held_out.len().div_ceil(MAX_HELD_OUT).max(1);
    held_out
        .iter()
        .step_by(step)
        .map(|&(_, &position)| {
            let (intent, vector) = &examples[position];
            let mut nearest: Vec<(&str, f32)> = kept
                .iter()
                .map(|&(_, &other)| (examples[other].0.as_str(), cosine(&examples[other].1, vector)))
                .collect();
            let kept = VOTERS.min(nearest.len());
            nearest.select_nth_unstable_by(kept - 1, |a, b| b.1.total_cmp(&a.1));
            nearest.truncate(kept);
            nearest.sort_by(|a, b| b.1.total_cmp(&a.1));
            let best_cosine = nearest.first().map_or(0.0, |(_, cosine)| *cosine);
            let votes = shares(nearest);
            let share_of =
                |intent: &str| votes.iter().find(|(voted, _)| *voted == intent).map_or(0.0, |(_, share)| *share);
            let opinion = probe.probabilities(vector);
            let right = opinion.iter().position(|(known, _)| known == intent).unwrap_or(usize::MAX);
            let intents = opinion.iter().map(|(intent, p)| (share_of(intent), *p)).collect();
            Trial { intents, right, nearest: best_cosine }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples around one direction for each of four intents.
    fn examples(n: usize) -> Vec<(String, Vec<f32>)> {
        (0..n)
            .map(|i| {
                let mut vector = vec![0.1; 8];
                vector[i % 4] = 1.0;
                vector[4 + (i / 4) % 4] = 0.3;
                let length = cosine(&vector, &vector).sqrt();
                (format!("intent {}", i % 4), vector.into_iter().map(|x| x / length).collect())
            })
            .collect()
    }

    #[test]
    fn it_learns_directions_and_survives_being_stored() {
        let (probe, outcome) = train(&examples(400), &[]).unwrap().unwrap();
        assert_eq!((outcome.examples, outcome.intents, outcome.useful), (400, 4, true));
        assert!(outcome.accuracy > 0.99, "{outcome:?}");
        let vector = &examples(8)[6].1;
        let opinion = probe.probabilities(vector);
        let (best, p) = opinion.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(*best, "intent 2");
        assert!(*p > 0.9, "{opinion:?}");

        let bytes = probe.to_bytes().unwrap();
        let mut taxonomy = Taxonomy::from_labels((0..4).map(|i| format!("intent {i}")));
        let stored = Probe::from_bytes(&bytes, &taxonomy).unwrap();
        assert_eq!(stored.probabilities(vector), opinion);
        // Two intents that were merged share a probability, one that is gone has none.
        taxonomy.intents.retain(|intent| intent.name != "intent 0");
        taxonomy.intents[0].aliases = vec!["intent 2".into()];
        taxonomy.intents.retain(|intent| intent.name != "intent 2");
        let taxonomy = Taxonomy::from_json(&serde_json::to_vec(&taxonomy).unwrap()).unwrap();
        let merged = Probe::from_bytes(&bytes, &taxonomy).unwrap();
        let names: Vec<&str> = merged.probabilities(vector).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["intent 1", "intent 3"]);
        assert!(merged.probabilities(vector)[0].1 > 0.9);
        assert!(Probe::from_bytes(&bytes[..bytes.len() - 4], &taxonomy).is_err(), "cut off");
    }

    #[test]
    fn too_few_examples_have_no_probe() {
        assert!(train(&examples(MIN_EXAMPLES - 1), &[]).unwrap().is_none());
        let lonely: Vec<_> =
            examples(400).into_iter().enumerate().map(|(i, (_, v))| (format!("{}", i / 3), v)).collect();
        assert!(train(&lonely, &[]).unwrap().is_none(), "three examples for each intent");
    }

    #[test]
    fn what_is_written_about_an_intent_without_examples_is_learned_too() {
        let mut vector = vec![0.0; 8];
        vector[7] = 1.0;
        let (probe, _) = train(&examples(400), &[("new".to_owned(), vector.clone())]).unwrap().unwrap();
        let opinion = probe.probabilities(&vector);
        assert_eq!(opinion.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0, "new", "{opinion:?}");
    }
}
