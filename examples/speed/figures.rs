//! Figures with their spread, as a table and as JSON.

use serde::Serialize;

/// A figure of several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one round.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (rounds.first(), rounds.last()) else {
            return Self { median: f64::NAN, min: f64::NAN, max: f64::NAN };
        };
        Self { median: rounds[rounds.len() / 2], min, max }
    }
}

/// Of two figures that were taken in the same rounds, round by round.
pub fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

#[derive(Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    #[serde(flatten)]
    spread: Spread,
}

#[derive(Serialize)]
struct Section {
    title: String,
    figures: Vec<Row>,
}

#[derive(Serialize)]
struct Target {
    name: String,
    #[serde(flatten)]
    ratio: Spread,
    aim: String,
    met: bool,
}

/// What a bar is.
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

/// All that was measured; sections are printed as they grow.
#[derive(Serialize)]
pub struct Report {
    machine: String,
    command: String,
    data: String,
    sections: Vec<Section>,
    targets: Vec<Target>,
}

impl Report {
    pub fn new(machine: String, command: String, data: String) -> Self {
        println!("{machine}\n{command}\n{data}");
        Self { machine, command, data, sections: Vec::new(), targets: Vec::new() }
    }

    pub fn section(&mut self, title: impl Into<String>) {
        let title = title.into();
        println!("\n{title:<58} {:>10} {:>10} {:>10}", "median", "min", "max");
        self.sections.push(Section { title, figures: Vec::new() });
    }

    pub fn add(&mut self, name: impl Into<String>, unit: &'static str, rounds: Vec<f64>) {
        let row = Row { name: name.into(), unit, spread: Spread::of(rounds) };
        let Spread { median, min, max } = row.spread;
        let label = format!("{} ({unit})", row.name);
        println!("  {label:<56} {} {} {}", number(median), number(min), number(max));
        if let Some(section) = self.sections.last_mut() {
            section.figures.push(row);
        }
    }

    pub fn target(&mut self, name: impl Into<String>, rounds: Vec<f64>, aim: &Aim) {
        let ratio = Spread::of(rounds);
        let (aim, met) = match aim {
            Aim::AtLeast(bar) => (format!("at least {bar}"), ratio.median >= *bar),
            Aim::AtMost(bar) => (format!("at most {bar}"), ratio.median <= *bar),
        };
        self.targets.push(Target { name: name.into(), ratio, aim, met });
    }

    pub fn print_targets(&self) {
        println!("\n{:<58} {:>10} {:>10} {:>10}", "targets, each a ratio of the same rounds", "median", "min", "max");
        for Target { name, ratio, aim, met } in &self.targets {
            let verdict = if *met { "met" } else { "missed" };
            let Spread { median, min, max } = *ratio;
            println!("  {name:<56} {} {} {}  {aim}: {verdict}", number(median), number(min), number(max));
        }
    }
}

/// Four digits or so, in ten columns.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1_000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:>10.decimals$}")
}
