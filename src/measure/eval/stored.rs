//! What static arms show.

use std::collections::HashSet;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use uuid::Uuid;

use super::arm::{Arm, Shows};
use crate::Result;
use crate::data::ticket::LabelledTicket;
use crate::pipeline::{Examples, Retriever, Scope, StoredIdentities};
use crate::stages::select::select;

/// So many tickets tell how long the examples are that retrieval shows.
const MEASURED: usize = 64;
/// So many drawn examples are looked at to find some of the right length in all.
const TRIED: usize = 200;

/// All examples in a drawn order, save the tickets that are measured.
fn drawn_keys(identities: &StoredIdentities, seed: u64, measured: &[Vec<Uuid>]) -> Vec<Uuid> {
    let measured: HashSet<Uuid> = measured.iter().flatten().copied().collect();
    let mut keys: Vec<Uuid> = identities.keys().filter(|key| !measured.contains(key)).collect();
    keys.sort_unstable();
    keys.shuffle(&mut StdRng::seed_from_u64(seed));
    keys
}

/// What the arms of one evaluation show beside what is retrieved.
pub(super) struct StaticExamples<'a> {
    pub(super) retriever: &'a Retriever,
    pub(super) identities: &'a StoredIdentities,
    /// The tickets that are measured, each with the keys of its examples in the store.
    pub(super) tickets: &'a [LabelledTicket],
    pub(super) excluded: &'a [Vec<Uuid>],
    /// A person's choice.
    pub(super) given: Option<&'a [LabelledTicket]>,
    pub(super) seed: u64,
}

impl StaticExamples<'_> {
    /// What an arm shows; a note says so where it was not a person's choice.
    pub(super) async fn of(&self, arm: &Arm, notes: &mut Vec<String>) -> Result<Examples> {
        let fixed = match (arm.shows, self.given) {
            (Shows::Nothing, _) => return Ok(Examples::None),
            (Shows::Retrieved, _) => return Ok(Examples::Retrieved),
            (Shows::Static, Some(given)) => given.to_vec(),
            (Shows::Static, None) => {
                let drawn = self.draw(arm.options.k).await?;
                notes.push(format!(
                    "the arm {} shows {} examples drawn from the store with seed {}; give your own with --static FILE",
                    arm.name,
                    drawn.len(),
                    self.seed
                ));
                drawn
            }
            (Shows::StaticTokens, _) => self.as_long_as_retrieved(arm, notes).await?,
        };
        Ok(Examples::Static(self.retriever.embed_examples(fixed).await?))
    }

    async fn draw(&self, count: usize) -> Result<Vec<LabelledTicket>> {
        let mut drawn = Vec::with_capacity(count);
        for key in drawn_keys(self.identities, self.seed, self.excluded).into_iter().take(count) {
            let (page, _) = self.retriever.store().scroll(Some(key), 1, false).await?;
            drawn.extend(page.into_iter().map(|stored| stored.example.labelled));
        }
        Ok(drawn)
    }

    /// The given examples, then drawn ones, each taken if the sum comes nearer to the length
    /// that the arm would show if it retrieved.
    async fn as_long_as_retrieved(&self, arm: &Arm, notes: &mut Vec<String>) -> Result<Vec<LabelledTicket>> {
        let target = self.retrieved_length(arm).await?;
        let mut pool = self.given.unwrap_or_default().to_vec();
        pool.extend(self.draw(TRIED).await?);
        let (mut taken, mut total) = (Vec::new(), 0);
        for labelled in pool {
            let with_it = total + length(&labelled);
            if target.abs_diff(with_it) < target.abs_diff(total) {
                total = with_it;
                taken.push(labelled);
            }
        }
        notes.push(format!(
            "the arm {} shows {} examples of {total} bytes in all; {} retrieved ones have {target} on average",
            arm.name,
            taken.len(),
            arm.options.k
        ));
        Ok(taken)
    }

    /// The mean length of what is retrieved for some of the tickets. They are searched for once
    /// more with all others: what the arm shows must be known before the first of them.
    async fn retrieved_length(&self, arm: &Arm) -> Result<usize> {
        let step = self.tickets.len().div_ceil(MEASURED).max(1);
        let sample = self.tickets.iter().step_by(step).map(|labelled| labelled.ticket.clone()).collect();
        let excluded = self.excluded.iter().step_by(step);
        let options = Arc::new(arm.options.clone());
        let (mut total, mut searched) = (0, 0);
        for (embedded, exclude) in self.retriever.embed(sample).await.into_iter().zip(excluded) {
            let scope = Scope { options: Arc::clone(&options), exclude: exclude.clone() };
            let gathered = self.retriever.search(embedded?, scope).await?;
            let shown = select(&gathered.candidates, &gathered.votes, options.k, options.selection);
            total += shown.iter().map(|chosen| length(&chosen.candidate.example.labelled)).sum::<usize>();
            searched += 1;
        }
        Ok(total / searched.max(1))
    }
}

/// Bytes of an example that a prompt shows: they go with the tokens.
fn length(labelled: &LabelledTicket) -> usize {
    labelled.ticket.text.trim().len() + labelled.reasoning.as_ref().map_or(0, String::len)
}
