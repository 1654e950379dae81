//! Names that resemble a mistyped one, for messages.

use super::fold;

/// At most this many are put forward.
const MOST: usize = 3;

/// Ends an error about `given` with the names most like it, or with nothing.
pub(super) fn did_you_mean<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near: Vec<String> = near(given, names).into_iter().map(|name| format!("{name:?}")).collect();
    match near.as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// The names that are a few letters away from `given`, or hold it, or are held by it; nearest first.
fn near<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let given = fold(given);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let folded = fold(name);
            let distance = distance(&given, &folded);
            let close = distance <= (given.chars().count() / 3).max(1);
            // Shorter ones are in any name.
            let inside = given.len().min(folded.len()) > 2 && (folded.contains(&given) || given.contains(&folded));
            (close || inside).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).take(MOST).collect()
}

/// How many letters must be put in, taken out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_of_a_name_are_near_and_other_names_are_not() {
        let names = ["refund_request", "order_status", "feature_request", "order_change", "a"];
        assert_eq!(near("refnd_request", names.into_iter()), ["refund_request"]);
        assert_eq!(near("ORDER", names.into_iter()), ["order_change", "order_status"]);
        assert_eq!(near("zebra", names.into_iter()), Vec::<&str>::new());
        assert_eq!(did_you_mean("order_statu", names.into_iter()), "; did you mean \"order_status\"?");
    }

    #[test]
    fn a_distance_counts_the_letters_that_differ() {
        assert_eq!([distance("", "abc"), distance("kitten", "sitting"), distance("ä", "a")], [3, 3, 1]);
    }
}
