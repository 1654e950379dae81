//! What could be better in a taxonomy, and how it fits the examples of a store. Pure.

use super::check::{Finding, Kind, Severity, structure};
use super::{Rule, Taxonomy};

impl Taxonomy {
    /// Everything that is wrong or could be better, the worst first. `examples` are the labels of a
    /// store with the number of their examples; without them, examples are not checked.
    #[must_use]
    pub fn check(&self, examples: Option<&[(String, usize)]>) -> Vec<Finding> {
        let mut found = structure(self);
        if let Some(examples) = examples {
            self.lint_examples(examples, &mut found);
        }
        if self.open {
            let message =
                "the labels are intents without a description; describe them in a file and give it to index --taxonomy";
            found.push(Finding::new(Severity::Hint, Kind::Open, "", message));
        } else {
            self.lint_descriptions(&mut found);
            if self.fallback.is_none() {
                let message = "there is no fallback; name the intent for out-of-scope tickets";
                found.push(Finding::new(Severity::Hint, Kind::NoFallback, "", message));
            }
        }
        self.lint_confusions(&mut found);
        self.lint_routes(&mut found);
        found.sort_by_key(|finding| finding.level);
        found
    }

    fn lint_examples(&self, examples: &[(String, usize)], found: &mut Vec<Finding>) {
        for (label, count) in examples.iter().filter(|(label, _)| self.resolve(label).is_none()) {
            let message = format!(
                "{count} examples have the intent {label:?}, which is not listed, so no search finds them; \
                 add it, or make it an alias of another"
            );
            found.push(Finding::new(Severity::Error, Kind::UnknownLabel, label, message));
        }
        for intent in &self.intents {
            if !examples.iter().any(|(label, _)| self.resolve(label) == Some(&intent.name)) {
                let message = format!("{:?} has no examples; index some tickets of it", intent.name);
                found.push(Finding::new(Severity::Warning, Kind::NoExamples, &intent.name, message));
            }
        }
    }

    fn lint_descriptions(&self, found: &mut Vec<Finding>) {
        let intents = self.intents.iter().map(|x| ("intent", &x.name, &x.description));
        let categories = self.categories.iter().map(|x| ("category", &x.name, &x.description));
        let attributes = self.attributes.iter().map(|x| ("attribute", &x.name, &x.description));
        for (what, name, description) in intents.chain(categories).chain(attributes) {
            if description.trim().is_empty() {
                let message = format!("the {what} {name:?} has no description; say in one line what it covers");
                found.push(Finding::new(Severity::Warning, Kind::NoDescription, name, message));
            }
        }
    }

    fn lint_confusions(&self, found: &mut Vec<Finding>) {
        for intent in &self.intents {
            let others = intent.confused_with.iter().filter_map(|name| self.intent(self.resolve(name)?));
            for other in others {
                if !other.confused_with.iter().any(|back| self.resolve(back) == Some(&intent.name)) {
                    let message =
                        format!("{:?} is confused_with {:?}, but not the other way round", intent.name, other.name);
                    found.push(Finding::new(Severity::Hint, Kind::ConfusedWithOneWay, &intent.name, message));
                }
            }
        }
    }

