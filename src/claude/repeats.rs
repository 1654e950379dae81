//! Tells equal requests of one pass apart.

use std::collections::HashMap;

use super::RequestKey;

/// The least number of different requests that are remembered. The most is twice as many.
const REMEMBERED: usize = 100_000;

/// Counts how often a request came. A pass may not end, as in a service, so requests that have not come for
/// long are forgotten. When such a request comes again, it has its first name once more, and a journal
/// answers it.
#[derive(Default)]
pub(super) struct Repeats {
    recent: HashMap<RequestKey, u16>,
    older: HashMap<RequestKey, u16>,
}

impl Repeats {
    /// How often the request came before.
    pub(super) fn count(&mut self, first: &RequestKey) -> u16 {
        let before = self.recent.get(first).or_else(|| self.older.get(first)).copied().unwrap_or(0);
        self.recent.insert(first.clone(), before.saturating_add(1));
        if self.recent.len() == REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_and_the_table_is_bounded() {
        let mut repeats = Repeats::default();
        let key = |number: usize| RequestKey::new(&number.to_le_bytes(), 0);
        assert_eq!([0, 1, 2].map(|_| repeats.count(&key(0))), [0, 1, 2]);
        for number in 1..=REMEMBERED {
            repeats.count(&key(number));
        }
        assert_eq!(repeats.count(&key(0)), 3, "this many are remembered");
        for number in 0..3 * REMEMBERED {
            repeats.count(&key(number));
        }
        assert!(repeats.recent.len() + repeats.older.len() <= 2 * REMEMBERED);
    }
}
