//! Claude's client as a user of the crate calls it: what a long-lived process and lost answers of
//! the API must not break.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use ticket_router::claude::{
    AnswerSource, BatchSettings, Batches, Client, ClientSettings, Credentials, DEFAULT_MODEL, Journal, Ledger, Message,
    Models, Pending, Request, RequestKey,
};
use ticket_router::{ErrorKind, Remedy};

use crate::raw_double::{Asked, Fault, RawDouble, Reply, answer};

fn settings(double: &RawDouble) -> ClientSettings {
    ClientSettings { retries: 0, ..ClientSettings::new(&double.url, Credentials::ApiKey("key".into())) }
}

fn ledger(max_cost: Option<f64>) -> Arc<Ledger> {
    Arc::new(Ledger::new(Models::built_in().unwrap().find(DEFAULT_MODEL), max_cost).unwrap())
}

fn request(text: &str) -> Request {
    Request {
        model: DEFAULT_MODEL.into(),
        max_tokens: 1000,
        temperature: None,
        thinking: None,
        output_config: None,
        system: Vec::new(),
        messages: vec![Message { role: "user", content: text.into() }],
    }
}

fn pending(count: usize) -> Vec<Pending> {
    let one = |number| {
        let request = request(&format!("ticket no {number}"));
        let body = serde_json::to_vec(&request).unwrap();
        Pending { key: RequestKey::new(&body, 0), request, body }
    };
    (0..count).map(one).collect()
}

/// How the double answers the creation of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Creation {
    Works,
    /// Made, and the answer is lost.
    MadeAndLost,
    /// Made, and the answer does not come.
    MadeAndSilent,
    /// Not made, and the answer is lost.
    Lost,
    Refused,
}

/// The batches of a workspace.
struct Workspace {
    /// The `custom_id`s of each batch.
    batches: Vec<Vec<String>>,
    /// What becomes of the next creations; then they work.
    next: Vec<Creation>,
    has_list: bool,
    /// Looks at lists and batches before a batch has ended.
    looks_left: usize,
    creations: usize,
    lists: usize,
    /// What precedes the results of every batch.
    padding: String,
    /// The most batches that were there and not collected.
    uncollected: usize,
    most_uncollected: usize,
}

impl Workspace {
    fn new(next: &[Creation]) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            batches: Vec::new(),
            next: next.to_vec(),
            has_list: true,
            looks_left: 0,
            creations: 0,
            lists: 0,
            padding: String::new(),
            uncollected: 0,
            most_uncollected: 0,
        }))
    }

    fn object(&self, number: usize) -> Value {
        let (count, has_ended) = (self.batches[number].len(), self.looks_left == 0);
        let (processing, succeeded) = if has_ended { (0, count) } else { (count, 0) };
        json!({
            "id": format!("b{number}"), "processing_status": if has_ended { "ended" } else { "in_progress" },
            "request_counts": {"processing": processing, "succeeded": succeeded},
            "created_at": chrono::Utc::now().to_rfc3339(), "results_url": null
        })
    }

    fn look(&mut self) {
        self.looks_left = self.looks_left.saturating_sub(1);
    }

    fn reply(&mut self, asked: &Asked) -> Reply {
        let path = asked.path.split('?').next().unwrap();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["v1", "messages", "batches"]) => self.create(&asked.body),
            ("GET", ["v1", "messages", "batches"]) if self.has_list => {
                self.lists += 1;
                self.look();
                let data: Vec<Value> = (0..self.batches.len()).rev().map(|number| self.object(number)).collect();
                Reply::new(200, json!({"data": data, "has_more": false}).to_string())
            }
            ("GET", ["v1", "messages", "batches", id]) => {
                self.look();
                Reply::new(200, self.object(id[1..].parse().unwrap()).to_string())
            }
            ("GET", ["v1", "messages", "batches", id, "results"]) => {
                self.uncollected = self.uncollected.saturating_sub(1);
                let lines = self.batches[id[1..].parse::<usize>().unwrap()].iter().map(|custom_id| {
                    let result = json!({"type": "succeeded", "message": answer("order_status")});
                    json!({"custom_id": custom_id, "result": result}).to_string() + "\n"
                });
                Reply::new(200, self.padding.clone() + &lines.collect::<String>())
            }
            _ => Reply::error(404, "not_found_error"),
        }
    }

    fn create(&mut self, body: &Value) -> Reply {
        self.creations += 1;
        let creation = if self.next.is_empty() { Creation::Works } else { self.next.remove(0) };
        if creation == Creation::Refused {
            return Reply::error(400, "invalid_request_error");
        }
        if creation != Creation::Lost {
            let ids = body["requests"].as_array().unwrap().iter().map(|one| one["custom_id"].as_str().unwrap().into());
            self.batches.push(ids.collect());
            self.uncollected += 1;
            self.most_uncollected = self.most_uncollected.max(self.uncollected);
        }
        let reply = Reply::new(200, json!({"id": "?", "processing_status": "?"}).to_string());
        match creation {
            Creation::Lost | Creation::MadeAndLost => reply.fault(Fault::Reset),
            Creation::MadeAndSilent => reply.after(Duration::from_hours(1)),
            _ => Reply::new(200, self.object(self.batches.len() - 1).to_string()),
        }
    }
}

