//! What is found.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use ticket_router::data::example::Point;
use ticket_router::store::{Condition, Filter, Hit, MANIFEST_BLOB, PROBE_BLOB, Query, RebuildOptions};
use ticket_router::{Content as _, EdgeStore, ExampleStore};
use uuid::Uuid;

use super::data::{BM25, DIMENSION, close, example, full_example, ids, near, point, points, sorted_ids, unit};
use super::{Place, unknown_key};

pub async fn the_nearest_come_first_with_their_vectors(place: &dyn Place) {
    let store = place.open().await;
    let points = points(50, "a");
    store.upsert(points.clone()).await.unwrap();
    let hits = store.query(near(&points[17], 12)).await.unwrap().dense;
    assert_eq!(hits.len(), 12);
    assert_eq!(hits[0].example.as_ref(), &points[17].example);
    assert!((hits[0].score - 1.0).abs() < 1e-4);
    let cosine = |point: &Point| point.dense.iter().zip(&points[17].dense).map(|(a, b)| a * b).sum::<f32>();
    let mut expected: Vec<f32> = points.iter().map(cosine).collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert!(close(&hits.iter().map(|hit| hit.score).collect::<Vec<_>>(), &expected[..12]));
    for hit in &hits {
        let written = points.iter().find(|point| point.example.key == hit.example.key).unwrap();
        assert!(close(&hit.vector, &written.dense));
    }
    // Not exact, it may miss one, but not the point itself.
    let quick = store.query(Query { exact: false, ..near(&points[17], 12) }).await.unwrap().dense;
    assert_eq!((quick.len(), ids(&quick)[0]), (12, "n17"));
}

pub async fn rare_words_count_more_and_no_words_find_nothing(place: &dyn Place) {
    let store = place.open().await;
    let mut written = points(20, "a");
    written.push(point(example("rare", "ticket with a zebra", "a")));
    store.upsert(written.clone()).await.unwrap();
    let ask = |text: &str| Query { sparse: BM25.query(text), ..near(&written[0], 30) };
    let hits = store.query(ask("ticket zebra")).await.unwrap().sparse;
    assert_eq!((hits.len(), ids(&hits)[0]), (21, "rare"));
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
    assert!(hits[0].score > 2.0 * hits[1].score, "{} {}", hits[0].score, hits[1].score);
    assert!(close(&hits[0].vector, &written[20].dense), "the dense vector comes along");
    assert!(store.query(ask("giraffe")).await.unwrap().sparse.is_empty());
    let nothing = store.query(ask("\u{1f642}")).await.unwrap();
    assert_eq!((nothing.sparse.len(), nothing.dense.len()), (0, 21));
}

pub async fn filters_hold_for_both_kinds_of_hits(place: &dyn Place) {
    let store = place.open().await;
    let mut written = points(6, "a");
    written.extend(points(3, "b").into_iter().enumerate().map(|(n, mut point)| {
        point.example = example(&format!("b{n}"), &point.example.labelled.ticket.text, "b");
        point.example.labelled.ticket.language = Some(if n == 0 { "de" } else { "fr" }.into());
        point
    }));
    written.push(point(full_example("full")));
    store.upsert(written.clone()).await.unwrap();
    let one = |field: &str, values: &[&str]| {
        Condition::OneOf(field.to_owned(), values.iter().map(|&value| value.to_owned()).collect())
    };
    let found = async |must: Vec<Condition>| {
        // The words of all texts, so that a filter alone decides.
        let sparse = BM25.query("ticket quoted");
        let query = Query { filter: Filter { must }, sparse, ..near(&written[0], 50) };
        let hits = store.query(query).await.unwrap();
        assert_eq!(sorted_ids(&hits.dense), sorted_ids(&hits.sparse));
        sorted_ids(&hits.dense).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found(vec![one("intent", &["b"])]).await, ["b0", "b1", "b2"]);
    assert_eq!(found(vec![one("intent", &["b", "Refund/Exchange", "none"])]).await, ["b0", "b1", "b2", "full"]);
    assert_eq!(found(vec![one("intent", &["a", "b"]), one("language", &["fr"])]).await, ["b1", "b2"]);
    assert_eq!(found(vec![one("source", &["desk 2"])]).await, ["full"]);
    assert_eq!(found(vec![one("requester", &["u-17"])]).await, ["full"]);
    assert_eq!(found(vec![one("attributes.urgency", &["high", "low"])]).await, ["full"]);
    assert_eq!(found(vec![one("attributes.\"customer tier.v2\"", &["12"])]).await, ["full"]);
    assert!(found(vec![one("intent", &["nobody's"])]).await.is_empty());
    assert!(found(vec![one("attributes.missing", &["x"])]).await.is_empty());
    assert_eq!(found(vec![]).await.len(), 10);
}

