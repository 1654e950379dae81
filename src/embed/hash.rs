//! An embedder without a model, for tests and examples.

use async_trait::async_trait;

use super::Embedder;
use crate::Result;

/// Length of the vectors.
const DIMENSION: usize = 256;
/// The weight of a word. Each of its pieces of three letters has the weight 1.
const WORD: f32 = 3.0;

/// Puts each word, and each three letters of it, at a place that a hash tells (Weinberger et al. 2009). Texts with the
/// same words are near each other; texts with other words are not, even if they mean the same. It is quick, needs no
/// model, and gives the same vectors everywhere. It is for tests, for examples, and to try the program out.
#[derive(Debug, Clone, Copy, Default)]
pub struct HashEmbedder;

impl HashEmbedder {
    /// Its name, also for `--embedder`.
    pub const NAME: &str = "hash";
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| vector(text)).collect())
    }
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    // Every text has a vector, also one without a word.
    add(&mut vector, &[], 0.01);
    let lower = text.to_lowercase();
    for word in lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(&mut vector, word.as_bytes(), WORD);
        let letters: Vec<char> = std::iter::once('<').chain(word.chars()).chain(std::iter::once('>')).collect();
        for piece in letters.windows(3) {
            add(&mut vector, piece.iter().collect::<String>().as_bytes(), 1.0);
        }
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

/// The place and the sign of a piece. Because of the signs, two pieces on one place do not always add up.
fn add(vector: &mut [f32], bytes: &[u8], weight: f32) {
    // FNV-1a, which unlike the standard library's hash is the same in every release.
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let place = usize::from(hash.to_be_bytes()[7]);
    vector[place] += if hash >> 63 == 0 { weight } else { -weight };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::cosine;

    #[test]
    fn texts_with_the_same_words_are_near_each_other() {
        let [text, other_form, other_words] =
            ["Where is my parcel?", "my PARCELS, where are they", "The printer is on fire"].map(vector);
        assert!((cosine(&text, &text) - 1.0).abs() < 1e-5);
        assert!(cosine(&text, &other_form) > 0.4, "{}", cosine(&text, &other_form));
        assert!(cosine(&text, &other_words) < 0.3, "{}", cosine(&text, &other_words));
    }

    #[test]
    fn every_text_has_a_vector_of_unit_length() {
        for text in ["", "\u{1f642}", "a", "注文はどこですか", "Grüße"] {
            let length = vector(text).iter().map(|x| x * x).sum::<f32>();
            assert!((length - 1.0).abs() < 1e-5, "{text:?}: {length}");
        }
    }
}
