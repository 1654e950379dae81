//! Reads the model's answer. Pure.

use std::sync::LazyLock;

use regex::Regex;

/// What an answer in tags says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedAnswer {
    /// The one name in `<intent>` tags, as the model wrote it.
    pub intent: Option<String>,
    /// What stands in the last `<reasoning>` tags.
    pub reasoning: Option<String>,
}

static INTENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?is)<intent>\s*([^<>]*?)\s*</intent>").ok());
/// One that is never closed takes all the rest: nothing in it is an answer.
static REASONING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?is)<reasoning>\s*(.*?)\s*(?:</reasoning>|\z)").ok());

/// Reads reasoning and intent out of an answer.
///
/// What stands inside the reasoning is never the intent: the model may quote the ticket
/// there. Outside, it must name one intent; two different ones are none. An answer that is
/// a JSON object is read by its keys, whatever form was asked for.
#[must_use]
pub fn parse(answer: &str) -> ParsedAnswer {
    if let Some(structured) = parse_json(answer) {
        return structured;
    }
    let (Some(intents), Some(reasonings)) = (INTENT.as_ref(), REASONING.as_ref()) else {
        return ParsedAnswer::default();
    };
    let text = |captures: &regex::Captures| captures.get(1).map(|group| unescape(group.as_str())).unwrap_or_default();
    let reasoning = reasonings.captures_iter(answer).map(|found| text(&found)).filter(|text| !text.is_empty()).last();
    let outside = reasonings.replace_all(answer, "");
    let mut named: Vec<String> = intents.captures_iter(&outside).map(|found| text(&found)).collect();
    named.dedup();
    let intent = match named.as_mut_slice() {
        [only] if !only.is_empty() => Some(std::mem::take(only)),
        _ => None,
    };
    ParsedAnswer { intent, reasoning }
}

fn parse_json(answer: &str) -> Option<ParsedAnswer> {
    #[derive(serde::Deserialize)]
    struct Structured {
        intent: String,
        #[serde(default)]
        reasoning: Option<String>,
    }
    let answer = answer.trim();
    if !answer.starts_with('{') {
        return None;
    }
    let Structured { intent, reasoning } = serde_json::from_str(answer).ok()?;
    let filled = |text: String| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    Some(ParsedAnswer { intent: filled(unescape(&intent)), reasoning: reasoning.and_then(filled) })
}

/// Undoes the escaping of [`crate::prompt`]: the model repeats names as it saw them.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: &str) -> (Option<String>, Option<String>) {
        let ParsedAnswer { intent, reasoning } = parse(answer);
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
}