async fn double(workspace: &Arc<Mutex<Workspace>>) -> RawDouble {
    let shared = Arc::clone(workspace);
    RawDouble::start(move |asked, _| shared.lock().unwrap().reply(asked)).await
}

/// What one run of a journal needs.
struct Run {
    batches: Batches,
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
}

fn run(client: &ClientSettings, dir: &TempDir, batch: BatchSettings, max_cost: Option<f64>) -> Run {
    let journal = Arc::new(Journal::open(&dir.path().join("x.journal"), false).unwrap());
    let (client, ledger) = (Arc::new(Client::new(client).unwrap()), ledger(max_cost));
    Run { batches: Batches::new(client, Arc::clone(&journal), Arc::clone(&ledger), batch), journal, ledger }
}

fn quick() -> BatchSettings {
    BatchSettings { poll: Duration::from_millis(5), ..BatchSettings::default() }
}

impl Run {
    async fn fulfil(&self, count: usize) -> ticket_router::Result<()> {
        let failed = self.batches.fulfil(pending(count), &|_, _| {}).await?;
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(self.journal.len(), count);
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_whose_creation_was_not_answered_is_recognised_by_its_results_and_not_made_again() {
    let (workspace, dir) = (Workspace::new(&[Creation::MadeAndLost]), TempDir::new().unwrap());
    // Another run's batch of the same size, which ends at the same time.
    workspace.lock().unwrap().batches.push(vec!["a-0".into(), "b-0".into(), "c-0".into()]);
    workspace.lock().unwrap().looks_left = 3;
    let double = double(&workspace).await;
    let retrying = ClientSettings { retries: 2, ..settings(&double) };
    run(&retrying, &dir, quick(), None).fulfil(3).await.unwrap();
    assert_eq!(workspace.lock().unwrap().creations, 1);
}

#[tokio::test]
async fn a_batch_that_is_not_in_the_list_was_not_made_and_is_made_once_more() {
    let (workspace, dir) = (Workspace::new(&[Creation::Lost]), TempDir::new().unwrap());
    workspace.lock().unwrap().batches.push(vec!["a-0".into(), "b-0".into(), "c-0".into()]);
    let double = double(&workspace).await;
    run(&settings(&double), &dir, quick(), None).fulfil(3).await.unwrap();
    assert_eq!(workspace.lock().unwrap().creations, 2);
}

#[tokio::test]
async fn where_nobody_can_tell_nothing_is_sent_again_unless_it_is_asked_for() {
    let (workspace, dir) = (Workspace::new(&[Creation::MadeAndLost]), TempDir::new().unwrap());
    workspace.lock().unwrap().has_list = false;
    let double = double(&workspace).await;
    // The second time it is another process with the same journal.
    for _ in 0..2 {
        let unclear = run(&settings(&double), &dir, quick(), None).fulfil(3).await.unwrap_err();
        assert_eq!((unclear.kind(), unclear.remedy()), (ErrorKind::Stopped, Some(Remedy::Resend)), "{unclear}");
        assert_eq!(workspace.lock().unwrap().creations, 1);
    }
    run(&settings(&double), &dir, BatchSettings { resend: true, ..quick() }, None).fulfil(3).await.unwrap();
    assert_eq!(workspace.lock().unwrap().creations, 2);
}

#[tokio::test]
async fn a_run_that_dies_between_a_batch_and_its_record_leaves_no_orphan() {
    let (workspace, dir) = (Workspace::new(&[Creation::MadeAndSilent]), TempDir::new().unwrap());
    let double = double(&workspace).await;
    let first = run(&settings(&double), &dir, quick(), None);
    let dies = tokio::spawn(async move { first.fulfil(3).await });
    while workspace.lock().unwrap().batches.is_empty() {
        tokio::task::yield_now().await;
    }
    dies.abort();
    assert!(dies.await.unwrap_err().is_cancelled());
    run(&settings(&double), &dir, quick(), None).fulfil(3).await.unwrap();
    assert_eq!(workspace.lock().unwrap().creations, 1);
}

#[tokio::test]
async fn a_refused_batch_is_not_looked_for() {
    let (workspace, dir) = (Workspace::new(&[Creation::Refused]), TempDir::new().unwrap());
    let double = double(&workspace).await;
    let refused = run(&settings(&double), &dir, quick(), None).fulfil(3).await.unwrap_err();
    assert_eq!(refused.status(), Some(400));
    run(&settings(&double), &dir, quick(), None).fulfil(3).await.unwrap();
    let workspace = workspace.lock().unwrap();
    assert_eq!((workspace.creations, workspace.lists), (2, 0));
}

#[tokio::test]
async fn the_bound_on_the_cost_holds_for_all_batches_of_a_run() {
    let (workspace, dir) = (Workspace::new(&[]), TempDir::new().unwrap());
    let double = double(&workspace).await;
    // A request may cost $0.00025 at most and costs $0.000015: once four are paid, a fifth may pass the bound.
    let one_each = BatchSettings { max_requests: 1, ..quick() };
    let run = run(&settings(&double), &dir, one_each, Some(0.0003));
    let stopped = run.fulfil(8).await.unwrap_err();
    assert_eq!((stopped.kind(), stopped.remedy()), (ErrorKind::Stopped, Some(Remedy::RaiseMaxCost)), "{stopped}");
    assert!((run.ledger.totals().cost - 4.0 * 0.000_015).abs() < 1e-12);
    let workspace = workspace.lock().unwrap();
    assert_eq!((workspace.creations, workspace.most_uncollected), (4, 1));
}

#[tokio::test]
async fn results_of_more_than_64_mebibytes_arrive() {
    let (workspace, dir) = (Workspace::new(&[]), TempDir::new().unwrap());
    let other = json!({"custom_id": "x-0", "result": {"type": "expired", "padding": "x".repeat(1 << 20)}}).to_string();
    workspace.lock().unwrap().padding = (other + "\n").repeat(68);
    let double = double(&workspace).await;
    run(&settings(&double), &dir, quick(), None).fulfil(3).await.unwrap();
}

#[tokio::test]
async fn an_upload_gets_the_time_that_its_size_takes() {
    let double = RawDouble::start(|_, _| Reply::intent("order_status").after(Duration::from_millis(600))).await;
    let hasty = ClientSettings { timeout: Duration::from_millis(200), ..settings(&double) };
    let source = AnswerSource::api(Arc::new(Client::new(&hasty).unwrap()), None, ledger(None));
    assert_eq!(source.send(&request("small")).await.unwrap_err().kind(), ErrorKind::ApiTransient);
    source.send(&request(&"large ".repeat(500_000))).await.unwrap();
}

#[tokio::test]
async fn a_refusal_for_all_holds_for_a_while_and_not_for_the_life_of_the_client() {
    let refused_once = |_: &Asked, number: usize| match number {
        0 => Reply::error(401, "authentication_error"),
        _ => Reply::intent("order_status"),
    };
    for (pause, sent) in [(Duration::ZERO, 2), (Duration::from_hours(1), 1)] {
        let double = RawDouble::start(refused_once).await;
        let patient = ClientSettings { refusal_pause: pause, ..settings(&double) };
        let source = AnswerSource::api(Arc::new(Client::new(&patient).unwrap()), None, ledger(None));
        assert_eq!(source.send(&request("a")).await.unwrap_err().status(), Some(401));
        let second = source.send(&request("b")).await;
        assert_eq!((second.is_ok(), double.log().len()), (sent == 2, sent), "{pause:?}");
    }
}

#[test]
fn settings_are_shown_without_their_key() {
    let shown = format!("{:?}", ClientSettings::new("http://host", Credentials::Token("sk-secret".into())));
    assert!(shown.contains("http://host") && !shown.contains("sk-secret"), "{shown}");
}
