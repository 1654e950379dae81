//! How Qdrant keeps the examples. Settings take effect when a generation is built.

use serde::{Deserialize, Serialize};

/// The vectors of an example: of its meaning, and of its words.
pub(super) const DENSE: &str = "dense";
pub(super) const SPARSE: &str = "bm25";

/// Fields with an index, for filters and facets. Attributes are looked through without one.
pub(super) const KEYWORD_FIELDS: [&str; 4] = ["intent", "source", "language", "requester"];
pub(super) const TIME_FIELD: &str = "created_at";

/// Beam width of the graph search. It is wide, because a missed neighbour is a missed example. Twice the width found
/// nothing more at 100,000 examples.
pub(super) const SEARCH_BEAM: u16 = 128;
/// The beam has this width up to so many examples.
const BEAM_EXAMPLES: usize = 100_000;
/// Edges of a node of the graph, and the beam width when it is built.
pub(super) const GRAPH: (u16, u16) = (16, 200);

/// How many times as many hits as asked for are taken from a smaller copy of the vectors.
pub(super) const OVERSAMPLING: f64 = 2.0;
/// The share of the numbers that a smaller copy tells apart. More extreme ones are cut off.
pub(super) const QUANTILE: f32 = 0.99;

/// The beam width in a folder, where so many examples are in one graph: 2.5 times as much for ten times as
/// many. At 1,000,000 a beam of 128 found 96 % of the ten nearest, wider ones 97.5 to 98 %. A
/// server has several graphs, and searches each.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small")]
pub(super) fn beam(examples: usize) -> usize {
    let times = examples.max(BEAM_EXAMPLES) as f64 / BEAM_EXAMPLES as f64;
    (f64::from(SEARCH_BEAM) * times.powf(2.5_f64.log10())) as usize
}

/// The table `[qdrant]` of `ticket-router.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectionSettings {
    /// How many shards a server divides the examples into; a folder has one.
    pub shards: u32,
    /// On how many nodes of a cluster each shard is kept.
    pub replication_factor: u32,
    /// How many of these nodes must have written before a write counts as done.
    pub write_consistency: u32,
    /// Whether the full vectors stay on disk and are read when they are used; in a folder, the texts and the indices of
    /// their fields too.
    pub vectors_on_disk: bool,
    /// A smaller copy of the vectors in memory. Its hits are scored again with the full vectors.
    pub quantization: Quantization,
}

/// The kind of the smaller copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// There is none.
    #[default]
    None,
    /// One byte for each number: a quarter of the memory.
    Scalar,
}

impl Default for CollectionSettings {
    fn default() -> Self {
        Self {
            shards: 1,
            replication_factor: 1,
            write_consistency: 1,
            vectors_on_disk: false,
            quantization: Quantization::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beam_grows_beyond_100_000_examples() {
        let beams = [0, 10_000, 100_000, 1_000_000, 10_000_000].map(beam);
        assert_eq!(beams[..3], [128; 3]);
        assert!(beams[3].abs_diff(320) <= 1 && beams[4].abs_diff(800) <= 1, "{beams:?}");
        assert!((129..319).contains(&beam(300_000)));
    }
}
