//! Many tickets at once: how many calls a labeler sees, in which order answers come, what stops a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use tempfile::TempDir;
use ticket_router::label::Basis;
use ticket_router::measure::eval::{Arm, EvalOptions, Shows, evaluate};
use ticket_router::pipeline::Retriever;
use ticket_router::{
    Classification, Classifier, Decision, Embedder, Error, ErrorKind, Evidence, Label, Labeler, LabelledTicket,
    ReasonCode, Result, Taxonomy, Ticket, VoteLabeler,
};
use tokio::sync::{Barrier, Notify};

use crate::library::{Letters, store};

/// Counts its calls; what a call does is the test's.
#[derive(Default)]
struct Calls {
    started: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    done: AtomicUsize,
}

struct Counting<F>(Arc<Calls>, F);

#[async_trait]
impl<F, W> Labeler for Counting<F>
where
    F: Fn(usize) -> W + Send + Sync,
    W: Future<Output = Result<()>> + Send,
{
    fn name(&self) -> &'static str {
        "counting"
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        let Self(calls, work) = self;
        calls.started.fetch_add(1, SeqCst);
        calls.most_at_once.fetch_max(calls.at_once.fetch_add(1, SeqCst) + 1, SeqCst);
        let outcome = work(evidence.ticket.id.parse().unwrap()).await;
        calls.at_once.fetch_sub(1, SeqCst);
        calls.done.fetch_add(1, SeqCst);
        outcome.map(|()| Label { intent: Some("ay".into()), ..Label::default() })
    }
}

fn tickets(count: usize) -> Vec<Ticket> {
    (0..count).map(|number| Ticket { id: number.to_string(), ..Ticket::new("aaa") }).collect()
}

