//! Measures labelers on tickets whose intent is known: several arms on the same tickets,
//! each with its accuracy, its cost and its time, and the difference between them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use serde::Serialize;
use uuid::Uuid;

use crate::classifier::{Classification, Examples, Gathered, Judge, Retriever, Scope, Strategy};
use crate::label::{Labeler, Usage};
use crate::select::Selection;
use crate::ticket::{LabelledTicket, text_hash};
use crate::{Error, Result};

mod attributes;
pub mod confusion;
pub mod curves;
pub mod metrics;
pub mod record;
mod score;
pub mod stats;

pub use attributes::AttributeScore;
pub use score::{ArmReport, Comparison, Percentiles};

/// How many tickets are embedded together.
const EMBED_CHUNK: usize = 64;
/// How many static examples are drawn when none are given.
pub const DRAWN_EXAMPLES: usize = 9;

/// What an arm shows the labeler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arm {
    /// No examples.
    Zero,
    /// The same examples for every ticket.
    Static,
    /// The nearest examples of the store.
    Retrieved,
}

impl Arm {
    /// Its name in outputs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Static => "static",
            Self::Retrieved => "retrieved",
        }
    }
}

/// What an evaluation is asked to do.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// The arms, in the order of the report.
    pub arms: Vec<Arm>,
    /// How many examples the `retrieved` arm shows.
    pub k: usize,
    /// How these are chosen.
    pub selection: Selection,
    /// How the labeler gets to an intent.
    pub strategy: Strategy,
    /// The examples of the `static` arm; drawn from the store by `seed` where there are none.
    pub static_examples: Option<Vec<LabelledTicket>>,
    /// For what is drawn.
    pub seed: u64,
    /// Overrides the labeler's own.
    pub min_confidence: Option<f32>,
    /// How many tickets are under way at once.
    pub concurrency: usize,
}

/// The outcome of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalReport {
    /// Tickets that were scored.
    pub tickets: usize,
    /// Tickets that are in the store by id or by text; they were kept from seeing themselves.
    pub in_store: usize,
    /// How many of those were left out of the score, because the probe has learned from them.
    pub dropped: usize,
    /// Of these, how many have a gold intent that the store does not know; scored as wrong.
    pub unknown_gold: usize,
    /// One for each arm.
    pub arms: Vec<ArmReport>,
    /// Each arm against each later one.
    pub comparisons: Vec<Comparison>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// Told how many of how many answers are in.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

/// Runs every arm on every ticket. Embedding and search are done once for all arms.
pub async fn evaluate(
    retriever: &Retriever,
    labeler: Arc<dyn Labeler>,
    tickets: Vec<LabelledTicket>,
    options: &EvalOptions,
    progress: Progress<'_>,
) -> Result<EvalReport> {
    if tickets.is_empty() {
        return Err(Error::bad_input("there are no labelled tickets to evaluate on"));
    }
    let taxonomy = retriever.taxonomy();
    let own_keys = StoredIdentities::read(retriever).await?;
    let mut notes = Vec::new();
    let given = tickets.len();
    let mut tickets: Vec<(LabelledTicket, Vec<Uuid>)> = tickets
        .into_iter()
        .map(|labelled| {
            let keys = own_keys.of(&labelled);
            (labelled, keys)
        })
        .collect();
    let in_store = tickets.iter().filter(|(_, keys)| !keys.is_empty()).count();
    // The probe has learned from every stored ticket, so on those it would only recite.
    let mut without_probe = !retriever.has_probe();
    if !without_probe && tickets.iter().all(|(_, keys)| !keys.is_empty()) {
        notes.push("all tickets are in the store, so the probe, which has learned from them, was left out".to_owned());
        without_probe = true;
    }
    if !without_probe {
        tickets.retain(|(_, keys)| keys.is_empty());
    }
    let dropped = given - tickets.len();
    let (tickets, excluded): (Vec<_>, Vec<_>) = tickets.into_iter().unzip();
    let gold: Vec<String> = tickets
        .iter()
        .map(|labelled| taxonomy.resolve(&labelled.intent).unwrap_or(&labelled.intent).to_owned())
        .collect();
    let unknown_gold = gold.iter().filter(|intent| taxonomy.resolve(intent).is_none()).count();

    let mut judges = Vec::with_capacity(options.arms.len());
    for arm in &options.arms {
        let examples = match arm {
            Arm::Zero => Examples::None,
            Arm::Retrieved => Examples::Retrieved,
            Arm::Static => {
                let fixed = match &options.static_examples {
                    Some(fixed) => fixed.clone(),
                    None => own_keys.draw(retriever, options.seed, &excluded, &mut notes).await?,
                };
                Examples::Static(retriever.embed_examples(fixed).await?)
            }
        };
        judges.push(
            Judge::new(Arc::clone(&labeler), examples, options.k, options.min_confidence)
                .with_selection(options.selection)
                .with_strategy(options.strategy),
        );
    }

    let total = tickets.len() * judges.len();
    let (mut done, judges) = (0, &judges);
    let texts: Vec<_> = tickets.iter().map(|labelled| labelled.ticket.clone()).collect();
    let chunks: Vec<_> = texts.chunks(EMBED_CHUNK).map(<[_]>::to_vec).collect();
    let mut answers: Vec<Vec<Result<Classification>>> =
        judges.iter().map(|_| Vec::with_capacity(tickets.len())).collect();
    let mut stream = stream::iter(chunks)
        .map(|chunk| retriever.embed(chunk))
        .buffered(2)
        .flat_map(stream::iter)
        .zip(stream::iter(excluded))
        .map(|(embedded, exclude)| {
            let scope = Scope { exclude, without_probe };
            async { answer_all(retriever, judges, embedded, scope).await }
        })
        .buffered(options.concurrency.max(1) * crate::classifier::WINDOW);
    while let Some(of_ticket) = stream.next().await {
        for (arm, answer) in answers.iter_mut().zip(of_ticket) {
            // What is wrong with the set-up is no property of a ticket.
            if let Err(e) = &answer
                && e.is_fatal()
            {
                // What is under way is paid for: let it arrive, so that the journal keeps it.
                let e = e.clone();
                let started = options.concurrency.max(1) * crate::classifier::WINDOW;
                stream.by_ref().take(started).for_each(|_| std::future::ready(())).await;
                return Err(e);
            }
            arm.push(answer);
        }
        done += judges.len();
        progress(done, total);
    }
    drop(stream);

    let mut arms = Vec::with_capacity(answers.len());
    for (arm, answers) in options.arms.iter().zip(answers) {
        arms.push(score::arm(arm.name(), labeler.name(), &tickets, &gold, taxonomy, answers)?);
    }
    for arm in arms.iter().filter(|arm: &&ArmReport| arm.errors > 0) {
        let first = arm.mistakes.iter().find_map(|mistake| mistake.error.as_deref()).unwrap_or_default();
        notes.push(format!(
            "{} tickets of the arm {} failed and count as wrong; the first: {first}",
            arm.errors, arm.name
        ));
    }
    let comparisons = score::compare(&arms);
    Ok(EvalReport { tickets: tickets.len(), in_store, dropped, unknown_gold, arms, comparisons, notes })
}

