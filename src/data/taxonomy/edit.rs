//! Renames and merges intents in a taxonomy, with all that refers to them. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::near::did_you_mean;
use super::{Taxonomy, fold};
use crate::{Error, Result};

/// An intent that has another name now, or is part of another intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renamed {
    /// The old name.
    pub from: String,
    /// The name of the intent that it is now.
    pub to: String,
}

/// A taxonomy in which intents were renamed or merged, and what that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The taxonomy afterwards.
    pub taxonomy: Taxonomy,
    /// The old names of the intents that are gone.
    pub from: Vec<String>,
    /// The name of the intent that they are now.
    pub into: String,
    /// How many references were changed too: in `confused_with`, `fallback`, routes and parents.
    pub references: usize,
    /// What a person still has to do.
    pub notes: Vec<String>,
}

impl Taxonomy {
    /// Gives an intent another name; the old one becomes an alias. Nothing changes where the intent has
    /// the new name already. Fails when there is no `old`, and when `new` is another intent.
    pub fn rename(&self, old: &str, new: &str) -> Result<Edit> {
        let new = new.trim();
        if new.is_empty() || old == new {
            return Err(Error::bad_input(format!("{old:?} cannot be renamed to {new:?}; give another name")));
        }
        let current = self.known(old)?;
        if let Some(taken) = self.resolve(new).filter(|taken| *taken != current) {
            let same = if taken == new { String::new() } else { format!(" (as another name of {taken:?})") };
            return Err(Error::bad_input(format!(
                "{old:?} cannot be renamed to {new:?}, which is there already{same}; \
                 to make one intent of the two: ticket-router taxonomy merge {current:?} {taken:?}"
            )));
        }
        let mut taxonomy = self.clone();
        if current == new {
            return Ok(taxonomy.edited(vec![old.to_owned()], new, 0, self));
        }
        let from = vec![current.to_owned()];
        if let Some(intent) = taxonomy.intents.iter_mut().find(|intent| intent.name == current) {
            new.clone_into(&mut intent.name);
            intent.aliases.retain(|alias| fold(alias) != fold(new) && alias != current);
            intent.aliases.push(current.to_owned());
        }
        let references = taxonomy.redirect(self, &from, new);
        Ok(taxonomy.edited(from, new, references, self))
    }

    /// Makes the intents `from` part of `into`; their names become its aliases. An intent that is part
    /// of `into` already stays so. Fails when an intent is not there, or is `into` itself.
    pub fn merge(&self, from: &[String], into: &str) -> Result<Edit> {
        let into = self.known(into)?;
        let (mut gone, mut told) = (Vec::new(), Vec::new());
        for name in from {
            let current = self.known(name)?;
            if fold(name) == fold(into) {
                return Err(Error::bad_input(format!("{name:?} cannot be merged into itself; name another intent")));
            }
            told.push(if current == into { name.clone() } else { current.to_owned() });
            if current != into && !gone.iter().any(|gone| gone == current) {
                gone.push(current.to_owned());
            }
        }
        let mut taxonomy = self.clone();
        let is_gone = |name: &String| gone.contains(name);
        let old_names: Vec<String> = self
            .intents
            .iter()
            .filter(|intent| is_gone(&intent.name))
            .flat_map(|intent| std::iter::once(&intent.name).chain(&intent.aliases).cloned())
            .collect();
        taxonomy.intents.retain(|intent| !is_gone(&intent.name));
        let references = taxonomy.redirect(self, &gone, into);
        if let Some(intent) = taxonomy.intents.iter_mut().find(|intent| intent.name == into) {
            intent.aliases.extend(old_names);
        }
        told.dedup();
        Ok(taxonomy.edited(told, into, references, self))
    }

    /// Applies the renames that a store recorded to a taxonomy that may still have the old names, and
    /// keeps the record. Returns the renames that were needed.
    pub(crate) fn adopt(&mut self, stored: &[Renamed]) -> Vec<Renamed> {
        let own = self.renamed.iter().filter(|own| !stored.iter().any(|renamed| renamed.from == own.from));
        let records: Vec<Renamed> = stored.iter().chain(own).cloned().collect();
        let mut applied = Vec::new();
        for Renamed { from, to } in &records {
            if self.intent(from).is_some() {
                let edit = match self.resolve(to) {
                    Some(other) if other != from => self.merge(std::slice::from_ref(from), to),
                    _ => self.rename(from, to),
                };
                if let Ok(taxonomy) = edit.and_then(|edit| edit.taxonomy.checked("")) {
                    *self = taxonomy;
                    applied.push(Renamed { from: from.clone(), to: to.clone() });
                }
            } else if self.resolve(from).is_none()
                && let Some(to) = self.resolve(to).map(str::to_owned)
                && let Some(intent) = self.intents.iter_mut().find(|intent| intent.name == to)
            {
                intent.aliases.push(from.clone());
                *self = std::mem::take(self).indexed();
            }
        }
        self.renamed = records;
        applied
    }

