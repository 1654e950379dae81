//! How close a run with many workers comes to what the API's latency allows.
//!
//! `cargo run --release --example throughput -- STORE TICKETS.jsonl`, see `scripts/bench-claude`. A double
//! of the API in a process of its own answers each request after 300 ms; 1,000 tickets are
//! sent with 64 workers. Embedding is done ahead and timed apart.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use ticket_router::claude::{
    AnswerSource, Client, ClientSettings, Credentials, DEFAULT_MODEL as CLAUDE, Ledger, Models, PaceLimits,
};
use ticket_router::embed::Remembering;
use ticket_router::input::{self, InputOptions};
use ticket_router::pipeline::{Examples, Judge, Options, Retriever, Scope, Task, run};
use ticket_router::stages::prompt::Prompts;
use ticket_router::{ClaudeLabeler, DEFAULT_MODEL, EdgeStore, FastEmbedder, Labeler, ModelPaths, Ticket};

#[path = "shared/process.rs"]
mod process;

const TICKETS: usize = 1_000;
const WORKERS: usize = 64;
const LATENCY: Duration = Duration::from_millis(300);

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("double") {
        return double();
    }
    let [_, store, tickets] = args.as_slice() else {
        return Err("usage: throughput STORE TICKETS.jsonl".into());
    };
    let mut child = Command::new(std::env::current_exe()?).arg("double").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    std::io::BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut address)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(measure(Path::new(store), Path::new(tickets), address.trim()));
    child.kill()?;
    outcome
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
async fn measure(store: &Path, tickets: &Path, address: &str) -> Outcome<()> {
    let rows = input::read(tickets, &InputOptions::default())?;
    let texts: Vec<Ticket> = rows.into_iter().filter_map(|row| Some(row.content.ok()?.ticket)).collect();
    let numbered = |(i, ticket): (usize, Ticket)| Ticket { id: format!("b{i}"), ..ticket };
    let tickets: Vec<Ticket> = texts.into_iter().cycle().take(TICKETS).enumerate().map(numbered).collect();

    let paths = ModelPaths { usual: vec![PathBuf::from(".runtime")], ..ModelPaths::default() };
    // What is embedded once is not embedded again, so the runs below hold none of it.
    let embedder = Arc::new(Remembering::new(Arc::new(FastEmbedder::load(DEFAULT_MODEL, &paths)?)));
    let retriever = Arc::new(Retriever::open(Arc::new(EdgeStore::open(store).await?), embedder).await?);
    let begun = Instant::now();
    let _: Vec<_> = retriever.embed(tickets.clone()).await.into_iter().collect::<Result<_, _>>()?;
    let ahead = begun.elapsed();

    let judges = Arc::from([judge(address)?]);
    let (begun, cpu) = (Instant::now(), cpu_time()?);
    let tasks = tickets.iter().map(|ticket| Task { ticket: ticket.clone(), exclude: Vec::new() }).collect();
    let answered: Vec<_> = run(Arc::clone(&retriever), judges, tasks, WORKERS).try_collect().await?;
    let (wall, with_search) = (begun.elapsed(), cpu_time()? - cpu);
    let answers = answered.iter().flat_map(|ticket| &ticket.answers);
    let answered = answers.filter(|answer| answer.as_ref().is_ok_and(|answer| answer.intent.is_some())).count();

    // Once more with the search done ahead: what remains is prompt, HTTP, parse, decide.
    let vectors: Vec<_> = retriever.embed(tickets).await.into_iter().collect::<Result<_, _>>()?;
    let mut gathered = Vec::with_capacity(TICKETS);
    for embedded in vectors {
        gathered.push(retriever.search(embedded, Scope::default()).await?);
    }
    let cpu = cpu_time()?;
    let asking = judge(address)?;
    let _: Vec<_> =
        stream::iter(&gathered).map(|gathered| asking.judge(&retriever, gathered)).buffered(WORKERS).collect().await;
    let own = cpu_time()? - cpu;

    let ideal = LATENCY.as_secs_f64() * TICKETS as f64 / WORKERS as f64;
    println!(
        "tickets answered                 {answered} of {TICKETS}, {WORKERS} workers, {} ms an answer",
        LATENCY.as_millis()
    );
    println!("embedding ahead                  {:.2} s", ahead.as_secs_f64());
    println!("wall time                        {:.2} s", wall.as_secs_f64());
    println!("ideal (1000 x 0.3 / 64)          {ideal:.2} s");
    println!("wall / ideal                     {:.3}", wall.as_secs_f64() / ideal);
    println!("CPU a ticket, search included    {:.2} ms", with_search * 1e3 / TICKETS as f64);
    println!("CPU a ticket, the client alone   {:.2} ms", own * 1e3 / TICKETS as f64);
    println!("peak memory                      {:.0} MB", process::memory(process::PEAK)?);
    Ok(())
}

fn judge(address: &str) -> Outcome<Judge> {
    let mut settings = ClientSettings::new(format!("http://{address}"), Credentials::ApiKey("bench".into()));
    settings.pace = PaceLimits { concurrency: WORKERS, requests_per_minute: None, input_tokens_per_minute: None };
    let model = Models::built_in()?.find(CLAUDE);
    let ledger = Arc::new(Ledger::new(model.clone(), None)?);
    let source = Arc::new(AnswerSource::api(Arc::new(Client::new(&settings)?), None, ledger));
    let form = ClaudeLabeler::best_form(&model);
    let labeler: Arc<dyn Labeler> =
        Arc::new(ClaudeLabeler::new(Some(source), model, form, Arc::new(Prompts::load(None)?)));
    Ok(Judge::new(labeler, Examples::Retrieved, Options::default()))
}

/// Seconds of processor time that this process used.
fn cpu_time() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().ok_or("no stat")?.split_whitespace().collect();
    // Fields 14 and 15 of the whole line, in hundredths of a second.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// Answers every request after the latency, one thread a connection.
fn double() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> Option<()> {
    let body = r#"{"type":"message","stop_reason":"end_turn","content":[{"type":"text","text":"{\"reasoning\":\"r\",\"intent\":\"order_status\"}"}],"usage":{"input_tokens":900,"output_tokens":40,"cache_read_input_tokens":4000}}"#;
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut bytes = Vec::new();
    let mut piece = [0; 16_384];
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut piece).ok()? {
                0 => return None,
                n => bytes.extend_from_slice(&piece[..n]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize = head.split("content-length:").nth(1)?.lines().next()?.trim().parse().ok()?;
        while bytes.len() < end + length {
            match stream.read(&mut piece).ok()? {
                0 => return None,
                n => bytes.extend_from_slice(&piece[..n]),
            }
        }
        bytes.drain(..end + length);
        std::thread::sleep(LATENCY);
        stream.write_all(answer.as_bytes()).ok()?;
    }
}
