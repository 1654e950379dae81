//! The learning curve: accuracy by examples for each intent, which is how fast a new category is
//! learned.

use std::collections::{BTreeMap, HashSet};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::Serialize;

use super::run::{Answered, answer};
use super::{EvalOptions, TemporaryStores};
use crate::data::ticket::LabelledTicket;
use crate::pipeline::Progress;
use crate::statistics::{real, wilson};
use crate::{Error, Result};

/// A point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurvePoint {
    /// At most so many examples of each intent.
    pub per_intent: usize,
    /// Examples in all.
    pub examples: usize,
    /// Tickets.
    pub n: usize,
    /// Share answered right.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
}

/// Measures the one arm of `options` on stores with so many examples of each intent, drawn from
/// `pool` by the seed of the options. A larger store holds all of a smaller one, and none holds
/// a ticket that is tested.
pub async fn learning_curve(
    stores: &TemporaryStores,
    pool: &[LabelledTicket],
    tickets: &[LabelledTicket],
    sizes: &[usize],
    options: &EvalOptions,
    progress: Progress<'_>,
) -> Result<Vec<CurvePoint>> {
    let tested: HashSet<&str> =
        tickets.iter().flat_map(|one| [one.ticket.id.as_str(), one.ticket.text.as_str()]).collect();
    let is_other =
        |one: &&LabelledTicket| !tested.contains(one.ticket.id.as_str()) && !tested.contains(one.ticket.text.as_str());
    let mut by_intent: BTreeMap<&str, Vec<&LabelledTicket>> = BTreeMap::new();
    for labelled in pool.iter().filter(is_other) {
        by_intent.entry(&labelled.intent).or_default().push(labelled);
    }
    if by_intent.is_empty() {
        return Err(Error::bad_input("--curve: all examples are among the tickets that are tested"));
    }
    let mut random = StdRng::seed_from_u64(options.seed);
    for examples in by_intent.values_mut() {
        examples.shuffle(&mut random);
    }

    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes.dedup();
    let (all, mut points) = (sizes.len() * tickets.len(), Vec::with_capacity(sizes.len()));
    for (number, per_intent) in sizes.into_iter().enumerate() {
        let drawn = by_intent.values().flat_map(|examples| examples.iter().take(per_intent));
        let drawn: Vec<LabelledTicket> = drawn.copied().cloned().collect();
        let filled = stores.fill(&drawn).await?;
        let report = |done, _| progress(number * tickets.len() + done, all);
        let answered = answer(&filled.retriever, tickets.to_vec(), options, &report).await?;
        points.push(point(per_intent, filled.examples, &answered));
    }
    Ok(points)
}

fn point(per_intent: usize, examples: usize, answered: &Answered) -> CurvePoint {
    let right = answered.right(0).filter(|right| *right).count();
    let n = answered.tickets.len();
    CurvePoint { per_intent, examples, n, accuracy: real(right) / real(n), ci95: wilson(right, n) }
}
