//! A double of the Messages API on loopback.

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::fixture::{Bench, Outcome};

pub const KEY: &str = "sk-test-0123456789";

pub struct Double {
    pub server: MockServer,
}

impl Double {
    /// Answers every request with what `respond` makes of it.
    pub async fn answering(respond: impl Respond + 'static) -> Self {
        let server = MockServer::start().await;
        Mock::given(method("POST")).and(path("/v1/messages")).respond_with(respond).mount(&server).await;
        Self { server }
    }

    /// Runs the program against the double.
    pub fn run(&self, bench: &Bench, args: &[&str]) -> Outcome {
        let mut command = bench.command(args);
        command.env("ANTHROPIC_BASE_URL", self.server.uri()).env("ANTHROPIC_API_KEY", KEY);
        Outcome::of(command.output().unwrap())
    }

    /// The bodies that were sent.
    pub async fn bodies(&self) -> Vec<Value> {
        self.requests().await.iter().map(|request| request.body_json().unwrap()).collect()
    }

    pub async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

/// A whole answer with this text.
pub fn message(text: &str, stop_reason: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).insert_header("request-id", "req_double").set_body_json(json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 120, "output_tokens": 40, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 3000, "service_tier": "standard"}
    }))
}

/// An answer in the form that the prompt asks for.
pub fn tagged(intent: &str) -> ResponseTemplate {
    message(&format!("<reasoning>Because of this and that.</reasoning>\n<intent>{intent}</intent>"), "end_turn")
}

pub fn error(status: u16, kind: &str, text: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .insert_header("request-id", "req_failed")
        .set_body_json(json!({"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_failed"}))
}

/// Gives its answers in turn; the last one stays.
pub struct InTurn(pub std::sync::Mutex<Vec<ResponseTemplate>>);

impl InTurn {
    pub fn new(mut answers: Vec<ResponseTemplate>) -> Self {
        answers.reverse();
        Self(std::sync::Mutex::new(answers))
    }
}

impl Respond for InTurn {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let mut answers = self.0.lock().unwrap();
        if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() }
    }
}
