//! All examples of a store with their vectors: what `lint` looks at.

use std::collections::HashMap;

use ndarray::Array2;

use crate::data::example::Example;
use crate::data::taxonomy::Taxonomy;
use crate::store::{ExampleStore, MANIFEST_BLOB, Manifest, Pages, taxonomy_of};
use crate::{Error, Result};

/// Labelled vectors. An example, its label and its vector stand at the same position.
pub struct Corpus {
    /// In the order of their keys, each with its intent's own name.
    pub(super) examples: Vec<Example>,
    /// One row of unit length for each example.
    pub(super) vectors: Array2<f32>,
    /// Positions in `intents`.
    pub(super) labels: Vec<usize>,
    /// The intents' names, also of those without examples.
    pub(super) intents: Vec<String>,
    /// How many examples each intent has.
    pub(super) counts: Vec<usize>,
    /// The intent for out-of-scope tickets, a position in `intents`.
    pub(super) fallback: Option<usize>,
    unlisted: usize,
}

impl Corpus {
    /// Reads a store. Examples whose intent the taxonomy does not list are left out and counted.
    pub async fn read(store: &dyn ExampleStore) -> Result<Self> {
        // Refuses what a newer version wrote.
        store.blob(MANIFEST_BLOB).await?.map(|bytes| Manifest::from_json(&bytes)).transpose()?;
        let taxonomy = taxonomy_of(store).await?;
        let mut examples = Vec::with_capacity(store.count().await?);
        let mut pages = Pages::of(store, true);
        while let Some(page) = pages.next().await? {
            for stored in page {
                let vector =
                    stored.dense.ok_or_else(|| Error::store("the store returned an example without its vector"))?;
                examples.push((stored.example, vector));
            }
        }
        Self::new(examples, &taxonomy)
    }

    /// A corpus of examples whose vectors have unit length and one dimension.
    pub fn new(examples: Vec<(Example, Vec<f32>)>, taxonomy: &Taxonomy) -> Result<Self> {
        let intents: Vec<String> = taxonomy.intents.iter().map(|intent| intent.name.clone()).collect();
        let positions: HashMap<&str, usize> =
            intents.iter().enumerate().map(|(position, name)| (name.as_str(), position)).collect();
        let (all, dimension) = (examples.len(), examples.first().map_or(0, |(_, vector)| vector.len()));
        let (mut kept, mut numbers, mut labels) = (Vec::with_capacity(all), Vec::new(), Vec::with_capacity(all));
        numbers.reserve_exact(all * dimension);
        for (mut example, vector) in examples {
            let Some(name) = taxonomy.resolve(&example.labelled.intent) else { continue };
            labels.push(positions[name]);
            name.clone_into(&mut example.labelled.intent);
            numbers.extend(vector);
            kept.push(example);
        }
        let vectors = Array2::from_shape_vec((kept.len(), dimension), numbers)
            .map_err(|_| Error::store("the store's vectors differ in length; index its files into a new store"))?;
        let mut counts = vec![0; intents.len()];
        for &label in &labels {
            counts[label] += 1;
        }
        let fallback = intents.iter().position(|intent| taxonomy.is_fallback(intent));
        Ok(Self { unlisted: all - kept.len(), examples: kept, vectors, labels, intents, counts, fallback })
    }

    /// How many examples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// How many were left out.
    #[must_use]
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// The systems that the examples came from, in alphabetical order.
    #[must_use]
    pub fn sources(&self) -> Vec<&str> {
        let mut sources: Vec<&str> = self.examples.iter().map(|example| example.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// Whether any other example has the label of this one, and so could speak for it.
    pub(super) fn is_alone(&self, position: usize) -> bool {
        self.counts[self.labels[position]] < 2
    }

    /// The name of its label.
    pub(super) fn intent(&self, position: usize) -> &str {
        &self.intents[self.labels[position]]
    }

    /// The id of its ticket.
    pub(super) fn id(&self, position: usize) -> &str {
        &self.examples[position].labelled.ticket.id
    }

    /// What the ticket says.
    pub(super) fn text(&self, position: usize) -> &str {
        &self.examples[position].labelled.ticket.text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::example::example_key;
    use crate::data::ticket::{LabelledTicket, Ticket};

    /// Examples at angles (in degrees) of the plane, with the labels that are given.
    pub(in crate::measure::lint) fn at(placed: &[(&str, f32)]) -> Corpus {
        let examples = placed.iter().enumerate().map(|(position, (intent, degrees))| {
            let mut ticket = Ticket::new(format!("text{position}"));
            ticket.id = format!("{position}");
            let example = Example {
                key: example_key("", &ticket.id),
                source: String::new(),
                text_hash: String::new(),
                labelled: LabelledTicket { ticket, intent: (*intent).to_owned(), reasoning: None },
            };
            (example, vec![degrees.to_radians().cos(), degrees.to_radians().sin()])
        });
        let taxonomy = Taxonomy::from_labels(placed.iter().map(|(intent, _)| (*intent).to_owned()));
        Corpus::new(examples.collect(), &taxonomy).unwrap()
    }

    #[test]
    fn examples_are_under_the_own_names_of_their_intents_and_unlisted_ones_are_left_out() {
        let toml = "[[intent]]\nname = \"a\"\naliases = [\"old a\"]\n[[intent]]\nname = \"empty\"";
        let taxonomy = Taxonomy::from_toml(toml, "t").unwrap();
        let placed = at(&[("old a", 0.0), ("A", 1.0), ("z", 2.0)]);
        let examples = placed.examples.into_iter().zip(placed.vectors.outer_iter().map(|row| row.to_vec()));
        let corpus = Corpus::new(examples.collect(), &taxonomy).unwrap();
        assert_eq!((corpus.len(), corpus.unlisted(), corpus.counts.as_slice()), (2, 1, &[2, 0][..]));
        assert!(corpus.examples.iter().all(|example| example.labelled.intent == "a"));
    }
}
