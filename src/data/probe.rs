//! A second opinion without a model call: multinomial logistic regression on the dense
//! vectors of the stored examples, trained by [`learn::probe`](crate::learn::probe) and kept in the store.
//!
//! It has seen every example, so it must never be measured on one.

use serde::{Deserialize, Serialize};

use super::taxonomy::Taxonomy;
use crate::statistics::{cosine, softmax};
use crate::{Error, Result};

/// A linear classifier over embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub(crate) header: Header,
    /// The intents' own names by the taxonomy; `None` for one that it no longer has.
    pub(crate) names: Vec<Option<String>>,
    /// One row of `dimension` numbers for each class, then the classes' biases.
    pub(crate) weights: Vec<f32>,
}

/// What stands before the numbers in the stored form, as one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) classes: Vec<String>,
    pub(crate) dimension: usize,
    /// Whether vote and probe together did no worse than the vote alone on what was held out.
    pub(crate) useful: bool,
    /// How many examples there were when it was trained.
    pub(crate) examples: usize,
    /// Below this familiarity a ticket is unlike everything seen.
    #[serde(default)]
    pub(crate) familiarity_floor: f32,
    /// What the manifest said then of changes in place.
    pub(crate) changed_in_place: usize,
    /// Of the settings that it was trained with.
    pub(crate) version: u32,
}

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes.split(|&byte| byte == b'\n').next()?).ok()
    }
}

/// Of the training procedure; another one means training again.
pub(crate) const VERSION: u32 = 2;

impl Probe {
    /// Reads the stored form and puts its classes under the names of the taxonomy.
    pub fn from_bytes(bytes: &[u8], taxonomy: &Taxonomy) -> Result<Self> {
        let damaged = || Error::store("the store's probe cannot be read; index again, which trains a new one");
        let header = Header::read(bytes).ok_or_else(damaged)?;
        let numbers = bytes.iter().position(|&byte| byte == b'\n').map_or(&[][..], |end| &bytes[end + 1..]);
        let weights: Vec<f32> = numbers.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
        if weights.len() != header.classes.len() * (header.dimension + 1) {
            return Err(damaged());
        }
        let names = header.classes.iter().map(|class| taxonomy.resolve(class).map(str::to_owned)).collect();
        Ok(Self { header, names, weights })
    }

    /// The stored form: a line of JSON, then 32-bit numbers, least byte first.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(&self.header)
            .map_err(|e| Error::internal(format!("the probe cannot be written: {e}")))?;
        bytes.push(b'\n');
        bytes.extend(self.weights.iter().flat_map(|number| number.to_le_bytes()));
        Ok(bytes)
    }

    /// Whether vote and probe together did no worse than the vote alone when it was trained.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.header.useful
    }

    /// Below this [`familiarity`](crate::stages::unknown::familiarity) a ticket is unlike everything seen.
    #[must_use]
    pub fn familiarity_floor(&self) -> f32 {
        self.header.familiarity_floor
    }

    /// The probability of each intent that it knows; they add up to at most 1.
    #[must_use]
    pub fn probabilities(&self, vector: &[f32]) -> Vec<(&str, f32)> {
        let (rows, biases) = self.weights.split_at(self.header.classes.len() * self.header.dimension);
        let mut logits: Vec<f32> = rows
            .chunks_exact(self.header.dimension)
            .zip(biases)
            .map(|(row, bias)| cosine(row, vector) + bias)
            .collect();
        softmax(&mut logits);
        let mut opinion: Vec<(&str, f32)> = Vec::with_capacity(logits.len());
        for (name, value) in self.names.iter().zip(logits) {
            let Some(name) = name.as_deref() else { continue };
            match opinion.iter_mut().find(|(known, _)| *known == name) {
                // Merged intents share a name.
                Some((_, p)) => *p += value,
                None => opinion.push((name, value)),
            }
        }
        opinion
    }
}
