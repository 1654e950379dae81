//! The rounds, and what comes out of them.

use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::Instant;

use serde::de::{DeserializeOwned, IgnoredAny};
use ticket_router::{DEFAULT_MODEL, EdgeStore, INT8_MODEL};

use super::contestant::{Command, Contestant, Load, Memory, Ready, Recall, Stages};
use super::data::Data;
use super::figures::{Aim, Report, Spread, ratios};
use super::{Args, Outcome, fill};

/// What the targets speak of.
const USUAL: usize = 10_000;
const LARGE: usize = 1_000_000;
const LEARNED: usize = 100_000;
const CALLERS: [usize; 3] = [1, 8, 64];

/// How much is measured.
struct Extent {
    sizes: Vec<usize>,
    rounds: usize,
    /// Tickets of a round.
    tickets: usize,
    /// Index runs of a round, and their texts.
    index_rounds: usize,
    indexed: usize,
    /// Queries before the memory is looked at.
    queries: usize,
}

impl Extent {
    fn of(args: &Args) -> Self {
        if args.quick {
            return Self { sizes: vec![200], rounds: 2, tickets: 10, index_rounds: 1, indexed: 100, queries: 50 };
        }
        let sizes = args.sizes.iter().copied().chain(args.large.then_some(LARGE)).collect();
        Self { sizes, rounds: 5, tickets: 100, index_rounds: 3, indexed: 1_000, queries: 1_000 }
    }
}

struct Bench<'a> {
    args: &'a Args,
    extent: Extent,
    data: Data,
    stores: PathBuf,
    report: Report,
}

