//! Examples to fill a store with, and questions to ask it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use ticket_router::data::example::{Example, Point, StoredExample, example_key};
use ticket_router::data::ticket::text_hash;
use ticket_router::embed::{Bm25, Bm25Settings};
use ticket_router::store::{Hit, Query};
use ticket_router::{ExampleStore, LabelledTicket, Ticket};
use uuid::Uuid;

/// Of all vectors here.
pub const DIMENSION: usize = 26;

pub static BM25: LazyLock<Bm25> = LazyLock::new(|| Bm25::new(&Bm25Settings::default()).unwrap());

pub fn example(id: &str, text: &str, intent: &str) -> Example {
    let ticket = Ticket { id: id.to_owned(), ..Ticket::new(text) };
    Example {
        key: example_key("", id),
        source: String::new(),
        text_hash: text_hash(text),
        labelled: LabelledTicket { ticket, intent: intent.to_owned(), reasoning: None },
    }
}

/// An example with everything that an example may have.
pub fn full_example(id: &str) -> Example {
    let mut example = example(id, "Grüße \u{1f4e6} \"quoted\"\n注文はどこですか", "Refund/Exchange");
    example.source = "desk 2".into();
    example.key = example_key(&example.source, id);
    example.labelled.reasoning = Some("because\tof it".into());
    example.labelled.ticket.created_at = Some("2026-03-01T08:00:00+02:00".into());
    example.labelled.ticket.requester = Some("u-17".into());
    example.labelled.ticket.language = Some("ja".into());
    example.labelled.ticket.attributes =
        BTreeMap::from([("urgency".into(), "high".into()), ("customer tier.v2".into(), "12".into())]);
    example
}

/// With a vector that depends on its text alone.
pub fn point(example: Example) -> Point {
    let text = &example.labelled.ticket.text;
    let seed = text.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Point { dense: unit(&mut StdRng::seed_from_u64(seed), DIMENSION), sparse: BM25.document(text), example }
}

/// Examples `n0`, `n1`, … of one intent, with texts that are told apart by a number word.
pub fn points(count: usize, intent: &str) -> Vec<Point> {
    (0..count).map(|n| point(example(&format!("n{n}"), &format!("ticket word{n} of {intent}"), intent))).collect()
}

/// A random vector of length one.
pub fn unit(random: &mut StdRng, dimension: usize) -> Vec<f32> {
    let vector: Vec<f32> = (0..dimension).map(|_| random.random_range(-1.0..1.0)).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

/// Asks for the neighbours of a point by both vectors, exactly.
pub fn near(point: &Point, limit: usize) -> Query {
    let sparse = BM25.query(&point.example.labelled.ticket.text);
    Query { dense: point.dense.clone(), sparse, limit, exact: true, ..Query::default() }
}

pub fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.example.labelled.ticket.id.as_str()).collect()
}

/// The ids in alphabetical order, for hits whose order does not matter.
pub fn sorted_ids(hits: &[Hit]) -> Vec<&str> {
    let mut ids = ids(hits);
    ids.sort_unstable();
    ids
}

/// Everything, read in small pages.
pub async fn all(store: &dyn ExampleStore) -> Vec<StoredExample> {
    let (mut all, mut start) = (Vec::new(), None);
    loop {
        let (page, next) = store.scroll(start, 7, true).await.unwrap();
        assert!(page.len() <= 7);
        all.extend(page);
        if next.is_none() {
            return all;
        }
        start = next;
    }
}

pub async fn keys(store: &dyn ExampleStore) -> Vec<Uuid> {
    all(store).await.into_iter().map(|stored| stored.example.key).collect()
}

pub fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
}
