//! What is asked about a ticket besides its intent, and the answers that are allowed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fold;
use crate::data::ticket::Ticket;

/// A question about a ticket besides its intent, such as `urgency`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// What is asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The answers it allows.
    #[serde(default)]
    pub values: Vec<AttributeValue>,
}

/// An answer to an [`Attribute`]; in the file a string, or a table with a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// The value alone.
    Name(String),
    /// The value and what it means.
    Described {
        /// The value.
        name: String,
        /// What it means.
        description: String,
    },
}

impl AttributeValue {
    /// The value itself.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Described { name, .. } => name,
        }
    }

    /// What it means, where the taxonomy says so.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::Name(_) => None,
            Self::Described { description, .. } => Some(description),
        }
    }
}

impl Attribute {
    /// The own spelling of a value that is given in any case and spacing; `None` when it is not allowed.
    #[must_use]
    pub fn resolve(&self, value: &str) -> Option<&str> {
        let names = || self.values.iter().map(AttributeValue::name);
        names().find(|name| *name == value).or_else(|| names().find(|name| fold(name) == fold(value)))
    }

    /// The value that a ticket carries, where it is allowed.
    #[must_use]
    pub fn value_of(&self, ticket: &Ticket) -> Option<&str> {
        self.resolve(ticket.attribute(&self.name)?)
    }

    /// Whether `name` is this attribute's, whatever the case and spacing.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        fold(&self.name) == fold(name)
    }

    /// What is wrong with it, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        let name = &self.name;
        if name.trim().is_empty() {
            return Some("an attribute has an empty name".into());
        }
        if name.contains('"') {
            return Some(format!("the attribute {name:?} has a quotation mark in its name; take it out"));
        }
        if self.values.is_empty() {
            return Some(format!("the attribute {name:?} has no values; list the answers it allows"));
        }
        let mut seen = BTreeSet::new();
        let double = self.values.iter().map(AttributeValue::name).find(|value| {
            let folded = fold(value);
            folded.is_empty() || !seen.insert(folded)
        });
        double.map(|value| format!("the attribute {name:?} has the value {value:?}, which is empty or there twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Taxonomy;

    #[test]
    fn a_value_resolves_exactly_and_by_case_and_spacing() {
        let values = vec![
            AttributeValue::Name("very high".into()),
            AttributeValue::Described { name: "low".into(), description: "Can wait.".into() },
        ];
        let urgency = Attribute { name: "urgency".into(), values, ..Attribute::default() };
        assert_eq!(urgency.resolve(" Very  HIGH"), Some("very high"));
        assert_eq!(urgency.resolve("low"), Some("low"));
        assert_eq!(urgency.resolve("lowest"), None);
    }

    #[test]
    fn the_language_of_a_ticket_is_its_attribute_of_that_name() {
        let language = Attribute {
            name: "language".into(),
            values: vec![AttributeValue::Name("fr".into())],
            ..Attribute::default()
        };
        let mut ticket = Ticket { language: Some("FR".into()), ..Ticket::new("Bonjour") };
        assert_eq!(language.value_of(&ticket), Some("fr"));
        ticket.language = Some("tlh".into());
        assert_eq!(language.value_of(&ticket), None, "not a value of the taxonomy");
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        let message = |attribute: &str| {
            let toml = format!("{attribute}\n[[intent]]\nname = \"a\"");
            Taxonomy::from_toml(&toml, "x.toml").unwrap_err().to_string()
        };
        assert!(message("[[attribute]]\nname = \"u\"").contains("\"u\" has no values"));
        assert!(message("[[attribute]]\nname = \" \"\nvalues = [\"x\"]").contains("empty name"));
        assert!(message("[[attribute]]\nname = \"u\"\nvalues = [\"x\", \"X \"]").contains("\"X \", which is empty or"));
        let twice = "[[attribute]]\nname = \"u\"\nvalues = [\"x\"]\n";
        assert!(message(&twice.repeat(2)).contains("two of the attribute \"u\""));
        assert!(message("[[attribute]]\nname = 'a\"b'\nvalues = [\"x\"]").contains("quotation mark"));
    }
}