/// Runs everything, prints the table and writes the JSON file.
pub fn run(args: &Args) -> Outcome<()> {
    let data = Data::load(args.quick)?;
    let (extent, command) = (Extent::of(args), std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    let about = format!(
        "{}: {} examples, {} tickets; beyond, copies with noise of length {} on their embeddings; {} rounds of {} tickets",
        data.name,
        data.examples.len(),
        data.tickets.len(),
        fill::NOISE,
        extent.rounds,
        extent.tickets
    );
    let report = Report::new(machine(), format!("speed {command}"), about);
    // Not among the system's temporary files, which may be in memory.
    std::fs::create_dir_all("target")?;
    let temporary = tempfile::tempdir_in("target")?;
    let stores = args.stores.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut bench = Bench { args, extent, data, stores, report };
    let mut by_size = Vec::new();
    for size in bench.extent.sizes.clone() {
        by_size.push((size, bench.size(size)?));
        bench.save()?;
    }
    let usual = bench.real_size();
    bench.beside(usual)?;
    bench.accuracy(usual)?;
    let at = |wanted: usize| by_size.iter().find(|(size, _)| *size == wanted).map(|(_, measured)| measured);
    if let (Some(usual), Some(large)) = (at(USUAL), at(LARGE)) {
        let slower = ratios(&large.retrieve, &usual.retrieve);
        bench.report.target("query time at 1,000,000 / at 10,000", slower, &Aim::AtMost(3.0));
        bench.report.target("recall@10 at 1,000,000", large.recall.clone(), &Aim::AtLeast(0.98));
    }
    // What follows has stores large enough that the vectors outweigh the model.
    let real = bench.data.examples.len();
    for (size, usual) in by_size.iter().filter(|(size, _)| *size > real) {
        bench.compact(*size, &usual.memory)?;
    }
    bench.report.print_targets();
    bench.save()
}

/// What targets ask of a size.
struct Measured {
    retrieve: Vec<f64>,
    recall: Vec<f64>,
    memory: Vec<f64>,
}

impl Bench<'_> {
    /// What there is so far: a run may take an hour.
    fn save(&self) -> Outcome<()> {
        if let Some(folder) = self.args.json.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(&self.args.json, serde_json::to_string_pretty(&self.report)? + "\n")?)
    }

    /// The size at which the peers are measured, and 8-bit weights.
    fn real_size(&self) -> usize {
        self.extent.sizes.iter().copied().filter(|size| *size <= self.data.examples.len()).max().unwrap_or(USUAL)
    }

    fn path(&self, embedder: &str, size: usize) -> PathBuf {
        self.stores.join(format!("{embedder}-{size}"))
    }

    /// This program again, for a part of the work.
    fn part(&self, name: &str, store: &Path) -> Outcome<Program> {
        let mut program = Program::new(std::env::current_exe()?);
        program.arg(name).arg(store).env("ORT_DISABLE_TELEMETRY", "1");
        if self.args.quick {
            program.arg("--quick");
        }
        Ok(program)
    }

    fn ours(&self, embedder: &str, size: usize) -> Outcome<(Contestant, Ready)> {
        Contestant::start(self.part("ours", &self.path(embedder, size))?.arg(embedder))
    }

    fn peer(&self, kind: &str, embedder: &str) -> Outcome<Option<Contestant>> {
        let Some(python) = &self.args.python else { return Ok(None) };
        let mut program = Program::new(python);
        program.args(["scripts/peer.py", kind]).arg(Path::new(".runtime").join(embedder));
        Ok(Some(Contestant::start::<IgnoredAny>(program.env("ORT_DISABLE_TELEMETRY", "1"))?.0))
    }

    /// Makes the store of a size and returns the seconds that it took, less the probe's training; `None` when
    /// it is there.
    fn fill(&self, embedder: &str, size: usize) -> Outcome<Option<f64>> {
        let (store, count) = (self.path(embedder, size), size.to_string());
        let program = if size <= self.data.examples.len() {
            let mut program = self.part("real", &store)?;
            program.args([embedder, &count]);
            program
        } else {
            let mut program = self.part("noisy", &store)?;
            program.arg(self.path(embedder, self.real_size())).arg(&count);
            program
        };
        run_fill(program, &store, size)
    }

    /// All figures of one size that need no peer.
    fn size(&mut self, size: usize) -> Outcome<Measured> {
        self.report.section(format!("{size} examples"));
        let seconds = self.fill(DEFAULT_MODEL, size)?;
        let what = if size <= self.data.examples.len() { "made by index" } else { "made from known vectors" };
        if let Some(seconds) = seconds {
            self.report.add(format!("{what}, probe left out"), "examples/s", vec![to_f64(size) / seconds]);
        }
        let store = self.path(DEFAULT_MODEL, size);
        self.report.add("size on disk", "MB", vec![folder_size(&store)? / 1e6]);

        let (mut load, mut open, mut memory, mut first) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.extent.rounds {
            let (mut ours, ready) = self.ours(DEFAULT_MODEL, size)?;
            load.push(ready.load_ms);
            open.push(ready.open_ms);
            if round < self.extent.index_rounds {
                let tickets = self.data.tickets(0, self.extent.queries);
                ours.ask::<Vec<Stages>>(&Command::Tickets(tickets))?;
                memory.push(ours.ask(&Command::Memory)?);
            }
            drop(ours);
            first.push(cold(&store, &self.data.tickets[round])?);
        }
        self.report.add("load the model", "ms", load);
        self.report.add("open the store", "ms", open);
        let memory = self.memory(&memory);
        self.report.add("from command to answer, classify with vote", "s", first.clone());
        if size == self.real_size() {
            self.report.target("from command to answer, s", first, &Aim::AtMost(0.6));
        }

        let (mut ours, _) = self.ours(DEFAULT_MODEL, size)?;
        let mut stages: Vec<Vec<f64>> = vec![Vec::new(); Stages::NAMES.len() + 1];
        for round in 0..=self.extent.rounds {
            let times: Vec<Stages> = ours.ask(&Command::Tickets(self.round_of_tickets(round)))?;
            // The first one fills the caches.
            if round > 0 {
                for (stage, figures) in stages.iter_mut().enumerate() {
                    let of = |times: &Stages| times.each().get(stage).copied().unwrap_or_else(|| times.total());
                    figures.push(median(times.iter().map(of).collect()));
                }
            }
        }
        for (name, figures) in Stages::NAMES.into_iter().chain(["overhead of a ticket"]).zip(&stages) {
            self.report.add(name, "ms", figures.clone());
        }
        self.callers(&mut ours, size)?;
        let mut learned = Vec::new();
        for round in 0..self.extent.rounds {
            learned.push(median(ours.ask(&Command::Learn(self.round_of_tickets(round)))?));
        }
        self.report.add("learn an example, the store's part", "ms", learned.clone());
        if size == LEARNED {
            self.report.target(format!("learn an example at {size}, ms"), learned, &Aim::AtMost(10.0));
        }
        let recall: Vec<Recall> = ours.ask(&Command::Recall(self.round_of_tickets(0)))?;
        let groups: Vec<&[Recall]> = recall.chunks(self.extent.tickets.div_ceil(5)).collect();
        let mean = |of: fn(&Recall) -> f64| -> Vec<f64> {
            groups.iter().map(|group| group.iter().map(of).sum::<f64>() / to_f64(group.len())).collect()
        };
        let found = mean(|recall| recall.found);
        self.report.add("recall@10 of the dense search, five groups of tickets", "share", found.clone());
        self.report.add("different texts among the ten nearest", "texts", mean(|recall| to_f64(recall.texts)));
        Ok(Measured { retrieve: stages.swap_remove(1), recall: found, memory })
    }

    /// The same examples as a compact store: its memory beside the usual one's, and its recall.
    fn compact(&mut self, size: usize, usual: &[f64]) -> Outcome<()> {
        self.report.section(format!("{size} examples, vectors on disk and a scalar-quantized copy in memory"));
        let name = format!("{DEFAULT_MODEL}-compact");
        let store = self.path(&name, size);
        let mut program = self.part("noisy", &store)?;
        program.arg(self.path(DEFAULT_MODEL, self.real_size())).arg(size.to_string()).arg("--compact");
        run_fill(program, &store, size)?;
        self.report.add("size on disk", "MB", vec![folder_size(&store)? / 1e6]);
        let (mut memory, mut retrieve, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.extent.index_rounds {
            let mut ours = Contestant::start::<Ready>(self.part("ours", &store)?.arg(DEFAULT_MODEL))?.0;
            let tickets = self.data.tickets(0, self.extent.queries);
            let times: Vec<Stages> = ours.ask(&Command::Tickets(tickets))?;
            memory.push(ours.ask(&Command::Memory)?);
            retrieve.push(median(times.iter().map(|stages| stages.retrieve).collect()));
            let recall: Vec<Recall> = ours.ask(&Command::Recall(self.round_of_tickets(round)))?;
            found.push(recall.iter().map(|recall| recall.found).sum::<f64>() / to_f64(recall.len()));
        }
        let memory = self.memory(&memory);
        self.report.add("retrieve", "ms", retrieve);
        self.report.add("recall@10 of the dense search", "share", found.clone());
        self.report.target(format!("memory at {size}, compact / usual"), ratios(&memory, usual), &Aim::AtMost(0.4));
        self.report.target(format!("recall@10 at {size}, compact"), found, &Aim::AtLeast(0.95));
        Ok(())
    }

    /// Adds the memory of several rounds and returns the peaks.
    fn memory(&mut self, rounds: &[Memory]) -> Vec<f64> {
        let peaks: Vec<f64> = rounds.iter().map(|memory| memory.peak_mb).collect();
        self.report.add(format!("peak memory after {} queries", self.extent.queries), "MB", peaks.clone());
        let own = rounds.iter().map(|memory| memory.own_mb).collect();
        self.report.add("memory that is not of mapped files", "MB", own);
        peaks
    }

    fn round_of_tickets(&self, round: usize) -> Vec<String> {
        self.data.tickets(round * self.extent.tickets, self.extent.tickets)
    }

    /// Callers in turns: each number of them once a round.
    fn callers(&mut self, ours: &mut Contestant, size: usize) -> Outcome<()> {
        let mut loads: [Vec<Load>; CALLERS.len()] = Default::default();
        for round in 0..=self.extent.index_rounds {
            for (callers, loads) in CALLERS.into_iter().zip(&mut loads) {
                let count = self.extent.tickets * callers.min(8);
                let load = ours.ask(&Command::Callers(callers, self.data.tickets(round * 97, count)))?;
                if round > 0 {
                    loads.push(load);
                }
            }
        }
        let speed = |loads: &[Load]| loads.iter().map(|load| load.per_second).collect::<Vec<f64>>();
        for (callers, loads) in CALLERS.iter().zip(&loads) {
            self.report.add(format!("throughput, {callers} callers"), "tickets/s", speed(loads));
            let p95 = loads.iter().map(|load| load.p95_ms).collect();
            self.report.add(format!("p95, {callers} callers"), "ms", p95);
        }
        if size == self.real_size() {
            let gain = ratios(&speed(&loads[2]), &speed(&loads[0]));
            self.report.target("throughput, 64 callers / 1 caller", gain, &Aim::AtLeast(1.3));
        }
        Ok(())
    }

    /// Ours, the bare runtime and the Python stack, a round of each in turns.
    fn beside(&mut self, size: usize) -> Outcome<()> {
        self.report.section(format!("beside it, {size} examples"));
        self.fill(INT8_MODEL, size)?;
        let names = ["ours", "ours, int8", "bare runtime", "bare runtime, int8", "Python stack"];
        let mut all = [
            Some(self.ours(DEFAULT_MODEL, size)?.0),
            Some(self.ours(INT8_MODEL, size)?.0),
            self.peer("bare", DEFAULT_MODEL)?,
            self.peer("bare", INT8_MODEL)?,
            self.peer("stack", DEFAULT_MODEL)?,
        ];
        let texts = |count: usize| Command::Index(self.data.example_texts(count));
        let mut rates: [Vec<f64>; 5] = Default::default();
        for round in 0..=self.extent.index_rounds {
            for (contestant, rates) in all.iter_mut().zip(&mut rates) {
                if let Some(contestant) = contestant {
                    let count = if round == 0 { self.extent.indexed / 8 } else { self.extent.indexed };
                    let seconds: f64 = contestant.ask(&texts(count))?;
                    if round > 0 {
                        rates.push(to_f64(count) / seconds);
                    }
                }
            }
        }
        if let Some(stack) = &mut all[4] {
            stack.ask::<f64>(&texts(size))?;
        }
        let mut times: [Vec<f64>; 5] = Default::default();
        for round in 0..=self.extent.rounds {
            let tickets = Command::Tickets(self.round_of_tickets(round));
            for (place, (contestant, times)) in all.iter_mut().zip(&mut times).enumerate() {
                if let Some(contestant) = contestant {
                    let of_round = if place < 2 {
                        contestant.ask::<Vec<Stages>>(&tickets)?.iter().map(Stages::total).collect()
                    } else {
                        contestant.ask(&tickets)?
                    };
                    if round > 0 {
                        times.push(median(of_round));
                    }
                }
            }
        }
        let index = format!("index rate, {} texts", self.extent.indexed);
        for ((name, rates), times) in names.iter().zip(&rates).zip(&times).filter(|((_, rates), _)| !rates.is_empty()) {
            self.report.add(format!("{index}: {name}"), "texts/s", rates.clone());
            self.report.add(format!("one ticket: {name}"), "ms", times.clone());
        }
        if self.args.python.is_some() {
            let report = &mut self.report;
            let (time, rate) = (
                |of: usize, to: usize| ratios(&times[of], &times[to]),
                |of: usize, to: usize| ratios(&rates[of], &rates[to]),
            );
            report.target("one ticket, ours / bare runtime", time(0, 2), &Aim::AtMost(1.2));
            report.target("one ticket, ours / Python stack", time(0, 4), &Aim::AtMost(0.8));
            report.target("index rate, ours / Python stack", rate(0, 4), &Aim::AtLeast(1.3));
            report.target("index rate, ours / bare runtime, sorted", rate(0, 2), &Aim::AtLeast(0.95));
            report.target("index rate, ours int8 / Python stack", rate(1, 4), &Aim::AtLeast(2.0));
        }
        Ok(())
    }

    /// What int8 costs in accuracy, by the program's own `eval`.
    fn accuracy(&mut self, size: usize) -> Outcome<()> {
        let Some(file) = self.data.test_file() else { return Ok(()) };
        let mut accuracies = Vec::new();
        for embedder in [DEFAULT_MODEL, INT8_MODEL] {
            let mut program = ticket_router()?;
            program.args(["eval", &file, "--intent-column", "category", "--labeler", "vote", "--json", "--quiet"]);
            program.args(["--arms", "retrieved", "--embedder", embedder, "--store"]).arg(self.path(embedder, size));
            let outcome: serde_json::Value = json_of(&mut program)?;
            let accuracy = outcome["arms"][0]["accuracy"].as_f64().ok_or("no accuracy")? * 100.0;
            self.report.add(format!("accuracy with vote, {embedder}"), "%", vec![accuracy]);
            accuracies.push(accuracy);
        }
        let lost = accuracies[0] - accuracies[1];
        self.report.target("points that int8 loses with vote", vec![lost], &Aim::AtMost(0.5));
        Ok(())
    }
}

