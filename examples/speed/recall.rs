//! How much of the exactly nearest a store's search finds.

use std::collections::HashSet;

use ticket_router::embed::cosine;
use ticket_router::store::Query;
use ticket_router::{EdgeStore, ExampleStore as _, Result};

use super::contestant::Recall;
use super::fill::text_of;

const NEAREST: usize = 10;
const PAGE: usize = 4_096;

/// Compares the ten nearest of each vector, as the retriever asks for them, with the exact ones.
#[expect(clippy::cast_precision_loss, reason = "there are ten")]
pub async fn measure(store: &EdgeStore, vectors: &[Vec<f32>]) -> Result<Vec<Recall>> {
    let mut all = Vec::with_capacity(vectors.len());
    for (vector, exact) in vectors.iter().zip(exact(store, vectors).await?) {
        let limit = ticket_router::retrieve::CANDIDATES;
        let hits = store.query(Query { dense: vector.clone(), limit, ..Query::default() }).await?;
        let found: HashSet<&str> =
            hits.dense.iter().take(NEAREST).map(|hit| hit.example.labelled.ticket.id.as_str()).collect();
        let hit = exact.iter().filter(|(_, id)| found.contains(id.as_str())).count();
        let texts: HashSet<&str> = exact.iter().map(|(_, id)| text_of(id)).collect();
        all.push(Recall { found: hit as f64 / exact.len() as f64, texts: texts.len() });
    }
    Ok(all)
}

/// The nearest by comparing with every stored vector, page by page.
async fn exact(store: &EdgeStore, vectors: &[Vec<f32>]) -> Result<Vec<Vec<(f32, String)>>> {
    let mut nearest: Vec<Vec<(f32, String)>> = vec![Vec::new(); vectors.len()];
    let mut start = None;
    loop {
        let (page, next) = store.scroll(start, PAGE, true).await?;
        for (vector, nearest) in vectors.iter().zip(&mut nearest) {
            for stored in &page {
                let likeness = cosine(vector, stored.dense.as_deref().unwrap_or_default());
                if nearest.len() == NEAREST && nearest.last().is_some_and(|(least, _)| likeness <= *least) {
                    continue;
                }
                let place = nearest.partition_point(|(better, _)| *better >= likeness);
                nearest.insert(place, (likeness, stored.example.labelled.ticket.id.clone()));
                nearest.truncate(NEAREST);
            }
        }
        match next {
            Some(_) => start = next,
            None => return Ok(nearest),
        }
    }
}
