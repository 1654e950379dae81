//! One ticket's answer in one arm, kept whole for what looks at answers one by one.

use serde::Serialize;

use crate::Result;
use crate::data::decision::Decision;
use crate::data::ticket::LabelledTicket;
use crate::pipeline::Classification;

/// What became of a ticket. It holds texts, so it only goes into files that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The ticket's id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// The right intent.
    pub gold: String,
    /// The intent given.
    pub intent: Option<String>,
    /// Whether it counts as right.
    pub correct: bool,
    /// Route or review; `None` when it failed.
    pub decision: Option<Decision>,
    /// Of the intent given, 0 to 1; 0 when it failed.
    pub confidence: f32,
    /// Whether `confidence` is a calibrated probability and not an agreement with the history.
    pub calibrated: bool,
    /// US$; `None` when a price is not known.
    pub cost_usd: Option<f64>,
    /// Time from ticket to decision; `None` when it failed.
    pub latency_ms: Option<f64>,
    /// Why it is this intent.
    pub reasoning: Option<String>,
    /// The examples that were shown, best first.
    pub neighbours: Vec<Shown>,
    /// The error, if it failed.
    pub error: Option<String>,
}

/// An example as the labeler saw it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Its ticket id.
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Its fused score.
    pub score: f32,
    /// Its text.
    pub text: String,
}

impl Record {
    /// The record of an answer that was scored.
    #[must_use]
    pub fn new(labelled: &LabelledTicket, gold: &str, correct: bool, answer: Result<Classification>) -> Self {
        let mut record = Self {
            id: labelled.ticket.id.clone(),
            text: labelled.ticket.text.clone(),
            gold: gold.to_owned(),
            intent: None,
            correct,
            decision: None,
            confidence: 0.0,
            calibrated: false,
            cost_usd: None,
            latency_ms: None,
            reasoning: None,
            neighbours: Vec::new(),
            error: None,
        };
        match answer {
            Ok(answer) => {
                record.intent = answer.intent;
                record.decision = Some(answer.decision);
                record.confidence = answer.confidence;
                record.calibrated = answer.calibrated;
                record.cost_usd = answer.cost_usd;
                record.latency_ms = Some(answer.latency_ms.total);
                record.reasoning = answer.reasoning;
                let shown = answer.neighbours.into_iter();
                record.neighbours =
                    shown.map(|it| Shown { id: it.id, intent: it.intent, score: it.score, text: it.text }).collect();
            }
            Err(e) => record.error = Some(e.to_string()),
        }
        record
    }

    /// Whether it goes to its queue with nobody looking.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.decision == Some(Decision::Route)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record of a ticket about `gold` that was answered with `intent`.
    pub(crate) fn record(gold: &str, intent: Option<&str>, confidence: f32) -> Record {
        let labelled = LabelledTicket {
            ticket: crate::Ticket::new(format!("about {gold}")),
            intent: gold.to_owned(),
            reasoning: None,
        };
        let failed = Err(crate::Error::internal("not answered"));
        let mut record = Record::new(&labelled, gold, intent == Some(gold), failed);
        record.error = record.error.filter(|_| intent.is_none());
        record.decision = intent.map(|_| if confidence < 0.5 { Decision::Review } else { Decision::Route });
        record.intent = intent.map(Into::into);
        record.confidence = confidence;
        record.latency_ms = intent.map(|_| 10.0);
        record
    }
}
