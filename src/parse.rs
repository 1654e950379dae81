//! Reads the model's answer. Pure.

use std::sync::LazyLock;

use regex::Regex;

/// What an answer in tags says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedAnswer {
    /// The name in the last `<intent>` tags, as the model wrote it.
    pub intent: Option<String>,
    /// What stands in the `<reasoning>` tags before it.
    pub reasoning: Option<String>,
}

static INTENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?is)<intent>\s*([^<>]*?)\s*</intent>").ok());
static REASONING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?is)<reasoning>\s*(.*?)\s*</reasoning>").ok());

/// Reads reasoning and intent out of an answer. The last intent counts: what comes before it
/// may be thinking aloud, or a quotation.
#[must_use]
pub fn parse(answer: &str) -> ParsedAnswer {
    let last = INTENT.as_ref().and_then(|regex| regex.captures_iter(answer).last());
    let end = last.as_ref().and_then(|found| found.get(0)).map_or(answer.len(), |whole| whole.start());
    let reasoning = REASONING.as_ref().and_then(|regex| regex.captures_iter(&answer[..end]).last());
    let group = |captures: Option<regex::Captures>| {
        let text = unescape(captures?.get(1)?.as_str());
        (!text.is_empty()).then_some(text)
    };
    ParsedAnswer { intent: group(last), reasoning: group(reasoning) }
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
    fn the_last_intent_counts_with_the_reasoning_before_it() {
        let answer = "<reasoning>a</reasoning><intent>x</intent> No: <reasoning>b</reasoning><intent>y</intent> <reasoning>c</reasoning>";
        assert_eq!(parsed(answer), (Some("y".into()), Some("b".into())));
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
