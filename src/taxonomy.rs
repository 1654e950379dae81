//! The intents that a desk knows, how they are told apart, and the names they go by.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod attribute;
mod levels;

pub use attribute::{Attribute, AttributeValue};
pub use levels::{Level, Levels};

/// The intents of a desk. Read from TOML with [`Taxonomy::from_toml`], or made of the labels
/// that a store holds with [`Taxonomy::from_labels`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taxonomy {
    /// Version of the file's format; 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The intent for what the desk does not handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Which issue is the primary one when a ticket holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Groups of intents, themselves never an answer.
    #[serde(default, rename = "category", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Category>,
    /// The intents.
    #[serde(default, rename = "intent")]
    pub intents: Vec<Intent>,
    /// What else is asked about a ticket besides its intent.
    #[serde(default, rename = "attribute", skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// Folded name or alias to position in `intents`.
    #[serde(skip)]
    names: HashMap<String, usize>,
}

/// A group of intents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// One line on what belongs in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The wider group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// One intent: an answer that a classifier can give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its name, free text.
    pub name: String,
    /// One line on what it covers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The category it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Intents that it is mistaken for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confused_with: Vec<String>,
    /// How to tell it from those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Other names for it, in files and in answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

const fn first_version() -> u32 {
    1
}

/// Case and spacing do not tell two names apart.
fn fold(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Taxonomy {
    /// Reads the TOML form. Fails on unknown fields, double names, and references to
    /// intents that are not there; `origin` names the file in the error.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let taxonomy: Self = toml::from_str(text).map_err(|e| {
            let line = |start: usize| 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count();
            let at = e.span().map_or(String::new(), |span| format!(" line {}", line(span.start)));
            Error::bad_input(format!("taxonomy {origin}{at}: {}", e.message().trim()))
        })?;
        taxonomy.checked(origin)
    }

    /// Reads the JSON form that a store keeps.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self> {
        let taxonomy: Self = serde_json::from_slice(bytes).map_err(|e| {
            Error::store(format!("the taxonomy in the store cannot be read: {e}; index again with --taxonomy"))
        })?;
        taxonomy.checked("in the store")
    }

    /// The taxonomy of a store without one: its labels, in alphabetical order.
    #[must_use]
    pub fn from_labels(labels: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = labels.into_iter().collect();
        let intents = names.into_iter().map(|name| Intent { name, ..Intent::default() }).collect::<Vec<_>>();
        let mut taxonomy = Self { version: 1, intents, ..Self::default() };
        taxonomy.name_intents();
        taxonomy
    }

    /// Enters names and aliases. Labels may differ only in case; exact names win over folded
    /// ones in `resolve`.
    fn name_intents(&mut self) {
        for (position, intent) in self.intents.iter().enumerate() {
            for name in std::iter::once(&intent.name).chain(&intent.aliases) {
                self.names.insert(fold(name), position);
            }
        }
    }

    fn checked(mut self, origin: &str) -> Result<Self> {
        let bad = |what: String| Err(Error::bad_input(format!("taxonomy {origin}: {what}")));
        if self.version != 1 {
            return bad(format!("version {} is not known to this program; update it", self.version));
        }
        if self.intents.is_empty() {
            return bad("it has no [[intent]]; add at least two".into());
        }
        for (position, intent) in self.intents.iter().enumerate() {
            if intent.name.trim().is_empty() {
                return bad(format!("intent number {} has an empty name", position + 1));
            }
            for name in std::iter::once(&intent.name).chain(&intent.aliases) {
                if let Some(other) = self.names.insert(fold(name), position)
                    && other != position
                {
                    let other = &self.intents[other].name;
                    return bad(format!("{name:?} names both {other:?} and {:?}; rename one", intent.name));
                }
            }
        }
        let groups = self.categories.iter().map(|category| (&category.name, &category.parent));
        for (child, parent) in groups.chain(self.intents.iter().map(|intent| (&intent.name, &intent.parent))) {
            let known = |name: &&String| {
                self.categories.iter().any(|category| category.name == **name)
                    || self.intents.iter().any(|intent| intent.name == **name)
            };
            if let Some(name) = parent.as_ref().filter(|name| !self.categories.is_empty() && !known(name)) {
                return bad(format!(
                    "{child:?} has the parent {name:?}, which is no category; add a [[category]] for it"
                ));
            }
        }
        for intent in &self.intents {
            if let Some(name) = intent.confused_with.iter().find(|name| self.resolve(name).is_none()) {
                return bad(format!("{:?} is confused_with {name:?}, which is no intent", intent.name));
            }
        }
        for (position, attribute) in self.attributes.iter().enumerate() {
            if let Some(fault) = attribute.fault() {
                return bad(fault);
            }
            if self.attributes[..position].iter().any(|earlier| earlier.is_named(&attribute.name)) {
                return bad(format!("the attribute {:?} is there twice; rename one", attribute.name));
            }
        }
        if let Some(name) = &self.fallback {
            match self.resolve(name).map(str::to_owned) {
                Some(name) => self.fallback = Some(name),
                None => return bad(format!("the fallback {name:?} is no intent; add it as one")),
            }
        }
        Ok(self)
    }

    /// The intent's own name for a name, an alias, or either in other case and spacing.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<&str> {
        if let Some(exact) = self.intents.iter().find(|intent| intent.name == name) {
            return Some(&exact.name);
        }
        self.names.get(&fold(name)).map(|&position| self.intents[position].name.as_str())
    }

    /// The intent of exactly this name.
    #[must_use]
    pub fn intent(&self, name: &str) -> Option<&Intent> {
        self.intents.iter().find(|intent| intent.name == name)
    }

    /// The category that an intent belongs to.
    #[must_use]
    pub fn category_of(&self, intent: &str) -> Option<&str> {
        self.intent(intent)?.parent.as_deref()
    }

    /// Whether `intent` is the one for what the desk does not handle.
    #[must_use]
    pub fn is_fallback(&self, intent: &str) -> bool {
        self.fallback.as_deref() == Some(intent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        fallback = "other"
        [[intent]]
        name = "Refund/Exchange"
        aliases = ["refund"]
        confused_with = ["other"]
        [[intent]]
        name = "other"
    "#;

    #[test]
    fn a_name_resolves_exactly_by_alias_and_by_case_and_spacing() {
        let taxonomy = Taxonomy::from_toml(SMALL, "t").unwrap();
        for name in ["Refund/Exchange", "refund", " refund/EXCHANGE ", "REFUND"] {
            assert_eq!(taxonomy.resolve(name), Some("Refund/Exchange"), "{name}");
        }
        assert_eq!(taxonomy.resolve("exchange"), None);
    }

    #[test]
    fn labels_that_differ_in_case_stay_apart() {
        let taxonomy = Taxonomy::from_labels(["Bug".to_owned(), "bug".to_owned()]);
        assert_eq!(taxonomy.resolve("Bug"), Some("Bug"));
        assert_eq!(taxonomy.resolve("bug"), Some("bug"));
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        let message = |toml: &str| Taxonomy::from_toml(toml, "x.toml").unwrap_err().to_string();
        assert!(message("").contains("no [[intent]]"));
        assert!(message("[[intent]]\nnane = \"a\"").contains("line 2"), "{}", message("[[intent]]\nnane = \"a\""));
        assert!(message("fallback = \"b\"\n[[intent]]\nname = \"a\"").contains("fallback \"b\""));
        assert!(message("[[intent]]\nname = \"a\"\n[[intent]]\nname = \"A\"").contains("names both"));
        assert!(message("[[intent]]\nname = \"a\"\nconfused_with = [\"z\"]").contains("\"z\""));
    }
}
