//! The embedders that `scripts/setup` provides.

use ticket_router::embed::cosine;
use ticket_router::{DEFAULT_MODEL, Embedder as _, FastEmbedder, INT8_MODEL, ModelPaths};

use crate::fixture::{Bench, repository, small_tickets};

fn embedder(name: &str) -> FastEmbedder {
    let paths = ModelPaths { chosen: Some(repository().join(".runtime")), ..ModelPaths::default() };
    FastEmbedder::load(name, &paths).unwrap()
}

/// Enough texts, of all lengths, that they run side by side.
fn texts() -> Vec<String> {
    (0..600).map(|i| format!("Ticket {i}: where is my parcel? {}", "It should be here. ".repeat(i * 7 % 11))).collect()
}

#[tokio::test]
async fn an_int8_vector_never_depends_on_the_texts_beside_it() {
    let embedder = embedder(INT8_MODEL);
    let together = embedder.embed(texts()).await.unwrap();
    for (text, vector) in texts().into_iter().zip(together).take(50) {
        assert_eq!(embedder.embed(vec![text]).await.unwrap(), [vector]);
    }
}

#[tokio::test]
async fn many_texts_side_by_side_keep_their_order_and_their_vectors() {
    let embedder = embedder(DEFAULT_MODEL);
    let together = embedder.embed(texts()).await.unwrap();
    for (text, vector) in texts().into_iter().zip(together).take(50) {
        let alone = embedder.embed(vec![text]).await.unwrap();
        assert!(cosine(&alone[0], &vector) > 0.99999);
    }
}

#[tokio::test]
async fn int8_vectors_are_close_to_those_in_full_precision_and_not_the_same() {
    let texts = texts()[..20].to_vec();
    let full = embedder(DEFAULT_MODEL).embed(texts.clone()).await.unwrap();
    for (full, int8) in full.iter().zip(embedder(INT8_MODEL).embed(texts).await.unwrap()) {
        assert!((0.97..0.99999).contains(&cosine(full, &int8)), "{}", cosine(full, &int8));
    }
}

#[test]
fn a_store_is_read_with_the_precision_that_it_was_built_with() {
    let bench = Bench::with_model();
    bench.write("examples.jsonl", small_tickets(30));
    bench.run(&["index", "examples.jsonl"]).ok();
    let classify = ["classify", "where is my parcel", "--labeler", "vote"];
    bench.run(&[&classify[..], &["--embedder", INT8_MODEL]].concat()).fails_with(&[
        "\"all-MiniLM-L6-v2\"",
        "\"all-MiniLM-L6-v2-int8\"",
        "the names differ",
    ]);

    let int8 = ["--store", "int8", "--embedder", INT8_MODEL];
    bench.run(&[&["index", "examples.jsonl"], &int8[..]].concat()).ok();
    bench.run(&[&classify[..], &int8[..]].concat()).ok();
    bench.run(&[&classify[..], &int8[..2]].concat()).fails_with(&["the names differ"]);
}
