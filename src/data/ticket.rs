//! Tickets, with and without a label: plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::text::hex;

/// How much of a ticket's text is kept, in characters. The embedder reads some 256 tokens and a
/// person decides on the first page; the rest would only cost money.
pub const MAX_TEXT_CHARS: usize = 20_000;

/// A support ticket as it comes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket system's id, or one derived from the text where there is none.
    pub id: String,
    /// What the customer wrote: subject and body.
    pub text: String,
    /// When it came in, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Who wrote it, as an opaque name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// Its language, as a code such as `en`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Further fields of the ticket.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A ticket whose intent is known: an example to learn from or to measure with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledTicket {
    /// The ticket itself.
    #[serde(flatten)]
    pub ticket: Ticket,
    /// The name of its intent.
    pub intent: String,
    /// One sentence of an expert on why it is this intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
}

impl Ticket {
    /// A ticket with nothing but a text; the id is derived from it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            id: format!("t-{}", &text_hash(&text)[..12]),
            text,
            created_at: None,
            requester: None,
            language: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Its value of an attribute: from the further fields, or the language for an attribute named
    /// `language`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let language = || self.language.as_deref().filter(|_| name == "language");
        self.attributes.get(name).map(String::as_str).or_else(language)
    }

    /// Cuts an overlong text to [`MAX_TEXT_CHARS`] and returns a note that says so.
    pub fn shorten(&mut self) -> Option<String> {
        // Every character has at least one byte, so most texts need no counting.
        if self.text.len() <= MAX_TEXT_CHARS {
            return None;
        }
        let (cut, _) = self.text.char_indices().nth(MAX_TEXT_CHARS)?;
        let total = self.text.chars().count();
        self.text.truncate(cut);
        Some(format!("the text was shortened from {total} to {MAX_TEXT_CHARS} characters"))
    }
}

/// The sha256 of a text in hexadecimal digits: its identity in the store.
#[must_use]
pub fn text_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_without_an_id_gets_the_same_one_every_time() {
        assert_eq!(Ticket::new("Where is it?").id, Ticket::new("Where is it?").id);
        assert_ne!(Ticket::new("Where is it?").id, Ticket::new("Where is it").id);
    }

    #[test]
    fn shortening_counts_characters_and_never_splits_one() {
        let mut ticket = Ticket::new("ä".repeat(MAX_TEXT_CHARS + 7));
        let note = ticket.shorten().expect("it is too long");
        assert_eq!(ticket.text.chars().count(), MAX_TEXT_CHARS);
        assert!(note.contains("20007 to 20000"), "{note}");
        assert_eq!(ticket.shorten(), None);
    }
}
