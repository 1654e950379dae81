//! Which tickets are examples of a store themselves. A ticket that is measured must not find itself.

use std::collections::HashMap;

use uuid::Uuid;

use super::Retriever;
use crate::Result;
use crate::data::ticket::{LabelledTicket, text_hash};
use crate::store::Pages;

/// The examples of a store, by ticket id and by text.
#[derive(Debug)]
pub(crate) struct StoredIdentities {
    by_id: HashMap<String, Vec<Uuid>>,
    by_text: HashMap<String, Vec<Uuid>>,
}

impl StoredIdentities {
    pub(crate) async fn read(retriever: &Retriever) -> Result<Self> {
        let mut identities = Self { by_id: HashMap::new(), by_text: HashMap::new() };
        let mut pages = Pages::of(retriever.store(), false);
        while let Some(page) = pages.next().await? {
            for stored in page {
                let example = stored.example;
                identities.by_id.entry(example.labelled.ticket.id).or_default().push(example.key);
                identities.by_text.entry(example.text_hash).or_default().push(example.key);
            }
        }
        Ok(identities)
    }

    /// The keys under which a ticket itself is in the store.
    pub(crate) fn of(&self, labelled: &LabelledTicket) -> Vec<Uuid> {
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

    /// The keys of all examples, in no particular order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.by_text.values().flatten().copied()
    }
}
