//! How well the attributes were answered. Pure.

use serde::Serialize;

use super::metrics::{self, Scored};
use crate::Result;
use crate::data::taxonomy::{Attribute, Taxonomy};
use crate::data::ticket::LabelledTicket;
use crate::pipeline::Classification;
use crate::statistics::{real, wilson};

/// How an arm did on one attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributeScore {
    /// The attribute.
    pub name: String,
    /// Tickets with a value of the attribute that the taxonomy allows: the right one.
    pub n: usize,
    /// Share answered right; no value, or an error, is wrong.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
    /// Mean F1 of the values.
    pub macro_f1: f64,
}

/// A score for each attribute that some ticket carries, in the order of the taxonomy.
pub(super) fn scores(
    taxonomy: &Taxonomy,
    tickets: &[LabelledTicket],
    answers: &[Result<Classification>],
) -> Vec<AttributeScore> {
    let score = |attribute: &Attribute| {
        let pairs = tickets.iter().zip(answers).filter_map(|(labelled, answer)| {
            let given = answer.as_ref().ok().and_then(|answer| answer.attributes.get(&attribute.name));
            Some(Scored::new(attribute.value_of(&labelled.ticket)?, given.map(String::as_str), false, None))
        });
        let scored: Vec<Scored> = pairs.collect();
        let (n, right) = (scored.len(), metrics::correct(&scored));
        (n > 0).then(|| AttributeScore {
            name: attribute.name.clone(),
            n,
            accuracy: real(right) / real(n),
            ci95: wilson(right, n),
            macro_f1: metrics::macro_f1(&metrics::by_intent(&scored)),
        })
    };
    taxonomy.attributes.iter().filter_map(score).collect()
}
