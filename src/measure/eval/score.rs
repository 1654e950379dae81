//! From the answers of an arm to its report.

use serde::Serialize;

use super::Usage;
use super::arm::{Arm, Shows};
use super::attributes::{self, AttributeScore};
use super::metrics::{self, CaseScore, IntentScore, Scored};
use super::record::Record;
use super::run::ArmAnswers;
use crate::data::decision::Decision;
use crate::data::taxonomy::Taxonomy;
use crate::data::ticket::LabelledTicket;
use crate::label::CascadeLabeler;
use crate::pipeline::Classification;
use crate::statistics::reliability::{Bin, expected_calibration_error, reliability};
use crate::statistics::{bootstrap, percentile, real, wilson};
use crate::{Error, ErrorKind, Result};

/// How one arm did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmReport {
    /// `zero`, `static`, `static_tokens`, `retrieved`, `vote`, `cascade`, or the name it was given.
    pub name: String,
    /// Who labelled.
    pub labeler: String,
    /// What it was shown.
    pub shows: Shows,
    /// The model that answered.
    pub model: Option<String>,
    /// Tickets.
    pub n: usize,
    /// Share answered right.
    pub accuracy: f64,
    /// Its 95 % Wilson interval.
    pub ci95: (f64, f64),
    /// Tickets of which the store holds no near-duplicate.
    pub n_without_duplicates: usize,
    /// Share of these answered right; `None` when there are none.
    pub accuracy_without_duplicates: Option<f64>,
    /// Mean F1 of the intents.
    pub macro_f1: f64,
    /// Its 95 % bootstrap interval.
    pub macro_f1_ci95: (f64, f64),
    /// Of a cascade: tickets that the vote was not sure of and Claude was asked about.
    pub escalated: Option<usize>,
    /// Share of the tickets that got the same intent each time they were asked about; `None`
    /// when they were asked about once.
    pub consistency: Option<f64>,
    /// Tickets that went to review.
    pub reviews: usize,
    /// Tickets that were routed: no person looks at them.
    pub routed: usize,
    /// Share of the routed ones that are right; `None` when nothing was routed.
    pub routed_accuracy: Option<f64>,
    /// Whether the confidences are calibrated probabilities.
    pub calibrated: bool,
    /// How far the confidences are from the accuracy: expected calibration error, ten bins.
    pub calibration_error: f64,
    /// Confidence against accuracy, by bins.
    pub reliability: Vec<Bin>,
    /// Tickets that failed.
    pub errors: usize,
    /// Tokens in total.
    pub usage: Usage,
    /// US$ in total; `None` when a price is not known.
    pub cost_usd: Option<f64>,
    /// Its 95 % bootstrap interval, for as many tickets like these.
    pub cost_ci95: Option<(f64, f64)>,
    /// US$ for each ticket.
    pub cost_per_ticket_usd: Option<f64>,
    /// Time from ticket to decision: of embedding and search only what the arm needs, and no wait
    /// for other tickets.
    pub latency_ms: Percentiles,
    /// Accuracy by case, where a column of cases was named; empty otherwise.
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

/// What arms are scored on; lists run along the tickets.
#[derive(Clone, Copy)]
pub(super) struct Tested<'a> {
    pub(super) tickets: &'a [LabelledTicket],
    pub(super) gold: &'a [String],
    pub(super) has_duplicate: &'a [bool],
    pub(super) taxonomy: &'a Taxonomy,
    /// The attribute that says the case.
    pub(super) case_column: Option<&'a str>,
    /// For the bootstrap.
    pub(super) seed: u64,
}

pub(super) fn arm(arm: &Arm, tested: Tested<'_>, of_arm: ArmAnswers) -> Result<ArmReport> {
    let Tested { tickets, gold, has_duplicate, taxonomy, case_column, seed } = tested;
    let ArmAnswers { answers, stable } = of_arm;
    // When nothing at all was answered there is nothing to measure: say why instead.
    if let Some(Err(first)) = answers.first()
        && answers.iter().all(|answer| answer.as_ref().is_err_and(|e| e.kind() == first.kind()))
    {
        return Err(Error::new(first.kind(), format!("no ticket could be classified: {first}")));
    }
    let labeler = arm.labeler_name();
    let escalated =
        (labeler == CascadeLabeler::NAME).then(|| answers.iter().filter(|answer| is_escalated(answer)).count());
    let costs: Option<Vec<f64>> =
        answers.iter().map(|answer| answer.as_ref().map_or(Some(0.0), |answer| answer.cost_usd)).collect();
    let calibrated = answers.iter().flatten().any(|answer| answer.calibrated);
    let mut confidences = Vec::new();
    let attributes = attributes::scores(taxonomy, tickets, &answers);
    let (mut scored, mut records, mut latencies, mut mistakes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut routed, mut routed_right, mut reviews, mut errors, mut usage, mut cost_usd, mut model) =
        (0, 0, 0, 0, Usage::default(), Some(0.0), None);
    for ((labelled, gold), answer) in tickets.iter().zip(gold).zip(answers) {
        let case = case_column.and_then(|column| labelled.ticket.attribute(column));
        let (mut is_routed, mut confidence) = (false, None);
        let (intent, error) = match &answer {
            Ok(answer) => {
                is_routed = answer.decision == Decision::Route;
                confidence = answer.intent.is_some().then_some(answer.confidence);
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
        confidences.extend(confidence.map(|confidence| (confidence, score.correct)));
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
    let others = || scored.iter().zip(has_duplicate).filter(|(_, has_duplicate)| !**has_duplicate);
    let n_others = others().count();
    let reliability = reliability(&confidences);
    Ok(ArmReport {
        name: arm.name.clone(),
        labeler: labeler.to_owned(),
        shows: arm.shows,
        model,
        n,
        accuracy: real(right) / real(n),
        ci95: wilson(right, n),
        n_without_duplicates: n_others,
        accuracy_without_duplicates: (n_others > 0)
            .then(|| real(others().filter(|(score, _)| score.correct).count()) / real(n_others)),
        macro_f1: metrics::macro_f1(&intents),
        macro_f1_ci95: metrics::macro_f1_interval(&scored, seed),
        escalated,
        consistency: (!stable.is_empty()).then(|| real(stable.iter().filter(|same| **same).count()) / real(n)),
        reviews,
        routed,
        routed_accuracy: (routed > 0).then(|| real(routed_right) / real(routed)),
        calibrated,
        calibration_error: expected_calibration_error(&reliability),
        reliability,
        errors,
        usage,
        cost_usd,
        cost_ci95: costs.map(|costs| bootstrap::total(&costs, seed)),
        cost_per_ticket_usd: cost_usd.map(|cost| cost / real(n)),
        latency_ms: Percentiles { p50: percentile(&latencies, 0.5), p95: percentile(&latencies, 0.95) },
        cases: if case_column.is_some() { metrics::by_case(&scored) } else { Vec::new() },
        attributes,
        intents,
        mistakes,
        records,
    })
}

/// Whether a cascade asked about this ticket: then a model answered, or the API failed.
fn is_escalated(answer: &Result<Classification>) -> bool {
    let failed = |e: &Error| matches!(e.kind(), ErrorKind::ApiPermanent | ErrorKind::ApiTransient);
    answer.as_ref().map_or_else(failed, |answer| answer.model.is_some())
}
