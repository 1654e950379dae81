//! Stores of a wanted size: of real texts by the library's own index run; beyond those, copies
//! of them with noise on their embeddings.

use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use ticket_router::cli::config;
use ticket_router::data::example::{Example, Point, StoredExample, example_key};
use ticket_router::data::ticket::text_hash;
use ticket_router::embed::{Bm25, Bm25Settings};
use ticket_router::store::{CollectionSettings, MANIFEST_BLOB, Manifest, PROBE_BLOB, Quantization, RebuildOptions};
use ticket_router::{Content as _, EdgeStore, Error, ExampleStore as _, FastEmbedder};

use super::data::Data;
use super::{Outcome, ours};

/// The length of the gaussian noise beside a vector of length 1: a copy has a cosine of
/// 1 / sqrt(1 + NOISE²) with its original, here 0.85, which is about how like two tickets of one
/// intent are.
pub const NOISE: f32 = 0.6;

const CHUNK: usize = 4_096;
/// Between the id of a text and the number of its copy.
const COPY: char = '#';

/// The id of the text that an example is a copy of.
pub fn text_of(id: &str) -> &str {
    id.rsplit_once(COPY).map_or(id, |(text, _)| text)
}

/// Makes a store of `count` real examples.
pub async fn real(folder: &Path, embedder: &str, count: usize, quick: bool) -> Outcome<()> {
    let embedder = FastEmbedder::load(embedder, &config::model_paths(None))?;
    let data = Data::load(quick)?;
    let report = ours::fill(folder, &embedder, &data.examples[..count.min(data.examples.len())]).await?;
    println!("{}", serde_json::to_string(&report.probe.map_or(0.0, |probe| probe.seconds))?);
    Ok(())
}

/// Makes a store of `count` examples, the real ones of `from` and noisy copies of them; a compact one
/// has scalar-quantized vectors in memory and the full ones on disk.
pub async fn noisy(folder: &Path, from: &Path, count: usize, compact: bool) -> Outcome<()> {
    let real = EdgeStore::open(from).await?;
    let (originals, _) = real.scroll(None, count, true).await?;
    let blob = async |name| Ok::<_, Error>(real.blob(name).await?.unwrap_or_default());
    let mut manifest = Manifest::from_json(&blob(MANIFEST_BLOB).await?)?;
    manifest.examples = count;
    // Of each place its original and the number of the copy.
    let of = |place: usize| (&originals[place % originals.len()], place / originals.len());
    let texts: Vec<String> = (0..count).map(of).map(|(original, number)| text(original, number)).collect();
    manifest.bm25 = Bm25Settings::measured(texts.iter().map(String::as_str))?;
    drop(texts);
    let bm25 = Bm25::new(&manifest.bm25)?;
    let dimension = manifest.dimension;
    let settings = CollectionSettings {
        vectors_on_disk: compact,
        quantization: if compact { Quantization::Scalar } else { Quantization::None },
        ..CollectionSettings::default()
    };
    let store = EdgeStore::open_or_create(folder, dimension).await?.with_settings(settings);
    let mut next = store.rebuild(RebuildOptions { dimension, points: count, ..RebuildOptions::default() }).await?;
    let mut random = StdRng::seed_from_u64(7);
    let mut written = 0;
    while written < count {
        let places = written..count.min(written + CHUNK);
        written = places.end;
        let point = |(original, number)| copy(original, number, &mut random);
        let points = places.map(of).map(point).map(|(example, dense)| {
            let sparse = bm25.document(&example.labelled.ticket.text);
            Point { example, dense, sparse }
        });
        next.upsert(points.collect()).await?;
    }
    next.put_blob(MANIFEST_BLOB, manifest.to_json()?).await?;
    next.put_blob(PROBE_BLOB, blob(PROBE_BLOB).await?).await?;
    next.commit().await?;
    println!("0");
    Ok(())
}

/// The text of a copy. The number 0 is the original.
fn text(original: &StoredExample, number: usize) -> String {
    let text = &original.example.labelled.ticket.text;
    if number > 0 { format!("{text} ({number})") } else { text.clone() }
}

fn copy(original: &StoredExample, number: usize, random: &mut StdRng) -> (Example, Vec<f32>) {
    let (mut example, mut vector) = (original.example.clone(), original.dense.clone().unwrap_or_default());
    if number > 0 {
        let ticket = &mut example.labelled.ticket;
        ticket.text = text(original, number);
        ticket.id = format!("{}{COPY}{number}", ticket.id);
        example.key = example_key(&example.source, &ticket.id);
        example.text_hash = text_hash(&ticket.text);
        #[expect(clippy::cast_precision_loss, reason = "a vector is short")]
        let scale = NOISE / (vector.len() as f32).sqrt();
        for value in &mut vector {
            *value += scale * gaussian(random);
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        for value in &mut vector {
            *value /= length;
        }
    }
    (example, vector)
}

/// By Box and Muller.
fn gaussian(random: &mut StdRng) -> f32 {
    let (radius, angle): (f32, f32) = (1.0 - random.random::<f32>(), random.random());
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}
