//! The texts that are measured with.

use std::path::Path;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use ticket_router::{LabelledTicket, Result};

use super::rows::labelled;

const BANKING77: &str = "../shared/data/banking77";
const SEED: u64 = 7;

/// Examples to index and tickets to classify, in a random order that is always the same.
pub struct Data {
    pub name: &'static str,
    pub examples: Vec<LabelledTicket>,
    pub tickets: Vec<String>,
}

impl Data {
    /// BANKING77 where it is present, the example desk otherwise.
    pub fn load(small: bool) -> Result<Self> {
        let banking = Path::new(BANKING77);
        let (name, examples, tickets) = if !small && banking.join("train.csv").is_file() {
            ("BANKING77", labelled(&banking.join("train.csv"))?, labelled(&banking.join("test.csv"))?)
        } else {
            let desk = Path::new("examples_db");
            ("examples_db", labelled(&desk.join("tickets.jsonl"))?, labelled(&desk.join("heldout.jsonl"))?)
        };
        let (mut examples, mut tickets) = (examples, tickets);
        examples.shuffle(&mut StdRng::seed_from_u64(SEED));
        tickets.shuffle(&mut StdRng::seed_from_u64(SEED));
        Ok(Self { name, examples, tickets: tickets.into_iter().map(|labelled| labelled.ticket.text).collect() })
    }

    /// So many tickets from a place on, over and over.
    pub fn tickets(&self, from: usize, count: usize) -> Vec<String> {
        self.tickets.iter().cycle().skip(from % self.tickets.len()).take(count).cloned().collect()
    }

    pub fn example_texts(&self, count: usize) -> Vec<String> {
        self.examples.iter().take(count).map(|labelled| labelled.ticket.text.clone()).collect()
    }

    /// Where the tickets with their intents are, for `eval`.
    pub fn test_file(&self) -> Option<String> {
        (self.name == "BANKING77").then(|| format!("{BANKING77}/test.csv"))
    }
}