/// Runs a part that makes a store, unless it is there, and returns its seconds.
fn run_fill(mut program: Program, store: &Path, size: usize) -> Outcome<Option<f64>> {
    if EdgeStore::exists(store) {
        return Ok(None);
    }
    let begun = Instant::now();
    let done = program.stderr(Stdio::inherit()).output()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !done.status.success() {
        return Err(format!("the store of {size} examples could not be made").into());
    }
    Ok(Some(seconds - serde_json::from_slice::<f64>(&done.stdout)?))
}

/// The program, beside the folder of this example.
fn ticket_router() -> Outcome<Program> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).ok_or("no folder of programs")?;
    Ok(Program::new(folder.join("ticket-router")))
}

/// Seconds from the command to the answer of one `classify`.
fn cold(store: &Path, text: &str) -> Outcome<f64> {
    let mut program = ticket_router()?;
    program.args(["classify", text, "--labeler", "vote", "--json", "--store"]).arg(store);
    // As a user starts it.
    program.env_remove("ORT_DISABLE_TELEMETRY");
    let begun = Instant::now();
    json_of::<IgnoredAny>(&mut program)?;
    Ok(begun.elapsed().as_secs_f64())
}

fn json_of<T: DeserializeOwned>(program: &mut Program) -> Outcome<T> {
    let done = program.stderr(Stdio::inherit()).output()?;
    if !done.status.success() {
        return Err("ticket-router failed; its message is above".into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn median(figures: Vec<f64>) -> f64 {
    Spread::of(figures).median
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

fn folder_size(folder: &Path) -> Outcome<f64> {
    let mut bytes = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // What it takes: the engine keeps sparse files.
        bytes += if entry.file_type()?.is_dir() {
            folder_size(&entry.path())?
        } else {
            to_f64(usize::try_from(std::os::unix::fs::MetadataExt::blocks(&entry.metadata()?))?) * 512.0
        };
    }
    Ok(bytes)
}

fn machine() -> String {
    let first = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (model, memory) = (first("/proc/cpuinfo", "model name"), first("/proc/meminfo", "MemTotal"));
    format!("{cores} cores of {model}, {memory} of memory, {}", std::env::consts::OS)
}
