//! Conditions on examples, which the store itself applies.

use crate::{Error, Result};

/// One condition on an example.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The field has one of these values.
    OneOf(String, Vec<String>),
    /// The time field is at or after this moment, RFC 3339.
    After(String, String),
    /// The time field is before this moment, RFC 3339.
    Before(String, String),
}

/// Conditions that must all hold. The fields are those of a labelled ticket (`intent`,
/// `language`, `requester`, `created_at`, …) and `source`; attributes by `attributes.NAME`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// All of these.
    pub must: Vec<Condition>,
}

const FIELDS: [&str; 4] = ["intent", "source", "language", "requester"];
const ATTRIBUTES: &str = "attributes.";

impl Filter {
    /// Reads conditions as users write them: `language=de`, `created_after=2026-01-01`,
    /// `created_before=…`, and `NAME=VALUE` for an attribute. A field that is named twice
    /// may have either value.
    pub fn parse(conditions: &[String]) -> Result<Self> {
        let mut filter = Self::default();
        for condition in conditions {
            let example = "write it as language=de or created_after=2026-01-01";
            let wrong = |what: &str| Error::bad_input(format!("the filter {condition:?} {what}; {example}"));
            let (name, value) = condition.split_once('=').ok_or_else(|| wrong("has no ="))?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || value.is_empty() {
                return Err(wrong("lacks a name or a value"));
            }
            let is_moment =
                chrono::DateTime::parse_from_rfc3339(value).is_ok() || value.parse::<chrono::NaiveDate>().is_ok();
            match name {
                "created_after" | "created_before" if !is_moment => {
                    return Err(wrong("has no date, such as 2026-03-01 or 2026-03-01T08:00:00Z,"));
                }
                "created_after" => filter.must.push(Condition::After("created_at".into(), value.into())),
                "created_before" => filter.must.push(Condition::Before("created_at".into(), value.into())),
                "created_at" => return Err(wrong("asks for one moment")),
                _ => filter.allow(&field(name), value),
            }
        }
        Ok(filter)
    }

    /// The same filter, and only examples of these intents.
    #[must_use]
    pub fn within(mut self, intents: Vec<String>) -> Self {
        self.must.push(Condition::OneOf("intent".into(), intents));
        self
    }

    fn allow(&mut self, field: &str, value: &str) {
        for condition in &mut self.must {
            if let Condition::OneOf(known, values) = condition
                && known == field
            {
                values.push(value.to_owned());
                return;
            }
        }
        self.must.push(Condition::OneOf(field.to_owned(), vec![value.to_owned()]));
    }
}

/// The path of a field in the payload.
fn field(name: &str) -> String {
    if FIELDS.contains(&name) || name.starts_with(ATTRIBUTES) {
        return name.to_owned();
    }
    // A name with a dot, a space or the like must be quoted in a path.
    format!("{ATTRIBUTES}\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(conditions: &[&str]) -> Result<Vec<Condition>> {
        Filter::parse(&conditions.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).map(|filter| filter.must)
    }

    #[test]
    fn fields_times_and_attributes_are_told_apart() {
        let one = |field: &str, value: &str| Condition::OneOf(field.into(), vec![value.into()]);
        let found = parse(&["language=de", "created_after=2026-01-01", "customer tier = gold"]).unwrap();
        let after = Condition::After("created_at".into(), "2026-01-01".into());
        assert_eq!(found, [one("language", "de"), after, one("attributes.\"customer tier\"", "gold")]);
    }

    #[test]
    fn a_field_named_twice_may_have_either_value() {
        let either = Condition::OneOf("language".into(), vec!["de".into(), "fr".into()]);
        assert_eq!(parse(&["language=de", "language=fr"]).unwrap(), [either]);
    }

    #[test]
    fn what_is_no_condition_is_refused_with_an_example() {
        for wrong in ["language", "=de", "language=", "created_at=2026-01-01", "created_after=May"] {
            let message = parse(&[wrong]).unwrap_err().to_string();
            assert!(message.contains(wrong) && message.contains("language=de"), "{message}");
        }
    }
}
