//! Divides a file into tickets that are learned from and tickets that are tested, where there are no held-out
//! tickets. Pure.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::Serialize;

use crate::data::ticket::{LabelledTicket, text_hash};
use crate::statistics::real;
use crate::{Error, Result};

/// How a file is divided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Split {
    /// The older tickets are learned from, and the newer ones are tested.
    Time {
        /// Share of the tickets that are learned from.
        train_share: f64,
    },
    /// What is tested is drawn, intent by intent.
    Random {
        /// Share of the tickets that are learned from.
        train_share: f64,
        /// For the draw.
        seed: u64,
    },
    /// Cross-validation: every ticket is tested once, with what was learned from the other parts.
    Folds {
        /// How many parts.
        folds: usize,
        /// For the draw.
        seed: u64,
    },
}

/// Tickets to learn from, and tickets to test with.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Tickets to learn from.
    pub train: Vec<LabelledTicket>,
    /// Tickets to test with; none of them is in `train`.
    pub test: Vec<LabelledTicket>,
}

impl Split {
    /// The parts: one, or as many as a cross-validation has. Drawn parts hold the intents in equal shares, and
    /// tickets of the same text stay together. Fails when a part would be empty, and when tickets that are
    /// divided by time have no `created_at`.
    pub fn parts(&self, tickets: &[LabelledTicket]) -> Result<Vec<Part>> {
        let test_sets = match *self {
            Self::Time { train_share } => vec![newest(tickets, train_share)?],
            Self::Random { train_share, seed } => {
                let groups = groups(tickets, seed);
                // Evenly over the groups, so that each intent gives its share.
                let tested_of = |groups: usize| (real(groups) * (1.0 - train_share) + 1e-9).floor();
                let is_test = |place: usize| tested_of(place + 1) > tested_of(place);
                vec![chosen(&groups, is_test)]
            }
            Self::Folds { folds, seed } => {
                let groups = groups(tickets, seed);
                (0..folds).map(|fold| chosen(&groups, |place| place % folds == fold)).collect()
            }
        };
        if let Some(test) = test_sets.iter().find(|test| test.is_empty() || test.len() == tickets.len()) {
            return Err(Error::bad_input(format!(
                "{} tickets cannot be divided like this: {} would be tested; give more tickets, or divide them otherwise",
                tickets.len(),
                if test.is_empty() { "none" } else { "all" }
            )));
        }
        let part = |test: Vec<usize>| {
            let mut is_test = vec![false; tickets.len()];
            for position in test {
                is_test[position] = true;
            }
            let side = |wanted: bool| {
                let of_side = tickets.iter().zip(&is_test).filter(|(_, is_test)| **is_test == wanted);
                of_side.map(|(labelled, _)| labelled.clone()).collect()
            };
            Part { train: side(false), test: side(true) }
        };
        Ok(test_sets.into_iter().map(part).collect())
    }
}

/// Positions of the newest tickets.
fn newest(tickets: &[LabelledTicket], train_share: f64) -> Result<Vec<usize>> {
    let time =
        |labelled: &LabelledTicket| chrono::DateTime::parse_from_rfc3339(labelled.ticket.created_at.as_deref()?).ok();
    let mut times: Vec<_> = tickets.iter().enumerate().filter_map(|(place, one)| Some((time(one)?, place))).collect();
    if times.len() < tickets.len() {
        return Err(Error::bad_input(format!(
            "--split time: {} of the {} tickets have no created_at; add it, or use --split random",
            tickets.len() - times.len(),
            tickets.len()
        )));
    }
    times.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let older = (real(times.len()) * train_share).round() as usize;
    Ok(times.into_iter().skip(older).map(|(_, place)| place).collect())
}

