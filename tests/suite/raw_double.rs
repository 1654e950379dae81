//! A double of the API that can misbehave below HTTP: resets, cut-off and garbled bodies,
//! slowness. It keeps a log of what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fixture::{Bench, Outcome};

/// What the double does with a request.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub delay: Duration,
    /// Is waited for before the answer goes out.
    pub gate: Option<watch::Receiver<bool>>,
    pub fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection ends without an answer.
    Reset,
    /// The body ends in its middle.
    CutOff,
}

impl Reply {
    pub fn new(status: u16, body: String) -> Self {
        Self { status, headers: vec![], body, delay: Duration::ZERO, gate: None, fault: Fault::None }
    }

    /// A whole answer with this intent, in JSON form.
    pub fn intent(intent: &str) -> Self {
        Self::new(200, answer(intent).to_string()).header("request-id", "req_raw")
    }

    pub fn error(status: u16, kind: &str) -> Self {
        Self::new(status, json!({"type": "error", "error": {"type": kind, "message": "not now"}}).to_string())
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers once `gate` is open.
    pub fn once(mut self, gate: watch::Receiver<bool>) -> Self {
        self.gate = Some(gate);
        self
    }

    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

pub fn answer(intent: &str) -> Value {
    json!({
        "type": "message", "role": "assistant", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": json!({"reasoning": "r", "intent": intent}).to_string()}],
        "usage": {"input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1000}
    })
}

/// One request as it came in.
#[derive(Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Asked {
    /// The number in "ticket no N …" of the ticket that it asks about.
    pub fn ticket(&self) -> Option<u64> {
        let text = self.body["messages"][0]["content"].as_str()?;
        text.rsplit("ticket no ").next()?.split(' ').next()?.parse().ok()
    }
}

type Behaviour = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

pub struct RawDouble {
    pub url: String,
    log: Arc<Mutex<Vec<Asked>>>,
    widest: Arc<Mutex<(usize, usize)>>,
}

impl RawDouble {
    /// Answers with what `behave` says to the request and its number, counted from 0.
    pub async fn start(behave: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (log, widest) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new((0, 0))));
        let behave: Arc<Behaviour> = Arc::new(behave);
        let (shared_log, shared_widest) = (Arc::clone(&log), Arc::clone(&widest));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&behave), Arc::clone(&shared_log), Arc::clone(&shared_widest)));
            }
        });
        Self { url, log, widest }
    }

    pub fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// How many requests were under way at once at most.
    pub fn widest(&self) -> usize {
        self.widest.lock().unwrap().1
    }

    /// How often each body was sent.
    pub fn repeats(&self) -> HashMap<Vec<u8>, usize> {
        let mut repeats = HashMap::new();
        for asked in self.log() {
            *repeats.entry(asked.bytes).or_default() += 1;
        }
        repeats
    }

    pub fn command(&self, bench: &Bench, args: &[&str]) -> std::process::Command {
        let mut command = bench.command(args);
        command.env("ANTHROPIC_BASE_URL", &self.url).env("ANTHROPIC_API_KEY", crate::double::KEY);
        command
    }

    pub fn run(&self, bench: &Bench, args: &[&str]) -> Outcome {
        Outcome::of(self.command(bench, args).output().unwrap())
    }
}

async fn serve(
    mut stream: TcpStream,
    behave: Arc<Behaviour>,
    log: Arc<Mutex<Vec<Asked>>>,
    widest: Arc<Mutex<(usize, usize)>>,
) {
    while let Some(asked) = read(&mut stream).await {
        let number = {
            let mut log = log.lock().unwrap();
            log.push(asked.clone());
            log.len() - 1
        };
        {
            let mut widest = widest.lock().unwrap();
            widest.0 += 1;
            widest.1 = widest.1.max(widest.0);
        }
        let reply = behave(&asked, number);
        tokio::time::sleep(reply.delay).await;
        if let Some(mut gate) = reply.gate {
            let _ = gate.wait_for(|&open| open).await;
        }
        widest.lock().unwrap().0 -= 1;
        if reply.fault == Fault::Reset {
            return;
        }
        let mut head = format!(
            "HTTP/1.1 {} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            reply.status,
            reply.body.len()
        );
        for (name, value) in &reply.headers {
            head.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        head.push_str("\r\n");
        let body = reply.body.as_bytes();
        let sent = if reply.fault == Fault::CutOff { &body[..body.len() / 2] } else { body };
        if stream.write_all(&[head.as_bytes(), sent].concat()).await.is_err() || reply.fault == Fault::CutOff {
            return;
        }
    }
}

/// Reads one request; `None` at the end of the connection.
async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut piece = [0; 8_192];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse().unwrap()))
        .unwrap_or(0);
    while bytes.len() < end + length {
        let mut piece = [0; 8_192];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    }
    let body = bytes.split_off(end);
    let mut first = head.split_whitespace();
    Some(Asked {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        bytes: body,
    })
}

/// A file of `count` tickets that the double can tell apart.
pub fn numbered_tickets(count: usize) -> String {
    (0..count).map(|i| format!("{{\"id\": \"n{i}\", \"text\": \"ticket no {i} says thanks\"}}\n")).collect()
}