async fn classifier<F, W>(dir: &TempDir, calls: &Arc<Calls>, concurrency: usize, work: F) -> Classifier
where
    F: Fn(usize) -> W + Send + Sync + 'static,
    W: Future<Output = Result<()>> + Send + 'static,
{
    let builder = Classifier::builder().store(store(dir).await).embedder(Arc::new(Letters));
    builder.labeler(Arc::new(Counting(Arc::clone(calls), work))).concurrency(concurrency).build().await.unwrap()
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_labeler_sees_exactly_as_many_calls_at_once_as_were_asked_for() {
    let dir = TempDir::new().unwrap();
    let (calls, all_there) = (Arc::<Calls>::default(), Arc::new(Barrier::new(3)));
    // Three calls wait for each other, so fewer would hang.
    let work = move |_| {
        let all_there = Arc::clone(&all_there);
        async move {
            all_there.wait().await;
            Ok(())
        }
    };
    let answers: Vec<_> = classifier(&dir, &calls, 3, work).await.classify_all(&tickets(150)).collect().await;
    assert_eq!((answers.len(), calls.most_at_once.load(SeqCst)), (150, 3));
}

#[tokio::test]
async fn the_arms_of_an_evaluation_share_the_calls() {
    let dir = TempDir::new().unwrap();
    let (calls, all_there) = (Arc::<Calls>::default(), Arc::new(Barrier::new(2)));
    let work = move |_| {
        let all_there = Arc::clone(&all_there);
        async move {
            all_there.wait().await;
            Ok(())
        }
    };
    let labeler: Arc<dyn Labeler> = Arc::new(Counting(Arc::clone(&calls), work));
    let retriever = Arc::new(Retriever::open(store(&dir).await, Arc::new(Letters)).await.unwrap());
    let arms = ["a", "b", "c"].map(|name| Arm::new(name, Shows::Retrieved, Arc::clone(&labeler))).to_vec();
    let options = EvalOptions { arms, static_examples: None, seed: 7, concurrency: 2, case_column: None };
    let labelled = |ticket| LabelledTicket { ticket, intent: "ay".into(), reasoning: None };
    let tickets = tickets(10).into_iter().map(labelled).collect();
    let report = evaluate(&retriever, tickets, &options, &|_, _| {}).await.unwrap();
    assert_eq!((report.arms[2].n, calls.started.load(SeqCst), calls.most_at_once.load(SeqCst)), (10, 30, 2));
}

#[tokio::test]
async fn answers_come_in_order_though_a_slow_first_one_is_overtaken() {
    let dir = TempDir::new().unwrap();
    let (calls, overtaken) = (Arc::<Calls>::default(), Arc::new(Notify::new()));
    let done = Arc::clone(&calls);
    let work = move |number| {
        let (done, overtaken) = (Arc::clone(&done), Arc::clone(&overtaken));
        async move {
            match number {
                0 => overtaken.notified().await,
                _ if done.done.load(SeqCst) == 4 => overtaken.notify_one(),
                _ => {}
            }
            Ok(())
        }
    };
    let answers: Vec<_> = classifier(&dir, &calls, 2, work).await.classify_all(&tickets(70)).collect().await;
    let ids: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().id).collect();
    assert_eq!(ids, tickets(70).into_iter().map(|ticket| ticket.id).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_stops_reading_stops_the_calls() {
    let dir = TempDir::new().unwrap();
    let calls = Arc::<Calls>::default();
    let classifier = classifier(&dir, &calls, 2, |_| std::future::ready(Ok(()))).await;
    let mut answers = Box::pin(classifier.classify_all(&tickets(60)));
    answers.next().await.unwrap().unwrap();
    settle().await;
    // Four may wait for each call at once; one was read, one waits for its place.
    assert_eq!(calls.started.load(SeqCst), 2 * 4 + 2);
    drop(answers);
    settle().await;
    assert_eq!(calls.started.load(SeqCst), 2 * 4 + 2);
}

#[tokio::test]
async fn what_every_ticket_would_fail_by_ends_the_run_when_what_is_under_way_has_arrived() {
    let dir = TempDir::new().unwrap();
    let (calls, failed) = (Arc::<Calls>::default(), Arc::new(Notify::new()));
    let work = move |number| {
        let failed = Arc::clone(&failed);
        async move {
            match number {
                // Under way when number 5 fails.
                4 => failed.notified().await,
                5 => {
                    failed.notify_one();
                    return Err(Error::new(ErrorKind::Configuration, "the key is wrong"));
                }
                _ => {}
            }
            Ok(())
        }
    };
    let answers: Vec<_> = classifier(&dir, &calls, 2, work).await.classify_all(&tickets(60)).collect().await;
    assert_eq!(answers.len(), 6);
    assert!(answers[..5].iter().all(Result::is_ok));
    assert_eq!(answers[5].as_ref().unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!((calls.started.load(SeqCst), calls.done.load(SeqCst)), (6, 6));
}

/// Takes its time for every call.
struct Slow;

const EMBEDDING: Duration = Duration::from_millis(600);

#[async_trait]
impl Embedder for Slow {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn dimension(&self) -> usize {
        26
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        tokio::time::sleep(EMBEDDING).await;
        Letters.embed(texts).await
    }
}

/// Needs nothing but the ticket.
struct Constant;

#[async_trait]
impl Labeler for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn basis(&self, _: &Taxonomy) -> Basis {
        Basis { votes: false, shortlist: false }
    }

    async fn label(&self, _: &Evidence) -> Result<Label> {
        Ok(Label { intent: Some("ay".into()), ..Label::default() })
    }
}

#[tokio::test]
async fn an_arm_is_charged_for_the_preparation_that_it_needs() {
    let dir = TempDir::new().unwrap();
    let retriever = Arc::new(Retriever::open(store(&dir).await, Arc::new(Slow)).await.unwrap());
    let of = |shows, labeler: &Arc<dyn Labeler>| Arm::new("arm", shows, Arc::clone(labeler));
    let (constant, vote): (Arc<dyn Labeler>, Arc<dyn Labeler>) = (Arc::new(Constant), Arc::new(VoteLabeler));
    let mut asking = of(Shows::Nothing, &constant);
    asking.options.min_confidence = Some(0.1);
    let arms = [
        (of(Shows::Nothing, &constant), false),
        (of(Shows::Static, &constant), false),
        (of(Shows::Retrieved, &constant), true),
        // The vote compares the ticket with the fixed examples.
        (of(Shows::Static, &vote), true),
        // The decision asks what the history says.
        (asking, true),
    ];
    let options = EvalOptions {
        arms: arms.iter().map(|(arm, _)| arm.clone()).collect(),
        static_examples: None,
        seed: 7,
        concurrency: 4,
        case_column: None,
    };
    let labelled = |ticket| LabelledTicket { ticket, intent: "ay".into(), reasoning: None };
    let report =
        evaluate(&retriever, tickets(2).into_iter().map(labelled).collect(), &options, &|_, _| {}).await.unwrap();
    let share = EMBEDDING.as_secs_f64() * 1e3 / 2.0;
    for (place, (arm, (_, is_charged))) in report.arms.iter().zip(&arms).enumerate() {
        assert_eq!(arm.latency_ms.p50 >= share, *is_charged, "arm {place}: {:?}", arm.latency_ms);
    }
}

#[tokio::test]
async fn an_answer_comes_back_from_its_json_as_it_was() {
    let dir = TempDir::new().unwrap();
    let builder = Classifier::builder().store(store(&dir).await).embedder(Arc::new(Letters));
    let classifier = builder.labeler(Arc::new(VoteLabeler)).build().await.unwrap();
    let answer = classifier.classify(&Ticket::new("zzz")).await.unwrap();
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!((&json["schema"], &json["reason_code"]), (&1.into(), &"sure".into()));
    let mut back: Classification = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(back.reason_code, ReasonCode::Sure);
    // The texts of the examples are not part of the JSON.
    for (neighbour, of_answer) in back.neighbours.iter_mut().zip(&answer.neighbours) {
        assert!(neighbour.text.is_empty() && !of_answer.text.is_empty());
        neighbour.text.clone_from(&of_answer.text);
    }
    assert_eq!(back, answer);
}

#[tokio::test]
async fn a_ticket_without_a_text_is_a_review_that_asks_nobody() {
    let dir = TempDir::new().unwrap();
    let calls = Arc::<Calls>::default();
    let classifier = classifier(&dir, &calls, 1, |_| std::future::ready(Ok(()))).await;
    let answer = classifier.classify(&Ticket { id: "0".into(), ..Ticket::new(" \n") }).await.unwrap();
    assert_eq!((answer.decision, answer.reason_code), (Decision::Review, ReasonCode::NoText));
    assert_eq!((answer.intent, calls.started.load(SeqCst)), (None, 0));
}

#[tokio::test]
async fn arms_that_would_search_otherwise_are_refused() {
    let dir = TempDir::new().unwrap();
    let retriever = Arc::new(Retriever::open(store(&dir).await, Arc::new(Letters)).await.unwrap());
    let mut arms = ["a", "b"].map(|name| Arm::new(name, Shows::Retrieved, Arc::new(VoteLabeler))).to_vec();
    arms[1].options.probe = false;
    let options = EvalOptions { arms, static_examples: None, seed: 7, concurrency: 1, case_column: None };
    let labelled = |ticket| LabelledTicket { ticket, intent: "ay".into(), reasoning: None };
    let tickets = tickets(2).into_iter().map(labelled).collect();
    let refused = evaluate(&retriever, tickets, &options, &|_, _| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
}
