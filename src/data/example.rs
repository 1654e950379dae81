//! Labelled tickets as a store keeps them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ticket::LabelledTicket;

/// A labelled ticket as a store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The point's id, see [`example_key`].
    #[serde(skip)]
    pub key: Uuid,
    /// The system it came from; empty unless `--source` was given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The ticket and its label.
    #[serde(flatten)]
    pub labelled: LabelledTicket,
    /// sha256 of the text. As long as it stays, the text is not embedded again.
    pub text_hash: String,
}

/// An example with its vectors, ready to be stored.
#[derive(Debug, Clone)]
pub struct Point {
    /// What is stored beside the vectors.
    pub example: Example,
    /// The dense vector: of unit length and of the embedder's dimension.
    pub dense: Vec<f32>,
    /// The BM25 weights of its words.
    pub sparse: SparseVector,
}

/// An example as it is read back. The sparse vector is not: it can always be made again from the text.
#[derive(Debug, Clone)]
pub struct StoredExample {
    /// The example.
    pub example: Example,
    /// Its dense vector, where it was asked for.
    pub dense: Option<Vec<f32>>,
}

/// The non-zero entries of a long vector: `values[i]` stands at `indices[i]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseVector {
    /// Positions, each at most once.
    pub indices: Vec<u32>,
    /// Weights.
    pub values: Vec<f32>,
}

/// The key of an example: UUIDv5 of its source and its ticket id, so that two systems with a
/// ticket "1" do not overwrite each other.
#[must_use]
pub fn example_key(source: &str, ticket_id: &str) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_7d0e_5b3c_4a57_9a53_27f1_60c4_90ab);
    Uuid::new_v5(&NAMESPACE, format!("{source}\u{0}{ticket_id}").as_bytes())
}