pub async fn times_are_compared_as_moments(place: &dyn Place) {
    let store = place.open().await;
    let times = [
        ("night", Some("2026-02-28T23:30:00Z")),
        ("zone", Some("2026-03-01T00:30:00+02:00")),
        ("begin", Some("2026-03-01T00:00:00Z")),
        ("late", Some("2026-03-01T12:00:00.250Z")),
        ("never", None),
    ];
    let written = times.map(|(id, time)| {
        let mut example = example(id, &format!("ticket {id}"), "a");
        example.labelled.ticket.created_at = time.map(str::to_owned);
        point(example)
    });
    store.upsert(written.to_vec()).await.unwrap();
    let found = async |must: Vec<Condition>| {
        let query = Query { filter: Filter { must }, ..near(&written[0], 50) };
        let hits = store.query(query).await.unwrap();
        assert_eq!(sorted_ids(&hits.dense), sorted_ids(&hits.sparse));
        sorted_ids(&hits.dense).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let after = |moment: &str| Condition::After("created_at".into(), moment.into());
    let before = |moment: &str| Condition::Before("created_at".into(), moment.into());
    assert_eq!(found(vec![after("2026-03-01")]).await, ["begin", "late"]);
    assert_eq!(found(vec![before("2026-03-01")]).await, ["night", "zone"]);
    assert_eq!(found(vec![before("2026-03-01T00:00:00+01:00")]).await, ["zone"]);
    assert_eq!(
        found(vec![after("2026-02-28T23:00:00Z"), before("2026-03-01T12:00:00.250Z")]).await,
        ["begin", "night"]
    );
    assert_eq!(found(vec![after("2026-03-01T12:00:00.250Z")]).await, ["late"]);
    let query = Query { filter: Filter { must: vec![after("in May")] }, ..near(&written[0], 5) };
    let message = store.query(query).await.unwrap_err().to_string();
    assert!(message.contains("\"in May\"") && message.contains("2026-03-01"), "{message}");
}

pub async fn excluded_examples_are_not_found(place: &dyn Place) {
    let store = place.open().await;
    let points = points(10, "a");
    store.upsert(points.clone()).await.unwrap();
    let exclude = vec![points[0].example.key, unknown_key(), points[5].example.key];
    let filter = Filter::default().within(vec!["a".into()]);
    for filter in [Filter::default(), filter] {
        let hits = store.query(Query { exclude: exclude.clone(), filter, ..near(&points[0], 10) }).await.unwrap();
        for found in [sorted_ids(&hits.dense), sorted_ids(&hits.sparse)] {
            assert_eq!(found, ["n1", "n2", "n3", "n4", "n6", "n7", "n8", "n9"]);
        }
    }
}

/// Random vectors and texts with words as unevenly used as in a language.
fn random_points(random: &mut StdRng, count: usize) -> Vec<Point> {
    (0..count)
        .map(|n| {
            let length = random.random_range(3..40);
            let words: Vec<String> = (0..length).map(|_| word(random)).collect();
            let intent = ["a", "b", "c"].choose(random).unwrap();
            let example = example(&format!("r{n}"), &words.join(" "), intent);
            Point { dense: unit(random, DIMENSION), sparse: BM25.document(&words.join(" ")), example }
        })
        .collect()
}

fn word(random: &mut StdRng) -> String {
    let chance: f64 = random.random_range(0.0..1.0);
    format!("w{:.0}", 200.0 * chance.powi(3))
}

pub async fn scores_are_those_of_the_embedded_store(place: &dyn Place) {
    let folder = TempDir::new().unwrap();
    let embedded = EdgeStore::open_or_create(folder.path(), DIMENSION).await.unwrap();
    let store = place.open().await;
    let mut random = StdRng::seed_from_u64(11);
    let mut built = random_points(&mut random, 400);
    let added = built.split_off(300);
    for store in [&embedded as &dyn ExampleStore, store.as_ref()] {
        // Built, changed in place and with blobs beside it, as a store is in use.
        let options = RebuildOptions { dimension: DIMENSION, ..RebuildOptions::default() };
        let mut next = store.rebuild(options).await.unwrap();
        next.upsert(built.clone()).await.unwrap();
        next.put_blob(MANIFEST_BLOB, b"{}".to_vec()).await.unwrap();
        next.commit().await.unwrap();
        store.put_blob(PROBE_BLOB, vec![7; 10_000]).await.unwrap();
        store.upsert(added.clone()).await.unwrap();
        store.delete(built[..20].iter().map(|point| point.example.key).collect()).await.unwrap();
    }
    for (round, excluded) in added.iter().take(40).enumerate() {
        let text: Vec<String> = (0..12).map(|_| word(&mut random)).collect();
        let filter = if round % 2 == 0 { Filter::default() } else { Filter::default().within(vec!["b".into()]) };
        let query = Query {
            dense: unit(&mut random, DIMENSION),
            sparse: BM25.query(&text.join(" ")),
            limit: 15,
            filter,
            exclude: vec![excluded.example.key],
            exact: true,
        };
        let expected = embedded.query(query.clone()).await.unwrap();
        let found = store.query(query).await.unwrap();
        same(&found.dense, &expected.dense);
        same(&found.sparse, &expected.sparse);
    }
}

/// The same hits with the same scores; those that tie with the last one may differ.
#[track_caller]
fn same(found: &[Hit], expected: &[Hit]) {
    assert_eq!((found.len(), expected.len()), (15, 15));
    let clear = |hits: &[Hit]| -> BTreeMap<Uuid, f32> {
        let last = hits[14].score + 2e-4;
        hits.iter().filter(|hit| hit.score > last).map(|hit| (hit.example.key, hit.score)).collect()
    };
    let (found, expected) = (clear(found), clear(expected));
    assert!(found.keys().eq(expected.keys()), "{found:?} {expected:?}");
    for (key, score) in &found {
        assert!((score - expected[key]).abs() < 1e-4, "{key}: {score} and {}", expected[key]);
    }
}
