//! What is wrong with a taxonomy. Pure. An error makes a taxonomy unusable, a warning does not;
//! `lint` finds what could be better.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::near::did_you_mean;
use super::{AttributeValue, Rule, Taxonomy, fold};

/// How much a [`Finding`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The taxonomy, or an example, cannot be used as it is.
    Error,
    /// Probably a mistake.
    Warning,
    /// Could be better.
    Hint,
}

/// What a [`Finding`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The file cannot be read as a taxonomy.
    Unreadable,
    /// The file's format is newer than the program.
    UnknownVersion,
    /// There is no intent.
    NoIntents,
    /// An attribute's name or values cannot be used.
    BadAttribute,
    /// Something has an empty name.
    EmptyName,
    /// A name or an alias is used twice.
    DuplicateName,
    /// A parent is not there.
    UnknownParent,
    /// Parents lead in a circle.
    ParentCycle,
    /// An intent is confused with one that is not there.
    UnknownConfusedWith,
    /// The fallback is not there.
    UnknownFallback,
    /// A route asks for a name that is not there.
    UnknownInRoute,
    /// Examples have an intent that is not there.
    UnknownLabel,
    /// An intent has no examples.
    NoExamples,
    /// An intent, a category or an attribute is not described.
    NoDescription,
    /// A route never matches: earlier ones take all that it asks for.
    RouteNeverMatches,
    /// Tickets of an intent may end without a route.
    NoRoute,
    /// The store renamed an intent that the file has under its old name.
    Renamed,
    /// An intent is confused with another, but not the other way round.
    ConfusedWithOneWay,
    /// There is no intent for out-of-scope tickets.
    NoFallback,
    /// The labels are the taxonomy.
    Open,
}

/// Something that is wrong with a taxonomy, or could be better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The intent, category, attribute or route that it is about; empty for the whole taxonomy.
    pub name: String,
    /// What is wrong and what to do, in words.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(level: Severity, kind: Kind, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level, kind, name: name.into(), message: message.into() }
    }

    fn error(kind: Kind, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, kind, name, message)
    }
}

/// Everything that keeps a taxonomy from being used, in the order of the file's sections.
pub(super) fn structure(taxonomy: &Taxonomy) -> Vec<Finding> {
    let mut found = Vec::new();
    if taxonomy.version != 1 {
        let message = format!("version {} is not known to this program; update it", taxonomy.version);
        found.push(Finding::error(Kind::UnknownVersion, "", message));
    }
    if taxonomy.intents.is_empty() {
        found.push(Finding::error(Kind::NoIntents, "", "it has no [[intent]]; add at least two"));
    }
    names(taxonomy, &mut found);
    for attribute in &taxonomy.attributes {
        if let Some(fault) = attribute.fault().filter(|_| !attribute.name.trim().is_empty()) {
            found.push(Finding::error(Kind::BadAttribute, &attribute.name, fault));
        }
    }
    parents(taxonomy, &mut found);
    cycles(taxonomy, &mut found);
    references(taxonomy, &mut found);
    for (position, rule) in taxonomy.routes.iter().enumerate() {
        route(taxonomy, rule, position + 1, &mut found);
    }
    found
}

fn names(taxonomy: &Taxonomy, found: &mut Vec<Finding>) {
    let groups = [
        ("category", taxonomy.categories.iter().map(|category| &category.name).collect::<Vec<_>>()),
        ("attribute", taxonomy.attributes.iter().map(|attribute| &attribute.name).collect()),
        ("intent", taxonomy.intents.iter().map(|intent| &intent.name).collect()),
    ];
    for (what, names) in groups {
        let mut seen = BTreeSet::new();
        for (position, name) in names.into_iter().enumerate() {
            if name.trim().is_empty() {
                let message = format!("{what} number {} has an empty name", position + 1);
                found.push(Finding::error(Kind::EmptyName, "", message));
            } else if what != "intent" && !seen.insert(fold(name)) {
                let message = format!("there are two of the {what} {name:?}; take one out");
                found.push(Finding::error(Kind::DuplicateName, name, message));
            }
        }
    }
    // Labels that differ in case alone stay apart.
    let same = |name: &str| if taxonomy.open { name.to_owned() } else { fold(name) };
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (position, intent) in taxonomy.intents.iter().enumerate() {
        for (place, name) in std::iter::once(&intent.name).chain(&intent.aliases).enumerate() {
            let owner = *owners.entry(same(name)).or_insert(position);
            if owner != position {
                let other = &taxonomy.intents[owner].name;
                let message = format!("{name:?} names both {other:?} and {:?}; rename one", intent.name);
                found.push(Finding::error(Kind::DuplicateName, name, message));
            } else if place > 0 && name.trim().is_empty() {
                let message = format!("{:?} has an empty alias; take it out", intent.name);
                found.push(Finding::error(Kind::EmptyName, &intent.name, message));
            }
        }
    }
}

