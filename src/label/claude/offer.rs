//! Which intents a request describes: all of them, or the shortlist.

use crate::data::evidence::Evidence;
use crate::data::taxonomy::{Intent, Taxonomy};

/// With [`IntentsMode::Auto`], each prompt describes all intents up to this number. Cached input costs a
/// tenth, so a hundred cached definitions cost about as much as ten fresh ones, and the model sees
/// them all.
pub const ALL_INTENTS_UP_TO: usize = 100;

/// Which intents a prompt describes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IntentsMode {
    /// All intents up to [`ALL_INTENTS_UP_TO`], the shortlist above.
    #[default]
    Auto,
    /// All intents, in the static part that is cached.
    All,
    /// The shortlist of the ticket, and the fallback. Where none of these fits, a second request has all
    /// intents.
    Shortlist,
}

impl IntentsMode {
    /// Whether each prompt describes all intents of this taxonomy.
    pub(super) fn is_all_of(self, taxonomy: &Taxonomy) -> bool {
        match self {
            Self::Auto => taxonomy.intents.len() <= ALL_INTENTS_UP_TO,
            Self::All => true,
            Self::Shortlist => false,
        }
    }
}

/// The intents that one request describes.
pub(super) enum Offer<'a> {
    /// All intents, in the static part.
    All,
    /// These intents, in the part of the ticket, and an answer that says that none of them fits.
    Shortlist { intents: Vec<&'a Intent>, way_out: String },
}

impl<'a> Offer<'a> {
    /// The offer of the first request. Where the shortlist is empty, it is all intents.
    pub(super) fn of(mode: IntentsMode, evidence: &'a Evidence) -> Self {
        let taxonomy = &evidence.taxonomy;
        let mut names = evidence.shortlist();
        if mode.is_all_of(taxonomy) || names.is_empty() {
            return Self::All;
        }
        names.extend(taxonomy.fallback.as_deref().filter(|fallback| !names.contains(fallback)));
        let intents = names.into_iter().filter_map(|name| taxonomy.intent(name)).collect();
        Self::Shortlist { intents, way_out: way_out(taxonomy) }
    }

    pub(super) fn intents(&self) -> &[&'a Intent] {
        match self {
            Self::All => &[],
            Self::Shortlist { intents, .. } => intents,
        }
    }

    pub(super) fn way_out(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Shortlist { way_out, .. } => Some(way_out),
        }
    }

    /// Whether an answer says that none of the offered intents fits.
    pub(super) fn is_way_out(&self, answer: Option<&str>) -> bool {
        self.way_out().zip(answer).is_some_and(|(way_out, answer)| way_out.eq_ignore_ascii_case(answer))
    }

    /// All names that may be answered. A question back lists them.
    pub(super) fn names(&self, taxonomy: &'a Taxonomy) -> Vec<&str> {
        let name = |intent: &'a Intent| intent.name.as_str();
        match self {
            Self::All => taxonomy.intents.iter().map(name).collect(),
            Self::Shortlist { intents, way_out } => {
                intents.iter().copied().map(name).chain([way_out.as_str()]).collect()
            }
        }
    }
}

/// The answer that none of the offered intents fits: a name that no intent has.
fn way_out(taxonomy: &Taxonomy) -> String {
    let mut name = String::from("none_of_these");
    while taxonomy.resolve(&name).is_some() {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::ticket::Ticket;

    fn evidence(intents: usize, votes: &[&str]) -> Evidence {
        let names = (0..intents).map(|i| format!("intent {i}")).chain(["None_of_these".into(), "other".into()]);
        let mut taxonomy = Taxonomy::from_labels(names);
        taxonomy.fallback = Some("other".into());
        Evidence {
            ticket: Ticket::new("x"),
            candidates: vec![],
            examples: vec![],
            votes: vec![],
            shortlist: votes.iter().map(|&name| name.to_owned()).collect(),
            is_fixed: false,
            step: None,
            taxonomy: Arc::new(taxonomy),
        }
    }

    fn names(mode: IntentsMode, evidence: &Evidence) -> Option<Vec<String>> {
        match Offer::of(mode, evidence) {
            Offer::All => None,
            offer @ Offer::Shortlist { .. } => {
                Some(offer.names(&evidence.taxonomy).into_iter().map(Into::into).collect())
            }
        }
    }

    #[test]
    fn more_than_a_hundred_intents_are_offered_by_shortlist_unless_told_otherwise() {
        let (hundred, more) = (evidence(98, &["intent 7"]), evidence(99, &["intent 7"]));
        assert_eq!(names(IntentsMode::Auto, &hundred), None);
        assert!(names(IntentsMode::Auto, &more).is_some());
        assert_eq!(names(IntentsMode::All, &more), None);
        assert!(names(IntentsMode::Shortlist, &hundred).is_some());
        assert_eq!(names(IntentsMode::Shortlist, &evidence(200, &[])), None, "nothing was put forward");
    }

    #[test]
    fn the_fallback_is_offered_once_and_the_way_out_is_no_intents_name() {
        let offered = |votes: &[&str]| names(IntentsMode::Shortlist, &evidence(5, votes)).unwrap();
        assert_eq!(offered(&["intent 3", "intent 1"]), ["intent 3", "intent 1", "other", "none_of_these_"]);
        assert_eq!(offered(&["other", "intent 1"]), ["other", "intent 1", "none_of_these_"]);
    }
}