async fn answer_all(
    retriever: &Retriever,
    judges: &[Judge],
    embedded: Result<crate::classifier::Embedded>,
    scope: Scope,
) -> Vec<Result<Classification>> {
    let gathered: Result<Gathered> = match embedded {
        Ok(embedded) => retriever.search(embedded, scope).await,
        Err(e) => Err(e),
    };
    match gathered {
        Ok(gathered) => futures::future::join_all(judges.iter().map(|judge| judge.judge(retriever, &gathered))).await,
        Err(e) => judges.iter().map(|_| Err(e.clone())).collect(),
    }
}

/// Who is in the store, by ticket id and by text.
struct StoredIdentities {
    by_id: HashMap<String, Vec<Uuid>>,
    by_text: HashMap<String, Vec<Uuid>>,
}

impl StoredIdentities {
    async fn read(retriever: &Retriever) -> Result<Self> {
        let mut identities = Self { by_id: HashMap::new(), by_text: HashMap::new() };
        let mut start = None;
        loop {
            let (page, next) = retriever.store().scroll(start, 2048, false).await?;
            for stored in page {
                let example = stored.example;
                identities.by_id.entry(example.labelled.ticket.id).or_default().push(example.key);
                identities.by_text.entry(example.text_hash).or_default().push(example.key);
            }
            match next {
                Some(_) => start = next,
                None => return Ok(identities),
            }
        }
    }

    /// The keys under which a ticket itself is in the store.
    fn of(&self, labelled: &LabelledTicket) -> Vec<Uuid> {
        let mut ticket = labelled.ticket.clone();
        ticket.shorten();
        let mut keys: Vec<Uuid> = [self.by_id.get(&ticket.id), self.by_text.get(&text_hash(&ticket.text))]
            .into_iter()
            .flatten()
            .flatten()
            .copied()
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Draws static examples from the store, none of them a ticket that is measured.
    async fn draw(
        &self,
        retriever: &Retriever,
        seed: u64,
        measured: &[Vec<Uuid>],
        notes: &mut Vec<String>,
    ) -> Result<Vec<LabelledTicket>> {
        let measured: HashSet<Uuid> = measured.iter().flatten().copied().collect();
        let mut keys: Vec<Uuid> =
            self.by_text.values().flatten().copied().filter(|key| !measured.contains(key)).collect();
        keys.sort_unstable();
        keys.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
        let mut drawn = Vec::with_capacity(DRAWN_EXAMPLES);
        for key in keys.into_iter().take(DRAWN_EXAMPLES) {
            let (page, _) = retriever.store().scroll(Some(key), 1, false).await?;
            drawn.extend(page.into_iter().map(|stored| stored.example.labelled));
        }
        notes.push(format!(
            "the static arm uses {} examples drawn from the store with seed {seed}; give your own with --static FILE",
            drawn.len()
        ));
        Ok(drawn)
    }
}
