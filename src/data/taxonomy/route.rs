//! Rules that send a ticket to a queue by its intent, its category, what was answered about it
//! and its own fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Taxonomy, fold};
use crate::data::ticket::Ticket;

/// A rule: where a ticket goes when all of its conditions hold. A rule without conditions matches
/// every ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The intent is one of these.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub intent: Names,
    /// The intent belongs to one of these categories, directly or through others.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub category: Names,
    /// Attributes of the taxonomy, as they were answered for the ticket.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Names>,
    /// The ticket's own fields: `language`, `requester`, or a key of its attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ticket: BTreeMap<String, Names>,
    /// Who takes the ticket.
    pub queue: String,
    /// How it ranks there, in the desk's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Minutes within which the customer has an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_within_minutes: Option<u32>,
}

/// Names, of which one must match. In the file they are one name or a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany")]
pub struct Names(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a name or a list of names is expected here")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<OneOrMany> for Names {
    type Error = &'static str;

    fn try_from(names: OneOrMany) -> Result<Self, Self::Error> {
        match names {
            OneOrMany::One(name) => Ok(Self(vec![name])),
            OneOrMany::Many(names) if names.is_empty() => Err("an empty list matches nothing; leave it out"),
            OneOrMany::Many(names) => Ok(Self(names)),
        }
    }
}

impl FromIterator<String> for Names {
    fn from_iter<T: IntoIterator<Item = String>>(names: T) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Names {
    /// The names.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }

    /// Whether there is no name, which means no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `value` is one of them; case and spacing do not matter.
    #[must_use]
    pub fn has(&self, value: &str) -> bool {
        self.iter().any(|name| fold(name) == fold(value))
    }
}

/// Where a ticket goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Who takes the ticket.
    pub queue: String,
    /// How it ranks there.
    pub priority: Option<String>,
    /// Minutes within which the customer has an answer.
    pub respond_within_minutes: Option<u32>,
    /// The rule that matched: its position in the file, from 1.
    pub rule: usize,
}

impl Taxonomy {
    /// Where a ticket of this intent goes: to the queue of the first rule that matches, or nowhere.
    /// `answers` are the ticket's attributes as they were answered.
    #[must_use]
    pub fn route(&self, intent: &str, answers: &BTreeMap<String, String>, ticket: &Ticket) -> Option<Route> {
        let position = self.routes.iter().position(|rule| {
            rule.takes(self, intent)
                && hold(&rule.attributes, |name| answers.get(name))
                && hold(&rule.ticket, |name| field(ticket, name))
        })?;
        let rule = &self.routes[position];
        Some(Route {
            queue: rule.queue.clone(),
            priority: rule.priority.clone(),
            respond_within_minutes: rule.respond_within_minutes,
            rule: position + 1,
        })
    }
}

impl Rule {
    /// Whether the conditions on intent and category let `intent` pass.
    pub(super) fn takes(&self, taxonomy: &Taxonomy, intent: &str) -> bool {
        // Names were resolved when the taxonomy was read.
        (self.intent.is_empty() || self.intent.iter().any(|name| name == intent))
            && (self.category.is_empty()
                || taxonomy.ancestors(intent).any(|group| self.category.iter().any(|name| name == group)))
    }

    /// Whether the rule asks for more than an intent.
    pub(super) fn asks_more(&self) -> bool {
        !(self.attributes.is_empty() && self.ticket.is_empty())
    }

    /// Whether it matches all that `other` matches, apart from the intent.
    pub(super) fn is_as_wide_as(&self, other: &Self) -> bool {
        wider(&self.attributes, &other.attributes) && wider(&self.ticket, &other.ticket)
    }
}

fn hold<'a>(conditions: &BTreeMap<String, Names>, value: impl Fn(&str) -> Option<&'a String>) -> bool {
    conditions.iter().all(|(name, allowed)| value(name).is_some_and(|value| allowed.has(value)))
}

fn field<'a>(ticket: &'a Ticket, name: &str) -> Option<&'a String> {
    let own = match name {
        "language" => ticket.language.as_ref(),
        "requester" => ticket.requester.as_ref(),
        _ => None,
    };
    own.or_else(|| ticket.attributes.get(name))
}

