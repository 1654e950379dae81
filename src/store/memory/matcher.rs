//! Filters applied to examples in memory, with the meaning that Qdrant gives them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::data::example::Example;
use crate::store::{Condition, Filter};
use crate::{Error, Result};

/// A filter with its moments and fields already read.
pub(super) struct Matcher<'a>(Vec<(Field<'a>, Test<'a>)>);

enum Field<'a> {
    Intent,
    Source,
    Language,
    Requester,
    CreatedAt,
    Attribute(&'a str),
    /// No example has it.
    Unknown,
}

enum Test<'a> {
    OneOf(&'a [String]),
    After(DateTime<Utc>),
    Before(DateTime<Utc>),
}

impl<'a> Matcher<'a> {
    /// Fails for a moment that is no date.
    pub(super) fn new(filter: &'a Filter) -> Result<Self> {
        let ready = |condition: &'a Condition| {
            Ok(match condition {
                Condition::OneOf(field, values) => (Field::of(field), Test::OneOf(values)),
                Condition::After(field, moment) => (Field::of(field), Test::After(asked(moment)?)),
                Condition::Before(field, moment) => (Field::of(field), Test::Before(asked(moment)?)),
            })
        };
        filter.must.iter().map(ready).collect::<Result<_>>().map(Self)
    }

    pub(super) fn passes(&self, example: &Example) -> bool {
        self.0.iter().all(|(field, test)| field.value(example).is_some_and(|value| test.passes(value)))
    }
}

impl<'a> Field<'a> {
    fn of(path: &'a str) -> Self {
        match path {
            "intent" => Self::Intent,
            "source" => Self::Source,
            "language" => Self::Language,
            "requester" => Self::Requester,
            "created_at" => Self::CreatedAt,
            _ => match path.strip_prefix("attributes.") {
                Some(name) => Self::Attribute(quoted(name).unwrap_or(name)),
                None => Self::Unknown,
            },
        }
    }

    fn value<'e>(&self, example: &'e Example) -> Option<&'e str> {
        let ticket = &example.labelled.ticket;
        match self {
            Self::Intent => Some(&example.labelled.intent),
            // An empty value is not stored.
            Self::Source => Some(example.source.as_str()).filter(|source| !source.is_empty()),
            Self::Language => ticket.language.as_deref(),
            Self::Requester => ticket.requester.as_deref(),
            Self::CreatedAt => ticket.created_at.as_deref(),
            Self::Attribute(name) => ticket.attributes.get(*name).map(String::as_str),
            Self::Unknown => None,
        }
    }
}

fn quoted(name: &str) -> Option<&str> {
    name.strip_prefix('"')?.strip_suffix('"')
}

impl Test<'_> {
    fn passes(&self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|allowed| allowed == value),
            Self::After(bound) => moment(value).is_some_and(|moment| moment >= *bound),
            Self::Before(bound) => moment(value).is_some_and(|moment| moment < *bound),
        }
    }
}

fn asked(text: &str) -> Result<DateTime<Utc>> {
    moment(text)
        .ok_or_else(|| Error::bad_input(format!("{text:?} is no date; write it as 2026-03-01 or 2026-03-01T08:00:00Z")))
}

/// Reads a moment. Without a zone it is in UTC; a day means its first moment.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let clock = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let moment = clock.or_else(|| text.parse::<NaiveDate>().ok().map(NaiveDateTime::from))?;
    Some(moment.and_utc())
}
