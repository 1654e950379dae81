//! The intents that a desk knows, how they are told apart, and the names they go by.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod attribute;
mod check;
mod edit;
mod levels;
mod lint;
mod near;
mod route;

pub use attribute::{Attribute, AttributeValue};
#[doc(hidden)]
pub use check::{Finding, Kind, Severity};
#[doc(hidden)]
pub use edit::{Edit, Renamed};
#[doc(hidden)]
pub use levels::{Level, Levels};
#[doc(hidden)]
pub use route::Names;
pub use route::{Route, Rule};

/// The intents of a desk. Read from TOML with [`Taxonomy::from_toml`], or made of the labels
/// that a store holds with [`Taxonomy::from_labels`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taxonomy {
    /// Version of the file's format; 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The intent for out-of-scope tickets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Which issue is the primary one when a ticket holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Groups of intents. A category is never an answer.
    #[serde(default, rename = "category", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Category>,
    /// The intents.
    #[serde(default, rename = "intent")]
    pub intents: Vec<Intent>,
    /// What else is asked about a ticket besides its intent.
    #[serde(default, rename = "attribute", skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// Where tickets go; the first rule that matches wins.
    #[serde(default, rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Rule>,
    /// Whether labels that are not listed are intents too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Intents that were renamed or merged: a file that still has the old names does not undo it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<Renamed>,
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
    /// The wider category that it belongs to.
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
    /// How to tell it from the intents of `confused_with`.
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
    /// Reads the TOML form; `origin` names the file in errors. Fails on unknown fields, and with the
    /// first finding of [`check`](Self::check) that is an error.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        Self::draft_from_toml(text, origin)?.checked(origin)
    }

    /// Reads the TOML form without checking it, for [`check`](Self::check). Fails on unknown fields.
    pub fn draft_from_toml(text: &str, origin: &str) -> Result<Self> {
        let taxonomy: Self = toml::from_str(text).map_err(|e| {
            let line = |start: usize| 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count();
            let at = e.span().map_or(String::new(), |span| format!(" line {}", line(span.start)));
            Error::bad_input(format!("taxonomy {origin}{at}: {}", e.message().trim()))
        })?;
        Ok(taxonomy.indexed())
    }

    /// Reads the JSON form that a store keeps.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self> {
        Self::draft_from_json(bytes)?.checked("in the store")
    }

    /// Reads the JSON form without checking it.
    pub(crate) fn draft_from_json(bytes: &[u8]) -> Result<Self> {
        let taxonomy: Self = serde_json::from_slice(bytes).map_err(|e| {
            Error::store(format!("the taxonomy in the store cannot be read: {e}; index again with --taxonomy"))
        })?;
        Ok(taxonomy.indexed())
    }

    /// The form that a store keeps.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal(format!("the taxonomy cannot be written: {e}")))
    }

    /// The taxonomy of a store without one: its labels, in alphabetical order. It is open.
    #[must_use]
    pub fn from_labels(labels: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = labels.into_iter().collect();
        let intents = names.into_iter().map(|name| Intent { name, ..Intent::default() }).collect();
        Self { version: 1, open: true, intents, ..Self::default() }.indexed()
    }

    /// Adds the labels of a store that an open taxonomy does not list; a closed one stays as it is.
    #[must_use]
    pub fn with_labels(mut self, labels: impl IntoIterator<Item = String>) -> Self {
        if self.open {
            let new: BTreeSet<String> = labels.into_iter().filter(|label| self.resolve(label).is_none()).collect();
            self.intents.extend(new.into_iter().map(|name| Intent { name, ..Intent::default() }));
        }
        self.indexed()
    }

    /// Puts references under the intents' own names. Where two names fold alike, the first one wins.
    fn indexed(mut self) -> Self {
        self.names.clear();
        for (position, intent) in self.intents.iter().enumerate() {
            for name in std::iter::once(&intent.name).chain(&intent.aliases) {
                self.names.entry(fold(name)).or_insert(position);
            }
        }
        let own = |name: &String| self.resolve(name).unwrap_or(name).to_owned();
        let fallback = self.fallback.as_ref().map(own);
        let asked: Vec<Names> = self.routes.iter().map(|rule| rule.intent.iter().map(own).collect()).collect();
        self.fallback = fallback;
        for (rule, intent) in self.routes.iter_mut().zip(asked) {
            rule.intent = intent;
        }
        self
    }

    fn checked(self, origin: &str) -> Result<Self> {
        match check::structure(&self).into_iter().find(|finding| finding.level == Severity::Error) {
            None => Ok(self),
            Some(finding) => Err(Error::bad_input(format!("taxonomy {origin}: {}", finding.message))),
        }
    }

    /// The own name of the intent that `name` means: by name, by alias, or by either in another case
    /// and spacing.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<&str> {
        // The labels of an open taxonomy may differ in case alone, so an exact match comes first.
        let exact = self.intent(name).or_else(|| self.intents.iter().find(|x| x.aliases.iter().any(|x| x == name)));
        let folded = || self.names.get(&fold(name)).map(|&position| &self.intents[position]);
        exact.or_else(folded).map(|intent| intent.name.as_str())
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

    /// The category of an intent, the category of that category, and so on.
    pub fn ancestors(&self, intent: &str) -> impl Iterator<Item = &str> {
        // A draft may hold a circle.
        let most = self.categories.len() + self.intents.len();
        std::iter::successors(self.category_of(intent), |category| self.parent_of_category(category)).take(most)
    }

    /// The parent of a category, or of an intent that serves as one.
    fn parent_of_category(&self, name: &str) -> Option<&str> {
        match self.categories.iter().find(|category| category.name == name) {
            Some(category) => category.parent.as_deref(),
            None => self.category_of(name),
        }
    }

    /// Whether `intent` is the fallback, the intent for out-of-scope tickets.
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