    /// The own name of an intent; fails when there is none.
    fn known(&self, name: &str) -> Result<&str> {
        self.resolve(name).ok_or_else(|| {
            let near = did_you_mean(name, self.all_names());
            let near = if near.is_empty() { "; check the spelling".to_owned() } else { near };
            Error::bad_input(format!("there is no intent {name:?} in the store{near}"))
        })
    }

    /// Names and aliases of all intents.
    pub(super) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.intents.iter().flat_map(|intent| std::iter::once(&intent.name).chain(&intent.aliases)).map(String::as_str)
    }

    /// Points references to the intents `from` of the taxonomy `before` to `into`, and counts them.
    fn redirect(&mut self, before: &Self, from: &[String], into: &str) -> usize {
        let mut count = 0;
        let mut point = |name: &mut String| {
            if before.resolve(name).is_some_and(|own| from.iter().any(|from| from == own)) {
                into.clone_into(name);
                count += 1;
            }
        };
        for intent in &mut self.intents {
            intent.confused_with.iter_mut().for_each(&mut point);
            let mut seen = HashSet::from([fold(&intent.name)]);
            intent.confused_with.retain(|name| seen.insert(fold(name)));
        }
        self.fallback.iter_mut().for_each(&mut point);
        for rule in &mut self.routes {
            rule.intent.0.iter_mut().for_each(&mut point);
            let mut seen = HashSet::new();
            rule.intent.0.retain(|name| seen.insert(fold(name)));
        }
        let parents =
            self.categories.iter_mut().map(|x| &mut x.parent).chain(self.intents.iter_mut().map(|x| &mut x.parent));
        // Only an intent that serves as a category of its name is meant.
        let is_category = |name: &str| before.categories.iter().any(|category| category.name == name);
        parents.flatten().filter(|name| !is_category(name)).for_each(&mut point);
        count
    }

    /// Records what is gone and closes the edit.
    fn edited(mut self, from: Vec<String>, into: &str, references: usize, before: &Self) -> Edit {
        for gone in from.iter().filter(|name| before.intent(name).is_some()) {
            self.renamed.retain(|renamed| renamed.from != into && renamed.from != *gone);
            self.renamed
                .iter_mut()
                .filter(|renamed| renamed.to == *gone)
                .for_each(|renamed| into.clone_into(&mut renamed.to));
            self.renamed.push(Renamed { from: gone.clone(), to: into.to_owned() });
        }
        let taxonomy = self.indexed();
        let notes = from.iter().filter_map(|name| taxonomy.mentions(name)).collect();
        Edit { taxonomy, from, into: into.to_owned(), references, notes }
    }

    /// A note on the texts (descriptions, rules) that still use a name.
    fn mentions(&self, name: &str) -> Option<String> {
        let of = |text: &str| is_mentioned(name, text);
        let rules = self.intents.iter().filter(|x| of(&x.description) || x.rule.as_deref().is_some_and(of));
        let mut places: Vec<String> = rules.map(|intent| format!("{:?}", intent.name)).collect();
        if self.priority.as_deref().is_some_and(of) {
            places.push("priority".into());
        }
        let change = "change them in the taxonomy's file";
        (!places.is_empty()).then(|| format!("the texts of {} still mention {name:?}; {change}", places.join(", ")))
    }
}