fn wider(wide: &BTreeMap<String, Names>, narrow: &BTreeMap<String, Names>) -> bool {
    wide.iter()
        .all(|(name, allowed)| narrow.get(name).is_some_and(|asked| asked.iter().all(|value| allowed.has(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: &str = r#"
        [[category]]
        name = "money"
        [[category]]
        name = "invoices"
        parent = "money"
        [[intent]]
        name = "copy"
        parent = "invoices"
        aliases = ["duplicate"]
        [[intent]]
        name = "refund"
        parent = "money"
        [[intent]]
        name = "other"
        [[attribute]]
        name = "urgency"
        values = ["low", "high", { name = "critical", description = "now" }]
    "#;

    fn desk(rules: &str) -> Taxonomy {
        Taxonomy::from_toml(&format!("{DESK}{rules}"), "t").unwrap()
    }

    fn queue(taxonomy: &Taxonomy, intent: &str, urgency: &str, ticket: &Ticket) -> Option<String> {
        let answers = BTreeMap::from([("urgency".to_owned(), urgency.to_owned())]);
        taxonomy.route(intent, &answers, ticket).map(|route| route.queue)
    }

    #[test]
    fn the_first_rule_whose_conditions_all_hold_wins() {
        let taxonomy = desk(
            r#"
            [[route]]
            category = "money"
            attributes = { urgency = ["HIGH", "critical"] }
            queue = "urgent"
            priority = "P1"
            respond_within_minutes = 60
            [[route]]
            intent = "Duplicate"
            queue = "copies"
            [[route]]
            category = ["money"]
            queue = "money"
            "#,
        );
        let ticket = Ticket::new("x");
        assert_eq!(queue(&taxonomy, "copy", "high", &ticket).as_deref(), Some("urgent"), "through two categories");
        assert_eq!(queue(&taxonomy, "copy", "low", &ticket).as_deref(), Some("copies"), "an alias in the rule");
        assert_eq!(queue(&taxonomy, "refund", "low", &ticket).as_deref(), Some("money"));
        assert_eq!(queue(&taxonomy, "other", "high", &ticket), None);
        let unanswered = taxonomy.route("refund", &BTreeMap::new(), &ticket);
        assert_eq!(unanswered.map(|route| route.rule), Some(3), "what was not answered does not match");
        let answers = BTreeMap::from([("urgency".to_owned(), "critical".to_owned())]);
        let route = taxonomy.route("refund", &answers, &ticket).unwrap();
        let json = serde_json::json!({"queue": "urgent", "priority": "P1", "respond_within_minutes": 60, "rule": 1});
        assert_eq!(serde_json::to_value(route).unwrap(), json);
    }

    #[test]
    fn the_tickets_own_fields_are_asked_for_by_name() {
        let taxonomy = desk(
            r#"
            [[route]]
            ticket = { customer_tier = ["gold", "platinum"], language = "de" }
            queue = "gold-de"
            [[route]]
            ticket = { requester = "c-1" }
            queue = "c-1"
            [[route]]
            queue = "rest"
            "#,
        );
        let mut ticket = Ticket::new("x");
        ticket.attributes.insert("customer_tier".into(), "Gold".into());
        assert_eq!(queue(&taxonomy, "other", "low", &ticket).as_deref(), Some("rest"), "one condition of two");
        ticket.language = Some("de".into());
        assert_eq!(queue(&taxonomy, "other", "low", &ticket).as_deref(), Some("gold-de"));
        let known = Ticket { requester: Some("c-1".into()), ..Ticket::new("x") };
        assert_eq!(queue(&taxonomy, "other", "low", &known).as_deref(), Some("c-1"));
    }

    #[test]
    fn wrong_names_and_empty_lists_in_a_rule_are_named() {
        let message = |rule: &str| {
            let toml = format!("{DESK}[[route]]\nqueue = \"a\"\n[[route]]\n{rule}");
            Taxonomy::from_toml(&toml, "t").unwrap_err().to_string()
        };
        for (rule, parts) in [
            ("queue = \"b\"\nintent = \"refnd\"", ["route 2 (queue \"b\")", "\"refnd\"; did you mean \"refund\"?"]),
            ("queue = \"b\"\ncategory = \"mony\"", ["route 2", "\"mony\"; did you mean \"money\"?"]),
            (
                "queue = \"b\"\nattributes = { urgenci = \"low\" }",
                ["route 2", "\"urgenci\"; did you mean \"urgency\"?"],
            ),
            ("queue = \"b\"\nattributes = { urgency = \"hig\" }", ["route 2", "\"hig\"; did you mean \"high\"?"]),
            ("queue = \" \"", ["route 2", "empty queue"]),
            ("queue = \"b\"\nintent = []", ["line 23", "leave it out"]),
            ("queue = \"b\"\nintent = 7", ["line 23", "a name or a list of names"]),
        ] {
            let message = message(rule);
            assert!(parts.iter().all(|part| message.contains(part)), "{rule}: {message}");
        }
    }

    #[test]
    fn rules_are_stored_and_read_again_as_they_are() {
        let taxonomy = desk("[[route]]\nintent = \"duplicate\"\nticket = { language = \"de\" }\nqueue = \"q\"");
        assert_eq!(Taxonomy::from_json(&taxonomy.to_json().unwrap()).unwrap(), taxonomy);
    }
}