    fn lint_routes(&self, found: &mut Vec<Finding>) {
        if self.routes.is_empty() {
            return;
        }
        let taking = |rule: &Rule| self.intents.iter().filter(|x| rule.takes(self, &x.name)).collect::<Vec<_>>();
        for (position, rule) in self.routes.iter().enumerate() {
            let intents = taking(rule);
            let earlier = self.routes[..position].iter().filter(|earlier| earlier.is_as_wide_as(rule));
            let taken = |name: &str| earlier.clone().any(|earlier| earlier.takes(self, name));
            if intents.iter().all(|intent| taken(&intent.name)) {
                let why = if intents.is_empty() {
                    "none of its intents is in its categories; correct it"
                } else {
                    "earlier routes take whatever it asks for; move it up or take it out"
                };
                let name = format!("route {}", position + 1);
                let message = format!("{name} (queue {:?}) can never match: {why}", rule.queue);
                found.push(Finding::new(Severity::Warning, Kind::RouteNeverMatches, name, message));
            }
        }
        for intent in &self.intents {
            let rules: Vec<&Rule> = self.routes.iter().filter(|rule| rule.takes(self, &intent.name)).collect();
            let (level, which) = match rules.as_slice() {
                [] => (Severity::Warning, "there is no route"),
                rules if rules.iter().all(|rule| rule.asks_more()) => {
                    (Severity::Hint, "there are only routes that ask for more")
                }
                _ => continue,
            };
            let message =
                format!("{which} for {:?}; add one, or a last [[route]] with nothing but a queue", intent.name);
            found.push(Finding::new(level, Kind::NoRoute, &intent.name, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: &str = r#"
        fallback = "c"
        [[category]]
        name = "g"
        description = "d"
        [[intent]]
        name = "a"
        parent = "g"
        description = "d"
        aliases = ["old a"]
        confused_with = ["b"]
        [[intent]]
        name = "b"
        parent = "g"
        description = "d"
        confused_with = ["A"]
        [[intent]]
        name = "c"
        description = "d"
    "#;

    fn found(toml: &str, examples: Option<&[(&str, usize)]>) -> Vec<(Severity, Kind, String)> {
        let examples: Option<Vec<(String, usize)>> =
            examples.map(|examples| examples.iter().map(|(label, n)| ((*label).to_owned(), *n)).collect());
        let draft = Taxonomy::draft_from_toml(toml, "t").unwrap();
        draft.check(examples.as_deref()).into_iter().map(|x| (x.level, x.kind, x.name)).collect()
    }

    #[test]
    fn a_good_taxonomy_has_no_findings() {
        assert_eq!(found(DESK, Some(&[("old a", 1), ("b", 2), ("c", 1)])), []);
    }

    #[test]
    fn examples_are_compared_with_the_intents_where_they_are_known() {
        let expected = [
            (Severity::Error, Kind::UnknownLabel, "z".to_owned()),
            (Severity::Warning, Kind::NoExamples, "c".to_owned()),
        ];
        assert_eq!(found(DESK, Some(&[("a", 1), ("b", 2), ("z", 4)])), expected);
        assert_eq!(found(DESK, None), []);
    }

    #[test]
    fn missing_descriptions_and_fallback_and_one_way_confusions_are_found_worst_first() {
        let toml = "[[intent]]\nname = \"a\"\nconfused_with = [\"b\"]\n[[intent]]\nname = \"b\"\ndescription = \"d\"";
        let expected = [
            (Severity::Warning, Kind::NoDescription, "a".to_owned()),
            (Severity::Hint, Kind::NoFallback, String::new()),
            (Severity::Hint, Kind::ConfusedWithOneWay, "a".to_owned()),
        ];
        assert_eq!(found(toml, None), expected);
        assert_eq!(found(&format!("open = true\n{toml}"), None)[0], (Severity::Hint, Kind::Open, String::new()));
    }

    #[test]
    fn routes_that_never_match_and_intents_without_one_are_found() {
        let attribute = "[[attribute]]\nname = \"u\"\ndescription = \"d\"\nvalues = [\"low\", \"high\"]\n";
        let routes = |rules: &[&str]| {
            let rules: Vec<String> = rules.iter().map(|rule| format!("[[route]]\nqueue = \"q\"\n{rule}\n")).collect();
            found(&format!("{DESK}{attribute}{}", rules.concat()), None)
        };
        let never = |n: usize| (Severity::Warning, Kind::RouteNeverMatches, format!("route {n}"));
        let (high, both) = ("attributes = { u = \"high\" }", "attributes = { u = [\"high\", \"low\"] }");
        assert_eq!(routes(&[high, both, ""]), [], "from narrow to wide");
        assert_eq!(routes(&[both, high, ""]), [never(2)]);
        assert_eq!(routes(&["", "intent = \"a\""]), [never(2)]);
        assert_eq!(routes(&["intent = \"b\"", "intent = \"old a\"", "category = \"g\"", ""]), [never(3)], "together");
        assert_eq!(routes(&["intent = \"a\"\nticket = { tier = \"gold\" }", "intent = \"a\"", ""]), []);
        assert_eq!(routes(&["intent = \"c\"\ncategory = \"g\"", ""]), [never(1)], "contradicts itself");
        let expected =
            [(Severity::Warning, Kind::NoRoute, "c".to_owned()), (Severity::Hint, Kind::NoRoute, "b".to_owned())];
        assert_eq!(routes(&["intent = \"a\"", &format!("intent = \"b\"\n{high}")]), expected);
    }
}
