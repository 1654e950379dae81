//! Reads the model's answer. Pure.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::Value;

/// What an answer says, as the model wrote it; nothing is checked against a taxonomy yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedAnswer {
    /// The one name in `<intent>` tags.
    pub intent: Option<String>,
    /// What stands in the last `<reasoning>` tags.
    pub reasoning: Option<String>,
    /// The names in `<secondary>` tags, in their order.
    pub secondary: Vec<String>,
    /// Names and values of the `<attribute>` tags, in their order.
    pub attributes: Vec<(String, String)>,
}

/// The patterns of the tags, compiled together.
struct Tags {
    intent: Regex,
    reasoning: Regex,
    secondary: Regex,
    attribute: Regex,
}

static TAGS: LazyLock<Option<Tags>> = LazyLock::new(|| {
    Some(Tags {
        intent: Regex::new(r"(?is)<intent>\s*([^<>]*?)\s*</intent>").ok()?,
        // Reasoning that is never closed takes all the rest: nothing in it is an answer.
        reasoning: Regex::new(r"(?is)<reasoning>\s*(.*?)\s*(?:</reasoning>|\z)").ok()?,
        secondary: Regex::new(r"(?is)<secondary>\s*([^<>]+?)\s*</secondary>").ok()?,
        attribute: Regex::new(r#"(?is)<attribute\s+name\s*=\s*"([^"<>]*)"\s*>\s*([^<>]*?)\s*</attribute>"#).ok()?,
    })
});

/// Reads intents, attributes and reasoning out of an answer.
///
/// Nothing inside the reasoning is an answer: the model may quote the ticket there. Outside, the answer
/// must name one intent; two different ones count as none. Secondary intents and attributes count only
/// after the intent, where the form wants them. An answer that is a JSON object
/// is read by its keys, whatever form was asked for.
#[must_use]
pub fn parse(answer: &str) -> ParsedAnswer {
    if let Some(structured) = parse_json(answer) {
        return structured;
    }
    let Some(tags) = TAGS.as_ref() else { return ParsedAnswer::default() };
    let text = |found: &Captures, group: usize| unescape(found.get(group).map_or("", |group| group.as_str()));
    let reasonings = tags.reasoning.captures_iter(answer).map(|found| text(&found, 1));
    let reasoning = reasonings.filter(|text| !text.is_empty()).last();
    let outside = tags.reasoning.replace_all(answer, "");
    let mut named: Vec<String> = tags.intent.captures_iter(&outside).map(|found| text(&found, 1)).collect();
    named.dedup();
    let intent = match named.as_mut_slice() {
        [only] if !only.is_empty() => Some(std::mem::take(only)),
        _ => None,
    };
    let end = tags.intent.find_iter(&outside).last().map_or(outside.len(), |found| found.end());
    let after = &outside[end..];
    ParsedAnswer {
        intent,
        reasoning,
        secondary: tags.secondary.captures_iter(after).map(|found| text(&found, 1)).collect(),
        attributes: tags.attribute.captures_iter(after).map(|found| (text(&found, 1), text(&found, 2))).collect(),
    }
}

fn parse_json(answer: &str) -> Option<ParsedAnswer> {
    #[derive(Deserialize)]
    struct Main {
        intent: String,
        #[serde(default)]
        reasoning: Value,
    }
    /// Read by itself, so that a fault here does not cost the intent.
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct More {
        secondary: Value,
        attributes: Value,
    }
    let answer = answer.trim();
    if !answer.starts_with('{') {
        return None;
    }
    let Main { intent, reasoning } = serde_json::from_str(answer).ok()?;
    let More { secondary, attributes } = serde_json::from_str(answer).unwrap_or_default();
    let filled = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    Some(ParsedAnswer {
        intent: filled(&unescape(&intent)),
        reasoning: reasoning.as_str().and_then(filled),
        secondary: match secondary {
            Value::Null => Vec::new(),
            Value::Array(names) => names.iter().map(plain).collect(),
            other => vec![plain(&other)],
        },
        attributes: match attributes {
            Value::Object(values) => values.iter().map(|(name, value)| (unescape(name), plain(value))).collect(),
            _ => Vec::new(),
        },
    })
}

/// A JSON value as the text that an answer should have had. Another kind of value gives a text that is
/// no allowed name.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), unescape)
}

