//! What tests start from: the library in this process ([`Desk`]), or the built program in a folder of its own ([`Bench`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;
use ticket_router::{DEFAULT_MODEL, HashEmbedder};

#[path = "fixture/desk.rs"]
mod desk;

pub use desk::{Desk, rows};

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn examples(file: &str) -> PathBuf {
    repository().join("examples_db").join(file)
}

/// A file of BANKING77, which is measured on and not shipped.
pub fn banking77(file: &str) -> PathBuf {
    repository().join("../shared/data/banking77").join(file)
}

/// A folder to run the program in, removed at the end of the test. The embedder needs no model unless the test is
/// about what a model brings: to load it takes longer than most of what a test looks at.
pub struct Bench {
    pub dir: TempDir,
    embedder: &'static str,
}

impl Bench {
    /// Without a store.
    pub fn empty() -> Self {
        Self { dir: TempDir::new().unwrap(), embedder: HashEmbedder::NAME }
    }

    /// With a store of all of `examples_db/tickets.jsonl`.
    pub fn with_store() -> Self {
        let bench = Self::empty();
        copy_dir(INDEXED.path(), &bench.store());
        bench
    }

    /// With a store of thirty examples of three intents, and the file that they are from.
    pub fn with_small_store() -> Self {
        let bench = Self::empty();
        copy_dir(SMALL.path(), bench.dir.path());
        bench
    }

    /// Without a store, and with the model that users get.
    pub fn with_model() -> Self {
        Self { embedder: DEFAULT_MODEL, ..Self::empty() }
    }

    /// With that model and a store of all of `examples_db/tickets.jsonl`.
    pub fn with_model_and_store() -> Self {
        let bench = Self::with_model();
        copy_dir(INDEXED_WITH_MODEL.path(), &bench.store());
        bench
    }

    /// With that model and a store of BANKING77's training file.
    pub fn with_banking77() -> Self {
        let bench = Self::with_model();
        copy_dir(BANKING77.path(), &bench.store());
        bench
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join(".ticket-router")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The program with these arguments, in the folder, with a clean environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticket-router"));
        command.current_dir(self.dir.path()).args(args);
        for (name, _) in std::env::vars() {
            if ["ANTHROPIC_", "TICKET_ROUTER_", "ORT_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.env("TICKET_ROUTER_MODEL_DIR", repository().join(".runtime"));
        command.env("TICKET_ROUTER_EMBEDDER", self.embedder);
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args).output().unwrap())
    }
}

/// What a run printed and how it ended.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Failed with exit code 1 and one clear line that holds all these parts.
    #[track_caller]
    pub fn fails_with(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, 1, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one line expected: {}", self.stderr);
        assert!(lines[0].starts_with("error: "), "{}", self.stderr);
        for part in parts {
            assert!(lines[0].contains(part), "{part:?} is missing in: {}", lines[0]);
        }
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

// Built once; tests work on copies of them.
static INDEXED: LazyLock<TempDir> = LazyLock::new(|| indexed(&Bench::empty()));
static INDEXED_WITH_MODEL: LazyLock<TempDir> = LazyLock::new(|| indexed(&Bench::with_model()));
static BANKING77: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let train = banking77("train.csv");
    let args =
        ["index", train.to_str().unwrap(), "--intent-column", "category", "--store", dir.path().to_str().unwrap()];
    Bench::with_model().run(&args).ok();
    dir
});
static SMALL: LazyLock<TempDir> = LazyLock::new(|| {
    let bench = Bench::empty();
    bench.write("examples.jsonl", small_tickets(30));
    bench.run(&["index", "examples.jsonl"]).ok();
    bench.dir
});

/// The store of `examples_db/tickets.jsonl`.
fn indexed(bench: &Bench) -> TempDir {
    let dir = TempDir::new().unwrap();
    let (tickets, taxonomy) = (examples("tickets.jsonl"), examples("taxonomy.toml"));
    let args = ["index", tickets.to_str().unwrap(), "--taxonomy", taxonomy.to_str().unwrap()];
    bench.run(&[&args[..], &["--store", dir.path().to_str().unwrap()]].concat()).ok();
    dir
}

pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A file of `count` labelled tickets about two things.
pub fn small_tickets(count: usize) -> String {
    let topics = [("parcel", "order_status"), ("password", "password_reset"), ("invoice", "invoice_request")];
    (0..count)
        .map(|i| {
            let (word, intent) = topics[i % topics.len()];
            format!(
                "{{\"id\": \"S-{i}\", \"text\": \"My {word} number {i} needs attention\", \"intent\": \"{intent}\"}}\n"
            )
        })
        .collect()
}

/// Removes times, which differ from run to run.
pub fn without_times(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.remove("latency_ms");
        for inner in object.values_mut() {
            *inner = without_times(inner.take());
        }
    } else if let Some(list) = value.as_array_mut() {
        for inner in list {
            *inner = without_times(inner.take());
        }
    }
    value
}
