//! BM25 word vectors, by the tokenizer of Qdrant's engine.
//!
//! The vectors of examples carry the saturated term frequency; a search multiplies them by the inverse
//! document frequency (Robertson and Zaragoza 2009).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::example::SparseVector;

#[cfg(feature = "embedded")]
mod words;
#[cfg(not(feature = "embedded"))]
#[path = "bm25/no_words.rs"]
mod words;

use words::Words;

/// Words that more examples than this have, and more than a fiftieth of all, are not searched for. Their
/// lists would make a search as slow as a walk through the store, and they tell the least.
const WORD_EXAMPLES: usize = 20_000;
const WORD_SHARE: usize = 50;

/// How words become a sparse vector. Kept in the store's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bm25Settings {
    /// Average length of a ticket in tokens, measured when the store is built.
    pub average_length: f64,
    /// Saturation of the term frequency.
    pub k1: f64,
    /// How much the length of a text lowers its score, 0 to 1.
    pub b: f64,
    /// Indices of the words that are too frequent to be searched for, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frequent: Vec<u32>,
}

impl Default for Bm25Settings {
    fn default() -> Self {
        Self { average_length: 30.0, k1: 1.2, b: 0.75, frequent: Vec::new() }
    }
}

impl Bm25Settings {
    /// The settings for these texts. Their average length and their frequent words are measured.
    pub fn measured<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        Self::measured_with(texts, |examples| WORD_EXAMPLES.max(examples / WORD_SHARE))
    }

    /// The settings for these texts. `limit` is given the number of examples, and returns how many of them
    /// may have a word that is searched for.
    pub fn measured_with<'a>(texts: impl IntoIterator<Item = &'a str>, limit: impl Fn(usize) -> usize) -> Result<Self> {
        // With b = 0 and no saturation an entry's weight is its count, whatever the length.
        let counter = Bm25::new(&Self { k1: 1e9, b: 0.0, ..Self::default() })?;
        let (mut tokens, mut count) = (0.0_f64, 0_usize);
        let mut having: HashMap<u32, usize> = HashMap::new();
        for text in texts {
            let words = counter.document(text);
            tokens += words.values.iter().map(|&value| f64::from(value)).sum::<f64>();
            count += 1;
            for index in words.indices {
                *having.entry(index).or_default() += 1;
            }
        }
        let limit = limit(count);
        let mut frequent: Vec<u32> =
            having.into_iter().filter(|&(_, having)| having > limit).map(|(index, _)| index).collect();
        frequent.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "there are fewer examples than 2^53")]
        let average_length = if tokens > 0.0 { tokens / count as f64 } else { Self::default().average_length };
        Ok(Self { average_length, frequent, ..Self::default() })
    }
}

/// Makes sparse vectors of texts in any language, Japanese included. Without the feature `embedded`,
/// every vector is empty, and examples are found by meaning alone.
#[derive(Debug)]
pub struct Bm25 {
    words: Words,
    frequent: Vec<u32>,
}

impl Bm25 {
    /// Whether texts have words at all: whether this was built with the feature `embedded`.
    pub const HAS_WORDS: bool = cfg!(feature = "embedded");

    /// Fails when a setting is out of its range, as in a damaged manifest.
    pub fn new(settings: &Bm25Settings) -> Result<Self> {
        Ok(Self { words: Words::new(settings)?, frequent: settings.frequent.clone() })
    }

    /// The vector of an example's text.
    #[must_use]
    pub fn document(&self, text: &str) -> SparseVector {
        self.words.document(text)
    }

    /// The vector of a text to search with. It leaves out frequent words.
    #[must_use]
    pub fn query(&self, text: &str) -> SparseVector {
        let vector = self.words.query(text);
        let is_searched = |index: &u32| self.frequent.binary_search(index).is_err();
        let (indices, values) =
            vector.indices.into_iter().zip(vector.values).filter(|(index, _)| is_searched(index)).unzip();
        SparseVector { indices, values }
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;

    #[test]
    fn the_average_length_counts_tokens() {
        let settings = Bm25Settings::measured(["parcel parcel printer", "laptop"]).unwrap();
        assert!((settings.average_length - 2.0).abs() < 0.01, "{settings:?}");
    }

    #[test]
    fn words_that_too_many_texts_have_are_not_searched_for() {
        let texts = ["my parcel", "my printer", "my my my laptop"];
        let settings = Bm25Settings::measured_with(texts, |_| 2).unwrap();
        assert_eq!(settings.frequent.len(), 1, "of the texts, not of its places: {settings:?}");
        let bm25 = Bm25::new(&settings).unwrap();
        assert_eq!(bm25.query("my parcel"), bm25.query("parcel"));
        assert_eq!(bm25.document("my parcel").indices.len(), 2, "stored all the same");
        assert_eq!(bm25.query("my"), SparseVector::default());
        assert!(Bm25Settings::measured(texts).unwrap().frequent.is_empty(), "there is no such word in a small store");
    }

    #[test]
    fn japanese_is_cut_into_words() {
        let bm25 = Bm25::new(&Bm25Settings::default()).unwrap();
        let (a, b) = (bm25.query("パスワードを忘れました"), bm25.document("パスワードを変更したい"));
        assert!(a.indices.iter().any(|index| b.indices.contains(index)), "{a:?} {b:?}");
    }

    #[test]
    fn words_are_taken_as_they_are() {
        let bm25 = Bm25::new(&Bm25Settings::default()).unwrap();
        assert_eq!(bm25.query("the printers").indices.len(), 2, "no stop words");
        assert_ne!(bm25.query("printers"), bm25.query("printer"), "no stemming");
        assert_eq!(bm25.query("Printer"), bm25.query("printer"));
    }

    #[test]
    fn a_text_without_words_has_an_empty_vector() {
        let bm25 = Bm25::new(&Bm25Settings::default()).unwrap();
        assert!(bm25.query("!!! 🙃").indices.is_empty());
    }
}
