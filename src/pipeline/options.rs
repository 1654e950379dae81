//! What a decision depends on, besides the store, the embedder and the labeler.

use super::{DEFAULT_K, Strategy};
use crate::stages::select::Selection;
use crate::store::{Condition, Filter};

/// How to search, what to show and what to ask for. Start from [`Options::default`] and set what differs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// How many examples the labeler sees.
    pub k: usize,
    /// How the examples are chosen from the neighbours.
    pub selection: Selection,
    /// How the labeler gets to an intent.
    pub strategy: Strategy,
    /// The filter: only examples that pass are found.
    pub filter: Filter,
    /// Whether the store's probe is used, where there is one. Without it the neighbours alone vote.
    pub probe: bool,
    /// Whether a novel ticket goes to review: one that resembles no example.
    pub novelty: bool,
    /// The confidence below which a ticket goes to review, 0 to 1. `None` means the dial of the store, or the
    /// labeler's own minimum where the store is not calibrated.
    pub min_confidence: Option<f32>,
    /// The confidence from which on the vote answers and the labeler is not asked: a cascade.
    pub cascade: Option<f32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            k: DEFAULT_K,
            selection: Selection::default(),
            strategy: Strategy::default(),
            filter: Filter::default(),
            probe: true,
            novelty: true,
            min_confidence: None,
            cascade: None,
        }
    }
}

impl Options {
    /// Whether one search serves both: whether both find the same neighbours for a ticket.
    #[must_use]
    pub fn search_alike(&self, other: &Self) -> bool {
        self.filter == other.filter && self.probe == other.probe && self.novelty == other.novelty
    }

    /// What the labeler is shown, as a calibration names it.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.k, name_of_selection(self.selection))
    }

    /// The filter, as a calibration names it: the same for the same conditions in any order.
    pub(super) fn filter_name(&self) -> String {
        let mut conditions: Vec<String> = self.filter.must.iter().map(name_of_condition).collect();
        conditions.sort_unstable();
        conditions.join("; ")
    }

    /// The strategy, as a calibration names it.
    pub(super) fn strategy_name(&self) -> &'static str {
        match self.strategy {
            Strategy::Flat => "flat",
            Strategy::Hierarchical => "hierarchical",
        }
    }
}

fn name_of_selection(selection: Selection) -> &'static str {
    match selection {
        Selection::Nearest => "nearest",
        Selection::Diverse => "diverse",
        Selection::Contrastive => "contrastive",
    }
}

fn name_of_condition(condition: &Condition) -> String {
    match condition {
        Condition::OneOf(field, values) => {
            let mut values: Vec<String> =
                values.iter().map(|value| serde_json::Value::from(value.as_str()).to_string()).collect();
            values.sort_unstable();
            format!("{field} is {}", values.join(" or "))
        }
        Condition::After(field, moment) => format!("{field} from {moment}"),
        Condition::Before(field, moment) => format!("{field} before {moment}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_conditions_have_one_name_and_others_another() {
        let name = |conditions: &[&str]| {
            let conditions: Vec<String> = conditions.iter().map(|&condition| condition.to_owned()).collect();
            Options { filter: Filter::parse(&conditions).unwrap(), ..Options::default() }.filter_name()
        };
        assert_eq!(name(&[]), "");
        assert_eq!(name(&["language=fr", "language=de", "tier=a"]), name(&["tier=a", "language=de", "language=fr"]));
        assert_eq!(name(&["language=de"]), "language is \"de\"");
        assert_ne!(name(&["language=de"]), name(&["language=d or e"]));
    }
}
