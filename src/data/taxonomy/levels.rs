//! The levels of a taxonomy: what is chosen from at the top, and within each category. An intent with
//! intents below it serves as a category too.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Intent, Taxonomy};

/// One choice: the categories and intents right below a parent.
#[derive(Debug, Clone, Default)]
pub struct Level {
    /// The category that is chosen within; `None` at the top.
    pub parent: Option<String>,
    /// Its children in the shape of a taxonomy, so that a labeler can choose among them.
    pub taxonomy: Arc<Taxonomy>,
    /// Each intent below the parent, and the child that it belongs to.
    children: HashMap<String, String>,
}

impl Level {
    /// The child of this level that an intent belongs to.
    #[must_use]
    pub fn child_of(&self, intent: &str) -> Option<&str> {
        self.children.get(intent).map(String::as_str)
    }

    /// The intents below the parent.
    #[must_use]
    pub fn intents(&self) -> Vec<String> {
        let mut intents: Vec<String> = self.children.keys().cloned().collect();
        intents.sort_unstable();
        intents
    }

    /// The only child; `None` where there is a choice.
    #[must_use]
    pub fn only_child(&self) -> Option<&str> {
        match self.taxonomy.intents.as_slice() {
            [only] => Some(&only.name),
            _ => None,
        }
    }
}

/// All levels of a taxonomy, of any depth.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    by_parent: HashMap<Option<String>, Level>,
}

impl Levels {
    /// The levels of a taxonomy. Without categories there is one level, which holds all intents.
    #[must_use]
    pub fn of(taxonomy: &Taxonomy) -> Self {
        let mut by_parent: HashMap<Option<String>, Level> = HashMap::new();
        let mut add = |parent: Option<&str>, intent: &str, child: &str| {
            let level = by_parent.entry(parent.map(Into::into)).or_default();
            level.parent = parent.map(Into::into);
            level.children.insert(intent.to_owned(), child.to_owned());
        };
        for intent in &taxonomy.intents {
            let path = taxonomy.path(&intent.name);
            for (depth, node) in path.iter().enumerate() {
                add(depth.checked_sub(1).map(|above| path[above]), &intent.name, node);
            }
            // An intent with intents below it is one of the choices within itself.
            if taxonomy.intents.iter().any(|other| other.parent.as_ref() == Some(&intent.name)) {
                add(Some(&intent.name), &intent.name, &intent.name);
            }
        }
        for level in by_parent.values_mut() {
            level.taxonomy = Arc::new(taxonomy.of_children(level));
        }
        Self { by_parent }
    }

    /// The level within a category, or at the top; `None` when `parent` is no category.
    #[must_use]
    pub fn below(&self, parent: Option<&str>) -> Option<&Level> {
        self.by_parent.get(&parent.map(str::to_owned))
    }
}

impl Taxonomy {
    /// The categories above an intent, the widest first, and the intent itself.
    #[must_use]
    pub fn path<'a>(&'a self, intent: &'a str) -> Vec<&'a str> {
        let mut path: Vec<&str> = self.ancestors(intent).collect();
        path.reverse();
        path.push(intent);
        path
    }

    /// The children of a level as a taxonomy of their own.
    fn of_children(&self, level: &Level) -> Self {
        let mut intents: Vec<Intent> = Vec::new();
        for intent in &self.intents {
            let Some(child) = level.child_of(&intent.name) else { continue };
            if intents.iter().all(|known| known.name != child) {
                intents.push(self.node(child, level));
            }
        }
        let fallback = self.fallback.clone().filter(|name| intents.iter().any(|intent| intent.name == *name));
        Self {
            version: self.version,
            fallback,
            priority: self.priority.clone(),
            intents,
            // They are asked about once, at the top.
            attributes: if level.parent.is_none() { self.attributes.clone() } else { Vec::new() },
            ..Self::default()
        }
        .indexed()
    }

    /// A child in the shape of an intent: an intent without what lies outside the level, or a
    /// category with its description.
    fn node(&self, name: &str, level: &Level) -> Intent {
        let is_leaf = level.child_of(name) == Some(name);
        if let Some(intent) = self.intent(name).filter(|_| is_leaf) {
            let mut intent = Intent { parent: None, ..intent.clone() };
            intent.confused_with.retain(|other| level.child_of(other) == Some(other));
            return intent;
        }
        let category = self.categories.iter().find(|category| category.name == name);
        let description = category.map(|category| category.description.clone()).unwrap_or_default();
        Intent { name: name.to_owned(), description, ..Intent::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEEP: &str = r#"
        fallback = "other"
        [[category]]
        name = "money"
        description = "All about money."
        [[category]]
        name = "cards"
        parent = "money"
        [[intent]]
        name = "refund"
        parent = "money"
        confused_with = ["card_lost", "fee"]
        [[intent]]
        name = "fee"
        parent = "money"
        [[intent]]
        name = "card_lost"
        parent = "cards"
        [[intent]]
        name = "other"
    "#;

    fn names(level: &Level) -> Vec<&str> {
        level.taxonomy.intents.iter().map(|intent| intent.name.as_str()).collect()
    }

    #[test]
    fn each_level_holds_the_groups_and_intents_right_below() {
        let taxonomy = Taxonomy::from_toml(DEEP, "t").unwrap();
        assert_eq!(taxonomy.path("card_lost"), ["money", "cards", "card_lost"]);
        let levels = Levels::of(&taxonomy);
        let (top, money) = (levels.below(None).unwrap(), levels.below(Some("money")).unwrap());
        assert_eq!((names(top), names(money)), (vec!["money", "other"], vec!["refund", "fee", "cards"]));
        assert_eq!(top.child_of("card_lost"), Some("money"));
        assert_eq!(money.child_of("card_lost"), Some("cards"));
        assert_eq!(top.taxonomy.intents[0].description, "All about money.");
        assert_eq!(money.taxonomy.intents[0].confused_with, ["fee"], "only what can be chosen here");
        assert_eq!((top.taxonomy.fallback.as_deref(), money.taxonomy.fallback.as_deref()), (Some("other"), None));
        assert_eq!(levels.below(Some("cards")).unwrap().only_child(), Some("card_lost"));
        assert!(levels.below(Some("refund")).is_none());
        assert_eq!(top.taxonomy.resolve("MONEY"), Some("money"));
    }

    #[test]
    fn an_intent_with_intents_below_it_can_be_chosen_itself() {
        let text = "[[intent]]\nname = \"a\"\n[[intent]]\nname = \"b\"\nparent = \"a\"\n[[intent]]\nname = \"c\"";
        let levels = Levels::of(&Taxonomy::from_toml(text, "t").unwrap());
        assert_eq!(names(levels.below(None).unwrap()), ["a", "c"]);
        assert_eq!(names(levels.below(Some("a")).unwrap()), ["a", "b"]);
    }
}