fn parents(taxonomy: &Taxonomy, found: &mut Vec<Finding>) {
    let known = |name: &str| {
        taxonomy.categories.iter().any(|category| category.name == name) || taxonomy.intent(name).is_some()
    };
    // Without any category the parents themselves make the groups.
    let level = if taxonomy.categories.is_empty() { Severity::Warning } else { Severity::Error };
    let groups = taxonomy.categories.iter().map(|category| (&category.name, &category.parent));
    for (child, parent) in groups.chain(taxonomy.intents.iter().map(|intent| (&intent.name, &intent.parent))) {
        if let Some(name) = parent.as_deref().filter(|name| !known(name)) {
            let message = format!("{child:?} has the parent {name:?}, which is no category; add a [[category]] for it");
            found.push(Finding::new(level, Kind::UnknownParent, child, message));
        }
    }
}

fn cycles(taxonomy: &Taxonomy, found: &mut Vec<Finding>) {
    let most = taxonomy.categories.len() + taxonomy.intents.len();
    let categories = taxonomy.categories.iter().map(|category| category.name.as_str());
    let intents = taxonomy.intents.iter().map(|intent| intent.name.as_str());
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for start in categories.chain(intents) {
        let way =
            || std::iter::successors(taxonomy.parent_of_category(start), |name| taxonomy.parent_of_category(name));
        let Some(last) = way().take(most).position(|name| name == start).filter(|_| !told.contains(start)) else {
            continue;
        };
        let circle: Vec<&str> = std::iter::once(start).chain(way().take(last + 1)).collect();
        let shown = circle.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" in ");
        let message = format!("the parents of {start:?} lead back to it ({shown}); take one of them out");
        found.push(Finding::error(Kind::ParentCycle, start, message));
        told.extend(circle);
    }
}

fn references(taxonomy: &Taxonomy, found: &mut Vec<Finding>) {
    for intent in &taxonomy.intents {
        for name in intent.confused_with.iter().filter(|name| taxonomy.resolve(name).is_none()) {
            let near = did_you_mean(name, taxonomy.all_names());
            let message = format!("{:?} is confused_with {name:?}, which is no intent{near}", intent.name);
            found.push(Finding::error(Kind::UnknownConfusedWith, &intent.name, message));
        }
    }
    if let Some(name) = taxonomy.fallback.as_ref().filter(|name| taxonomy.resolve(name).is_none()) {
        let message = format!("the fallback {name:?} is no intent; add it as one");
        found.push(Finding::error(Kind::UnknownFallback, name, message));
    }
}

