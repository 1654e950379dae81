//! From the answers of an arm to its report.

use serde::Serialize;

use super::Usage;
use super::attributes::{self, AttributeScore};
use super::metrics::{self, CaseScore, IntentScore, Scored};
use super::record::Record;
use super::stats::{self, real};
use crate::classifier::Classification;
use crate::decide::Decision;
use crate::taxonomy::Taxonomy;
use crate::ticket::LabelledTicket;
use crate::{Error, Result};

/// How one arm did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmReport {
    /// `zero`, `static` or `retrieved`.
    pub name: String,
    /// Who labelled.
    pub labeler: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Tickets.
    pub n: usize,
    /// Share answered right.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
    /// Mean F1 of the intents.
    pub macro_f1: f64,
    /// Tickets that went to review.
    pub reviews: usize,
    /// Tickets that were routed: no person looks at them.
    pub routed: usize,
    /// Share of the routed ones that are right; `None` when nothing was routed.
    pub routed_accuracy: Option<f64>,
    /// Tickets that failed.
    pub errors: usize,
    /// Tokens in total.
    pub usage: Usage,
    /// US$ in total; `None` when a price is not known.
    pub cost_usd: Option<f64>,
    /// US$ for each ticket.
    pub cost_per_ticket_usd: Option<f64>,
    /// Time from ticket to decision.
    pub latency_ms: Percentiles,
    /// Accuracy by case.
    pub cases: Vec<CaseScore>,
    /// Scores of the attributes that the tickets carry.
    pub attributes: Vec<AttributeScore>,
    /// Scores by intent.
    pub intents: Vec<IntentScore>,
    /// What went wrong, ticket by ticket.
    pub mistakes: Vec<Mistake>,
    /// Every ticket with its answer, in the order of the file.
    #[serde(skip)]
    pub records: Vec<Record>,
}

/// A ticket that was answered wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The ticket's id.
    pub id: String,
    /// The right intent.
    pub gold: String,
    /// The intent given.
    pub intent: Option<String>,
    /// The error, if it failed.
    pub error: Option<String>,
}

/// Milliseconds: the median and the 95th percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 95 % of the tickets took at most this.
    pub p95: f64,
}

/// Two arms on the same tickets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The earlier arm.
    pub a: String,
    /// The later arm.
    pub b: String,
    /// Accuracy of `b` less that of `a`.
    pub difference: f64,
    /// Tickets that only `a` got right.
    pub only_a: usize,
    /// Tickets that only `b` got right.
    pub only_b: usize,
    /// Of the exact McNemar test.
    pub p_value: f64,
}

pub(super) fn arm(
    name: &str,
    labeler: &str,
    tickets: &[LabelledTicket],
    gold: &[String],
    taxonomy: &Taxonomy,
    answers: Vec<Result<Classification>>,
) -> Result<ArmReport> {
    // When nothing at all was answered there is nothing to measure: say why instead.
    if let Some(Err(first)) = answers.first()
        && answers.iter().all(|answer| answer.as_ref().is_err_and(|e| e.kind() == first.kind()))
    {
        return Err(Error::new(first.kind(), format!("no ticket could be classified: {first}")));
    }
    let attributes = attributes::scores(taxonomy, tickets, &answers);
    let (mut scored, mut records, mut latencies, mut mistakes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut routed, mut routed_right, mut reviews, mut errors, mut usage, mut cost_usd, mut model) =
        (0, 0, 0, 0, Usage::default(), Some(0.0), None);
    for ((labelled, gold), answer) in tickets.iter().zip(gold).zip(answers) {
        let case = labelled.ticket.attributes.get("case").map(String::as_str);
        let mut is_routed = false;
        let (intent, error) = match &answer {
            Ok(answer) => {
                is_routed = answer.decision == Decision::Route;
                reviews += usize::from(!is_routed);
                usage += answer.usage;
                cost_usd = cost_usd.zip(answer.cost_usd).map(|(sum, cost)| sum + cost);
                latencies.push(answer.latency_ms.total);
                model = model.or_else(|| answer.model.clone());
                (answer.intent.clone(), None)
            }
            Err(e) => {
                errors += 1;
                (None, Some(e.to_string()))
            }
        };
        let score = Scored::new(gold, intent.as_deref(), taxonomy.is_fallback(gold), case);
        routed += usize::from(is_routed);
        routed_right += usize::from(is_routed && score.correct);
        if !score.correct {
            mistakes.push(Mistake { id: labelled.ticket.id.clone(), gold: gold.clone(), intent, error });
        }
        records.push(Record::new(labelled, gold, score.correct, answer));
        scored.push(score);
    }
    latencies.sort_by(f64::total_cmp);
    let (n, right) = (scored.len(), metrics::correct(&scored));
    let intents = metrics::by_intent(&scored);
    Ok(ArmReport {
        name: name.to_owned(),
        labeler: labeler.to_owned(),
        model,
        n,
        accuracy: real(right) / real(n),
        ci95: stats::wilson(right, n),
        macro_f1: metrics::macro_f1(&intents),
        reviews,
        routed,
        routed_accuracy: (routed > 0).then(|| real(routed_right) / real(routed)),
        errors,
        usage,
        cost_usd,
        cost_per_ticket_usd: cost_usd.map(|cost| cost / real(n)),
        latency_ms: Percentiles { p50: stats::percentile(&latencies, 0.5), p95: stats::percentile(&latencies, 0.95) },
        cases: metrics::by_case(&scored),
        attributes,
        intents,
        mistakes,
        records,
    })
}

/// Each arm against each later one.
pub(super) fn compare(arms: &[ArmReport]) -> Vec<Comparison> {
    let pairs = arms.iter().enumerate().flat_map(|(i, a)| arms[i + 1..].iter().map(move |b| (a, b)));
    pairs
        .map(|(a, b)| {
            let only = |x: &ArmReport, y: &ArmReport| {
                x.records.iter().zip(&y.records).filter(|(x, y)| x.correct && !y.correct).count()
            };
            let (only_a, only_b) = (only(a, b), only(b, a));
            Comparison {
                a: a.name.clone(),
                b: b.name.clone(),
                difference: b.accuracy - a.accuracy,
                only_a,
                only_b,
                p_value: stats::mcnemar(only_a, only_b),
            }
        })
        .collect()
}
