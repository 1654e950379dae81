//! Speed, measured beside what a user would write otherwise: what `scripts/bench` runs.
//!
//! `speed [--python PROGRAM] [--sizes N,...] [--large] [--quick] [--json FILE]`. Each contestant (the library, the
//! bare runtime, a Python stack) is a process of its own, with its model loaded once; rounds
//! alternate between them, so that a busy machine disturbs all alike and only ratios count.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod bench;
mod contestant;
mod data;
mod figures;
mod fill;
mod ours;
#[path = "../shared/process.rs"]
mod process;
mod recall;
#[path = "../shared/rows.rs"]
mod rows;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(subcommand_negates_reqs = true)]
struct Args {
    /// A Python with the packages of the peers; without it they are left out
    #[arg(long)]
    python: Option<PathBuf>,
    /// Sizes of the stores; beyond the real data, noisy copies
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    sizes: Vec<usize>,
    /// 1,000,000 examples too
    #[arg(long)]
    large: bool,
    /// A smoke run: 200 examples, two short rounds
    #[arg(long, global = true)]
    quick: bool,
    /// Keep the stores in this folder, and use those that are there again
    #[arg(long)]
    stores: Option<PathBuf>,
    /// Where the figures go
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the benchmark starts itself for.
#[derive(Subcommand)]
enum Part {
    /// The library as a contestant
    Ours { store: PathBuf, embedder: String },
    /// Fill a store with real examples
    Real { store: PathBuf, embedder: String, count: usize },
    /// Fill a store with those of another one and noisy copies
    Noisy {
        store: PathBuf,
        from: PathBuf,
        count: usize,
        #[arg(long)]
        compact: bool,
    },
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let args = Args::parse();
    match &args.part {
        None => bench::run(&args),
        Some(Part::Ours { store, embedder }) => ours::serve(store, embedder, args.quick).await,
        Some(Part::Real { store, embedder, count }) => fill::real(store, embedder, *count, args.quick).await,
        Some(Part::Noisy { store, from, count, compact }) => fill::noisy(store, from, *count, *compact).await,
    }
}
