//! What `eval` makes of answers that are known beforehand, in the process.

use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use ticket_router::measure::eval::{Arm, EvalOptions, EvalReport, Shows, evaluate};
use ticket_router::pipeline::Retriever;
use ticket_router::report::{self, Run};
use ticket_router::{Evidence, Label, Labeler, LabelledTicket, Result, Ticket};

use crate::library::{Letters, store};

/// Knows that every ticket is about `ay`, and says `zed` of the first ones.
struct WrongAtFirst(usize);

#[async_trait]
impl Labeler for WrongAtFirst {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        let number: usize = evidence.ticket.id.parse().unwrap();
        let intent = if number < self.0 { "zed" } else { "ay" };
        Ok(Label { intent: Some(intent.into()), ..Label::default() })
    }
}

fn tickets(count: usize) -> Vec<LabelledTicket> {
    let ticket = |i: usize| Ticket { id: i.to_string(), ..Ticket::new(format!("aaa and {}", "b".repeat(i))) };
    (0..count).map(|i| LabelledTicket { ticket: ticket(i), intent: "ay".into(), reasoning: None }).collect()
}

/// An arm for each number of tickets that are to be answered wrong.
async fn measured(wrong: &[usize], count: usize) -> EvalReport {
    let dir = TempDir::new().unwrap();
    let retriever = Arc::new(Retriever::open(store(&dir).await, Arc::new(Letters)).await.unwrap());
    let arm = |wrong: &usize| Arm::new(format!("wrong{wrong}"), Shows::Retrieved, Arc::new(WrongAtFirst(*wrong)));
    let arms = wrong.iter().map(arm).collect();
    let options = EvalOptions { arms, static_examples: None, seed: 7, concurrency: 4, case_column: None };
    evaluate(&retriever, tickets(count), &options, &|_, _| {}).await.unwrap()
}

fn markdown(report: &EvalReport) -> String {
    let nothing = String::new;
    let run = Run {
        command: nothing(),
        version: nothing(),
        date: nothing(),
        test_file: nothing(),
        test_sha256: nothing(),
        store: nothing(),
        examples: 4,
        intents: 2,
        embedder: nothing(),
        labeler: nothing(),
        model: None,
        k: 5,
        seed: 7,
    };
    report::markdown(report, &run)
}

/// Without the last bits of a sum.
fn rounded(p: f64) -> f64 {
    (p * 1e9).round() / 1e9
}

#[tokio::test]
async fn with_several_arms_the_headline_goes_by_the_corrected_p_value() {
    // Six tickets that only one of two arms gets right: p = 2 / 2^6, and three times that with three pairs.
    let pair = measured(&[0, 6], 20).await;
    assert_eq!([pair.comparisons[0].p_value, pair.comparisons[0].p_adjusted].map(rounded), [0.03125, 0.03125]);
    assert!(markdown(&pair).contains("not chance"), "{}", markdown(&pair));

    let three = measured(&[0, 6, 7], 20).await;
    let json = serde_json::to_value(&three).unwrap();
    let values = |key: &str| [0, 1, 2].map(|i| rounded(json["comparisons"][i][key].as_f64().unwrap()));
    assert_eq!(values("p_value"), [0.03125, 0.015_625, 1.0]);
    assert_eq!(values("p_adjusted"), [0.0625, 0.046_875, 1.0]);
    assert_eq!(values("p_holm"), values("p_adjusted"));
    let text = markdown(&three);
    assert!(text.contains("may be chance") && !text.contains("not chance"), "{text}");
    for table in [text, report::eval_table(&three)] {
        assert!(table.contains("0.063 after") && table.contains("0.031 before"), "{table}");
    }
    // The two that are not told apart want more tickets than there are.
    let unclear = three.comparisons.iter().filter(|pair| pair.p_adjusted >= 0.05);
    assert!(unclear.map(|pair| pair.tickets_needed.unwrap()).all(|needed| needed > 20));
}
