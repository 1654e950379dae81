//! Helpers on text that come from strangers or go to people. Pure.

use std::collections::HashSet;
use std::fmt::Write as _;

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// A stranger's text as one line that does nothing to a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|letter| !letter.is_control()).collect()
}

/// The start of a text on one line of at most `width` characters, for lists.
pub(crate) fn excerpt(text: &str, width: usize) -> String {
    let flat = one_line(text);
    if flat.chars().count() <= width {
        return flat;
    }
    let mut cut: String = flat.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A stranger's text with its control characters made visible; line breaks and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let seen = |letter: char| match letter {
        '\n' | '\t' => letter,
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'),
        _ if letter.is_control() => '\u{fffd}',
        _ => letter,
    };
    text.replace("\r\n", "\n").chars().map(seen).collect()
}

/// The share of all their words that two texts have in common, 0 to 1 (Jaccard 1912). Case does not
/// count; two texts without a word have nothing in common.
pub(crate) fn jaccard(a: &str, b: &str) -> f32 {
    fn words(text: &str) -> HashSet<&str> {
        text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
    }
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let (a, b) = (words(&a), words(&b));
    let (common, all) = (a.intersection(&b).count(), a.union(&b).count());
    #[expect(clippy::cast_precision_loss, reason = "texts have few words")]
    if all == 0 { 0.0 } else { common as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_of_its_width_and_says_that_it_was_cut() {
        assert_eq!(excerpt(" Where\n is\tit?\u{1b}[31m ", 20), "Where is it?[31m");
        assert_eq!(excerpt("äöüäöü", 6), "äöüäöü");
        assert_eq!(excerpt("äöüäöü", 5), "äöüä…");
        assert_eq!(excerpt("long", 0), "…");
    }

    #[test]
    fn control_characters_are_shown_and_lines_stay() {
        assert_eq!(visible("a\r\nb\tc\u{1}\u{7f}"), "a\nb\tc␁\u{fffd}");
    }

    /// By hand: two words of four.
    #[test]
    fn words_in_common_are_counted_without_case_and_order() {
        assert!((jaccard("My PARCEL, please", "parcel? my invoice") - 0.5).abs() < 1e-6);
        assert!(jaccard("…", "!").abs() < 1e-6);
    }
}