fn route(taxonomy: &Taxonomy, rule: &Rule, number: usize, found: &mut Vec<Finding>) {
    let name = format!("route {number}");
    if rule.queue.trim().is_empty() {
        found.push(Finding::error(Kind::EmptyName, &name, format!("{name} has an empty queue; name one")));
    }
    let mut unknown = |what: String, asked: &str, known: Vec<&str>| {
        let near = did_you_mean(asked, known.into_iter());
        let message = format!("{name} (queue {:?}) asks for the unknown {what} {asked:?}{near}", rule.queue);
        found.push(Finding::error(Kind::UnknownInRoute, &name, message));
    };
    for asked in rule.intent.iter().filter(|asked| taxonomy.resolve(asked).is_none()) {
        unknown("intent".into(), asked, taxonomy.all_names().collect());
    }
    let parents = taxonomy.intents.iter().filter_map(|intent| intent.parent.as_deref());
    let groups: BTreeSet<&str> = taxonomy.categories.iter().map(|x| x.name.as_str()).chain(parents).collect();
    for asked in rule.category.iter().filter(|asked| !groups.contains(asked.as_str())) {
        unknown("category".into(), asked, groups.iter().copied().collect());
    }
    for (asked, values) in &rule.attributes {
        let Some(attribute) = taxonomy.attributes.iter().find(|attribute| attribute.name == *asked) else {
            let known = taxonomy.attributes.iter().map(|attribute| attribute.name.as_str());
            unknown("attribute".into(), asked, known.collect());
            continue;
        };
        let known: Vec<&str> = attribute.values.iter().map(AttributeValue::name).collect();
        for value in values.iter().filter(|value| !known.iter().any(|name| fold(name) == fold(value))) {
            unknown(format!("value of {asked}"), value, known.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(toml: &str) -> Vec<(Kind, String)> {
        let draft = Taxonomy::draft_from_toml(toml, "t").unwrap();
        structure(&draft).into_iter().map(|finding| (finding.kind, finding.name)).collect()
    }

    #[test]
    fn all_that_is_wrong_is_found_at_once_and_reading_fails_with_the_first() {
        let toml = r#"
            version = 1
            fallback = "nowhere"
            [[category]]
            name = "a"
            parent = "b"
            [[category]]
            name = "b"
            parent = "a"
            [[category]]
            name = "B"
            [[intent]]
            name = "one"
            parent = "c"
            aliases = ["two"]
            confused_with = ["three"]
            [[intent]]
            name = "Two"
            parent = "a"
            [[route]]
            intent = "four"
            queue = "q"
        "#;
        let expected = [
            (Kind::DuplicateName, "B"),
            (Kind::DuplicateName, "Two"),
            (Kind::UnknownParent, "one"),
            (Kind::ParentCycle, "a"),
            (Kind::UnknownConfusedWith, "one"),
            (Kind::UnknownFallback, "nowhere"),
            (Kind::UnknownInRoute, "route 1"),
        ];
        assert_eq!(kinds(toml), expected.map(|(kind, name)| (kind, name.to_owned())));
        let first = Taxonomy::from_toml(toml, "x.toml").unwrap_err().to_string();
        assert!(first.contains("taxonomy x.toml: there are two of the category \"B\""), "{first}");
    }

    #[test]
    fn circles_are_told_once_and_refused_on_reading() {
        let category = |name: &str, parent: &str| format!("[[category]]\nname = \"{name}\"\nparent = \"{parent}\"\n");
        let intent = "[[intent]]\nname = \"i\"\nparent = \"c\"\n";
        let three = format!("{}{}{}{intent}", category("a", "b"), category("b", "c"), category("c", "a"));
        assert_eq!(kinds(&three), [(Kind::ParentCycle, "a".to_owned())]);
        let error = Taxonomy::from_toml(&three, "t").unwrap_err().to_string();
        assert!(error.contains("(\"a\" in \"b\" in \"c\" in \"a\")"), "{error}");
        let own = format!("{}{intent}", category("c", "c"));
        assert_eq!(kinds(&own), [(Kind::ParentCycle, "c".to_owned())]);
        let namesakes = "[[category]]\nname = \"i\"\n[[intent]]\nname = \"i\"\nparent = \"i\"\n";
        assert_eq!(kinds(namesakes), [], "an intent in a category of its name");
    }

    #[test]
    fn parents_need_no_category_where_there_is_none_at_all() {
        let toml = "[[intent]]\nname = \"i\"\nparent = \"group\"\n";
        let found = structure(&Taxonomy::from_toml(toml, "t").unwrap());
        assert_eq!((found[0].level, found[0].kind), (Severity::Warning, Kind::UnknownParent));
    }
}
