//! Which intents are taken for which others. Pure.

use std::collections::BTreeMap;

use super::record::Record;

/// Tickets of one intent that were given another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion<'a> {
    /// The right intent.
    pub gold: &'a str,
    /// The intent given; `None` when there was none.
    pub given: Option<&'a str>,
    /// How many tickets.
    pub n: usize,
}

/// All confusions of an arm, the most frequent first.
#[must_use]
pub fn confusions(records: &[Record]) -> Vec<Confusion<'_>> {
    let mut counts: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    for record in records.iter().filter(|record| !record.correct) {
        *counts.entry((&record.gold, record.intent.as_deref())).or_default() += 1;
    }
    let mut pairs: Vec<_> = counts.into_iter().map(|((gold, given), n)| Confusion { gold, given, n }).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.n));
    pairs
}

/// The intents that are confused most, as the right intent or as the one given.
#[must_use]
pub fn most_confused<'a>(confusions: &[Confusion<'a>], most: usize) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in confusions {
        for intent in std::iter::once(pair.gold).chain(pair.given) {
            *counts.entry(intent).or_default() += pair.n;
        }
    }
    let mut intents: Vec<_> = counts.into_iter().collect();
    intents.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    intents.into_iter().take(most).map(|(intent, _)| intent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::eval::record::tests::record;

    #[test]
    fn confusions_are_counted_and_ranked() {
        let answers = [("a", Some("b")), ("a", Some("a")), ("c", None), ("d", Some("b")), ("a", Some("b"))];
        let records = answers.map(|(gold, intent)| record(gold, intent, 0.5));
        let pairs = confusions(&records);
        assert_eq!(pairs[0], Confusion { gold: "a", given: Some("b"), n: 2 });
        assert_eq!(pairs[1], Confusion { gold: "c", given: None, n: 1 });
        assert_eq!(pairs.len(), 3);
        assert_eq!(most_confused(&pairs, 3), ["b", "a", "c"]);
    }
}
