//! What a user sees of a panic: one line with the place and the message. Pure.
//!
//! A message of the standard library may quote the text that was worked on, which may be a ticket's. So
//! everything in quotes is left out.

use std::panic::PanicHookInfo;

use crate::text::excerpt;

/// How many characters of a message are shown at most.
const WIDTH: usize = 300;
/// What the standard library writes in backquotes and is no ticket's text.
const CODE: [&str; 5] = ["Ok", "Err", "Some", "None", "left == right"];

/// The line for a panic.
pub(super) fn line(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    told(&place, info.payload_as_str())
}

fn told(place: &str, message: Option<&str>) -> String {
    let message = message.map(|message| format!(": {}", excerpt(&without_texts(message), WIDTH))).unwrap_or_default();
    format!("internal error{place}{message}; please report it")
}

/// The message without what it quotes.
fn without_texts(message: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(message.len()), message);
    while let Some(at) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(at);
        kept.push_str(before);
        let (quote, inside) = quoted.split_at(1);
        let end = if quote == "\"" { end_of_string(inside) } else { inside.find('`') };
        let is_path = |inside: &str| inside.contains("::") && !inside.contains(char::is_whitespace);
        let is_code = |inside: &str| CODE.contains(&inside) || is_path(inside);
        match end {
            Some(end) if quote == "`" && is_code(&inside[..end]) => kept.push_str(&quoted[..end + 2]),
            Some(_) if quote == "\"" => kept.push_str("\"…\""),
            // Text in backquotes may hold backquotes itself, so nothing says where it ends.
            _ => return kept + "…",
        }
        rest = &quoted[end.map_or(quoted.len(), |end| end + 2)..];
    }
    kept + rest
}

/// Where a string ends that is written as in Rust's source.
fn end_of_string(inside: &str) -> Option<usize> {
    let mut is_escaped = false;
    inside.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of a real panic.
    fn message(fault: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let payload = std::panic::catch_unwind(fault).unwrap_err();
        payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .expect("a message")
    }

    #[test]
    fn the_message_and_the_place_are_told() {
        let line = told(" at src/rank.rs:12", Some("index out of bounds: the len is 3 but the index is 5"));
        assert_eq!(
            line,
            "internal error at src/rank.rs:12: index out of bounds: the len is 3 but the index is 5; please report it"
        );
        assert_eq!(told("", None), "internal error; please report it");
    }

    #[test]
    fn a_text_that_was_worked_on_is_not_in_it() {
        let text = "größer \"secret\" `secret` card";
        let sliced = message(|| assert!(!text[..3].is_empty()));
        assert!(sliced.contains("secret"), "the standard library shows it: {sliced}");
        let unwrapped = message(|| assert_eq!(text.parse::<u8>().map_err(|_| text.to_owned()).unwrap(), 0));
        let compared = message(|| assert_eq!(text, "other"));
        for (message, part) in [
            (&sliced, "char boundary"),
            (&unwrapped, "called `Result::unwrap()` on an `Err` value: \"…\""),
            (&compared, "assertion `left == right` failed left: \"…\" right: \"…\""),
        ] {
            let line = told("", Some(message));
            assert!(!line.contains("secret") && !line.contains("card"), "{line}");
            assert!(line.contains(part), "{line}");
        }
    }
}