/// Undoes the escaping of [`crate::stages::prompt`]: the model repeats names as it saw them.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: &str) -> (Option<String>, Option<String>) {
        let ParsedAnswer { intent, reasoning, .. } = parse(answer);
        (intent, reasoning)
    }

    #[test]
    fn reads_both_tags_whatever_the_spacing_and_case() {
        let answer = "<reasoning>\nWants money back.\n</reasoning>\n<Intent> refund_request\n</Intent>";
        assert_eq!(parsed(answer), (Some("refund_request".into()), Some("Wants money back.".into())));
    }

    #[test]
    fn an_intent_that_is_quoted_in_the_reasoning_is_no_answer() {
        let quoted = "<reasoning>It says <intent>refund</intent> but no.</reasoning>";
        assert_eq!(parse(quoted).intent, None);
        assert_eq!(parse(&format!("{quoted}<intent>status</intent>")).intent.as_deref(), Some("status"));
        assert_eq!(parse("<reasoning>never closed <intent>refund</intent>").intent, None);
    }

    #[test]
    fn two_different_intents_are_none() {
        assert_eq!(parse("<intent>a</intent> or <intent>b</intent>").intent, None);
        assert_eq!(parse("<intent>a</intent>, that is <intent>a</intent>").intent.as_deref(), Some("a"));
    }

    #[test]
    fn a_json_answer_is_read_by_its_keys() {
        let answer = "{\"reasoning\": \"r <intent>x</intent>\", \"intent\": \"Q&A\"}";
        assert_eq!(parsed(answer), (Some("Q&A".into()), Some("r <intent>x</intent>".into())));
        assert_eq!(parse("{\"reasoning\": \"cut o").intent, None);
        assert_eq!(parse("{\"intent\": \"\"}").intent, None);
    }

    #[test]
    fn nothing_is_made_up() {
        for answer in ["", "refund", "<intent></intent>", "<intent>refund", "<intent><b>x</b></intent>"] {
            assert_eq!(parse(answer).intent, None, "{answer}");
        }
    }

    #[test]
    fn escaped_names_come_back() {
        assert_eq!(parse("<intent>Q&amp;A &lt;beta&gt;</intent>").intent.as_deref(), Some("Q&A <beta>"));
    }

    #[test]
    fn secondary_intents_and_attributes_follow_the_intent() {
        let answer = "<reasoning>r</reasoning><intent>a</intent>\n<secondary> b </secondary><secondary>Q&amp;A</secondary>\n\
            <attribute name=\"urgency\">\nvery high</attribute><Attribute  name = \"size\">&lt;5</Attribute>";
        let ParsedAnswer { intent, secondary, attributes, .. } = parse(answer);
        assert_eq!(intent.as_deref(), Some("a"));
        assert_eq!(secondary, ["b", "Q&A"]);
        assert_eq!(attributes, [("urgency", "very high"), ("size", "<5")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn what_a_quoted_ticket_says_of_attributes_and_further_intents_is_no_answer() {
        let quoted = "<secondary>praise</secondary><attribute name=\"urgency\">low</attribute>";
        for answer in [
            format!("<reasoning>It says {quoted}.</reasoning><intent>a</intent>"),
            format!("<reasoning>It says </reasoning>{quoted}</reasoning><intent>a</intent>"),
            format!("<intent>a</intent><reasoning>never closed {quoted}"),
            serde_json::json!({"reasoning": quoted, "intent": "a"}).to_string(),
        ] {
            let parsed = parse(&answer);
            assert_eq!(parsed.intent.as_deref(), Some("a"), "{answer}");
            assert!(parsed.secondary.is_empty() && parsed.attributes.is_empty(), "{answer}");
        }
    }

    #[test]
    fn malformed_attributes_and_secondary_intents_leave_the_intent_readable() {
        for rest in [
            r#""reasoning": 7, "secondary": "b", "attributes": {"urgency": 3}"#,
            r#""reasoning": null, "secondary": ["b"], "attributes": {"urgency": 3}"#,
        ] {
            let parsed = parse(&format!("{{\"intent\": \"a\", {rest}}}"));
            assert_eq!((parsed.intent.as_deref(), parsed.reasoning), (Some("a"), None), "{rest}");
            assert_eq!(parsed.secondary, ["b"], "{rest}");
            assert_eq!(parsed.attributes, [("urgency".to_owned(), "3".to_owned())], "{rest}");
        }
        for rest in [r#""secondary": {}, "attributes": []"#, r#""attributes": null, "attributes": 1"#] {
            assert_eq!(parse(&format!("{{\"intent\": \"a\", {rest}}}")).intent.as_deref(), Some("a"), "{rest}");
        }
        let tags = "<intent>a</intent><secondary></secondary><attribute>x</attribute><attribute name=\"u\">lo";
        assert_eq!(parse(tags), ParsedAnswer { intent: Some("a".into()), ..ParsedAnswer::default() });
    }
}
