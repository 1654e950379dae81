//! What a store is, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::learn::transfer::CopyReport;
use crate::store::{Manifest, Quantization, StoreInfo};

/// What a copy did.
#[must_use]
pub fn copy_summary(done: &CopyReport, place: &str) -> String {
    let resumed = if done.resumed { ", the rest came with an earlier run" } else { "" };
    format!(
        "{place} holds {} examples; {} were copied now{resumed}\nchecked: both stores have the checksum {}\n",
        done.examples, done.copied, done.checksum
    )
}

/// A few lines on a store; `counts` are its examples and its intents, `blobs` their bytes.
#[must_use]
pub fn store_summary(
    info: &StoreInfo,
    manifest: Option<&Manifest>,
    counts: (usize, usize),
    blobs: &BTreeMap<&str, usize>,
    checksum: Option<&str>,
) -> String {
    let settings = &info.settings;
    let embedder = manifest.map_or("none: nothing was indexed yet", |manifest| &manifest.embedder);
    let vectors = if settings.vectors_on_disk { "on disk" } else { "in memory" };
    let smaller = match settings.quantization {
        Quantization::None => "",
        Quantization::Scalar => ", a scalar-quantized copy in memory",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("store", &info.location);
    line("engine", &format!("{}, in {}", info.engine, info.content));
    line("examples", &format!("{} of {} intents", counts.0, counts.1));
    line("embedder", &format!("{embedder}, {} numbers a vector", info.dimension));
    line("vectors", &format!("{vectors}{smaller}"));
    if (settings.shards, settings.replication_factor) != (1, 1) {
        let (copies, written) = (settings.replication_factor, settings.write_consistency);
        line("cluster", &format!("{} shards, {copies} copies of each, {written} written at once", settings.shards));
    }
    if let Some(bytes) = info.disk_bytes {
        #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
        line("disk", &format!("{:.1} MB", bytes as f64 / 1e6));
    }
    let blobs: Vec<String> = blobs.iter().map(|(name, bytes)| format!("{name} ({bytes} bytes)")).collect();
    line("beside it", &if blobs.is_empty() { "nothing".to_owned() } else { blobs.join(", ") });
    if let Some(checksum) = checksum {
        line("checksum", checksum);
    }
    text
}