/// Whether a text holds a name as a word of its own.
fn is_mentioned(name: &str, text: &str) -> bool {
    let in_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(name).any(|(start, _)| {
        !in_word(text[..start].chars().next_back()) && !in_word(text[start + name.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: &str = r#"
        fallback = "rest"
        [[intent]]
        name = "a"
        aliases = ["first"]
        confused_with = ["b", "c"]
        [[intent]]
        name = "b"
        confused_with = ["first"]
        rule = "Not the case of a, nor of ab."
        [[intent]]
        name = "c"
        confused_with = ["a", "b"]
        [[intent]]
        name = "rest"
        [[route]]
        intent = ["a", "b"]
        queue = "q"
    "#;

    fn desk() -> Taxonomy {
        Taxonomy::from_toml(DESK, "t").unwrap()
    }

    fn message(outcome: Result<Edit>) -> String {
        outcome.unwrap_err().to_string()
    }

    fn record(from: &str, to: &str) -> Renamed {
        Renamed { from: from.into(), to: to.into() }
    }

    /// What is stored can be read again.
    fn sound(taxonomy: &Taxonomy) {
        assert_eq!(&Taxonomy::from_json(&taxonomy.to_json().unwrap()).unwrap(), taxonomy);
    }

    #[test]
    fn a_rename_takes_all_references_along_and_keeps_the_old_name_as_an_alias() {
        let edit = desk().rename("a", "new").unwrap();
        let taxonomy = &edit.taxonomy;
        assert_eq!((edit.from.as_slice(), edit.into.as_str(), edit.references), (&["a".to_owned()][..], "new", 3));
        for name in ["a", "first", "new", "NEW"] {
            assert_eq!(taxonomy.resolve(name), Some("new"), "{name}");
        }
        assert_eq!(taxonomy.intent("b").unwrap().confused_with, ["new"]);
        assert_eq!(taxonomy.intent("c").unwrap().confused_with, ["new", "b"]);
        assert_eq!(taxonomy.routes[0].intent.0, ["new", "b"]);
        assert_eq!(taxonomy.renamed, [record("a", "new")]);
        assert_eq!(edit.notes, ["the texts of \"b\" still mention \"a\"; change them in the taxonomy's file"]);
        sound(taxonomy);
        assert_eq!(desk().rename("REST", "x").unwrap().taxonomy.fallback.as_deref(), Some("x"));
    }

    #[test]
    fn renaming_twice_changes_nothing_and_renaming_back_takes_the_alias_away() {
        let once = desk().rename("a", "new").unwrap().taxonomy;
        let twice = once.rename("a", "new").unwrap();
        assert_eq!((&twice.taxonomy, twice.references), (&once, 0));
        let back = once.rename("new", "a").unwrap().taxonomy;
        assert_eq!(back.intent("a").unwrap().aliases, ["first", "new"]);
        assert_eq!(back.renamed, [record("new", "a")]);
        let further = once.rename("new", "newer").unwrap().taxonomy;
        assert_eq!(further.renamed, [record("a", "newer"), record("new", "newer")]);
        assert_eq!(further.resolve("a"), Some("newer"));
        let case = desk().rename("a", "A").unwrap().taxonomy;
        assert_eq!((case.intents[0].name.as_str(), case.resolve("a")), ("A", Some("A")));
        sound(&case);
    }

    #[test]
    fn names_that_cannot_be_renamed_are_refused_with_what_to_do() {
        let desk = desk();
        assert!(message(desk.rename("a", "a")).contains("give another name"));
        assert!(message(desk.rename("a", " ")).contains("give another name"));
        assert!(message(desk.rename("a", "B")).contains("taxonomy merge \"a\" \"b\""));
        assert!(message(desk.rename("b", "first")).contains("another name of \"a\""));
        assert!(message(desk.rename("resst", "x")).contains("did you mean \"rest\"?"));
        assert!(message(desk.rename("zebra", "x")).contains("check the spelling"));
        assert!(message(desk.merge(&["firs".into()], "b")).contains("did you mean \"first\"?"));
        assert!(message(desk.merge(&["a".into()], "nope")).contains("no intent \"nope\""));
        assert!(message(desk.merge(&["b".into(), "a".into()], "A")).contains("into itself"));
    }

    #[test]
    fn a_merge_leaves_one_intent_that_goes_by_all_the_names() {
        let edit = desk().merge(&["first".into(), "b".into()], "c").unwrap();
        let taxonomy = &edit.taxonomy;
        let names: Vec<&str> = taxonomy.intents.iter().map(|intent| intent.name.as_str()).collect();
        assert_eq!(names, ["c", "rest"]);
        assert_eq!(taxonomy.intent("c").unwrap().aliases, ["a", "first", "b"]);
        assert_eq!(taxonomy.intent("c").unwrap().confused_with, Vec::<String>::new());
        assert_eq!(taxonomy.routes[0].intent.0, ["c"]);
        assert_eq!((edit.from, edit.references), (vec!["a".to_owned(), "b".to_owned()], 4));
        assert_eq!(taxonomy.renamed, [record("a", "c"), record("b", "c")]);
        sound(taxonomy);
        let again = taxonomy.merge(&["a".into(), "b".into()], "c").unwrap();
        assert_eq!((&again.taxonomy, again.references), (taxonomy, 0));
        assert_eq!(desk().merge(&["rest".into()], "a").unwrap().taxonomy.fallback.as_deref(), Some("a"));
    }

    #[test]
    fn a_file_with_the_old_names_gets_the_renames_of_the_store() {
        let stored = desk().rename("a", "new").unwrap().taxonomy.merge(&["b".into()], "c").unwrap().taxonomy;
        let mut file = desk();
        assert_eq!(file.adopt(&stored.renamed), [record("a", "new"), record("b", "c")]);
        assert_eq!(file, stored);
        // A file that has the new names needs nothing, but the old ones stay known.
        let new =
            DESK.replace("\"a\"", "\"new\"").replace("\"b\", \"c\"", "\"c\"").replace("\"new\", \"b\"", "\"new\"");
        let mut new = Taxonomy::from_toml(&new, "t").unwrap();
        assert_eq!(new.adopt(&stored.renamed), [record("b", "c")]);
        assert_eq!(new.adopt(&stored.renamed), []);
        assert_eq!((new.resolve("a"), new.resolve("b")), (Some("new"), Some("c")));
        sound(&new);
    }

    #[test]
    fn labels_that_differ_in_case_stay_apart_when_one_is_renamed() {
        let labels = Taxonomy::from_labels(["Bug".to_owned(), "bug".to_owned()]);
        assert!(message(labels.rename("bug", "Bug")).contains("merge"));
        let edit = labels.rename("Bug", "defect").unwrap().taxonomy;
        assert_eq!((edit.resolve("Bug"), edit.resolve("bug")), (Some("defect"), Some("bug")));
        assert!(edit.open);
        sound(&edit);
    }
}
