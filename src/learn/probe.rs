//! A second opinion without a model call: multinomial logistic regression on the dense
//! vectors of the stored examples, trained by `index` and kept in the store.
//!
//! It has seen every example, so it must never be measured on one.

use ndarray::ArrayViewMut1;
use serde::{Deserialize, Serialize};

use crate::data::taxonomy::Taxonomy;
use crate::{Error, Result};

mod fit;
mod folds;
mod train;

pub use folds::out_of_fold;
pub use train::{TrainedProbe, refresh, train};

/// A linear classifier over embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    header: Header,
    /// The intents' own names by the taxonomy; `None` for one that it no longer has.
    names: Vec<Option<String>>,
    /// One row of `dimension` numbers for each class, then the classes' biases.
    weights: Vec<f32>,
}

/// What stands before the numbers in the stored form, as one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    classes: Vec<String>,
    dimension: usize,
    /// Whether vote and probe together did no worse than the vote alone on what was held out.
    useful: bool,
    /// How many examples there were when it was trained.
    examples: usize,
    /// Below this familiarity a ticket is unlike everything seen.
    #[serde(default)]
    familiarity_floor: f32,
    /// What the manifest said then of changes in place.
    changed_in_place: usize,
    /// Of the settings that it was trained with.
    version: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes.split(|&byte| byte == b'\n').next()?).ok()
    }
}

/// Of the training procedure; another one means training again.
const VERSION: u32 = 2;

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
            .map(|(row, bias)| crate::embed::cosine(row, vector) + bias)
            .collect();
        fit::softmax(ArrayViewMut1::from(&mut logits));
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
