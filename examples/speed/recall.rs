//! How much of the exactly nearest a store's search finds.

use std::collections::HashSet;

use ticket_router::stages::retrieve::CANDIDATES;
use ticket_router::store::Query;
use ticket_router::{Content as _, EdgeStore, Error, Result};

use super::contestant::Recall;
use super::fill::text_of;

const NEAREST: usize = 10;

/// Compares the ten nearest of each vector, as the retriever asks for them, with the exact ones.
#[expect(clippy::cast_precision_loss, reason = "there are ten")]
pub async fn measure(store: &EdgeStore, vectors: &[Vec<f32>]) -> Result<Vec<Recall>> {
    let mut all = Vec::with_capacity(vectors.len());
    for vector in vectors {
        let nearest = async |exact| {
            let query = Query { dense: vector.clone(), limit: CANDIDATES, exact, ..Query::default() };
            let hits = store.query(query).await?.dense.into_iter().take(NEAREST);
            Ok::<HashSet<String>, Error>(hits.map(|hit| hit.example.labelled.ticket.id.clone()).collect())
        };
        let (found, exact) = (nearest(false).await?, nearest(true).await?);
        let texts: HashSet<&str> = exact.iter().map(|id| text_of(id)).collect();
        all.push(Recall { found: exact.intersection(&found).count() as f64 / exact.len() as f64, texts: texts.len() });
    }
    Ok(all)
}