/// Positions of the tickets, those of one text together; intent by intent, each in a drawn order.
fn groups(tickets: &[LabelledTicket], seed: u64) -> Vec<Vec<usize>> {
    let mut by_text: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, labelled) in tickets.iter().enumerate() {
        by_text.entry(text_hash(&labelled.ticket.text)).or_default().push(place);
    }
    let mut by_intent: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
    for group in by_text.into_values() {
        by_intent.entry(&tickets[group[0]].intent).or_default().push(group);
    }
    let mut random = StdRng::seed_from_u64(seed);
    for groups in by_intent.values_mut() {
        groups.shuffle(&mut random);
    }
    by_intent.into_values().flatten().collect()
}

fn chosen(groups: &[Vec<usize>], is_chosen: impl Fn(usize) -> bool) -> Vec<usize> {
    let chosen = groups.iter().enumerate().filter(|(place, _)| is_chosen(*place));
    chosen.flat_map(|(_, group)| group.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::ticket::Ticket;

    /// Forty tickets of two intents; every text is there twice, a day apart.
    fn tickets() -> Vec<LabelledTicket> {
        (0..40)
            .map(|i: u32| {
                let mut ticket = Ticket::new(format!("text {}", i % 20));
                ticket.id = i.to_string();
                ticket.created_at = Some(format!("2026-01-{:02}T00:00:00Z", 1 + (i * 7) % 28));
                LabelledTicket { ticket, intent: if i.is_multiple_of(4) { "a" } else { "b" }.into(), reasoning: None }
            })
            .collect()
    }

    fn keys<'a>(side: &'a [LabelledTicket], key: impl Fn(&'a Ticket) -> &'a str) -> BTreeSet<&'a str> {
        side.iter().map(|labelled| key(&labelled.ticket)).collect()
    }

    #[test]
    fn folds_test_every_ticket_once_and_no_text_is_on_both_sides() {
        let tickets = tickets();
        let parts = Split::Folds { folds: 5, seed: 1 }.parts(&tickets).unwrap();
        let mut tested: Vec<&str> =
            parts.iter().flat_map(|part| part.test.iter().map(|one| one.ticket.id.as_str())).collect();
        tested.sort_unstable();
        assert_eq!(tested.len(), 40);
        tested.dedup();
        assert_eq!(tested.len(), 40);
        for part in &parts {
            assert!(keys(&part.train, |ticket| &ticket.text).is_disjoint(&keys(&part.test, |ticket| &ticket.text)));
            assert_eq!((part.test.len(), part.test.iter().filter(|one| one.intent == "a").count()), (8, 2));
        }
    }

    #[test]
    fn a_random_split_follows_its_seed_and_leaks_nothing() {
        let tickets = tickets();
        let part = |seed| Split::Random { train_share: 0.8, seed }.parts(&tickets).unwrap().swap_remove(0);
        assert_eq!(part(1), part(1));
        assert_ne!(part(1), part(2));
        assert_eq!(part(1).test.len(), 8);
        let part = part(1);
        assert!(keys(&part.train, |ticket| &ticket.text).is_disjoint(&keys(&part.test, |ticket| &ticket.text)));
    }

    #[test]
    fn what_is_tested_by_time_is_newer_than_what_is_learned_from() {
        let mut tickets = tickets();
        let part = Split::Time { train_share: 0.75 }.parts(&tickets).unwrap().swap_remove(0);
        let time = |side: &[LabelledTicket]| -> Vec<String> {
            side.iter().filter_map(|labelled| labelled.ticket.created_at.clone()).collect()
        };
        assert_eq!((part.train.len(), part.test.len()), (30, 10));
        assert!(time(&part.train).iter().max() <= time(&part.test).iter().min());
        tickets[3].ticket.created_at = None;
        let refused = Split::Time { train_share: 0.75 }.parts(&tickets).unwrap_err().to_string();
        assert!(refused.contains("1 of the 40 tickets have no created_at"), "{refused}");
    }

    #[test]
    fn parts_that_would_be_empty_are_refused() {
        assert!(Split::Folds { folds: 30, seed: 1 }.parts(&tickets()).is_err());
        assert!(Split::Time { train_share: 1.0 }.parts(&tickets()).is_err());
        assert!(Split::Random { train_share: 0.0, seed: 1 }.parts(&tickets()).is_err());
    }
}
