//! The examples and blobs of a store in memory, and the search among them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::matcher::Matcher;
use crate::data::example::{Example, Point, SparseVector, StoredExample};
use crate::statistics::cosine;
use crate::store::{Hit, Hits, Query};
use crate::{Error, Result};

/// Cheap enough to copy: examples and vectors are shared with the copy.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    number: u64,
    dimension: usize,
    examples: BTreeMap<Uuid, Kept>,
    /// How many examples there are, and how many have each word. As in Qdrant's engine, removed examples are counted
    /// until the next generation; otherwise the scores would differ.
    counted: usize,
    having: HashMap<u32, usize>,
    blobs: BTreeMap<String, Arc<[u8]>>,
}

#[derive(Debug, Clone)]
struct Kept {
    example: Arc<Example>,
    dense: Arc<[f32]>,
    sparse: Arc<SparseVector>,
}

impl Generation {
    pub(super) fn new(number: u64, dimension: usize) -> Self {
        let (examples, having, blobs) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        Self { number, dimension, examples, counted: 0, having, blobs }
    }

    /// The same, as the successor of another generation.
    pub(super) fn after(self, other: &Self) -> Self {
        Self { number: other.number + 1, ..self }
    }

    pub(super) fn name(&self) -> String {
        format!("generation-{}", self.number)
    }

    /// An example and its dense vector.
    pub(super) fn get(&self, key: Uuid) -> Option<(&Arc<Example>, &[f32])> {
        self.examples.get(&key).map(|kept| (&kept.example, kept.dense.as_ref()))
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn len(&self) -> usize {
        self.examples.len()
    }

    pub(super) fn upsert(&mut self, points: Vec<Point>) -> Result<()> {
        for point in &points {
            self.check(&point.dense)?;
        }
        for Point { example, dense, sparse } in points {
            for index in &sparse.indices {
                *self.having.entry(*index).or_default() += 1;
            }
            let kept = Kept { example: Arc::new(example), dense: dense.into(), sparse: Arc::new(sparse) };
            match self.examples.insert(kept.example.key, kept) {
                None => self.counted += 1,
                Some(replaced) => self.discount(&replaced),
            }
        }
        Ok(())
    }

    /// Takes the words of an example that was replaced out of the count.
    fn discount(&mut self, replaced: &Kept) {
        for index in &replaced.sparse.indices {
            if let Some(count) = self.having.get_mut(index) {
                *count -= 1;
            }
        }
    }

    fn check(&self, vector: &[f32]) -> Result<()> {
        if vector.len() == self.dimension {
            return Ok(());
        }
        Err(Error::store(format!(
            "the store in memory takes vectors of {} numbers and was given one of {}",
            self.dimension,
            vector.len()
        )))
    }

    pub(super) fn update(&mut self, examples: Vec<Example>) {
        for example in examples {
            if let Some(kept) = self.examples.get_mut(&example.key) {
                kept.example = Arc::new(example);
            }
        }
    }

    pub(super) fn relabel(&mut self, from: &str, to: &str) -> usize {
        let mut count = 0;
        for kept in self.examples.values_mut().filter(|kept| kept.example.labelled.intent == from) {
            to.clone_into(&mut Arc::make_mut(&mut kept.example).labelled.intent);
            count += 1;
        }
        count
    }

    pub(super) fn delete(&mut self, keys: &[Uuid]) {
        for key in keys {
            self.examples.remove(key);
        }
    }

    pub(super) fn page(
        &self,
        start: Option<Uuid>,
        limit: usize,
        with_vectors: bool,
    ) -> (Vec<StoredExample>, Option<Uuid>) {
        let mut rest = self.examples.range(start.unwrap_or(Uuid::nil())..);
        let stored = |(_, kept): (&Uuid, &Kept)| StoredExample {
            example: kept.example.as_ref().clone(),
            dense: with_vectors.then(|| kept.dense.to_vec()),
        };
        let page = rest.by_ref().take(limit).map(stored).collect();
        (page, rest.next().map(|(key, _)| *key))
    }

    pub(super) fn intents(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for kept in self.examples.values() {
            *counts.entry(&kept.example.labelled.intent).or_default() += 1;
        }
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    pub(super) fn blob(&self, name: &str) -> Option<Vec<u8>> {
        self.blobs.get(name).map(|content| content.to_vec())
    }

    pub(super) fn put_blob(&mut self, name: &str, content: Vec<u8>) {
        self.blobs.insert(name.to_owned(), content.into());
    }

    pub(super) fn query(&self, query: &Query) -> Result<Hits> {
        self.check(&query.dense)?;
        let matcher = Matcher::new(&query.filter)?;
        let excluded: HashSet<&Uuid> = query.exclude.iter().collect();
        let weights = self.weights(&query.sparse);
        let (mut dense, mut sparse) = (Vec::new(), Vec::new());
        for (key, kept) in &self.examples {
            if excluded.contains(key) || !matcher.passes(&kept.example) {
                continue;
            }
            dense.push((cosine(&query.dense, &kept.dense), kept));
            sparse.extend(score(&weights, &kept.sparse).map(|score| (score, kept)));
        }
        Ok(Hits { dense: best(dense, query.limit), sparse: best(sparse, query.limit) })
    }

    /// The query's words, weighed with their inverse document frequency in the form that Qdrant uses, which is
    /// never negative.
    #[expect(clippy::cast_precision_loss, reason = "the engine counts in this precision too")]
    fn weights(&self, words: &SparseVector) -> HashMap<u32, f32> {
        let all = self.counted as f32;
        let weight = |(index, weight): (&u32, &f32)| {
            let having = self.having.get(index).copied().unwrap_or_default() as f32;
            (*index, weight * ((all - having + 0.5) / (having + 0.5) + 1.0).ln())
        };
        words.indices.iter().zip(&words.values).map(weight).collect()
    }
}

/// The BM25 score; `None` for an example with none of the words.
fn score(weights: &HashMap<u32, f32>, words: &SparseVector) -> Option<f32> {
    if weights.is_empty() {
        return None;
    }
    let shared = words.indices.iter().zip(&words.values).filter_map(|(index, value)| Some(weights.get(index)? * value));
    shared.reduce(|sum, part| sum + part)
}

/// The hits with the highest scores, best first; equal ones in the order of their keys.
fn best(mut found: Vec<(f32, &Kept)>, limit: usize) -> Vec<Hit> {
    let order = |(a, x): &(f32, &Kept), (b, y): &(f32, &Kept)| b.total_cmp(a).then(x.example.key.cmp(&y.example.key));
    if limit < found.len() {
        found.select_nth_unstable_by(limit, order);
        found.truncate(limit);
    }
    found.sort_unstable_by(order);
    let hit = |(score, kept): (f32, &Kept)| Hit {
        example: Arc::clone(&kept.example),
        vector: Arc::clone(&kept.dense),
        score,
    };
    found.into_iter().map(hit).collect()
}
