//! A process that is measured: it reads a command a line and answers each with a line of JSON.
//! With its model loaded once and a process of its own, rounds of several can alternate.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// What a contestant is told. The peers know the first two.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Index these texts into an empty store: seconds.
    Index(Vec<String>),
    /// Answer these one after the other: milliseconds of each, of ours by stage.
    Tickets(Vec<String>),
    /// Classify these with vote and so many callers: [`Load`].
    Callers(usize, Vec<String>),
    /// Compare the ten nearest with the exact ones: [`Recall`] of each.
    Recall(Vec<String>),
    /// Learn these, and forget them again: milliseconds that the store took for each to be learned.
    Learn(Vec<String>),
    /// [`Memory`] of the process.
    Memory,
}

/// What ours says once it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    pub load_ms: f64,
    pub open_ms: f64,
}

/// Milliseconds of one ticket.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Stages {
    pub embed: f64,
    pub retrieve: f64,
    pub select: f64,
    pub render: f64,
    pub decide: f64,
}

impl Stages {
    pub const NAMES: [&str; 5] = ["embed", "retrieve", "select", "render the prompt", "decide"];

    pub fn each(&self) -> [f64; 5] {
        [self.embed, self.retrieve, self.select, self.render, self.decide]
    }

    pub fn total(&self) -> f64 {
        self.each().iter().sum()
    }
}

/// Memory of a process, in MB.
#[derive(Debug, Serialize, Deserialize)]
pub struct Memory {
    /// The most that was resident at once.
    pub peak_mb: f64,
    /// What is resident now and not of files, whose pages the system takes back when it needs room.
    pub own_mb: f64,
}

/// A run with several callers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    pub per_second: f64,
    pub p95_ms: f64,
}

/// Of the ten nearest of one ticket.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recall {
    /// The share that was found.
    pub found: f64,
    /// How many texts they are copies of.
    pub texts: usize,
}

pub struct Contestant {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contestant {
    /// Starts it and waits for the line that says that it is ready.
    pub fn start<T: DeserializeOwned>(program: &mut Program) -> Outcome<(Self, T)> {
        let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let commands = process.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        let mut contestant = Self { process, commands, answers };
        let ready = contestant.answer()?;
        Ok((contestant, ready))
    }

    pub fn ask<T: DeserializeOwned>(&mut self, command: &Command) -> Outcome<T> {
        writeln!(self.commands, "{}", serde_json::to_string(command)?)?;
        self.commands.flush()?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Outcome<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("a measured process ended; its message is above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
