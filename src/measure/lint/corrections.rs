//! Suggestions as tickets that `index` accepts.

use super::{Corpus, Kind, LintReport};
use crate::data::ticket::LabelledTicket;
use crate::{Error, Result};

impl Corpus {
    /// The source that a file of corrections is for: the one that is asked for, or the only one. Fails
    /// when there are several, since `index` takes a file for one source.
    pub fn source(&self, wanted: Option<&str>) -> Result<String> {
        let sources = self.sources();
        let listed = || sources.iter().map(|source| format!("{source:?}")).collect::<Vec<_>>().join(", ");
        match (wanted, sources.as_slice()) {
            (Some(wanted), _) if sources.contains(&wanted) => Ok(wanted.to_owned()),
            (Some(wanted), _) => Err(Error::configuration(format!(
                "--source {wanted:?}: no example is from there; the sources are {}",
                listed()
            ))),
            (None, []) => Ok(String::new()),
            (None, [only]) => Ok((*only).to_owned()),
            (None, _) => Err(Error::configuration(format!(
                "the examples are of several sources ({}), and a file of corrections is for one; name it with --source",
                listed()
            ))),
        }
    }
}

/// The doubtful examples of `source` with a score of at least `min_score`, most doubtful first. They
/// have the suggested label, and no reasoning: it argued for the old one.
#[must_use]
pub fn corrections(report: &LintReport, source: &str, min_score: f32) -> Vec<LabelledTicket> {
    let sure = report.suggestions.iter().filter(|suggestion| {
        matches!(suggestion.kind, Kind::Mislabelled | Kind::Conflict) && suggestion.score >= min_score
    });
    sure.filter_map(|suggestion| {
        let example = suggestion.example.as_ref().filter(|example| example.source == source)?;
        let (ticket, intent) = (example.labelled.ticket.clone(), suggestion.suggested.clone()?);
        Some(LabelledTicket { ticket, intent, reasoning: None })
    })
    .collect()
}
